// The worker: one thread that runs tasks. The worker's files share this header:
//   run.c        what happens on a task's stack: choose the next task, switch to it,
//                park, yield, wake, end
//   worker.c     what happens on the worker's own stack, when there is no next task:
//                search, sleep
//   look.c       what a busy worker does there periodically: look around, for tasks
//                that are not in its queues
//   steal.c      taking other workers' tasks, for both
//   poll.c       borrowing the poll, for both
//   wake.c       whom to wake, for all of these
//   timeslice.c  long turns
//   monitor.c    what the monitor sees from outside
//   stall.c      the monitor's watchdog for turns that last too long
//   vitals.c     what can be read about a worker and its thread, for monitor.c, stall.c
//                and sight.c
//   sim.c        the worker of a test on one thread: it makes each choice at random
#ifndef WF_SCHED_STATE_H
#define WF_SCHED_STATE_H

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/assert.h"
#include "base/keeper.h"
#include "base/parker.h"
#include "base/rand.h"
#include "base/timeslice.h"
#include "sched/queues/deque.h"
#include "sched/arch/exceptions.h"
#include "sched/stacks/headers.h"
#include "sched/event.h"
#include "sched/idle.h"
#include "sched/recorder.h"
#include "sched/queues/injector.h"
#include "sched/queues/ring.h"
#include "sched/sched.h"
#include "sched/stacks/stack.h"
#include "sched/thread.h"

// How a task left the worker. The next context on the worker reads it, and finishes the
// switch: only then are the task's registers saved.
enum wf_switch_reason { WF_SWITCH_NOTHING, WF_SWITCH_PARKED, WF_SWITCH_YIELDED, WF_SWITCH_ENDED, WF_SWITCH_RESERVE };

enum {
    WF_BUDGET = 128,      // calls in a row that need not wait, before a task yields (Tokio's number)
    WF_FAIR_TICKS = 64,   // after every so many tasks the worker looks at the oldest work first (Go: 61)
    WF_TURN_TICKS = 8,    // and after every so many, at the inbox and the injector; divides WF_FAIR_TICKS
    WF_NEXT_RUNS = 16,    // tasks in a row from the next slot, while others wait
    WF_AHEAD_LINES = 8,   // of a stack that are fetched ahead: what a task that waits for a descriptor touches
    WF_INJECT_BATCH = 32, // tasks taken from the injector at a time
    WF_STEAL_SPAWNED = 8, // spawned tasks stolen at a time
    WF_WAKE_BACKLOG = 16, // woken tasks that may wait on one worker before a second one is woken for them
    WF_STRIDE_MAX = 1024, // turns between two looks around, however short they are
};

// A worker's look_at while the recorder is on: each switch comes by it.
#define WF_LOOK_RECORDING UINT64_C(1)

// A worker looks around (look.c) about so often: its stride is the number of turns that
// take this time.
#define WF_LOOK_NS INT64_C(30000)

// A turn that takes at least so long is long.
#define WF_LONG_NS INT64_C(1000000)

// What a worker remembers from one look around to the next.
struct wf_pace {
    int64_t looked;       // when that was, or when the worker woke up after that
    uint64_t ticks;       // the worker's ticks then
    uint64_t stride;      // turns until the next one
    uint64_t due;         // the tick at which it is due; look_at may be less
    int64_t turn;         // ns that a turn took on average between the last two,
    uint64_t turns;       // and how many turns there were
    int64_t polled;       // when it polled last
    uint64_t oldest;      // the deque's head when it began to be the oldest task's place,
    int64_t oldest_since; // and when that was
    int64_t age;          // how long a task must have been that to begin,
    int64_t tree_age;     // and how long once the root of a tree has begun in that way
    bool has_aged;        // one has, at the last look; the worker had spawned so many then:
    uint64_t spawned;
    unsigned looks; // how many there have been
    bool probing;   // it is being measured how long the ring takes,
    uint64_t probe; // up to this place,
    int64_t probed; // since then
};

// How a worker queues a task, if not in the usual way.
enum {
    WF_MODE_POLLING = 1,   // inside the idle source's poll
    WF_MODE_RECORDING = 2, // the recorder is on
};

// The turn that the monitor watches (stall.c).
struct wf_stall_watch {
    bool measured;  // the monitor measures a turn
    bool reported;  // and has reported it
    uint64_t ticks; // the worker's then
    int64_t since;  // when it was first seen; the thread had used so much
    int64_t cpu;    // CPU time then,
    int64_t delay;  // and waited so long for a processor; -1: unknown
};

// O: the worker itself, whatever stack it is on; A: atomic
struct wf_worker {
    struct wf_turn turn;               // O: first (wf_budget)
    struct wf_sched *sched;            // fixed
    unsigned index;                    // fixed
    struct wf_thread *thread;          // fixed: the thread's own words; `current` in it is the task that runs
    struct wf_task *prev;              // O: the task that left last, for wf_worker_finish_switch
    enum wf_switch_reason prev_reason; // O: and how
    struct wf_stack *prev_stack;       // O: the stack of a task that has ended, until no code runs on it
    struct wf_stack *reserve;          // fixed: for a task that gets none
    bool draws;                        // fixed: it chooses tasks at random (sim.c)
    unsigned next_runs;                // O: tasks run in a row from the next slot
    uint64_t batch_end;                // O: the ring's tail after the last poll: is that batch worked off?
    struct wf_pace pace;               // O: look.c
    struct wf_recorder *recorder;      // O: NULL: off
    struct wf_record_ring *record;     // O: its ring, while it is on
    uint64_t woken_at;                 // O: the stamp that the wakes of a poll share; 0: there was none yet
    uint64_t rng;                      // O
    struct wf_exceptions *cxx;         // fixed once it runs: of the thread
    bool searching;                    // O: counted in idle.searching
    unsigned char modes;               // O: WF_MODE_*
    bool monitor_unaware;              // O: it has woken up, and wf_worker_notify_monitor is still to be called
    uint64_t slice;                    // O: that it has asked for: WF_SLICE_*
    struct wf_context loop;            // O: the worker's own stack, while a task runs
    struct wf_header_list headers;     // O
    struct wf_stack_pool stacks[WF_STACK_CLASSES]; // O
    uint64_t ids, ids_end;                         // O: task numbers put by for this worker
    pthread_t handle;                              // of wf_sched_start and _stop
    pid_t tid;                                     // fixed once it runs: of the thread
    _Atomic bool sighted;                          // A: sight.c: its thread runs, and may be asked
    int stat;                                      // fixed once it runs: a file where the kernel tells its state, or -1
    clockid_t clock;                               // fixed once it runs: of the thread's CPU time
    void *signal_stack;                            // of wf_overflow_install and _remove
    stack_t signal_stack_before;                   // O: the thread's own (AddressSanitizer gives it one)

    _Alignas(WF_NO_SHARING) _Atomic(struct wf_task *) next; // A: [N1] the task just spawned or woken
    _Atomic uint64_t ticks;                                 // A: written by O: tasks run; still for long: a hog
    _Atomic uint64_t look_at;                               // A: the tick at which to look around: written by O; 0 by
                                                            //    the monitor: at once
    _Atomic bool overdue;                                   // A: it has not moved: set by the monitor, a hint
    uint64_t ticks_seen;                                    // of the monitor: at its last look,
    int64_t cpu_seen;                                       // of the monitor: and the thread's CPU time then
    unsigned still;                                         // of the monitor: how many looks in a row it had not moved
    struct wf_stall_watch stall;                            // of the monitor
    struct wf_parker parker;                                // A
    struct wf_deque deque;                                  // spawned, not begun: newest first
    struct wf_ring ring;                                    // woken, or yielded: oldest first
    struct wf_injector inbox;                               // pinned tasks of this worker

    // A: written by O, summed by others
    _Alignas(WF_NO_SHARING) _Atomic uint64_t spawned, ended, runs, steals, stolen, parks, wakes, polls, overflows;
    struct wf_histogram turn_length, queue_wait; // A: as above; filled by look.c
};

struct wf_sched {
    struct wf_sched_config cfg; // fixed
    uint8_t stack_class;        // fixed
    char name[16];              // fixed
    bool scatter;               // fixed: for tests, WEFT_SCATTER is set: each wake takes the task to another worker
    struct wf_worker *workers;  // fixed
    unsigned started;           // of wf_sched_start and _stop: threads to join
    _Atomic uint32_t arrived;   // A: of those, how many have set themselves up; a futex
    int64_t watched;            // of the monitor: when it last looked
    _Atomic uint64_t stalls;    // A: written by the monitor
    int64_t search_at;          // of the monitor: when it looks again whether anything has moved
    uint64_t moved;             // of the monitor: the workers' ticks when it looked last
    struct wf_headers headers;
    struct wf_depot depot;
    struct wf_idle idle;
    struct wf_injector injector;
    struct wf_exceptions *(*cxx)(void); // fixed: finds those of the calling thread
    _Atomic(struct wf_recorder *) rings;    // A: [R5] NULL until the recorder was first on
    _Atomic(struct wf_recorder *) recorder; // A: [R5] those, while it is on
    unsigned recorder_users;                // of wf_sched_record_begin and _end
    _Atomic bool search_paused;    // A: a hint: the monitor has found that nothing moves, and waits for a call
    _Alignas(WF_NO_SHARING) _Atomic int32_t long_turns;       // A: how many workers make way: a hint
    _Atomic int64_t polled_beside;                            // A: when a worker did: a hint
    _Atomic bool draining;                                    // A: no new tasks
    _Atomic bool quitting;                                    // A: workers leave when they are dry
    _Alignas(WF_NO_SHARING) _Atomic uint64_t spawned_outside; // A: by threads that are not workers
    _Atomic uint32_t drained;                                 // A: bumped by ends of tasks while draining; a futex
};

// wf_worker_main is the body of a worker's thread.
void *wf_worker_main(void *arg);

// wf_worker_keeper stops the program, and names the task, if a worker's thread ends too
// early.
extern struct wf_keeper wf_worker_keeper;

// wf_worker_pick chooses the next task from the worker's own queues. NULL: they are
// empty.
struct wf_task *wf_worker_pick(struct wf_worker *w);

// wf_worker_take_injected takes a batch from the injector: the first to run, the others
// into the ring, where they can be stolen. wf_worker_take_pinned takes one from the
// inbox; no more, because in the ring it could be stolen. NULL: there is nothing, or
// another worker is taking.
struct wf_task *wf_worker_take_injected(struct wf_worker *w);
struct wf_task *wf_worker_take_pinned(struct wf_worker *w);

// wf_worker_idle waits until there may be a task to run: in the poll, if the worker can
// borrow it.
void wf_worker_idle(struct wf_worker *w);

// wf_sight_enter lets other threads ask the calling worker what it runs. wf_sight_leave
// ends that, and waits for a thread that asks now: afterwards no other thread accesses
// the data of the worker's thread.
void wf_sight_enter(struct wf_worker *w);
void wf_sight_leave(struct wf_worker *w);

// wf_sight_reset forgets a thread that asked.  Context: the child of a fork.
void wf_sight_reset(void);

// wf_worker_borrow tells whether this worker has the poll now; the idle source's
// give_back ends that. wf_worker_poll_borrowed polls, waiting up to `wait` ns.
bool wf_worker_borrow(struct wf_worker *w);
void wf_worker_poll_borrowed(struct wf_worker *w, int64_t wait);

// wf_worker_poll polls without waiting, if the poll is free, or beside the worker that
// waits in it. The first task that it wakes is the next to run, if none is that already;
// the others queue in the ring.
void wf_worker_poll(struct wf_worker *w);

// wf_worker_is_due tells whether it is time to look around, wf_worker_look_around does
// so: look.c. It returns a task that must run now, in most cases NULL.
// wf_worker_set_out begins to count turns anew, when the worker has slept.
// wf_worker_is_self tells whether the calling thread is the worker: for assertions of
// what only the worker itself may call.
static inline bool wf_worker_is_self(const struct wf_worker *w)
{
    return wf_thread_self()->worker == w;
}

static inline bool wf_worker_is_due(const struct wf_worker *w)
{
    // relaxed: the worker's own, except for the monitor's hint
    return wf_load_relaxed(&w->ticks) >= wf_load_relaxed(&w->look_at);
}
struct wf_task *wf_worker_look_around(struct wf_worker *w);

// wf_worker_must_look tells the same for a worker whose recorder may be on.
static inline bool wf_worker_must_look(const struct wf_worker *w)
{
    if (wf_likely(!wf_worker_is_due(w)))
        return false;
    // relaxed: as above; only the monitor stores 0
    return !w->recorder || wf_load_relaxed(&w->look_at) == 0 || wf_load_relaxed(&w->ticks) >= w->pace.due;
}

// wf_worker_end_probe ends the measurement of how long a task waits in the ring, if
// that many have left it: called every WF_TURN_TICKS.
void wf_worker_end_probe(struct wf_worker *w, int64_t now);
static inline bool wf_worker_probe_is_over(const struct wf_worker *w)
{
    return w->pace.probing && (int64_t)(wf_load_relaxed(&w->ring.head) - w->pace.probe) >= 0; // relaxed: approximate
}
void wf_worker_set_out(struct wf_worker *w);

// wf_worker_steal takes tasks of another worker for one whose queues are dry; it visits
// all others once, from a random one on. wf_worker_visit takes a share from one other
// worker if that one's queues are longer, or its task does not end.
// Returns: one of the tasks taken, which is not queued; NULL if there are none.
struct wf_task *wf_worker_steal(struct wf_worker *w);
struct wf_task *wf_worker_visit(struct wf_worker *w);

// wf_worker_ready gives a task that has not begun its stack; if there is none, the
// worker's reserve. The caller then switches to the task before it does anything else.
void wf_worker_ready(struct wf_worker *w, struct wf_task *task);

// wf_worker_make_reserve makes the reserve stack of a worker that does not run yet.
// Returns: 0; -ENOMEM.
WF_MUST_CHECK int wf_worker_make_reserve(struct wf_worker *w);

// wf_worker_finish_switch finishes what the task that left the worker last could not do
// itself. Each context calls it first after a switch.
void wf_worker_finish_switch(struct wf_worker *w);

// wf_worker_notify_monitor tells the owner of the poll that this worker is awake again:
// it may be asleep without bound. The worker calls it when a task is queued behind the
// one that runs, and not before: most workers that wake up run one task and sleep
// again, and to wake another thread first would delay that task (from a thread outside
// that completes a future to the task that awaits it: 16.4 us, and 8.3 without; Tokio's
// 12.8).
void wf_worker_notify_monitor(struct wf_worker *w);

// wf_worker_hint wakes a sleeping worker for work in this one's own queues, if there is
// one and no worker searches.
void wf_worker_hint(struct wf_worker *w);

// wf_worker_wake_pinned wakes the one worker that may run what is in its inbox.
void wf_worker_wake_pinned(struct wf_worker *home);

// wf_sched_notify wakes a sleeping worker for tasks in the injector. The wake is
// certain (idle.h, [I1]), not a hint.
void wf_sched_notify(struct wf_sched *s);

// wf_sched_notify_poller is wf_sched_notify for the reactor thread, which waits in
// epoll behind the worker that polls: it wakes that worker if the worker sleeps. Then
// the worker comes back in front of the thread, where it should be (reactor/turn.c).
void wf_sched_notify_poller(struct wf_sched *s);

// wf_sched_wake_worker wakes the sleeper that wf_idle_wake_one or wf_idle_wake has
// chosen.
void wf_sched_wake_worker(struct wf_sched *s, int worker);

// wf_worker_expect_long_turn is called when a task is about to run that computed for
// long in its last turn, and is expected to do so again. It wakes a sleeping worker,
// which then waits in the poll: otherwise the reactor thread would have to handle the
// first event. It also lets a thread that wakes up on this CPU run at once, above all
// the thread that polls: this worker asks the kernel for the longest time slice, and a
// worker that falls asleep meanwhile asks for the shortest one. Both reset their slices
// when a task leaves and a look around is due: after a long turn, at its end. (Measured
// when the reactor thread only ticked, a neighbour that computes 20 ms at a time,
// medians of 9 to 11 rounds: p99 of the others 0.72 ms without all that, 0.15 with;
// p99.9 1.6 ms and 0.6; 1.6 without the short slices, 2.0 without any.)
void wf_worker_expect_long_turn(struct wf_worker *w);

// wf_worker_note_turn marks the running task, which is about to leave, if it held the
// worker for long.
void wf_worker_note_turn(struct wf_worker *w);

// wf_worker_set_slice asks the kernel for slices for the calling worker's thread.
void wf_worker_set_slice(struct wf_worker *w, uint64_t slice);

// wf_worker_begin_turn notes that `task` (NULL: none, the worker's own stack) runs now.
static inline void wf_worker_begin_turn(struct wf_worker *w, struct wf_task *task)
{
    wf_debug_assert(wf_worker_is_self(w));
    w->thread->current = task;
    w->turn.budget = WF_BUDGET;
    if (!task)
        return;
    wf_debug_assert(task->sched == w->sched && task->stack && wf_task_is_live(task) && wf_task_is_active(task));
    wf_debug_assert(!task->pinned || !task->worker || task->worker == w);
    task->worker = w;
    wf_event_run(task);
    if (wf_unlikely(wf_task_was_long(task)))
        wf_worker_expect_long_turn(w);
}

// wf_worker_current is the task that the worker runs, NULL: none. Its header may be
// another task's by now.  Context: any thread, between wf_sight_begin and wf_sight_end, if
// the worker may be asked (`sighted`).
struct wf_task *wf_worker_current(const struct wf_worker *w);

// The kernel's data about a worker's thread: the CPU time that it has used; the letter
// of its state (proc(5)), 0 if unknown; how long it was ready and did not run, -1 if
// unknown; the system call that it is blocked in, -1 if there is none or it is unknown,
// and the call's first argument. The last three are expensive, and only for a worker
// that has not moved: for the letter the kernel writes a whole line, and the last two
// functions open files.
int64_t wf_worker_cpu_time(const struct wf_worker *w);
char wf_worker_thread_state(const struct wf_worker *w);
int64_t wf_worker_delay(const struct wf_worker *w);
long wf_worker_call(const struct wf_worker *w, uint64_t *arg);

// wf_stall_look is the monitor's look at a worker. It is called only if stalls must be
// reported.
void wf_stall_look(struct wf_worker *w, int64_t now);

// Stack overflows are reported by name (overflow.c). wf_overflow_install prepares a
// worker for that (-ENOMEM), wf_overflow_enter and _leave do its thread's part,
// wf_overflow_remove undoes the rest. wf_overflow_abandon is wf_overflow_remove in a
// child of fork, for a worker of the parent's.
WF_MUST_CHECK int wf_overflow_install(struct wf_worker *w);
void wf_overflow_enter(struct wf_worker *w);
void wf_overflow_leave(struct wf_worker *w);
void wf_overflow_remove(struct wf_worker *w);
void wf_overflow_abandon(struct wf_worker *w);

#endif
