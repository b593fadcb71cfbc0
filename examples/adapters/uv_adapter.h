// A libuv loop as the guest of a task: what is written for libuv runs as it is, beside
// the other tasks.
//
//     uv_loop_t loop;
//     uv_loop_init(&loop);
//     ... uv_timer_start, uv_tcp_connect, ...
//     int err = host_loop(&loop);        // as uv_run, but it parks the task where uv_run would block the thread
//     if (err < 0)
//         end_loop(&loop);
//     uv_loop_close(&loop);
//
// A loop is one task's; libuv does not mind that the task goes on on another thread
// after a turn. Its callbacks run inside uv_run and may not park: they may complete
// futures, spawn tasks, and weft_chan_try_send. From other tasks uv_async_send reaches
// the loop.
#ifndef ADAPTER_UV_H
#define ADAPTER_UV_H

#include <uv.h>

// host_loop runs the loop until nothing in it is alive. (uv_stop ends a turn, not the
// loop: close the handles.)
//
// Returns: 0; an error of weft_select.
// Cancel:  the loop stands as it is between two turns: go on with it, or end it.
int host_loop(uv_loop_t *loop);

// end_loop closes every handle that is not being closed yet, and runs the loop to its
// end, which a cancel does not cut short. To free a handle's memory, close it with a
// callback of yours before.
void end_loop(uv_loop_t *loop);

#endif
