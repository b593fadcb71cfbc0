// The search for deadlocks in an ordinary run. The reactor thread makes it, and reports
// each deadlock once.
#include <string.h>

#include "base/assert.h"
#include "runtime/see/cycle.h"
#include "runtime/see/page.h"
#include "runtime/see/see.h"
#include "runtime/state.h"

// is_news tells whether a deadlock was not reported before, and remembers it, by the
// sum of its tasks' numbers. When the table is full, it returns false.
static bool is_news(weft_rt *rt, const struct wf_cycle_task *tasks, unsigned n)
{
    uint64_t sum = 0;

    wf_debug_assert(n > 1 && rt->deadlocks <= wf_countof(rt->deadlock));
    for (unsigned i = 0; i < n; i++)
        sum += tasks[i].id;
    for (unsigned i = 0; i < rt->deadlocks; i++)
        if (rt->deadlock[i] == sum)
            return false;
    if (rt->deadlocks == wf_countof(rt->deadlock))
        return false;
    rt->deadlock[rt->deadlocks++] = sum;
    return true;
}

static void tell_deadlock(const struct wf_cycle_task *tasks, unsigned n, void *arg)
{
    struct wf_page p = { .n = 0 };
    struct wf_line l = { .n = 0 };

    if (!is_news(arg, tasks, n))
        return;
    for (unsigned i = 0; i < n; i++) {
        wf_cycle_line(&l, tasks, n, i);
        wf_page_line(&p, &l);
    }
    for (unsigned i = 0; i < n; i++) {
        wf_line_add(&l, "  ");
        wf_line_name(&l, tasks[i].id, tasks[i].name);
        wf_page_line(&p, &l);
        wf_page_stack(&p, &tasks[i].trace);
    }
    wf_page_report(&p);
}

void wf_deadlock_look(void *rt)
{
    wf_debug_assert(!wf_self());
    wf_cycles_find(((weft_rt *)rt)->sched, tell_deadlock, rt);
}
