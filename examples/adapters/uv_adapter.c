#include "uv_adapter.h"

#include <poll.h>
#include <weft.h>

// park waits, between turns, for libuv's epoll descriptor, which is readable when one
// of libuv's descriptors is ready; and until its next timer.
static int park(const uv_loop_t *loop)
{
    int ms = uv_backend_timeout(loop); // -1: there is no timer
    weft_case next[] = {
        weft_on_fd(uv_backend_fd(loop), POLLIN),
        weft_on_time(ms < 0 ? WEFT_NEVER : weft_after(WEFT_MS(ms))),
    };

    int which = weft_select(next, 2);
    if (which < 0)
        return which;
    return which == 0 && next[0].result < 0 ? next[0].result : 0;
}

int host_loop(uv_loop_t *loop)
{
    int err = 0;

    while (err == 0 && uv_run(loop, UV_RUN_NOWAIT) != 0) // one turn for the ready events
        err = park(loop);
    return err;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void end_loop(uv_loop_t *loop)
{
    uv_walk(loop, close_handle, NULL);
    weft_shield_begin(WEFT_NEVER);
    while (host_loop(loop) < 0)
        weft_sleep(WEFT_MS(1)); // no memory left, for the moment
    weft_shield_end();
}
