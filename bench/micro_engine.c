// What lies below the public interface: the bare switch of contexts, and arming and cancelling timers, which the public
// interface does only as part of a wait. The only file of the benchmarks that includes internal headers.
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "bench/micro.h"
#include "runtime/runtime.h"
#include "sched/stack.h"

// switch: two contexts on one thread, the other one on a task's stack; each does nothing but hand over to the other.
// That is what the scheduler pays to go from one task to the next once it knows the next: registers saved and loaded,
// stacks exchanged. No queue, no choice, no task word. The figure is of one way: half a round trip.
enum { ROUND_TRIPS = 10 * MICRO_MILLION };

static struct wf_context here, there;

static void hand_back(void *arg)
{
    wf_context_arrived();
    for (;;)
        arg = wf_context_switch(&there, &here, arg, false);
}

static double switch_once(struct micro *m)
{
    (void)m;

    const weft_time start = weft_now();
    for (intptr_t i = 0; i < ROUND_TRIPS; i++)
        micro_expect((intptr_t)wf_context_switch(&here, &there, (void *)i, false), i, "what was handed over and back");
    return (double)(weft_now() - start) / (2.0 * ROUND_TRIPS);
}

void micro_switch(struct micro *m)
{
    static struct wf_depot depot;
    static struct wf_stack_pool pool;

    wf_depot_init(&depot);
    struct wf_stack *stack = wf_stack_take(&pool, &depot, WF_STACK_CLASS_MIN + 2); // 64 KiB, as a task's
    micro_ok(stack ? 0 : -ENOMEM, "take a stack");
    wf_context_adopt(&here);
    wf_stack_context(stack, &there, hand_back);
    m->value[0] = micro_median(m, switch_once);
    wf_stack_give(&pool, &depot, stack);
    wf_depot_fini(&depot);
}

// timer_cancel: arm a timer for about an hour from now, disarm it, as a wait with a deadline does that ends before it.
// Reading the clock is not part of it.
static void arm_and_cancel(struct weft_rt *rt, unsigned worker, weft_time deadline)
{
    struct wf_timer timer;
    const struct wf_waker waker = { wf_task_wake, wf_self() };

    for (int i = 0; i < MICRO_MILLION; i++) {
        wf_timer_arm(rt->reactor, worker, &timer, deadline + WEFT_US(i), waker);
        wf_timer_disarm(&timer);
    }
}

static double timer_cancel_once(struct micro *m)
{
    struct weft_rt *rt = weft_rt_current();
    (void)m;

    const weft_time start = weft_now();
    arm_and_cancel(rt, wf_sched_worker_index(rt->sched), start + WEFT_S(3600));
    return (double)(weft_now() - start) / MICRO_MILLION;
}

void micro_timer_cancel(struct micro *m)
{
    m->value[0] = micro_task_median(m, timer_cancel_once);
}

// timer_cancel_all: the same on every worker at once. As none of the tasks parks before all have begun, each has a
// worker for itself. The figure is the time that one timer takes on one worker: as alone, if they do not disturb
// each other.
struct crowd {
    unsigned size;          // fixed
    _Atomic unsigned begun; // A
    weft_time took[];       // each task's own
};

struct member {
    struct crowd *crowd;
    unsigned number;
};

static int cancel_with_others(void *arg)
{
    const struct member *me = arg;
    struct crowd *c = me->crowd;
    struct weft_rt *rt = weft_rt_current();

    wf_fetch_add_acq_rel(&c->begun, 1u);         // a count, nothing goes with it
    while (wf_load_acquire(&c->begun) < c->size) // likewise
        sched_yield();
    const weft_time start = weft_now();
    arm_and_cancel(rt, wf_sched_worker_index(rt->sched), start + WEFT_S(3600));
    c->took[me->number] = weft_now() - start;
    return 0;
}

static double timer_cancel_all_once(struct micro *m)
{
    struct weft_rt *rt = weft_rt_current();
    const unsigned n = wf_sched_workers(rt->sched);
    struct crowd *c = micro_alloc(1, sizeof *c + n * sizeof c->took[0]);
    struct member *members = micro_alloc(n, sizeof *members);
    weft_task **tasks = micro_alloc(n, sizeof *tasks);
    weft_time sum = 0;
    (void)m;

    c->size = n;
    for (unsigned i = 0; i < n; i++) {
        members[i] = (struct member){ .crowd = c, .number = i };
        tasks[i] = micro_spawn(cancel_with_others, &members[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        micro_join(tasks[i]);
        sum += c->took[i];
    }
    free(tasks);
    free(members);
    free(c);
    return (double)sum / n / MICRO_MILLION;
}

void micro_timer_cancel_all(struct micro *m)
{
    m->value[0] = micro_task_median(m, timer_cancel_all_once);
}
