// Each request leaves a task behind, which waits for a message that no task sends.
#include "tests/broken/broken.h"

enum { REQUESTS = 5000 };

static weft_chan *replies;

__attribute__((noinline)) static int await_reply(void)
{
    intptr_t reply;
    return weft_chan_recv(replies, &reply) + (int)reply;
}

static int log_request(void *arg)
{
    (void)arg;
    return await_reply() + 1;
}

static int serve(void *arg)
{
    (void)arg;
    begin();
    must(weft_chan_new(&replies, sizeof(intptr_t), 0));
    for (int i = 0; i < REQUESTS; i++)
        spawn_named("logger", log_request, NULL);
    await_parked(REQUESTS);
    say_ready();
    return weft_sleep(WEFT_S(1000));
}

int main(void)
{
    return weft_run(NULL, serve, NULL) < 0;
}
