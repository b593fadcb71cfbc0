// Work that blocks a thread: C libraries, files, name look-ups.
#ifndef WEFT_BLOCKING_H
#define WEFT_BLOCKING_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// weft_blocking runs fn(arg) on a thread of the blocking pool and parks the calling
// task until it returns. Threads are made on demand, up to weft_config.blocking_max,
// and leave after ten idle seconds; when all are busy, jobs queue. weft's own blocking
// work has separate threads: up to 64 (at most blocking_max) for calls on files, and as
// many for look-ups of names. So neither kind of work waits for the other, nor for jobs
// of weft_blocking.
//
// A job may wait for tasks that need the pool themselves. While a job waits in
// weft_rt_block_on, weft_future_wait_thread, or weft_rt_stop of another runtime, its
// thread does not count against the limit, so another thread may run. weft cannot see
// that a job waits by other means (a condition variable, a semaphore, a pipe). If
// blocking_max jobs wait in such a way for one more job, that job never starts, and
// they never return.
//
// A thread serves one job after the other. Its state in the kernel or the C library
// (setns, unshare, landlock, seccomp, setfsuid, capset, uselocale, sched_setscheduler,
// pthread_sigmask, its name) stays for the next job, so a job that changes such state
// must restore it before it returns. State that cannot be restored belongs on a
// separate thread: the task makes the thread (pthread_create) and awaits a future,
// which the thread completes as its last action.
//
// The threads begin with the signal mask, the CPUs and the timer slack of the thread
// that started the runtime.
//
// Returns: what fn returned; -ECANCELED, or -ETIMEDOUT by a scope's deadline, if the
//          task was cancelled before fn had begun (then it never runs); -EAGAIN if the
//          system refuses a thread and the pool has none (threads that wait as
//          described above do not count).
// Context: task. May park, so the caller may continue on another thread. fn runs
//          outside any task: it must not park. It may run runtimes of its own, use
//          weft_rt_block_on and weft_future_wait_thread, stop other runtimes. It must
//          not stop its own runtime, which would wait for its task: weft_rt_stop and
//          weft_rt_free of that runtime stop the program with a message. So does
//          pthread_exit. After fork(2) in fn, the child must not return from it.
// Cancel:  once fn has begun, the call waits for it and returns its result. So a job
//          that never returns blocks its task and the end of the runtime;
//          weft_config.stop_after limits the latter.
WEFT_API int weft_blocking(weft_fn *fn, void *arg);

WEFT_END_DECLS

#endif
