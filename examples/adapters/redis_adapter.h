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
// One task at a time may use a connection. After a call that failed or was cancelled,
// old replies may still arrive, and would be taken for those of later commands: only
// redisFree may follow.
#ifndef ADAPTER_REDIS_H
#define ADAPTER_REDIS_H

#include <hiredis/hiredis.h>

// redis_open connects to a numeric address (to look up a name would block the thread);
// or to the Unix socket `where`, if port is 0. redisFree(*out) must follow, even after
// an error.
//
// Returns: 0; why connect(2) failed; -EIO, and (*out)->errstr says why; -ENOMEM; an
// error of weft_poll.
int redis_open(redisContext **out, const char *where, int port);

// redis_reply waits for the reply to the oldest unanswered command, and sends the
// appended commands in the meantime. freeReplyObject(*out) must follow, even after an
// error. An error of the command is a reply, too: REDIS_REPLY_ERROR.
//
// Returns: 0; -EIO, and c->errstr says why; an error of weft_poll.
int redis_reply(redisContext *c, redisReply **out);

#endif
