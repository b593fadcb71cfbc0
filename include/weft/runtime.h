// The runtime: worker threads that run tasks, and one reactor thread for epoll and the
// timers.
#ifndef WEFT_RUNTIME_H
#define WEFT_RUNTIME_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_spawn_opts weft_spawn_opts; // weft/task.h

// weft_config holds the settings of a runtime. Start from WEFT_CONFIG_INIT and set the
// fields you need. A field that is zero takes its value from the environment variable
// named beside it, else the default. A variable whose value is not a number in range is
// an error (WEFT_BAD_CONFIG) with one line on stderr that names it, never a silent
// default.
typedef struct weft_config {
    size_t size;       // sizeof(weft_config): lets the struct grow
    unsigned workers;  // 0: WEFT_WORKERS, else the CPUs this process may use (affinity mask, cgroup quota); at most 256
    size_t stack_size; // 0: WEFT_STACK_SIZE, else 64 KiB of address space per task; only touched pages cost memory; 16
                       // KiB to 256 MiB, rounded up to a power of two. A guard of 64 KiB is added, and costs no memory
    unsigned blocking_max; // 0: WEFT_BLOCKING_MAX, else 512 threads for weft_blocking (blocking.h); at most 65536
    bool pin_workers;      // one CPU per worker; the pool's threads, and children of fork, may use all CPUs
    uint64_t seed;         // 0: from the system; else makes scheduling choices repeatable
    const char *name;      // thread-name prefix, shown by top -H and gdb; NULL: "weft"
    weft_time stall_after; // 0: WEFT_STALL_MS, else off: a task that holds its worker for longer is reported on stderr
    size_t trace_events;   // 0: WEFT_TRACE_EVENTS, else off: the flight recorder (weft_rt_trace_write) is on, and keeps
                           // at least so many events a worker; 64 to 16777216. 32 bytes each
    const char *inspect;   // NULL: WEFT_INSPECT, else off: where weft-top finds the runtime: the path of a Unix socket,
                           // or "@name", an abstract one; "%p" in it becomes the process's number. See below
    weft_time stop_after;  // how long weft_rt_free, and the end of weft_run, may take; 0: as long as it takes
} weft_config;

#ifdef __cplusplus
#define WEFT_CONFIG_INIT { sizeof(weft_config), 0, 0, 0, false, 0, nullptr, 0, 0, nullptr, 0 }
#else
#define WEFT_CONFIG_INIT { .size = sizeof(weft_config) }
#endif

// Signals. The kernel delivers signals to weft's threads (workers, pool, reactor) as to
// any other threads of the program.
//
//   - They have the signal mask of the thread that calls weft_run or weft_rt_new. A
//     program that takes signals by signalfd(2) or sigwait(3) blocks them in that
//     thread before the call; in a task it is too late.
//   - A signal handler of the program (a profiler, a crash reporter) may run on any of
//     these threads. On a worker it interrupts whatever task is running. With
//     SA_ONSTACK the handler runs on a separate stack of 64 KiB. Without it, the
//     handler uses the task's stack: 1 to 12 KiB for the processor's registers, plus
//     its own frames. The only call of weft that a handler may make is weft_rt_dump. It
//     may write to a pipe or an eventfd that a task reads. weft's calls do not return
//     -EINTR, with or without SA_RESTART.
//   - Children (fork, posix_spawn, popen, system) begin with the mask described above
//     and with the program's own dispositions, whether a task or a job of weft_blocking
//     starts them. So Ctrl-C, SIGTERM and SIGPIPE end them. Background jobs are stopped
//     when they read their terminal.
//
// With WEFT_DUMP_SIGNAL=QUIT in the environment (HUP, INT, QUIT, USR1, USR2, ALRM, TERM,
// with or without SIG; their numbers; numbers of real-time signals) that signal has
// weft_rt_dump called for all runtimes of the process, to stderr, by a handler of weft's on
// whichever thread it comes to. The program goes on. A handler that the program had
// installed before the first runtime is called after that; one that it installs later takes
// the place of weft's. A thread that blocks the signal does not get it: one must not. Any
// other value is WEFT_BAD_CONFIG. The first runtime decides for all later ones.
//
// Three dispositions change while runtimes exist, and are restored when the last
// runtime ends:
//
//   - SIGPIPE, if it has the default action: weft installs a handler, so that a write
//     to a closed pipe by one of weft's threads returns -EPIPE and does nothing else.
//     On the program's other threads, or when a process sends it, SIGPIPE acts as
//     without weft. If the program ignores SIGPIPE or handles it, weft changes nothing.
//   - SIGSEGV: weft installs a handler, which reports a task that overflows its stack.
//     It passes every other SIGSEGV, one sent by a process included, to the previous
//     handler or the default action.
//   - SIGURG, while the blocking pool uses a descriptor in blocking mode (weft/io.h).
//     If the call takes longer than 10 ms, a timer of weft sends SIGURG to its thread,
//     which ends the call. SIGURG from other senders is passed on in the same way.
//
// A fourth, SIGWINCH, changes while weft_rt_dump runs or a stall is reported. weft's
// handler then handles the signals that weft sent, and passes on all others.
//
// The signals that the program asks for by weft/signal.h change as well.
//
// A handler or action that the program installs while runtimes exist replaces weft's
// handler, and stays when they end. If the program sets SIGPIPE to its default action,
// the next write to a closed pipe ends the program.
//
// Other things that children inherit. A program that a task starts by posix_spawn,
// popen or system has, through exec(2), the CPU of a pinned worker, timers without
// slack (PR_SET_TIMERSLACK of prctl(2)), and perhaps a longer or shorter time slice. A
// child of fork, the pool's threads, and all their children have the settings of the
// thread that started the runtime. So with pin_workers, start programs in
// weft_blocking.
//
// mlockall(2) with MCL_FUTURE locks what a runtime maps: 64 MiB at a time for stacks,
// and 16 MiB for descriptors. All of it counts against RLIMIT_MEMLOCK: calls return
// -ENOMEM if the limit is lower and the program does not have CAP_IPC_LOCK. With
// MCL_ONFAULT only touched pages become resident.

// The inspect socket (weft_config.inspect) is served by a thread of its own, weft-inspect,
// which works while all workers are stuck. Processes of the same user, and root's, may
// connect: weft-top does. A socket's file that an ended process has left is replaced; the
// file is removed when the runtime stops. If nothing can listen there (another process
// does, the path cannot be made, it is too long), the runtime goes on without, and one
// line on stderr says so.
//
// The watchdog. With stall_after (at least a millisecond; WEFT_STALL_MS: 1 to 3600000) a
// task that holds its worker for longer, because it computes or is blocked in a system
// call, is reported once, while it still does: which task, for how long, the system call,
// how many tasks are queued behind it, and its stack. What counts is one turn, from one
// call that parks or yields to the next one, without the time in which the thread was
// ready but did not get a processor. A stall that is over within some 50 ms may go unseen.
// For the stack the worker is asked by SIGWINCH, as weft_rt_dump does: sleep(3), poll(2)
// and others that never restart (signal(7)) may return EINTR in the task that is reported.
// Nothing is written when stderr is a pipe that is full. weft_metrics.stalls counts all.
// While it is on, the reactor thread wakes up 40 times a second.

// weft_run is a whole program. It starts a runtime and runs `fn(arg)` as a task. When
// fn returns, it cancels the tasks that are left, waits for them (up to
// weft_config.stop_after), and stops. `cfg` may be NULL.
//
// Returns: what fn returned, or a negative error if the runtime could not be built
//          (WEFT_BAD_CONFIG: a bad setting; -ENOMEM; -EAGAIN: the system refused a
//          thread; -EMFILE). Then fn has not run, and one line on stderr says so. A
//          program that must distinguish these errors from fn's own uses weft_rt_new
//          and weft_rt_block_on.
// Context: a thread that is not a worker. Blocks it.
WEFT_API int weft_run(const weft_config *cfg, weft_fn *fn, void *arg);

// weft_rt_new builds a runtime and starts its threads, for embedding in a host program.
//
// C++: each task has its own exceptions (weft/task.h) if the C++ library, libstdc++ or
// libc++abi, is in the process when the runtime is made: linked in, statically or not,
// or loaded by dlopen with RTLD_GLOBAL. weft does not notice a C++ library that a
// plug-in loads for itself (RTLD_LOCAL), or that is loaded later. So link a host of C++
// plug-ins with the library (-Wl,--no-as-needed -lstdc++). If there are two, weft uses
// the one that it was linked with, else the first that dlsym finds.
//
// Returns: 0, and the runtime in *out; WEFT_BAD_CONFIG, -ENOMEM, -EAGAIN or -EMFILE as
//          weft_run, and then nothing is left behind.
// Context: any thread that is not a worker. A child of fork(2) may make runtimes of its
//          own, whatever other threads of the parent were doing.
// Owns:    the caller frees *out with weft_rt_free.
WEFT_API WEFT_MUST_CHECK int weft_rt_new(weft_rt **out, const weft_config *cfg);

// weft_rt_block_on runs `fn(arg)` as a task of `rt` and blocks the calling thread until
// it ends.
//
// Returns: what fn returned; -ENOMEM; -ECANCELED once weft_rt_stop has begun.
// Context: a thread that is not a worker of any runtime.
WEFT_API int weft_rt_block_on(weft_rt *rt, weft_fn *fn, void *arg);

// weft_rt_spawn starts a task of `rt` from any thread; `out` == NULL detaches it.
//
// Returns: 0; -ENOMEM; -ECANCELED once weft_rt_stop has begun (then *out is untouched).
// Context: any thread, task or not. Never parks.
// Owns:    *out is given back by weft_join or weft_detach.
WEFT_API WEFT_MUST_CHECK int weft_rt_spawn(weft_rt *rt, weft_task **out, weft_fn *fn, void *arg);

// weft_rt_spawn_with is weft_rt_spawn with options (weft/task.h). On a thread that is
// not a worker, `o->scope` is one that weft_rt_scope_open has opened for `rt`.
//
// Returns: as weft_rt_spawn; -EINVAL: an option out of range.
// Context: any thread, task or not. Never parks.
WEFT_API WEFT_MUST_CHECK int weft_rt_spawn_with(weft_rt *rt, weft_task **out, const weft_spawn_opts *o, weft_fn *fn,
                                                void *arg);

// weft_rt_stop refuses new tasks, cancels every task and waits until all have ended,
// then ends the threads. It may be called again, after a time-out as after success, and
// by any number of threads at once: each waits until the runtime has stopped. Handles
// that were not joined stay valid until weft_rt_free.
//
// Returns: 0; -ETIMEDOUT if tasks remain at `deadline` (absolute; WEFT_NEVER: no
//          limit), or another caller has not finished ending the threads. The program
//          may then exit without weft_rt_free.
// Context: a thread that is not a worker, nor in a job of weft_blocking of this
//          runtime. Blocks it.
WEFT_API int weft_rt_stop(weft_rt *rt, weft_time deadline);

// weft_rt_free stops the runtime if it still runs, waits until other threads have
// returned from weft_rt_stop, and releases everything, task handles included. No call
// on the runtime may begin after weft_rt_free has begun. NULL does nothing.
//
// A job of weft_blocking may be stuck, or a task may not return. If tasks remain for
// that reason after weft_config.stop_after, weft_rt_free leaves the runtime behind. The
// remaining tasks and threads go on, cancelled; when the last of them ends, a thread of
// weft (weft-reaper) releases everything. Until then the program must keep what they
// use, and must not unload weft; it may exit at any time. By default weft_rt_free waits
// without limit.
//
// weft_rt_free does not wait for the look-up of a name whose task was cancelled
// (weft_resolve). The look-up goes on, on a thread of weft, until the C library gives
// up, at the latest when resolv.conf(5) says. It uses nothing of the runtime, but the
// program must not unload weft before it ends.
//
// In a child of fork(2), where the threads do not exist, weft_rt_free only releases
// memory and descriptors.
// Context: as weft_rt_stop.
WEFT_API void weft_rt_free(weft_rt *rt);

// weft_rt_current is the runtime of the calling task, NULL outside a task.
// Context: any thread. Never parks.
WEFT_API weft_rt *weft_rt_current(void);

// weft_histogram counts durations. bucket[i] counts the durations that are shorter than
// 1024 << i ns and in no earlier bucket; the last bucket counts all longer ones. `sum`
// is in nanoseconds.
enum { WEFT_HISTOGRAM_BUCKETS = 24 };
typedef struct weft_histogram {
    uint64_t count, sum;
    uint64_t bucket[WEFT_HISTOGRAM_BUCKETS];
} weft_histogram;

// weft_lane_metrics is one lane of the blocking pool.
typedef struct weft_lane_metrics {
    uint64_t jobs;     // that have begun, since the start
    uint64_t queued;   // jobs that wait for a thread
    uint64_t threads;  // that there are
    uint64_t sleeping; // of those, threads without a job
    uint64_t limit;    // how many threads there may be
} weft_lane_metrics;

// weft_metrics has the counts of a runtime since its start, and its present state.
// Every build keeps the counts. Each figure is right by itself, but the figures are not
// of one moment, because tasks go on running while they are read. They agree when no
// task runs. Start from WEFT_METRICS_INIT.
typedef struct weft_metrics {
    size_t size;                     // sizeof(weft_metrics): lets the struct grow
    uint64_t workers;                // threads that run tasks
    uint64_t spawned, ended;         // tasks
    uint64_t running, ready, parked; // tasks: on a worker; in a queue; waiting
    uint64_t unbegun;                // of those that are ready, tasks that have not run yet
    uint64_t turns;                  // how often a worker chose among the tasks in its own queues, including yields
                                     // that found none
    uint64_t steals, stolen;         // how often a worker took tasks of another one, and how many tasks in all
    uint64_t sleeps, wakes;          // how often a worker slept; was woken by another thread of weft's
    uint64_t overflows;              // tasks for which a worker's queue had no room: they went to the common one
    uint64_t queued, injected;       // tasks that are ready: in the workers' own queues; in the common one
    weft_histogram
        turn_length; // sampled, about a thousand times a second of a busy worker: a turn as long as those since
                     // the last sample were on average
    weft_histogram queue_wait;          // sampled likewise: how long a task waits in its worker's queue
    uint64_t polls, events;             // calls of epoll_wait(2), and the events that they returned
    uint64_t timers, expired;           // timers that are armed, and how many have expired since the start
    uint64_t descriptors;               // that are registered with epoll
    uint64_t stacks, stacks_stored;     // stacks that there are, and those of them that no worker has
    uint64_t stack_bytes;               // address space of those; memory is what was touched of it
    weft_lane_metrics user, file, name; // the pool's lanes: weft_blocking; files; look-ups of names
    uint64_t stalls;                    // tasks that held their worker for longer than weft_config.stall_after
} weft_metrics;

#ifdef __cplusplus
#define WEFT_METRICS_INIT { sizeof(weft_metrics) }
#else
#define WEFT_METRICS_INIT { .size = sizeof(weft_metrics) }
#endif

// weft_rt_metrics fills in *m. The caller has set m->size: a program that was compiled
// when the struct had fewer fields gets only those. The call takes some nanoseconds for
// each task.
//
// Returns: 0; -EINVAL: m->size is not a size that the struct ever had.
// Context: any thread, task or not; not a signal handler. Never parks.
WEFT_API int weft_rt_metrics(weft_rt *rt, weft_metrics *m);

// weft_rt_metrics_write writes the same figures to `fd`, as text in Prometheus'
// exposition format (version 0.0.4). The content type for HTTP is "text/plain;
// version=0.0.4". All names begin with weft_.
//
// Returns: 0; the errors of write(2): some of it may be written.
// Context: any thread; write(2) blocks it, task or not, if the descriptor is in blocking
//          mode and full. Never parks: for a slow client, a task writes to a memfd or a
//          pipe first.
WEFT_API WEFT_MUST_CHECK int weft_rt_metrics_write(weft_rt *rt, int fd);

// weft_rt_trace_write writes what the flight recorder holds to `fd`, as a trace in
// Chrome's JSON format, which Perfetto's UI (ui.perfetto.dev) opens: the last turns of
// tasks on each worker, with their names, how each ended, what the task waits for and how
// long it had been queued; polls and sleeps; wakes and spawns, as arrows; the lengths of
// the workers' queues. The recorder is on if weft_config.trace_events says so, or while
// weft-top asks for a trace. It keeps the last events of each worker; the file has up to
// 300 bytes for each. Times are CLOCK_MONOTONIC's, in microseconds; names longer than 23
// bytes are cut off. Tasks go on running meanwhile.
//
// Returns: 0; -ENODATA: the recorder was never on; -ENOMEM; the errors of write(2): some
//          of it may be written.
// Context: as weft_rt_metrics_write.
WEFT_API WEFT_MUST_CHECK int weft_rt_trace_write(weft_rt *rt, int fd);

// weft_rt_dump writes a line for each living task to the descriptor `fd`, and the
// task's stack. The line has the task's id, name and state; what the task waits for
// (the descriptor and its addresses, the holder of the mutex, the children of the
// scope, the time that is left); and its open scopes, with the first of their
// deadlines. The stack names the functions, innermost first. If more than 256 tasks
// wait in the same place, the dump shows 256 and counts the others. It is for
// debugging: the tasks go on running, so each line is true by itself, but two lines may
// contradict each other.
//
// A parked task that is woken while its stack is read continues some microseconds
// later. A running task's stack is read in a handler of SIGWINCH, which weft sends to
// the worker. System calls that signal(7) lists as interrupted despite SA_RESTART may
// then return EINTR. The dump shows no stack for a task whose thread blocks SIGWINCH,
// or for a task in a queue. Functions are named from the symbol tables of the program
// and its libraries; without those, from the dynamic linker's; else the dump gives the
// file and the offset in it, for addr2line(1).
// Context: any thread; also from a signal handler. Never parks; allocates only
// mappings. Blocks while it writes, and up to 0.1 s for a worker that does not answer.
WEFT_API void weft_rt_dump(weft_rt *rt, int fd);

WEFT_END_DECLS

#endif
