// The blocking pool as tasks use it: jobs, and the three lanes that run them (lane.c).
//
//   A job and its link in the queue are on the stack of the waiting task: only a thread
//   needs memory.
//
//        wf_pool_run             a thread takes it           fn returns
//     ----------------> QUEUED --------------------> BEGUN --------------> (done is set: the task's again)
//                         |
//                         +---- the task is cancelled ----> (taken out: the task's again, fn never runs)
//
//   In a test run (weft/test.h) a job is HELD first, until wf_pool_release makes it
//   QUEUED.
//
//   QUEUED becomes BEGUN under the lock, so a cancelled task knows which of the two its
//   job is. A job that has begun uses the task's memory, so the task waits for it, even
//   if cancelled.
//
//   The edge of the cell `done` makes fn's writes and its result visible to the task.
//   After the thread has set it, the thread does not access the job again.
//
//   A job that ends its thread would leave its task waiting without end: the thread's
//   keeper stops the program. So do the calls that end the runtime, made by one of its
//   jobs, and the return of a job in a child of fork.
#include "runtime/task/blocking.h"

#include <errno.h>
#include <weft/blocking.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "runtime/service.h"
#include "runtime/state.h"
#include "runtime/task/lane.h"
#include "runtime/wait/wait.h"

enum { OWN_MAX = 64 }; // threads of each lane that is weft's own

// --- the tasks -----------------------------------------------------------------------

static void hold(struct wf_pool *p, struct wf_job *job)
{
    job->held = true;
    wf_list_append(&p->held, &job->link);
    p->holds++;
}

static void let_go(struct wf_pool *p, struct wf_job *job)
{
    wf_assert(job->held && p->holds > 0);
    job->held = false;
    wf_list_remove(&job->link);
    p->holds--;
}

static int submit(struct wf_pool *p, struct wf_job *job)
{
    if (!p->hold)
        return wf_lane_submit(job);
    hold(p, job);
    return 0;
}

int wf_pool_submit_loose(struct wf_pool *p, enum wf_lane lane, struct wf_job *job)
{
    wf_assert(job->fn && job->ended && !p->hold);
    job->lane = &p->lanes[lane];
    wf_cell_init(&job->done);
    return wf_lane_submit(job);
}

bool wf_pool_withdraw(struct wf_pool *p, struct wf_job *job)
{
    if (!job->held)
        return wf_lane_withdraw(job);
    let_go(p, job);
    return true;
}

static int run(struct wf_pool *p, struct wf_job *job, const char *call, int (*await)(struct wf_cell *, void *))
{
    wf_cell_init(&job->done);
    int err = submit(p, job);
    if (err < 0)
        return err;
    err = await ? await(&job->done, job->arg) : wf_wait_cell(&job->done, WEFT_NEVER, call, 0);
    if (err < 0) {
        if (wf_pool_withdraw(p, job))
            return err;
        wf_wait_shielded(&job->done, call);
    }
    return job->result;
}

int wf_pool_run_while(struct wf_pool *p, enum wf_lane lane, weft_fn *fn, void *arg, const char *call,
                      int (*await)(struct wf_cell *done, void *arg))
{
    struct wf_job job = { .lane = &p->lanes[lane], .task = wf_self(), .fn = fn, .arg = arg, .clock = wf_clock_used() };

    wf_fetch_add_relaxed(&p->asking, 1u); // relaxed, both: a count
    int result = run(p, &job, call, await);
    wf_fetch_sub_relaxed(&p->asking, 1u);
    return result;
}

int wf_pool_run(struct wf_pool *p, enum wf_lane lane, weft_fn *fn, void *arg, const char *call)
{
    return wf_pool_run_while(p, lane, fn, arg, call, NULL);
}

int wf_blocking_in(enum wf_lane lane, weft_fn *fn, void *arg)
{
    static const char *const calls[WF_LANES] = { "weft_blocking", "a call on a file", "weft_resolve" };
    int err = wf_wait_begin(calls[lane]);
    return err < 0 ? err : wf_pool_run(wf_rt_current()->blocking, lane, fn, arg, calls[lane]);
}

int weft_blocking(weft_fn *fn, void *arg)
{
    return wf_blocking_in(WF_LANE_USER, fn, arg);
}

// --- test runs -----------------------------------------------------------------------

void wf_pool_hold(struct wf_pool *p)
{
    p->hold = true;
}

bool wf_pool_holds(const struct wf_pool *p)
{
    return p->hold;
}

unsigned wf_pool_held(const struct wf_pool *p)
{
    return p->holds;
}

void wf_pool_release(struct wf_pool *p, unsigned number)
{
    struct wf_list *at = p->held.next;

    wf_assert(number < p->holds);
    while (number-- > 0)
        at = at->next;
    struct wf_job *job = wf_container_of(at, struct wf_job, link);
    let_go(p, job);
    int err = wf_lane_submit(job);
    if (err)
        wf_lane_fail(job, err);
}

void wf_pool_stats(struct wf_pool *p, enum wf_lane lane, struct wf_lane_stats *out)
{
    wf_lane_read(&p->lanes[lane], out);
}

unsigned wf_pool_asking(const struct wf_pool *p)
{
    return wf_load_relaxed(&p->asking); // relaxed: the caller's thread runs all the asking tasks
}

// --- the pool ------------------------------------------------------------------------

static int make_pool(struct weft_rt *rt, const weft_config *cfg)
{
    unsigned max = cfg->blocking_max;
    struct wf_pool *p = wf_alloc(sizeof(*p));
    if (!p)
        return -ENOMEM;

    for (int i = 0; i < WF_LANES; i++)
        wf_lane_make(p, &p->lanes[i], i == WF_LANE_USER || max < OWN_MAX ? max : OWN_MAX);
    wf_list_init(&p->held);
    p->origin = rt->origin;
    wf_store_relaxed(&p->users, 1u); // relaxed: not shared yet
    rt->blocking = p;
    return 0;
}

static void stop_pool(struct weft_rt *rt)
{
    wf_assert(wf_pool_asking(rt->blocking) == 0 && rt->blocking->holds == 0); // no job of a task is left
    for (int i = 0; i < WF_LANES; i++)
        wf_lane_stop(&rt->blocking->lanes[i]);
}

static void free_pool(struct weft_rt *rt)
{
    wf_pool_drop(rt->blocking);
}

static void abandon_pool(struct weft_rt *rt)
{
    struct wf_pool *p = rt->blocking;

    for (int i = 0; i < WF_LANES; i++)
        wf_lane_abandon(&p->lanes[i]);
    wf_free(p);
}

static void check_pool_caller(const struct weft_rt *rt, const char *call)
{
    wf_lane_check_caller(rt->blocking, call);
}

const struct wf_service wf_pool_service = {
    .make = make_pool,
    .check = check_pool_caller,
    .stop = stop_pool,
    .free = free_pool,
    .abandon = abandon_pool,
    .in_child = wf_lane_forget_thread,
};
