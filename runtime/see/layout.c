// Where a debugger begins (extra/gdb): one symbol, `weft_debug_layout`, which points to
// all runtimes of the process, and to the tables of offsets (base/layout.h). The symbol
// is exported, so that a debugger finds it in a stripped library; programs must not use
// it. In a stripped program that is linked with the static library, a debugger finds
// the object by its first bytes.
#include "runtime/see/layout.h"

#include <pthread.h>

#include "base/assert.h"
#include "base/layout.h"
#include "runtime/state.h"
#include "runtime/sync/mutex.h"
#include "runtime/wait/scope.h"
#include "sched/arch/unwind.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static weft_rt *all; // under lock

#define OF_RUN(field) offsetof(struct weft_task, field)

static const struct wf_layout layout[] = {
    { "rt.sched", offsetof(struct weft_rt, sched) },
    { "rt.following", offsetof(struct weft_rt, following) },
    { "task.fn", OF_RUN(birth.fn) },      // until it begins
    { "task.level", OF_RUN(life.inner) }, // from then on
    { "level.outer", offsetof(struct wf_cancel_node, outer) },
    { "level.task", offsetof(struct wf_cancel_node, task) },
    { "level.is_scope", offsetof(struct wf_cancel_node, is_scope) },
    { "scope.alive", offsetof(struct wf_scope, alive) },
    { "mutex.marks", WF_MUTEX_MARKS },
    WF_LAYOUT_END,
};

// What a debugger reads. This is version 1; later versions may have more parts, and
// more names.
struct root {
    char magic[16];
    uint32_t version, parts;
    weft_rt **runtimes;
    const struct wf_layout *part[3];
};

extern const struct root weft_debug_layout;

__attribute__((used, visibility("default"))) const struct root weft_debug_layout = {
    .magic = "weft layout\n",
    .version = 1,
    .parts = 3,
    .runtimes = &all,
    .part = { layout, wf_sched_layout, wf_arch_layout },
};

static int enter_list(struct weft_rt *rt, const weft_config *cfg)
{
    (void)cfg;
    __asm__ volatile("" : : "r"(&weft_debug_layout)); // so that a linker which drops unused data keeps it
    pthread_mutex_lock(&lock);
    wf_debug_assert(rt != all && !rt->following);
    rt->following = all;
    all = rt;
    pthread_mutex_unlock(&lock);
    return 0;
}

static void leave_list(struct weft_rt *rt)
{
    weft_rt **at = &all;

    pthread_mutex_lock(&lock);
    while (*at != rt) {
        wf_debug_assert(*at); // it has entered
        at = &(*at)->following;
    }
    *at = rt->following;
    pthread_mutex_unlock(&lock);
}

// The runtimes that a child of fork has inherited stay in its list until they are
// freed.
static void reset_lock(void)
{
    pthread_mutex_init(&lock, NULL); // another thread of the parent's may have held it
}

const struct wf_service wf_layout_service = {
    .make = enter_list,
    .free = leave_list,
    .abandon = leave_list,
    .in_child = reset_lock,
};
