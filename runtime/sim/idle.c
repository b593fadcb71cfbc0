// What a test run does when the worker is idle:
//
//      all are parked
//        |  a descriptor is ready, a timer due, a signal has come ------------------> a task is ready
//        |  a blocking call is asked for: let one begin, and wait for it -----------> a task is ready
//        |  weft_test_config.outside: wait for that --------------------------------> a task is ready
//        |  there is a timer: the clock jumps to its deadline ----------------------> a task is ready
//        |  a task waits for a descriptor, or a signal: wait, too ------------------> a task is ready
//        v
//      stuck: report the deadlock, cancel all --------------------------------------> all are ready, to end
//
// Blocking calls begin only here, one at a time, in an order from the seed. So their
// duration does not matter, and the run is the same each time. But a call may itself
// wait for another call, or for time to pass. So after BLOCKED_MAX without an event
// another call begins, or time advances.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft/time.h>

#include "base/assert.h"
#include "base/rand.h"
#include "base/sys.h"
#include "runtime/os/os.h"
#include "runtime/sim/sim.h"
#include "runtime/task/blocking.h"
#include "runtime/wait/cancel.h"

#define BLOCKED_MAX WEFT_S(1)   // real time, as
#define SPINNING_MAX WEFT_MS(1) // how long spinning tasks wait for a blocking call

static unsigned look_for_ready(struct wf_test *t)
{
    return t->reactor.poll(t->reactor.self, 0) + wf_reactor_expire(t->rt->reactor) + wf_signal_deliver(&t->clock);
}

// jump moves the clock to the next deadline. Returns: false if there is none.
static bool jump(struct wf_test *t)
{
    int64_t next = wf_reactor_next_timer(t->rt->reactor);

    if (next == WF_NEVER)
        return false;
    if (next > wf_now())
        wf_store_relaxed(&t->clock.now, next); // relaxed: base/clock.h
    wf_reactor_expire(t->rt->reactor);
    wf_debug_assert(wf_reactor_next_timer(t->rt->reactor) > wf_now());
    return true;
}

static unsigned calls_begun(const struct wf_test *t)
{
    unsigned asking = wf_pool_asking(t->rt->blocking), held = wf_pool_held(t->rt->blocking);

    wf_debug_assert(asking >= held);
    return asking - held;
}

// begin_call lets a blocking call begin, if a task has asked for one. Returns: false if
// none has.
static bool begin_call(struct wf_test *t)
{
    unsigned held = wf_pool_held(t->rt->blocking);

    if (held > 0)
        wf_pool_release(t->rt->blocking, wf_rand_below(&t->calls, held));
    return held > 0;
}

void wf_test_pass_time(void *self)
{
    struct wf_test *t = self;

    if (look_for_ready(t) > 0)
        return;
    if (calls_begun(t) > 0 || begin_call(t))
        wf_reactor_wait(t->rt->reactor, SPINNING_MAX);
    else
        jump(t);
}

static int64_t sooner_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool is_anything_awaited(const struct wf_test *t)
{
    return wf_reactor_awaited(t->rt->reactor) || wf_signal_awaited(&t->clock);
}

// patience is how long to wait, in real time, before the next step.
static int64_t patience(const struct wf_test *t)
{
    int64_t next = wf_reactor_next_timer(t->rt->reactor);
    bool called = calls_begun(t) > 0;

    if (next == WF_NEVER && wf_pool_held(t->rt->blocking) == 0 && (called || is_anything_awaited(t)))
        return WF_NEVER;
    if (called)
        return t->cfg.outside > BLOCKED_MAX ? t->cfg.outside : BLOCKED_MAX;
    return sooner_of(t->cfg.outside, next - wf_now());
}

static void interrupt_wait(void *self)
{
    struct wf_test *t = self;
    t->reactor.interrupt(t->reactor.self);
}

// wait_for_any waits for events and signals.
static unsigned wait_for_any(struct wf_test *t, int64_t wait)
{
    struct wf_signal_watch watch = { .waker = { interrupt_wait, t } };

    wf_signal_watch(&watch);
    unsigned n = wf_signal_deliver(&t->clock); // signals that arrived before the watch
    if (n == 0)
        n = wf_reactor_wait(t->rt->reactor, wait);
    wf_signal_unwatch(&watch);
    return n;
}

// wait_outside waits for events from outside the run. Returns: false if none came.
static bool wait_outside(struct wf_test *t)
{
    int64_t wait = patience(t), begun = wait > 0 ? wf_now_real() : 0;

    if (wait <= 0)
        return false;
    return wait_for_any(t, wait) > 0 || wf_now_real() - begun < wait; // a shorter wait was interrupted
}

// unmark_task removes the mark of a parked task that is not cancelled
// (wf_sim_interrupt), for the dump. A task that another thread has just spawned has not
// begun, and has no levels to check yet.
static void unmark_task(struct wf_task *task, void *arg)
{
    (void)arg;
    if (wf_task_begun(task))
        wf_cancel_refresh(wf_weft_task(task));
}

static void report_deadlock(struct wf_test *t, const char *what)
{
    int64_t now = wf_now();
    char line[192];
    int n = snprintf(line, sizeof(line), "weft: %s (seed 0x%" PRIx64 ", after %" PRId64 ".%09d s)\n", what, t->seed,
                     (now - WEFT_TEST_START) / WEFT_S(1), (int)((now - WEFT_TEST_START) % WEFT_S(1)));

    (void)wf_sys_write(STDERR_FILENO, line, (size_t)n);
    wf_sched_each(t->rt->sched, unmark_task, NULL);
    weft_rt_dump(t->rt, STDERR_FILENO);
}

void wf_test_dismiss(struct wf_test *t)
{
    t->dismissed = t->turns + 1;
    wf_sim_dismiss(t->draw);
}

// stuck is called when no task can be woken any more. But an unknown thread may just
// have woken one: it has pushed the task before this poll, or will interrupt the poll.
// So the first call only polls again.
static void stuck(struct wf_test *t)
{
    if (t->stuck != t->turns + 1) {
        t->stuck = t->turns + 1;
        return;
    }
    if (t->dismissed == t->turns + 1) {
        report_deadlock(t, "tasks that were cancelled wait on");
        abort();
    }
    if (!weft_task_done(t->first)) {
        report_deadlock(t, "deadlock: all tasks are parked, and nothing is left that could wake one");
        t->deadlock = true;
        if (t->cfg.abort_on_deadlock)
            abort();
    }
    wf_test_dismiss(t);
}

// poll_by_hand is the idle source's poll, called when no task is ready. With a `wait`
// of 0 a task is ready, so it must not wait.
static unsigned poll_by_hand(void *self, int64_t wait)
{
    struct wf_test *t = self;
    unsigned fired = look_for_ready(t);

    if (fired > 0)
        return fired;
    if (calls_begun(t) == 0)
        begin_call(t);
    if (wait > 0 && !wait_outside(t) && !begin_call(t) && !jump(t))
        stuck(t);
    return 0;
}

static bool lend_poll(void *self)
{
    (void)self;
    return true;
}

static void end_poll(void *self)
{
    (void)self;
}

struct wf_idle_source wf_test_idle_source(struct wf_test *t)
{
    return (struct wf_idle_source){
        .self = t, .borrow = lend_poll, .poll = poll_by_hand, .give_back = end_poll, .interrupt = interrupt_wait
    };
}
