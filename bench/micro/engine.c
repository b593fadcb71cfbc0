// What lies below the public interface: the bare switch of contexts, and arming and
// cancelling timers, which the public interface does only as part of a wait. The only
// file of the benchmarks that includes internal headers.
#include <errno.h>
#include <stdlib.h>

#include "bench/micro/micro.h"
#include "runtime/state.h"
#include "sched/stacks/stack.h"

// switch_bare: two contexts on one thread, one of them on a task's stack; each does
// nothing but hand over to the other. That is what the scheduler pays to go from one
// task to the next once it knows the next: registers saved and loaded, stacks
// exchanged. No queue, no choice, no task word. The figure is for one way: half a round
// trip.
enum { ROUND_TRIPS = 10 * MICRO_MILLION };

static struct wf_context here, there;

static void hand_back(void *arg)
{
    wf_context_arrived();
    for (;;)
        arg = wf_context_switch(&there, &here, arg, false);
}

static double switch_bare_once(struct micro *m)
{
    (void)m;

    const weft_time start = weft_now();
    for (intptr_t i = 0; i < ROUND_TRIPS; i++)
        micro_expect((intptr_t)wf_context_switch(&here, &there, (void *)i, false), i, "what was handed over and back");
    return (double)(weft_now() - start) / (2.0 * ROUND_TRIPS);
}

void micro_switch_bare(struct micro *m)
{
    static struct wf_depot depot;
    static struct wf_stack_pool pool;

    wf_depot_init(&depot);
    struct wf_stack *stack = wf_stack_take(&pool, &depot, WF_STACK_CLASS_MIN + 2); // 64 KiB, as a task's
    micro_ok(stack ? 0 : -ENOMEM, "take a stack");
    wf_context_adopt(&here);
    wf_stack_context(stack, &there, hand_back);
    m->value[0] = micro_median(m, switch_bare_once);
    wf_stack_give(&pool, &depot, stack);
    wf_depot_fini(&depot);
}

// timer_bare: arm a timer for about an hour from now, disarm it, as a wait with a
// deadline does that ends before it. Reading the clock is not part of it.
weft_time micro_timer_bare(long n, long parties)
{
    struct weft_rt *rt = weft_rt_current();
    const unsigned worker = wf_sched_worker_index(rt->sched);
    const struct wf_waker waker = { wf_task_wake, wf_self() };
    struct wf_timer timer;
    (void)parties;

    const weft_time start = weft_now(), deadline = start + WEFT_S(3600);
    for (long i = 0; i < n; i++) {
        wf_timer_arm(rt->reactor, worker, &timer, deadline + WEFT_US(i), waker);
        wf_timer_disarm(&timer);
    }
    return weft_now() - start;
}
