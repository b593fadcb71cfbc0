#include "redis_adapter.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <weft.h>

int redis_open(redisContext **out, const char *where, int port)
{
    redisContext *c = *out = port ? redisConnectNonBlock(where, port) : redisConnectUnixNonBlock(where);
    int failed = 0;

    if (!c)
        return -ENOMEM;
    if (c->err)
        return -EIO;
    int ready = weft_poll(c->fd, POLLOUT);
    if (ready < 0)
        return ready;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &failed, &(socklen_t){ sizeof(failed) });
    return -failed;
}

int redis_reply(redisContext *c, redisReply **out)
{
    void *reply = NULL;

    *out = NULL;
    for (;;) {
        int sent = 0;
        if (redisBufferWrite(c, &sent) != REDIS_OK || redisGetReplyFromReader(c, &reply) != REDIS_OK)
            return -EIO;
        if (reply)
            break;
        int ready = weft_poll(c->fd, sent ? POLLIN : POLLIN | POLLOUT);
        if (ready < 0)
            return ready;
        if (ready & ~POLLOUT && redisBufferRead(c) != REDIS_OK)
            return -EIO;
    }
    *out = reply;
    return 0;
}
