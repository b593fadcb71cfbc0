// What a thread is to the scheduler. The thread-local hazard and its cure live here.
//
// A task may resume on another thread, but compilers keep the addresses of thread-local
// variables in registers across calls: after a switch such an address is another
// thread's. So there is one thread-local word, in thread.c, and one accessor, never
// inlined, whose result the compiler can neither foresee nor keep. The rule: never use
// a result of wf_thread_self on the other side of a call that may park. (Tried on gcc
// 12, clang 14 and 19, -O0 to -O3, -fPIC, LTO.)
#ifndef WF_SCHED_THREAD_H
#define WF_SCHED_THREAD_H

#include "sched/queues/injector.h"

struct wf_thread {
    struct wf_task *current;   // the task that runs on this thread, NULL outside of one; wf_self reads it
    struct wf_worker *worker;  // NULL on a thread that is not a worker
    struct wf_sched *batching; // between wf_sched_batch_begin and _flush, else NULL
    struct wf_chain batch;
};

struct wf_thread *wf_thread_self(void);

#endif
