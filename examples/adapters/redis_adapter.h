// Redis from tasks: hiredis' own buffers, and weft_poll in between.
//
//     redisContext *c;
//     redisReply *reply = NULL;
//     int err = redis_open(&c, "127.0.0.1", 6379);
//     if (err == 0) {
//         redisAppendCommand(c, "INCR %s", "visits");       // any number of commands, and then
//         err = redis_reply(c, &reply);                     // as many replies: that is a pipeline
//     }
//     if (err == 0 && reply->type == REDIS_REPLY_INTEGER)
//         printf("%lld\n", reply->integer);
//     freeReplyObject(reply);
//     redisFree(c);
//
// A connection is one task's at a time. When a call has failed or was cancelled,
// replies may still be on their way, and the next one would be taken for another's:
// redisFree is all that may follow.
#ifndef ADAPTER_REDIS_H
#define ADAPTER_REDIS_H

#include <hiredis/hiredis.h>

// redis_open connects to a numeric address (a name would be looked up, which blocks the
// thread); or to the Unix socket `where`, if port is 0. redisFree(*out) must follow,
// whatever it returns.
//
// Returns: 0; why connect(2) failed; -EIO, and (*out)->errstr says why; -ENOMEM; an
// error of weft_poll.
int redis_open(redisContext **out, const char *where, int port);

// redis_reply waits for the reply to the oldest command that has none yet, and sends
// meanwhile what is to be sent. freeReplyObject(*out) must follow, whatever it returns.
// An error of the command is a reply, too: REDIS_REPLY_ERROR.
//
// Returns: 0; -EIO, and c->errstr says why; an error of weft_poll.
int redis_reply(redisContext *c, redisReply **out);

#endif
