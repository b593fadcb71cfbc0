// How weft finds a cycle, and proves it.
//
// First the search holds each task that waits in one of the three ways (sched/task.h),
// looks at it and releases it, one task after another. So a cycle that it finds may
// never have existed at one moment. Then the search holds all tasks of that cycle at
// once, and looks at each again. While a task is held it does not run, so
//   - a mutex that it holds stays locked: only its holder unlocks it. If the mutex was
//     handed to a waiter that has not run since, that waiter is the holder, and is not
//     in a cycle;
//   - it does not end, so a join of it does not end, and the scope in which it runs
//     still has a child.
// The search looks at each wait while all tasks are held, so all waits exist at one
// moment. A wake that was noted meanwhile does not matter: the task finds its condition
// unchanged, and parks again. But a cancel or a deadline ends a wait, so the search
// does not report a cycle that a cancel has broken, or that a deadline will break.
//
// A search takes linear time: the nodes are in an array, and a hash table finds them. A
// task waits for one other task, except that a task that closes a scope waits for each
// child.
#include "runtime/see/cycle.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "runtime/state.h"
#include "runtime/sync/mutex.h"
#include "runtime/wait/scope.h"

enum { NONE = -1, CYCLES_MAX = 16 };
enum wait { ELSEWHERE, MUTEX, JOIN, SCOPE };
enum colour { WHITE, GREY, BLACK };

// What a held task waits for.
struct look {
    enum wait wait;
    uint64_t id;
    intptr_t on;
    const struct wf_task *holder; // of the mutex
    const struct wf_scope *home;  // the scope that it runs in, NULL: none
    bool cut;                     // it was cancelled, or a deadline will cancel it
};

struct node {
    struct wf_task *task;
    struct look seen;
    int32_t to;       // the node that it waits for; if it closes a scope, the first child,
    int32_t sibling;  // for a child: the next child of that scope
    int32_t at;       // for the walk: the node to visit next,
    int32_t from;     // for the walk: the node from which it came
    enum colour colour;
};

struct search {
    struct wf_sched *sched;
    void (*fn)(const struct wf_cycle_task *, unsigned, void *);
    void *arg;
    size_t bytes, slots; // of the table: a power of two
    int32_t n, room;     // nodes
    unsigned found;
    int32_t *table;
    struct wf_cycle_task told[WF_CYCLE_MAX];
    struct node node[]; // the table is behind them
};

// --- Looking at a task ---------------------------------------------------------------

static enum wait wait_of(const char *what)
{
    if (!what)
        return ELSEWHERE;
    if (strcmp(what, "mutex") == 0)
        return MUTEX;
    if (strcmp(what, "join task") == 0)
        return JOIN;
    return strcmp(what, "scope") == 0 ? SCOPE : ELSEWHERE;
}

// look_outward finds the scope that the task runs in, and whether a scope around the
// task has a deadline. All scopes around it are open, because the task has not ended.
static void look_outward(const struct weft_task *task, struct look *l)
{
    for (const struct wf_cancel_node *at = task->life.inner; at; at = at->outer) {
        if (!at->is_scope && at->task == task)
            l->home = wf_container_of(at->outer, const struct wf_scope, level);
        else if (at->is_scope && wf_scope_when(wf_container_of(at, const struct wf_scope, level)) != WEFT_NEVER)
            l->cut = true;
    }
}

// look_held looks at a task that the caller holds.
static void look_held(struct wf_task *task, struct look *l)
{
    wf_debug_assert(wf_task_is_active(task) && wf_task_begun(task));
    *l = (struct look){ .wait = wait_of(wf_load_relaxed(&task->what)), .id = task->id }; // relaxed: it is held
    if (l->wait == ELSEWHERE)
        return;
    l->on = wf_load_relaxed(&task->on); // relaxed: as above
    if (l->wait == MUTEX)
        l->holder = wf_mutex_holder(l->on);
    look_outward(wf_weft_task(task), l);
    if (wf_load_relaxed(&task->word) & WF_TASK_CANCEL_PENDING) // relaxed: a cancel that comes now might come later
        l->cut = true;
    if (l->wait == SCOPE)
        l->cut = false; // the children that wait have their own `cut`
}

static bool waits_for(const struct look *a, const struct look *b, const struct wf_task *b_task)
{
    switch (a->wait) {
    case MUTEX:
        return !a->cut && a->holder == b_task;
    case JOIN:
        return !a->cut && (uint64_t)a->on == b->id;
    case SCOPE:
        return (intptr_t)b->home == a->on;
    case ELSEWHERE:
        break;
    }
    return false;
}

// --- The graph -----------------------------------------------------------------------

// The keys of a node: its header, its number, and the scope that it closes.
static uint64_t key_of_task(const struct wf_task *task)
{
    return (uintptr_t)task;
}

static uint64_t key_of_id(uint64_t id)
{
    return 2 * id + 1; // addresses are even
}

static int32_t *slot_of_key(const struct search *s, uint64_t key)
{
    return &s->table[(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (s->slots - 1)];
}

static int32_t *next_slot(const struct search *s, int32_t *slot)
{
    return slot + 1 < s->table + s->slots ? slot + 1 : s->table;
}

// The table has the node's number plus one; 0: free.
static void enter_key(struct search *s, uint64_t key, int32_t node)
{
    int32_t *slot = slot_of_key(s, key);

    wf_debug_assert(node >= 0 && node < s->room);
    while (*slot)
        slot = next_slot(s, slot);
    *slot = node + 1;
}

static bool has_key(const struct node *n, uint64_t key)
{
    return key == key_of_task(n->task) || key == key_of_id(n->seen.id) ||
           (n->seen.wait == SCOPE && key == (uint64_t)n->seen.on);
}

static int32_t find_key(const struct search *s, uint64_t key)
{
    for (int32_t *slot = slot_of_key(s, key); *slot; slot = next_slot(s, slot))
        if (has_key(&s->node[*slot - 1], key))
            return *slot - 1;
    return NONE;
}

static void add_node(struct wf_task *task, void *arg)
{
    struct search *s = arg;
    struct look seen;

    if (wf_task_is_active(task) || !wait_of(wf_load_relaxed(&task->what)) || s->n == s->room) // relaxed: a hint
        return;
    if (!wf_task_hold(task))
        return;
    look_held(task, &seen);
    wf_sched_release(task);
    if (seen.wait == ELSEWHERE)
        return;
    s->node[s->n] = (struct node){ .task = task, .seen = seen, .to = NONE, .sibling = NONE, .from = NONE };
    enter_key(s, key_of_task(task), s->n);
    enter_key(s, key_of_id(seen.id), s->n);
    if (seen.wait == SCOPE)
        enter_key(s, (uint64_t)seen.on, s->n);
    s->n++;
}

static void link_node(struct search *s, int32_t i)
{
    struct node *n = &s->node[i];

    if (n->seen.wait == MUTEX && n->seen.holder && n->seen.holder != n->task)
        n->to = find_key(s, key_of_task(n->seen.holder));
    else if (n->seen.wait == JOIN)
        n->to = find_key(s, key_of_id((uint64_t)n->seen.on));
    int32_t closer = n->seen.home ? find_key(s, (uintptr_t)n->seen.home) : NONE;
    if (closer == NONE)
        return;
    n->sibling = s->node[closer].to;
    s->node[closer].to = i;
}

// --- Proof ---------------------------------------------------------------------------

static void tell_task(struct wf_cycle_task *to, struct wf_task *task, const struct look *l)
{
    to->id = l->id;
    to->name = task->name;
    to->what = wf_load_relaxed(&task->what); // relaxed: it is held
    to->on = l->on;
    wf_trace_held(task, &to->trace);
}

// check_held tells whether each of `n` held tasks waits for the next one.
static bool check_held(struct search *s, struct wf_task *const *task, unsigned n)
{
    struct look look[WF_CYCLE_MAX];

    wf_debug_assert(n > 1 && n <= WF_CYCLE_MAX);
    for (unsigned i = 0; i < n; i++) {
        look_held(task[i], &look[i]);
        tell_task(&s->told[i], task[i], &look[i]);
    }
    for (unsigned i = 0; i < n; i++)
        if (!waits_for(&look[i], &look[(i + 1) % n], task[(i + 1) % n]))
            return false;
    return true;
}

static bool prove(struct search *s, struct wf_task *const *task, unsigned n)
{
    unsigned held = 0;

    wf_debug_assert(n <= WF_CYCLE_MAX && s->found < CYCLES_MAX);
    while (held < n && wf_task_hold(task[held]))
        held++;
    bool proved = held == n && check_held(s, task, n);
    while (held > 0)
        wf_sched_release(task[--held]);
    return proved;
}

// report_cycle is called when the walk is at `last`, and finds that `last` waits for
// `first`, through which the walk has come.
static void report_cycle(struct search *s, int32_t first, int32_t last)
{
    struct wf_task *task[WF_CYCLE_MAX];
    unsigned n = 0;

    for (int32_t at = last; n < WF_CYCLE_MAX; at = s->node[at].from) {
        task[WF_CYCLE_MAX - ++n] = s->node[at].task;
        if (at == first)
            break;
        if (n == WF_CYCLE_MAX)
            return;
    }
    if (s->found < CYCLES_MAX && n > 1 && prove(s, task + WF_CYCLE_MAX - n, n)) {
        s->found++;
        s->fn(s->told, n, s->arg);
    }
}

// --- The walk ------------------------------------------------------------------------

// next_of returns the next node that `n` waits for; NONE if there is no other node.
static int32_t next_of(struct search *s, struct node *n)
{
    int32_t next = n->at;

    if (next != NONE)
        n->at = n->seen.wait == SCOPE ? s->node[next].sibling : NONE;
    return next;
}

static void enter_node(struct search *s, int32_t i, int32_t from)
{
    wf_debug_assert(s->node[i].colour == WHITE && from != i);
    s->node[i].from = from;
    s->node[i].at = s->node[i].to;
    s->node[i].colour = GREY;
}

// walk_waits goes depth first from a node.
static void walk_waits(struct search *s, int32_t at)
{
    enter_node(s, at, NONE);
    while (at != NONE) {
        int32_t next = next_of(s, &s->node[at]);
        if (next == NONE) {
            s->node[at].colour = BLACK;
            at = s->node[at].from;
        } else if (s->node[next].colour == GREY) {
            report_cycle(s, next, at);
        } else if (s->node[next].colour == WHITE) {
            enter_node(s, next, at);
            at = next;
        }
    }
}

static struct search *new_search(struct wf_sched *sched)
{
    uint64_t tasks = wf_sched_living(sched) + 64; // tasks may be spawned meanwhile
    size_t slots = 64;

    while (slots < 4 * tasks)
        slots *= 2;
    size_t nodes = sizeof(struct search) + tasks * sizeof(struct node);
    struct search *s = wf_map(nodes + slots * sizeof(int32_t));
    if (!s)
        return NULL;
    s->bytes = nodes + slots * sizeof(int32_t);
    s->slots = slots;
    s->room = (int32_t)tasks;
    s->table = (int32_t *)(void *)((char *)s + nodes);
    wf_debug_assert((slots & (slots - 1)) == 0 && nodes % sizeof(int32_t) == 0);
    return s;
}

void wf_cycles_find(struct wf_sched *sched, void (*fn)(const struct wf_cycle_task *, unsigned, void *), void *arg)
{
    struct search *s = new_search(sched);

    if (!s)
        return;
    s->sched = sched;
    s->fn = fn;
    s->arg = arg;
    wf_sched_each(sched, add_node, s);
    for (int32_t i = 0; i < s->n; i++)
        link_node(s, i);
    for (int32_t i = 0; i < s->n; i++)
        if (s->node[i].colour == WHITE)
            walk_waits(s, i);
    wf_unmap(s, s->bytes);
}

void wf_cycle_line(struct wf_line *l, const struct wf_cycle_task *tasks, unsigned n, unsigned i)
{
    const struct wf_cycle_task *t = &tasks[i], *next = &tasks[(i + 1) % n];

    wf_debug_assert(i < n);
    if (i == 0) {
        wf_line_add(l, "weft: deadlock: ");
        wf_line_name(l, t->id, t->name);
    } else {
        wf_line_add(l, "    which");
    }
    switch (wait_of(t->what)) {
    case MUTEX:
        wf_line_add(l, " waits for mutex %#llx, held by ", (unsigned long long)t->on);
        break;
    case JOIN:
        wf_line_add(l, " waits for the end of ");
        break;
    case SCOPE:
        wf_line_add(l, " waits for scope %#llx, whose child is ", (unsigned long long)t->on);
        break;
    case ELSEWHERE:
        break;
    }
    wf_line_name(l, next->id, next->name);
    if (i + 1 < n)
        wf_line_add(l, ",");
}
