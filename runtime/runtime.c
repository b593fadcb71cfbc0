// A runtime: connects the two engines, starts them and stops them.
//
// The end, in steps (weft_rt_stop), and why nothing is left:
//   1. wf_sched_drain: no new tasks; every task is cancelled; all end. The reactor
//      still runs, so descriptors and timers still wake their tasks.
//   2. The inspect thread ends, which looks at the workers. wf_sched_stop: the workers
//      leave, and with them all parties that could borrow the poll or arm a timer.
//   3. wf_reactor_stop: the reactor stops last; it has no waiter left to wake.
//   4. The services stop: no task waits for them any more (service.h).
// and weft_rt_free releases the memory.
//
// If the end takes longer than weft_config.stop_after, weft_rt_free leaves it to a
// separate thread, the reaper, which continues these steps: the memory of a stuck job
// or task stays until that job or task ends.
//
// Any number of threads may stop one runtime at once. Each thread drains, up to its own
// deadline: a drain only reads counts and cancels tasks, and once all tasks have ended,
// no new ones begin. Only one of the threads makes steps 2 to 4:
//
//        RUNNING -------------> ENDING -------------> ENDED      the others wait for ENDED, each up to its deadline
//               the first whose       it is done
//               drain succeeds
//
// When one stopper has seen ENDED, another may still sleep, or be about to wake a
// worker (for a task that it has cancelled). It then accesses only memory and the
// eventfd of the poll; weft_rt_free waits until all stoppers have returned.
//
// Edge F1: ENDED, and a stopper's counting itself out (release) -> the look at them
// (acquire): the threads are gone, and no thread is in weft_rt_stop any longer.
#include "runtime/state.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <weft/error.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/futex.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/origin.h"
#include "base/sigpipe.h"
#include "base/thread.h"
#include "runtime/io/buffer.h"
#include "runtime/io/pipe.h"
#include "runtime/see/layout.h"
#include "runtime/see/see.h"
#include "runtime/service.h"
#include "runtime/task/blocking.h"
#include "runtime/wait/scope.h"
#include "runtime/wait/self.h"

// The order in which services are made; they end in the reverse order.
static const struct wf_service *const services[] = { &wf_pool_service, &wf_pipes_service, &wf_buffers_service,
                                                     &wf_layout_service };
enum { SERVICES = sizeof(services) / sizeof(*services) };

static void begin_child(void)
{
    wf_rt_note_fork();
    for (int i = 0; i < SERVICES; i++)
        if (services[i]->in_child)
            services[i]->in_child();
    wf_clock_use(NULL); // not a test's clock
    wf_registry_in_child();
    wf_trigger_in_child();
    wf_closing_reset();
}

static void register_fork_handler(void)
{
    pthread_atfork(NULL, NULL, begin_child);
}

static void not_in_a_task(const char *call)
{
    if (wf_self())
        wf_misuse("%s blocks its thread: it must not be called by a task", call);
}

// --- Making --------------------------------------------------------------------------

static void batch_begin(void *sched)
{
    wf_sched_batch_begin(sched);
}

static void batch_flush(void *sched)
{
    wf_sched_batch_flush(sched);
}

static unsigned monitor_workers(void *sched)
{
    return wf_sched_monitor(sched);
}

static int new_sched(struct weft_rt *rt, const weft_config *cfg, const struct wf_idle_source *idle)
{
    struct wf_sched_config sched = {
        .workers = cfg->workers,
        .stack_size = cfg->stack_size,
        .pin = cfg->pin_workers,
        .origin = rt->origin,
        .seed = cfg->seed,
        .name = cfg->name,
        .task_size = sizeof(struct weft_task),
        .run = wf_task_body,
        .ended = wf_task_ended,
        .search = { .fn = wf_deadlock_look, .self = rt },
        .stall = { .after = cfg->stall_after, .fn = wf_stall_report },
        .idle = idle ? *idle : wf_reactor_idle_source(rt->reactor),
    };
    return wf_sched_new(&rt->sched, &sched);
}

// start_threads starts the workers first, because the reactor thread monitors them as
// soon as it runs.
static int start_threads(struct weft_rt *rt, const weft_config *cfg)
{
    wf_debug_assert(!rt->started && !wf_self());
    struct wf_reactor_hooks hooks = { rt->sched, batch_begin, batch_flush, monitor_workers, cfg->workers == 1 };
    char name[16];

    wf_reactor_make_room(rt->reactor);
    int err = wf_sched_start(rt->sched);
    if (err)
        return err;
    snprintf(name, sizeof(name), "%.10s-io", cfg->name);
    err = wf_reactor_start(rt->reactor, &hooks, name);
    if (err)
        wf_sched_stop(rt->sched);
    return err;
}

static int start_runtime(struct weft_rt *rt, const weft_config *cfg)
{
    wf_sigpipe_use();
    int err = start_threads(rt, cfg);
    if (err)
        wf_sigpipe_drop();
    else
        rt->started = true;
    return err;
}

static void free_services(struct weft_rt *rt, int made)
{
    while (made-- > 0)
        if (services[made]->free)
            services[made]->free(rt);
}

static int make_services(struct weft_rt *rt, const weft_config *cfg)
{
    for (int i = 0; i < SERVICES; i++) {
        int err = services[i]->make(rt, cfg);
        if (err) {
            free_services(rt, i);
            return err;
        }
    }
    return 0;
}

static void stop_services(struct weft_rt *rt)
{
    for (int i = SERVICES - 1; i >= 0; i--)
        if (services[i]->stop)
            services[i]->stop(rt);
}

static void abandon_services(struct weft_rt *rt)
{
    for (int i = SERVICES - 1; i >= 0; i--)
        if (services[i]->abandon)
            services[i]->abandon(rt);
}

// check_services stops a caller of `call` that the runtime's end would wait for.
static void check_services(const struct weft_rt *rt, const char *call)
{
    for (int i = 0; i < SERVICES; i++)
        if (services[i]->check)
            services[i]->check(rt, call);
}

// make_parts makes the parts of `rt`. On error it leaves nothing behind.
static int make_parts(struct weft_rt *rt, const weft_config *cfg, const struct wf_idle_source *idle)
{
    int err = wf_origin_new(&rt->origin, cfg->pin_workers);
    if (err)
        return err;
    err = wf_reactor_new(&rt->reactor, cfg->workers + 1); // a wheel for each worker, and one for the rest
    if (err)
        goto no_reactor;
    err = make_services(rt, cfg);
    if (err)
        goto no_services;
    err = new_sched(rt, cfg, idle);
    if (err)
        goto no_sched;
    err = cfg->trace_events ? wf_sched_record_begin(rt->sched, cfg->trace_events) : 0;
    if (!err)
        return 0;
    wf_sched_free(rt->sched);
no_sched:
    free_services(rt, SERVICES);
no_services:
    wf_reactor_free(rt->reactor);
no_reactor:
    wf_origin_free(rt->origin);
    return err;
}

int wf_rt_make(weft_rt **out, const weft_config *full, const struct wf_idle_source *idle)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, register_fork_handler);
    struct weft_rt *rt = wf_alloc(sizeof(*rt));
    if (!rt)
        return -ENOMEM;
    rt->forks = wf_rt_forks();
    rt->stop_after = full->stop_after;
    int err = make_parts(rt, full, idle);
    if (err) {
        wf_free(rt);
        return err;
    }
    *out = rt;
    return 0;
}

int weft_rt_new(weft_rt **out, const weft_config *cfg)
{
    weft_config full;
    weft_rt *rt;
    int signal;

    not_in_a_task("weft_rt_new");
    int err = wf_config_read(&full, cfg);
    if (!err)
        err = wf_trigger_read(&signal);
    if (!err)
        err = wf_rt_make(&rt, &full, NULL);
    if (err)
        return err;
    err = start_runtime(rt, &full);
    if (!err)
        err = wf_inspect_start(rt, full.inspect);
    if (err) {
        weft_rt_free(rt);
        return err;
    }
    wf_trigger_add(rt, signal);
    *out = rt;
    return 0;
}

// --- Using ---------------------------------------------------------------------------

int weft_rt_spawn(weft_rt *rt, weft_task **out, weft_fn *fn, void *arg)
{
    struct wf_task *self = wf_self();

    wf_rt_not_inherited(rt, "weft_rt_spawn");
    if (self && wf_task_starved(self))
        return -ENOMEM;
    return wf_task_spawn(rt, out, NULL, NULL, fn, arg);
}

int weft_rt_spawn_with(weft_rt *rt, weft_task **out, const weft_spawn_opts *o, weft_fn *fn, void *arg)
{
    struct wf_scope *home = o && o->scope ? wf_scope_inside(o->scope) : NULL;
    struct wf_task *self = wf_self();

    wf_rt_not_inherited(rt, "weft_rt_spawn_with");
    if (self && wf_task_starved(self))
        return -ENOMEM;
    if (home && !self && wf_scope_host(home) != rt)
        wf_misuse("weft_rt_spawn_with: the scope is not one that weft_rt_scope_open has opened for this runtime");
    return wf_task_spawn(rt, out, o, home, fn, arg);
}

int weft_rt_block_on(weft_rt *rt, weft_fn *fn, void *arg)
{
    weft_task *task;
    intptr_t result = 0;

    not_in_a_task("weft_rt_block_on");
    wf_rt_not_inherited(rt, "weft_rt_block_on");
    int err = wf_task_spawn(rt, &task, NULL, NULL, fn, arg);
    if (err)
        return err;
    weft_future_wait_thread(&task->done, &result, WEFT_NEVER);
    weft_detach(task);
    return (int)result;
}

weft_rt *weft_rt_current(void)
{
    return wf_self() ? wf_rt_current() : NULL;
}

// --- Ending --------------------------------------------------------------------------

enum { RUNNING, ENDING, ENDED }; // of weft_rt.end

// end_threads is steps 2 to 4.
static void end_threads(weft_rt *rt)
{
    wf_debug_assert(wf_sched_living(rt->sched) == 0 && wf_load_relaxed(&rt->end) == ENDING); // relaxed: this thread's
    wf_inspect_stop(rt);
    wf_trigger_remove(rt);
    wf_sched_stop(rt->sched);
    wf_reactor_stop(rt->reactor);
    stop_services(rt);
    if (rt->started)
        wf_sigpipe_drop();
    wf_store_release(&rt->end, ENDED); // [F1]
    wf_futex_wake(&rt->end, INT_MAX);
}

// await_end waits for the thread that makes steps 2 to 4. Returns: 0; -ETIMEDOUT.
static int await_end(weft_rt *rt, weft_time deadline)
{
    while (wf_load_acquire(&rt->end) != ENDED) { // [F1]
        if (wf_now() >= deadline)
            return -ETIMEDOUT;
        wf_futex_wait(&rt->end, ENDING, deadline);
    }
    return 0;
}

static int stop(weft_rt *rt, weft_time deadline)
{
    uint32_t seen = RUNNING;
    int err = wf_sched_drain(rt->sched, deadline);

    if (err)
        return err;
    // relaxed: the winner has drained, and needs no data of the others; a loser waits
    // for [F1]
    if (!wf_cas_relaxed(&rt->end, &seen, ENDING))
        return await_end(rt, deadline);
    end_threads(rt);
    return 0;
}

int weft_rt_stop(weft_rt *rt, weft_time deadline)
{
    not_in_a_task("weft_rt_stop");
    wf_rt_not_inherited(rt, "weft_rt_stop");
    check_services(rt, "weft_rt_stop");
    wf_fetch_add_relaxed(&rt->stoppers, 1u); // relaxed: weft_rt_free must not be called before
    wf_pool_wait_begin();
    int err = stop(rt, deadline);
    wf_pool_wait_end();
    wf_fetch_sub_acq_rel(&rt->stoppers, 1u); // [F1] the last access
    return err;
}

// await_stoppers waits until all other stoppers have returned from weft_rt_stop, which
// takes a moment.
static void await_stoppers(weft_rt *rt)
{
    unsigned turns = 0;

    while (wf_load_acquire(&rt->stoppers) > 0) // [F1]
        wf_relax(&turns);
}

// abandon releases what a child of fork has inherited; there are no threads to stop.
static void abandon(weft_rt *rt)
{
    wf_inspect_abandon(rt);
    wf_reactor_free(rt->reactor);
    wf_sched_abandon(rt->sched);
    abandon_services(rt);
    wf_origin_free(rt->origin);
    wf_free(rt);
}

// release frees a runtime whose threads have ended.
static void release(weft_rt *rt)
{
    await_stoppers(rt);
    wf_debug_assert(wf_load_relaxed(&rt->end) == ENDED); // relaxed: [F1] by way of the stoppers
    free_services(rt, SERVICES);
    wf_sched_free(rt->sched);
    wf_reactor_free(rt->reactor);
    wf_origin_free(rt->origin);
    wf_free(rt);
}

static void *reap_runtime(void *rt)
{
    weft_rt_stop(rt, WEFT_NEVER);
    release(rt);
    return NULL;
}

// leave_behind makes the reaper end the runtime. If the system refuses that thread, the
// runtime is never freed.
static void leave_behind(weft_rt *rt)
{
    struct wf_thread_spec spec = { .name = "weft-reaper", .fn = reap_runtime, .arg = rt, .origin = rt->origin };
    pthread_t reaper;

    if (wf_thread_start(&reaper, &spec) == 0)
        pthread_detach(reaper);
}

void weft_rt_free(weft_rt *rt)
{
    if (!rt)
        return;
    not_in_a_task("weft_rt_free");
    if (wf_forked_task && rt == wf_weft_task(wf_forked_task)->rt)
        wf_misuse("weft_rt_free: a task's child of fork stands on the task's stack: it may only exec or _exit");
    if (rt->forks != wf_rt_forks()) {
        abandon(rt);
        return;
    }
    check_services(rt, "weft_rt_free");
    weft_time limit = rt->stop_after > 0 ? wf_after(wf_now(), rt->stop_after) : WEFT_NEVER;
    if (weft_rt_stop(rt, limit) < 0)
        leave_behind(rt);
    else
        release(rt);
}

// say_why prints why weft_run could not make a runtime, because fn could have returned
// the same error.
static void say_why(int err)
{
    if (err != WEFT_BAD_CONFIG) // wf_config_read has printed more
        fprintf(stderr, "weft: weft_run: the runtime cannot be built, so nothing has run: %s\n", weft_strerror(err));
}

int weft_run(const weft_config *cfg, weft_fn *fn, void *arg)
{
    weft_rt *rt;

    not_in_a_task("weft_run");
    int result = weft_rt_new(&rt, cfg);
    if (result) {
        say_why(result);
        return result;
    }
    result = weft_rt_block_on(rt, fn, arg);
    weft_rt_free(rt);
    return result;
}
