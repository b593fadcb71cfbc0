// A task's header: made, dropped, freed, and all of them visited.
#include "sched/task.h"

#include <errno.h>

#include "base/assert.h"
#include "sched/state.h"

enum { ID_BLOCK = 1024 };

static _Atomic uint64_t ids; // task numbers given out in this process

int wf_stack_class(size_t size)
{
    for (int c = WF_STACK_CLASS_MIN; c <= WF_STACK_CLASS_MAX; c++)
        if (size <= (size_t)1 << c)
            return c;
    return -1;
}

static uint64_t new_id(struct wf_worker *w)
{
    if (!w)
        return wf_fetch_add_relaxed(&ids, 1) + 1; // relaxed: only has to differ
    if (w->ids == w->ids_end) {
        w->ids = wf_fetch_add_relaxed(&ids, ID_BLOCK) + 1; // relaxed: as above
        w->ids_end = w->ids + ID_BLOCK;
    }
    wf_debug_assert(wf_worker_is_self(w) && w->ids < w->ids_end);
    return w->ids++;
}

// worker_of is the calling thread if it is a worker of `s`.
static struct wf_worker *worker_of(struct wf_sched *s)
{
    struct wf_worker *w = wf_thread_self()->worker;
    return w && w->sched == s ? w : NULL;
}

static void count_made(struct wf_sched *s, struct wf_worker *w, int64_t n)
{
    if (w)
        wf_bump(&w->spawned, (uint64_t)n); // its maker, a living task, holds wf_sched_drain up
    else
        wf_fetch_add_seq_cst(&s->spawned_outside, (uint64_t)n); // [S1]
}

struct wf_task *wf_sched_task_new(struct wf_sched *s, int *err)
{
    struct wf_worker *w = worker_of(s);

    count_made(s, w, 1);
    if (wf_unlikely(wf_load_seq_cst(&s->draining))) { // [S1]
        count_made(s, w, -1);
        *err = -ECANCELED;
        return NULL;
    }
    struct wf_task *task = wf_headers_take(&s->headers, w ? &w->headers : NULL);
    if (wf_unlikely(!task)) {
        count_made(s, w, -1);
        *err = -ENOMEM;
        return NULL;
    }
    wf_debug_assert(!wf_task_is_live(task) && !task->stack);
    task->sched = s;
    task->id = new_id(w);
    task->stack_class = s->stack_class;
    task->pinned = false;
    task->worker = NULL;
    task->name = NULL;
    return task;
}

void wf_sched_task_drop(struct wf_task *task)
{
    struct wf_sched *s = task->sched;

    wf_sched_task_free(task);
    count_made(s, worker_of(s), -1);
}

void wf_sched_task_free(struct wf_task *task)
{
    struct wf_worker *w = worker_of(task->sched);
    wf_debug_assert(!wf_task_is_live(task) && !task->stack);
    wf_headers_give(&task->sched->headers, w ? &w->headers : NULL, task);
}

struct each {
    void (*fn)(struct wf_task *, void *);
    void *arg;
};

static void if_live(struct wf_task *task, void *arg)
{
    struct each *each = arg;
    if (wf_load_acquire(&task->word) & WF_TASK_LIVE) // acquire: the header is filled
        each->fn(task, each->arg);
}

void wf_sched_each(struct wf_sched *s, void (*fn)(struct wf_task *, void *), void *arg)
{
    struct each each = { fn, arg };
    wf_headers_each(&s->headers, if_live, &each);
}
