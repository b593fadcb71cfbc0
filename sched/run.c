// What happens on a task's stack: choose the next task, switch to it; park, yield,
// wake, end.
//
// A task that leaves switches straight to the next one, if the worker's own queues have
// one; only when they are dry does it go by way of the worker's own stack (worker.c).
// The next task to run finishes what the task that left could not do while it still ran
// on its stack: publish it as PARKED, queue it, or free its stack (wf_worker_finish_switch).
//
// The order of choice:
//   next slot   the task just woken or spawned: its data is hot. At most WF_NEXT_RUNS in a row while others wait.
//   deque       spawned, not begun, newest first: a tree of tasks is walked depth first
//   ring        woken or yielded, oldest first
// and every WF_FAIR_TICKS the ring before the others. While inbox or injector hold
// work, some of it every WF_TURN_TICKS. The deque's oldest task gets a turn only by
// time (tend in worker.c): each such turn begins another subtree, whose stacks live
// beside the present one's. By count, every 64 tasks, it made fib(32) carve 170 000
// stacks instead of 60.
//
// What every switch runs through is inlined, or begins a cache line: a switch takes
// 11.0 ns wherever the linker puts it, without that 11.2 to 12.4; with C++ in the
// program as much (sched/arch/exceptions.h).
//
// Edges.
//   N1  put_next's store or exchange (release) -> the exchange that takes the slot
//       (acquire), owner's or thief's: header, and what was saved by [T2], are visible
#include "sched/state.h"

#include <errno.h>

#include "base/assert.h"
#include "base/clock.h"

// --- Choosing ------------------------------------------------------------------------

_Static_assert(WF_FAIR_TICKS % WF_TURN_TICKS == 0, "the fair tick is one of those at which others are looked at");
_Static_assert(WF_INJECT_BATCH <= WF_RING_CAP / 2 || WF_RING_CAP < 64, "a share fits the ring beside what yields");

static struct wf_task *take_next(struct wf_worker *w)
{
    struct wf_task *task = wf_load_relaxed(&w->next); // relaxed: only the owner fills it

    if (!task || w->sched->cfg.workers > 1)
        return task ? wf_exchange_acquire(&w->next, NULL) : NULL; // [N1] a thief may have been faster: NULL
    wf_store_relaxed(&w->next, NULL);                             // relaxed: there are no thieves
    return task;
}

struct wf_task *wf_worker_take_injected(struct wf_worker *w)
{
    struct wf_task *share[WF_INJECT_BATCH];
    wf_debug_assert(wf_worker_is_self(w));
    // Not more than half of the ring: see WF_SWITCH_YIELDED below.
    unsigned most = wf_ring_size(&w->ring) + WF_INJECT_BATCH > WF_RING_CAP / 2 ? 1 : WF_INJECT_BATCH;
    unsigned n = wf_injector_take(&w->sched->injector, share, most);

    for (unsigned i = 1; i < n; i++)
        if (!wf_ring_push(&w->ring, share[i]))
            wf_panic("a ring with room is full");
    if (wf_unlikely(w->monitor_unaware) && n > 1)
        wf_worker_notify_monitor(w);
    return n > 0 ? share[0] : NULL;
}

struct wf_task *wf_worker_take_pinned(struct wf_worker *w)
{
    struct wf_task *task;
    return wf_injector_take(&w->inbox, &task, 1) ? task : NULL;
}

// pick_in_turn gives a turn to tasks that the usual order could starve, or does not
// see.
static struct wf_task *pick_in_turn(struct wf_worker *w, uint64_t ticks)
{
    struct wf_task *task = NULL;

    if (wf_unlikely(wf_worker_probe_is_over(w)))
        wf_worker_end_probe(w, wf_now());
    if (ticks % WF_FAIR_TICKS == 0)
        task = wf_ring_pop(&w->ring, w->sched->cfg.workers == 1);
    // relaxed: a hint; what is missed now is seen at a later tick, or before the worker
    // sleeps
    if (!task && wf_load_relaxed(&w->inbox.tail))
        task = wf_worker_take_pinned(w);
    if (!task && wf_load_relaxed(&w->sched->injector.tail)) // relaxed: as above
        task = wf_worker_take_injected(w);
    return task;
}

// prefetch_tasks fetches what the tasks of the ring that come soon will touch first
// into the cache: with a thousand tasks in turn neither headers nor stacks are in the
// nearest one. Headers are type-stable, so a task that is stolen meanwhile does no
// harm, nor does a stack pointer that is not true any more.
static inline void prefetch_tasks(const struct wf_worker *w)
{
#ifndef WF_TSAN // which takes the look at the stack pointer for a race
    const struct wf_task *next = wf_ring_peek(&w->ring, 1), *later = wf_ring_peek(&w->ring, 4);

    if (later)
        __builtin_prefetch(later);
    if (next) {
        const char *sp = next->context.sp;
        for (int line = 0; line < WF_AHEAD_LINES; line++)
            __builtin_prefetch(sp + line * WF_CACHE_LINE);
    }
#else
    (void)w;
#endif
}

// may_run_next: the next slot's streak ends when others wait.
static inline bool may_run_next(struct wf_worker *w)
{
    if (wf_likely(w->next_runs < WF_NEXT_RUNS))
        return true;
    if (wf_ring_size(&w->ring) > 0 || wf_deque_size(&w->deque) > 0)
        return false;
    w->next_runs = 0; // no other task did
    return true;
}

WF_LINE_ALIGNED struct wf_task *wf_worker_pick(struct wf_worker *w)
{
    uint64_t ticks = wf_load_relaxed(&w->ticks) + 1; // relaxed: only the owner writes it
    struct wf_task *task = NULL;

    wf_debug_assert(wf_worker_is_self(w) && !(w->modes & WF_MODE_POLLING));
    wf_store_relaxed(&w->ticks, ticks); // relaxed: the monitor only has to see it change
    if (wf_unlikely(ticks % WF_TURN_TICKS == 0))
        task = pick_in_turn(w, ticks);
    if (!task && may_run_next(w) && (task = take_next(w))) {
        w->next_runs++;
        return task;
    }
    w->next_runs = 0;
    if (!task && wf_deque_size(&w->deque) > 0)
        task = wf_deque_pop(&w->deque);
    if (!task && (task = wf_ring_pop(&w->ring, w->sched->cfg.workers == 1)))
        prefetch_tasks(w);
    return task;
}

// --- Queueing ------------------------------------------------------------------------

static void inject(struct wf_sched *s, struct wf_task *task)
{
    struct wf_chain chain = { 0 };
    wf_debug_assert(task->sched == s && !(task->pinned && wf_task_begun(task)));
    wf_chain_append(&chain, task);
    wf_injector_push(&s->injector, &chain);
}

static void push_ring(struct wf_worker *w, struct wf_task *task)
{
    wf_debug_assert(!(task->pinned && wf_task_begun(task))); // it could be stolen from there
    if (wf_likely(wf_ring_push(&w->ring, task)))
        return;
    inject(w->sched, task); // behind all that is in the ring: order is kept
    wf_bump(&w->overflows, 1);
}

// spill moves the older half of the deque to the injector, as one chain.
static void spill(struct wf_worker *w)
{
    struct wf_chain chain = { 0 };

    while (chain.count < WF_QUEUE_CAP / 2) {
        bool again;
        struct wf_task *task = wf_deque_steal(&w->deque, &again);
        if (task)
            wf_chain_append(&chain, task);
        else if (!again)
            break;
    }
    if (chain.count > 0)
        wf_injector_push(&w->sched->injector, &chain);
    wf_bump(&w->overflows, chain.count);
}

static void push_deque(struct wf_worker *w, struct wf_task *task)
{
    wf_debug_assert(!wf_task_begun(task));
    while (wf_unlikely(!wf_deque_push(&w->deque, task)))
        spill(w);
    wf_worker_hint(w);
}

// put_next makes `task` the next to run, if it is a woken one or there is no next task;
// the task that was next before queues: begun tasks in the ring, others in the deque. A
// new task finds the place taken and goes to the deque itself: that spares all but the
// first of several children an exchange (fib32, two workers: 131 ms with, 113 without).
static void put_next(struct wf_worker *w, struct wf_task *task)
{
    if (!wf_load_relaxed(&w->next)) {     // relaxed: only the owner fills it
        wf_store_release(&w->next, task); // [N1] no worker is woken: the owner is about to run it
        return;
    }
    if (!wf_task_begun(task)) {
        push_deque(w, task);
        return;
    }
    struct wf_task *old = wf_exchange_acq_rel(&w->next, task); // [N1]
    if (!old)
        return;
    if (!wf_task_begun(old)) {
        push_deque(w, old);
        return;
    }
    push_ring(w, old);
    if (wf_ring_size(&w->ring) >= WF_WAKE_BACKLOG)
        wf_worker_hint(w);
}

// push_polled queues a task that the poll has woken: the first of a batch as the next
// to run, so that one event does not wait for all tasks that have yielded; the others
// in order.
__attribute__((always_inline)) static inline void push_polled(struct wf_worker *w, struct wf_task *task)
{
    wf_debug_assert(wf_worker_is_self(w));
    if (wf_load_relaxed(&w->next)) // relaxed: only the owner fills it
        push_ring(w, task);
    else
        wf_store_release(&w->next, task); // [N1]
}

// enqueue_pinned queues a task on the one worker that may run it, `home`. `w` is the
// calling worker, NULL on other threads.
static void enqueue_pinned(struct wf_worker *w, struct wf_worker *home, struct wf_task *task)
{
    struct wf_chain chain = { 0 };

    wf_debug_assert(home->sched == task->sched);
    wf_chain_append(&chain, task);
    wf_injector_push(&home->inbox, &chain);
    if (home != w)
        wf_worker_wake_pinned(home);
}

WF_NOINLINE static void enqueue_outside(struct wf_sched *s, struct wf_thread *thread, struct wf_task *task)
{
    wf_record_queue(thread, task);
    if (thread->batching == s) {
        wf_chain_append(&thread->batch, task);
        return;
    }
    inject(s, task);
    wf_sched_notify(s);
}

// enqueue_recorded is the worker's own part of enqueue_task while the recorder is on.
// Returns: false if the task is still to be queued, in the usual way.
WF_NOINLINE static bool enqueue_recorded(struct wf_worker *w, struct wf_task *task)
{
    wf_record_queue_here(w, task);
    if (!(w->modes & WF_MODE_POLLING))
        return false;
    push_polled(w, task);
    return true;
}

// enqueue_in_mode is the same for a worker in any mode.
__attribute__((always_inline)) static inline bool enqueue_in_mode(struct wf_worker *w, struct wf_task *task)
{
    if (wf_unlikely(w->modes != WF_MODE_POLLING))
        return enqueue_recorded(w, task);
    push_polled(w, task);
    return true;
}

// enqueue_task makes an ACTIVE task run some time.
static void enqueue_task(struct wf_task *task)
{
    struct wf_thread *thread = wf_thread_self();
    struct wf_worker *w = thread->worker;

    wf_debug_assert(wf_task_is_active(task) && task->sched);
    if (wf_unlikely(task->pinned && task->worker)) {
        wf_record_queue(thread, task);
        enqueue_pinned(w, task->worker, task);
#ifdef WF_FAULTS
    } else if (task->sched->scatter && task->worker) { // for tests: a woken task runs on another worker
        wf_record_queue(thread, task);
        enqueue_pinned(w, &task->sched->workers[(task->worker->index + 1) % task->sched->cfg.workers], task);
#endif
    } else if (wf_unlikely(!w || w->sched != task->sched)) {
        enqueue_outside(task->sched, thread, task);
    } else if (!w->modes || !enqueue_in_mode(w, task)) {
        put_next(w, task);
        if (wf_unlikely(w->monitor_unaware))
            wf_worker_notify_monitor(w);
    }
}

void wf_task_wake(void *arg)
{
    struct wf_task *task = arg;
    if (wf_task_note_wake(task) == WF_NOTED_PARKED) {
        wf_event_wake(task);
        enqueue_task(task);
    }
}

// The function queues the task in the injector, as a foreign thread does, because the
// caller may be a signal handler that has interrupted a worker while it changes its own
// queues. wf_injector_push is safe there: the interrupted worker sees it as a push by
// another thread.
void wf_sched_release(struct wf_task *task)
{
    struct wf_sched *s = task->sched;

    if (wf_task_retire(task) == WF_RETIRED_PARKED)
        return;
    wf_event_wake(task);
    if (task->pinned) { // it has begun, so it has a worker
        enqueue_pinned(NULL, task->worker, task);
        return;
    }
    inject(s, task);
    wf_sched_notify(s);
}

void wf_task_cancel(struct wf_task *task)
{
    wf_fetch_or_acq_rel(&task->word, (uint32_t)(WF_TASK_CANCEL_PENDING | WF_TASK_CANCELLED)); // [T3]
    wf_task_wake(task);
}

void wf_sched_submit(struct wf_task *task)
{
    wf_debug_assert(!wf_task_is_live(task) && !wf_task_begun(task));
    wf_debug_assert(task->stack_class >= WF_STACK_CLASS_MIN && task->stack_class <= WF_STACK_CLASS_MAX);
    wf_task_begin(task);
    wf_event_spawn(task);
    enqueue_task(task);
}

// --- Switching -----------------------------------------------------------------------

static void task_main(void *arg);
static void reserve_main(void *arg);

// count_end tells wf_sched_drain, if it waits, that one more task has ended.
__attribute__((always_inline)) static inline void count_end(struct wf_worker *w)
{
    struct wf_sched *s = w->sched;

    wf_store_release(&w->ended, wf_load_relaxed(&w->ended) + 1); // [S2]; relaxed: only the owner writes it
    if (wf_unlikely(wf_load_seq_cst(&s->draining))) {            // seq_cst: against wf_sched_drain's store
        wf_fetch_add_seq_cst(&s->drained, 1);
        wf_futex_wake(&s->drained, 1);
    }
}

// equip gives a task a stack of its own. Returns: false if there is none.
static bool equip(struct wf_worker *w, struct wf_task *task)
{
    wf_debug_assert(wf_worker_is_self(w) && !wf_task_begun(task) && !task->stack);
    task->stack =
        wf_stack_take(&w->stacks[task->stack_class - WF_STACK_CLASS_MIN], &w->sched->depot, task->stack_class);
    if (wf_likely(task->stack != NULL))
        wf_stack_context(task->stack, &task->context, task_main);
    return task->stack != NULL;
}

// equip_from_depot is equip on a thread that has no stacks in store.
WF_NOINLINE static bool equip_from_depot(struct wf_task *task)
{
    task->stack = wf_stack_take_one(&task->sched->depot, task->stack_class);
    if (task->stack == NULL)
        return false;
    wf_stack_show(task->stack);
    wf_stack_context(task->stack, &task->context, task_main);
    return true;
}

int wf_sched_equip(struct wf_task *task)
{
    struct wf_worker *w = wf_thread_self()->worker;

    wf_debug_assert(!wf_task_is_live(task));
    if (task->stack_class <= task->sched->stack_class)
        return 0;
    if (w && w->sched == task->sched)
        return equip(w, task) ? 0 : -ENOMEM;
    return equip_from_depot(task) ? 0 : -ENOMEM;
}

int wf_worker_make_reserve(struct wf_worker *w)
{
    wf_debug_assert(!w->reserve);
    w->reserve = wf_stack_take_one(&w->sched->depot, w->sched->stack_class);
    return w->reserve ? 0 : -ENOMEM;
}

// starve has a task that gets no stack run all the same, so that it can free what it
// was given. It runs to its end without a park, so the reserve is free whenever the
// worker chooses its next task.
__attribute__((cold, noinline)) static void starve(struct wf_worker *w, struct wf_task *task)
{
    // whose last task ran to its end
    wf_debug_assert(!w->thread->current || w->thread->current->stack != w->reserve);
    wf_stack_show(w->reserve);
    task->stack = w->reserve;
    wf_task_starve(task);
    wf_stack_context(w->reserve, &task->context, reserve_main);
}

void wf_worker_ready(struct wf_worker *w, struct wf_task *task)
{
    if (wf_unlikely(!task->stack) && wf_unlikely(!equip(w, task)))
        starve(w, task);
}

WF_LINE_ALIGNED WF_NOINLINE void wf_worker_finish_switch(struct wf_worker *w)
{
    struct wf_task *left = w->prev;

    wf_debug_assert(wf_worker_is_self(w) && (w->prev_reason != WF_SWITCH_PARKED || left != w->thread->current));
    switch (w->prev_reason) {
    case WF_SWITCH_NOTHING:
        return;
    case WF_SWITCH_PARKED:
        if (wf_unlikely(wf_task_retire(left) == WF_RETIRED_WOKEN)) {
            wf_event_wake(left);
            enqueue_task(left);
        }
        break;
    case WF_SWITCH_YIELDED:
        wf_debug_assert(wf_task_is_active(left) && wf_task_begun(left));
        if (wf_unlikely(left->pinned))
            enqueue_pinned(w, w, left);
        else if (wf_load_relaxed(&w->sched->injector.tail) &&
                 wf_ring_size(&w->ring) >= WF_RING_CAP / 2) // relaxed: a hint
            inject(w->sched, left);                         // behind those that found no room: they get as many turns
        else
            push_ring(w, left);
        if (wf_unlikely(w->monitor_unaware) && w->thread->current) // it waits behind that one
            wf_worker_notify_monitor(w);
        break;
    case WF_SWITCH_ENDED:
        wf_debug_assert(w->prev_stack && w->prev_stack != w->reserve);
        wf_stack_give(&w->stacks[w->prev_stack->size_class - WF_STACK_CLASS_MIN], &w->sched->depot, w->prev_stack);
        break;
    case WF_SWITCH_RESERVE:
        wf_stack_hide(w->reserve);
        break;
    }
    w->prev_reason = WF_SWITCH_NOTHING;
}

// pick_recorded is pick_in_time while the recorder is on.
WF_NOINLINE static struct wf_task *pick_recorded(struct wf_worker *w, enum wf_switch_reason how)
{
    struct wf_task *task = NULL;

    if (wf_worker_must_look(w))
        wf_worker_note_turn(w);
    else
        task = wf_worker_pick(w);
    wf_record_switch(w, how, task);
    return task;
}

// pick_in_time is wf_worker_pick, unless it is time to look around, on the worker's own
// stack: NULL. The running task is about to leave in the way `how`.
static struct wf_task *pick_in_time(struct wf_worker *w, enum wf_switch_reason how)
{
    if (wf_likely(!wf_worker_is_due(w)))
        return wf_worker_pick(w);
    if (wf_unlikely(w->recorder != NULL))
        return pick_recorded(w, how);
    wf_worker_note_turn(w);
    return NULL;
}

// next_ready picks a task that can be switched to, NULL if there is none.
__attribute__((always_inline)) static inline struct wf_task *next_ready(struct wf_worker *w,
                                                                        enum wf_switch_reason how)
{
    struct wf_task *task = pick_in_time(w, how);

    if (wf_unlikely(task && !task->stack))
        wf_worker_ready(w, task);
    return task;
}

// switch_away switches from the running task, and returns when that task is resumed.
// Returns: the worker that the task is on then.
__attribute__((always_inline)) static inline struct wf_worker *
switch_away(struct wf_worker *w, struct wf_task *task, enum wf_switch_reason how, struct wf_task *next)
{
    wf_debug_assert(w->prev_reason == WF_SWITCH_NOTHING && next != task);
    w->prev = task;
    w->prev_reason = how;
    wf_worker_begin_turn(w, next);
    return wf_context_switch(&task->context, next ? &next->context : &w->loop, w, false);
}

// leave_with_exceptions is leave in a C++ handler, or while the task's stack is
// unwound.
WF_NOINLINE static void leave_with_exceptions(struct wf_worker *w, struct wf_task *task, enum wf_switch_reason how,
                                              struct wf_task *next)
{
    struct wf_exceptions own = wf_exceptions_take(w->cxx);

    w = switch_away(w, task, how, next);
    *w->cxx = own;
    wf_worker_finish_switch(w);
}

// leave_worker switches away from the running task. Returns when it is resumed, perhaps
// on another worker.
__attribute__((always_inline)) static inline void leave_worker(struct wf_worker *w, struct wf_task *task,
                                                               enum wf_switch_reason how, struct wf_task *next)
{
    if (wf_exceptions_any(w->cxx))
        leave_with_exceptions(w, task, how, next);
    else
        wf_worker_finish_switch(switch_away(w, task, how, next));
}

WF_LINE_ALIGNED void wf_park(struct wf_task *self, const char *what, intptr_t on)
{
    struct wf_worker *w = self->worker;

    wf_debug_assert(self == wf_self() && wf_worker_is_self(w) && !wf_task_starved(self));
    if (wf_task_consume_wake(self))
        return;
    wf_store_relaxed(&self->on, on); // relaxed: only dumps read them
    wf_store_relaxed(&self->what, what);
    wf_event_park(self);
    leave_worker(w, self, WF_SWITCH_PARKED, next_ready(w, WF_SWITCH_PARKED));
    wf_store_relaxed(&self->what, NULL); // relaxed: as above
}

// must_look_alone tells whether a task that has yielded, alone, leaves all the same. The
// recorder has noted that it did: so it is told if not.
static inline bool must_look_alone(struct wf_worker *w, const struct wf_task *self)
{
    if (wf_likely(!wf_worker_is_due(w)))
        return false;
    bool must = wf_worker_must_look(w);
    if (!must && w->recorder)
        wf_record_switch(w, WF_SWITCH_NOTHING, self);
    return must;
}

WF_LINE_ALIGNED int wf_yield(struct wf_task *self)
{
    struct wf_worker *w = self->worker;

    wf_debug_assert(self == wf_self() && wf_worker_is_self(w) && !wf_task_starved(self));
    struct wf_task *next = next_ready(w, WF_SWITCH_YIELDED);
    // Alone: go on, unless it is time to look around, for the sake of tasks that are
    // not queued here.
    if (!next && !must_look_alone(w, self) && !wf_load_relaxed(&w->sched->injector.tail)) { // relaxed: a hint
        w->turn.budget = WF_BUDGET;
        return 0;
    }
    leave_worker(w, self, WF_SWITCH_YIELDED, next);
    return 0;
}

bool wf_on_stack(const struct wf_task *self, const void *base, size_t n)
{
    wf_debug_assert(self == wf_self() && self->stack);
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), top = (uintptr_t)self->stack->top, at = (uintptr_t)base;
    return at >= here && at <= top && n <= top - at;
}

uint64_t wf_random(struct wf_task *self)
{
    wf_debug_assert(self == wf_self());
    return wf_rand(&self->worker->rng);
}

unsigned wf_sched_worker_index(const struct wf_sched *s)
{
    struct wf_worker *w = wf_thread_self()->worker;
    return w && w->sched == s ? w->index : s->cfg.workers;
}

// --- A task's life -------------------------------------------------------------------

// end_task takes the stack off a task whose body has returned, and hands the header
// over. What the header was is gone after that. Returns: the worker, which need not be
// the one that the body began on.
__attribute__((always_inline)) static inline struct wf_worker *end_task(struct wf_task *task, struct wf_stack **stack)
{
    struct wf_worker *w = task->worker;

    wf_debug_assert(wf_worker_is_self(w) && w->thread->current == task && w->prev_reason == WF_SWITCH_NOTHING);
    wf_event_end(task);
    *stack = task->stack;
    task->stack = NULL;
    w->thread->current = NULL;
    wf_task_end(task);
    w->sched->cfg.ended(task);
    count_end(w);
    return w;
}

__attribute__((always_inline)) static inline void run_body(struct wf_worker *w, struct wf_task *task)
{
    wf_debug_assert(w->thread->current == task && task->worker == w);
    wf_bump(&w->runs, 1);
    w->sched->cfg.run(task);
}

// task_main is what every stack runs: one task, and then, as long as the next one has
// no stack, that one too.
static void task_main(void *arg)
{
    struct wf_worker *w = arg;

    wf_context_arrived();
    wf_worker_finish_switch(w);
    for (;;) {
        struct wf_stack *stack;
        struct wf_task *task = w->thread->current;
        run_body(w, task);
        w = end_task(task, &stack); // another worker's, if the task has moved
        struct wf_task *next = pick_in_time(w, WF_SWITCH_ENDED);
        if (next && !next->stack && next->stack_class == stack->size_class) {
            next->stack = stack;
            wf_stack_belongs(stack, &next->context);
            wf_worker_begin_turn(w, next);
            continue;
        }
        if (next)
            wf_worker_ready(w, next);
        w->prev_stack = stack;
        w->prev_reason = WF_SWITCH_ENDED;
        wf_worker_begin_turn(w, next);
        struct wf_context gone;
        wf_context_switch(&gone, next ? &next->context : &w->loop, w, true);
        wf_panic("a task came back after its end");
    }
}

// reserve_main is what a reserve stack runs: one task. The next one, which may need it
// as well, is for the worker's own stack to choose.
__attribute__((cold)) static void reserve_main(void *arg)
{
    struct wf_worker *w = arg;
    struct wf_stack *stack;
    struct wf_context gone;

    wf_context_arrived();
    wf_worker_finish_switch(w);
    struct wf_task *task = w->thread->current;
    run_body(w, task);
    end_task(task, &stack);
    w->prev_reason = WF_SWITCH_RESERVE;
    if (w->recorder)
        wf_record_switch(w, WF_SWITCH_RESERVE, NULL);
    wf_worker_begin_turn(w, NULL);
    wf_context_switch(&gone, &w->loop, w, true);
    wf_panic("a task came back after its end");
}
