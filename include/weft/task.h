// Tasks: cheap stackful threads of control that the runtime's workers run and steal
// from each other.
//
// A task may continue on another thread after any call that may park. So do not keep
// the address of a thread-local variable across such a call, and do not hold a pthread
// mutex.
//
// A function that calls anything that may park must not name `errno`; right after a
// libc call has failed it calls weft_errno(). (The compiler may keep the address of
// errno from one use to the next. So after a park, `errno` can be the one of a thread
// that the task has left. This also holds for assignments: code that needs `errno = 0`
// first, as strtol does, belongs in a separate function that does not park and is not
// inlined. weft's calls return their errors.)
//
// C++: a task may park in a catch block, or in a destructor that runs while the stack
// is unwound. weft/runtime.h says with which C++ libraries. An exception that leaves
// the task's body ends the program by std::terminate, after a line on stderr that names
// the task. With weft/weft.hpp the joiner or the scope gets the exception instead.
//
// A task keeps its floating-point environment as <fenv.h> sets it (rounding,
// exceptions). On x86-64 a mode that only intrinsics set (flushing denormals to zero)
// belongs to the thread, not to the task: set it before weft_run, for all threads.
//
// fork(2) in a task: the child has only the calling thread, and its runtime no longer
// works. The child may only call exec or _exit. A weft call that would park there stops
// the child with a message.
//
// pthread_exit in a task would end the worker, so it stops the program with a message;
// a task's body ends by returning. exit(3) is allowed. pthread_cancel has no effect on
// weft's threads.
//
// A stack that overflows ends the program with a line on stderr that names the task.
// In code compiled with -fstack-clash-protection, which weft.pc and the CMake package
// add, this holds for frames of any size: the code touches each page on the way down.
// In other code (libraries) it holds for frames of up to 64 KiB, the size of the guard
// below each stack. A larger frame may reach into another task's stack.
//
// SIGPIPE: a write to a closed pipe or socket returns -EPIPE, and the signal does
// nothing (weft/runtime.h, "Signals").
//
// A thread's state in the kernel or the C library belongs to the worker, not to the
// task: namespaces (setns, unshare), landlock, seccomp, capabilities, setfsuid,
// uselocale, scheduling, the signal mask. If a task changes such state, the change
// stays with the worker: other tasks run with it there, and this task may continue on
// another worker without it. `pinned` keeps the task on one worker, but does not keep
// other tasks off that worker. Work of this kind belongs on a thread that the program
// makes by pthread_create. The thread completes a future (weft_future_complete) when it
// is done, and the task awaits the future. (uselocale may be used between two calls
// that park.)
#ifndef WEFT_TASK_H
#define WEFT_TASK_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// weft_spawn starts fn(arg) as a task of the calling task's runtime. The child runs
// when the caller parks, or when another worker takes it. The child is in no scope,
// even if the caller is. To make a child that a scope waits for, use weft_scope_spawn
// or weft_spawn_opts.scope. Its stack is allocated when it first runs.
//
// If no stack can be allocated then, fn(arg) is still called, so that it can free what
// it was given. It runs on a reserve stack of its worker, which has the runtime's stack
// size. There the task cannot park: every call that may park, and every spawn, returns
// -ENOMEM at once, even behind a shield, and weft_cancelled() is true. Calls that never
// park work as usual: weft_close, unlocking, weft_mutex_try_lock, weft_future_complete.
// A scope that this task opens has no children, so weft_scope_close returns at once
// (-ENOMEM, if nothing else has decided it).
//
// `out` == NULL detaches the task. `arg` stays the caller's, and must stay valid as
// long as the task needs it.
//
// Returns: 0; -ENOMEM; -ECANCELED once weft_rt_stop has begun. The result says whether
//          fn will be called.
// Context: task. Never parks.
// Owns:    *out belongs to the caller until weft_join or weft_detach.
WEFT_API WEFT_MUST_CHECK int weft_spawn(weft_task **out, weft_fn *fn, void *arg);

typedef struct weft_scope weft_scope;

// weft_spawn_opts: start from WEFT_SPAWN_OPTS_INIT.
typedef struct weft_spawn_opts {
    size_t size;       // sizeof(weft_spawn_opts): lets the struct grow
    const char *name;  // shown in dumps; must outlive the task (a literal does)
    size_t stack_size; // 0: the runtime's; else rounded up to a power of two, 16 KiB to 256 MiB. A stack larger than
                       // the runtime's is allocated at the spawn
    bool pinned;       // always runs on the worker that first ran it: for libraries that rely on thread-locals
    weft_scope *scope; // NULL, or an open scope whose child the task becomes (as weft_scope_spawn)
} weft_spawn_opts;

#ifdef __cplusplus
#define WEFT_SPAWN_OPTS_INIT { sizeof(weft_spawn_opts), nullptr, 0, false, nullptr }
#else
#define WEFT_SPAWN_OPTS_INIT { .size = sizeof(weft_spawn_opts) }
#endif

// weft_spawn_with is weft_spawn with options. -EINVAL: an option out of range. -ENOMEM:
// also if a stack larger than the runtime's cannot be allocated.
WEFT_API WEFT_MUST_CHECK int weft_spawn_with(weft_task **out, const weft_spawn_opts *o, weft_fn *fn, void *arg);

// weft_join waits until `t` has ended, stores what its body returned in *result (may be
// NULL), and frees the handle.
//
// Returns: 0; -ECANCELED, -ETIMEDOUT if the calling task was cancelled: then the handle
//          is still the caller's.
// Context: task. May park, so the caller may continue on another thread. Also a thread
//          that is not a worker; blocks it.
// Cancel:  `t` goes on; join or detach it later.
WEFT_API int weft_join(weft_task *t, int *result);

// weft_detach gives up the handle; the task goes on, and is freed when it ends. A task
// may detach its own handle.
// Context: any thread. Never parks.
WEFT_API void weft_detach(weft_task *t);

// weft_task_cancel asks `t` to end. From now on each of its calls that may park returns
// -ECANCELED at once. If `t` is parked in such a call, that call returns -ECANCELED
// too, unless it completes first. To cancel a task again, or after its end, does
// nothing.
// Context: any thread that holds the handle, or the task itself. Never parks.
WEFT_API void weft_task_cancel(weft_task *t);

// weft_task_done tells whether `t` has ended, so that weft_join would not wait.
// Context: any thread that holds the handle. Never parks.
WEFT_API bool weft_task_done(const weft_task *t);

// weft_yield lets every task that is ready to run on this worker go first. N tasks that
// only yield make equal progress.
//
// Returns: 0; -ECANCELED, -ETIMEDOUT (without yielding).
// Context: task. The caller may continue on another thread.
WEFT_API int weft_yield(void);

// weft_self is the calling task; NULL outside a task. The pointer is not a new handle:
// do not join or detach it unless the handle is yours.
// Context: any thread. Never parks.
WEFT_API weft_task *weft_self(void);

// weft_task_id is a number that no other task of the process has had.
// Context: any thread that holds the handle, or the task itself; weft_task_name the
//          same. Never parks.
WEFT_API uint64_t weft_task_id(const weft_task *t);

// weft_task_name is the name given at spawn, "" without one.
WEFT_API const char *weft_task_name(const weft_task *t);

// weft_cancelled tells whether the next call that may park would fail, because the
// task, or a scope it is in, was cancelled. It is for loops that only compute, and for
// loops that retry after errors.
// Context: task (false elsewhere). Never parks.
WEFT_API bool weft_cancelled(void);

// weft_errno is the errno of the thread that the caller runs on now: see the top of
// this header.
// Context: any thread, right after the libc call that has set it. Never parks.
WEFT_API int weft_errno(void);

// Task-local values, like pthread keys: a key holds one value for each task, NULL at
// first. When a task ends, it calls the key's `destroy` (may be NULL) for each of its
// values that is not NULL. `destroy` may park. Values that a destructor sets are
// destroyed too, in up to four rounds.
typedef unsigned weft_local;

// weft_local_key makes a key; keys are never freed. -EAGAIN: all 128 are taken.
// Context: any thread. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_local_key(weft_local *key, void (*destroy)(void *));

// weft_local_get is the calling task's value.  Context: task. Never parks.
WEFT_API void *weft_local_get(weft_local key);

// weft_local_set changes the value. -ENOMEM: only a task's first set, or its first set
// of a larger key, allocates.
// Context: task. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_local_set(weft_local key, void *value);

WEFT_END_DECLS

#endif
