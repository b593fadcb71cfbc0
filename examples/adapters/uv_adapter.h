// A libuv loop inside a task: code for libuv runs unchanged, beside the other tasks.
//
//     uv_loop_t loop;
//     uv_loop_init(&loop);
//     ... uv_timer_start, uv_tcp_connect, ...
//     int err = host_loop(&loop);        // as uv_run, but it parks the task where uv_run would block the thread
//     if (err < 0)
//         end_loop(&loop);
//     uv_loop_close(&loop);
//
// One task uses a loop; the task may continue on another thread after a turn, which
// libuv allows. Callbacks run inside uv_run and must not park: they may complete
// futures, spawn tasks, and call weft_chan_try_send. Other tasks reach the loop by
// uv_async_send.
#ifndef ADAPTER_UV_H
#define ADAPTER_UV_H

#include <uv.h>

// host_loop runs the loop until it has no active handles. (uv_stop ends a turn, not the
// loop: close the handles.)
//
// Returns: 0; an error of weft_select.
// Cancel:  the loop is between two turns: run it again, or end it.
int host_loop(uv_loop_t *loop);

// end_loop closes every handle that is not closing yet, and runs the loop to its end,
// even if the task is cancelled. To free a handle's memory, close it first with your
// own callback.
void end_loop(uv_loop_t *loop);

#endif
