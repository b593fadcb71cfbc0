#include "runtime/see/history.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

// --- Tasks ---------------------------------------------------------------------------

struct wf_history_task *wf_history_task(struct wf_history *h, uint64_t id)
{
    uint64_t i = id * UINT64_C(0x9e3779b97f4a7c15) >> 20;

    wf_assert(id != 0);
    while (h->task[i & h->mask].id != id && h->task[i & h->mask].id != 0)
        i++;
    h->task[i & h->mask].id = id; // there are more places than events
    return &h->task[i & h->mask];
}

static bool is_known(const struct wf_history *h, uint64_t id)
{
    uint64_t i = id * UINT64_C(0x9e3779b97f4a7c15) >> 20;

    while (h->task[i & h->mask].id != id && h->task[i & h->mask].id != 0)
        i++;
    return h->task[i & h->mask].id == id;
}

// note_tasks makes an entry for each task that occurs in an event, with the name that
// was recorded last.
static void note_tasks(struct wf_history *h, unsigned ring)
{
    for (size_t i = 0; i < h->left[ring]; i++) {
        struct wf_record event;
        wf_record_decode(&h->raw[ring * h->capacity + i], &event);
        if (event.id == 0)
            continue;
        struct wf_history_task *task = wf_history_task(h, event.id);
        if (event.kind == WF_RECORD_NAME)
            memcpy(task->name, event.name, sizeof(task->name));
    }
}

// note_living adds the name of a parked task: while it is held, it does not end.
static void note_living(struct wf_task *task, void *arg)
{
    struct wf_history *h = arg;

    if (!wf_task_hold(task))
        return;
    if (task->name && is_known(h, task->id)) {
        struct wf_history_task *known = wf_history_task(h, task->id);
        if (!known->name[0])
            memcpy(known->name, task->name, strnlen(task->name, sizeof(known->name) - 1));
    }
    wf_sched_release(task);
}

// --- All of it -----------------------------------------------------------------------

// lay_out maps the memory of all parts. Returns: 0; -ENOMEM.
static int lay_out(struct wf_history *h)
{
    uint64_t places = 2;

    while (places < 2 * h->rings * h->capacity)
        places *= 2;
    h->mask = places - 1;
    size_t raw = h->rings * h->capacity * sizeof(*h->raw), table = places * sizeof(*h->task);
    size_t tracks = h->rings * sizeof(*h->track), counts = h->rings * sizeof(*h->left);
    h->size = raw + table + tracks + 2 * counts + h->rings * sizeof(*h->full);
    char *all = wf_map(h->size);
    if (!all)
        return -ENOMEM;
    h->raw = (struct wf_record_raw *)(void *)all;
    h->task = (struct wf_history_task *)(void *)(all + raw);
    h->track = (struct wf_history_track *)(void *)(all + raw + table);
    h->left = (size_t *)(void *)(all + raw + table + tracks);
    h->at = h->left + h->rings;
    h->full = (bool *)(void *)(h->at + h->rings);
    return 0;
}

int wf_history_take(struct wf_history *h, struct wf_sched *s)
{
    *h = (struct wf_history){ .rings = wf_sched_workers(s) + 1, .capacity = wf_sched_record_capacity(s) };
    if (h->capacity == 0)
        return -ENODATA;
    int err = lay_out(h);
    if (err)
        return err;
    for (unsigned i = 0; i < h->rings; i++) {
        h->left[i] = wf_sched_record_copy(s, i, h->raw + i * h->capacity);
        h->full[i] = h->left[i] + 1 >= h->capacity;
    }
    wf_sched_record_scale(s, &h->made, &h->now);
    for (unsigned i = 0; i < h->rings; i++)
        note_tasks(h, i);
    wf_sched_each(s, note_living, h);
    return 0;
}

void wf_history_free(struct wf_history *h)
{
    wf_unmap(h->raw, h->size);
}

// --- In order ------------------------------------------------------------------------

static const struct wf_record_raw *next_of(const struct wf_history *h, unsigned ring)
{
    return &h->raw[ring * h->capacity + h->at[ring]];
}

// pass_names skips names, which are not events themselves.
static void pass_names(struct wf_history *h, unsigned ring)
{
    for (; h->left[ring] > 0; h->left[ring]--, h->at[ring]++) {
        struct wf_record event;
        wf_record_decode(next_of(h, ring), &event);
        if (event.kind != WF_RECORD_NAME)
            return;
    }
}

bool wf_history_next(struct wf_history *h, struct wf_record *event, unsigned *ring, int64_t *ns)
{
    unsigned first = h->rings;

    for (unsigned i = 0; i < h->rings; i++) {
        pass_names(h, i);
        if (h->left[i] > 0 && (first == h->rings || next_of(h, i)->word[0] < next_of(h, first)->word[0]))
            first = i;
    }
    if (first == h->rings)
        return false;
    wf_record_decode(next_of(h, first), event);
    h->left[first]--;
    h->at[first]++;
    *ring = first;
    *ns = wf_stamp_ns(event->stamp, &h->made, &h->now);
    return true;
}
