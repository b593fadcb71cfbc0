#include "runtime/io/buffer.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "runtime/service.h"

#ifdef WF_ASAN
#define KEPT 0
#else
#define KEPT (128 << 10)
#endif

static const size_t sizes[] = { WF_BUFFER_SMALL, WF_BUFFER_LARGE, WF_BUFFER_HUGE };

// The buffers of one size, newest first; each begins with the address of the next.
struct pile {
    char *first;
    unsigned count; // at most KEPT bytes
};

struct shelf {
    _Alignas(WF_CACHE_LINE) struct pile piles[wf_countof(sizes)];
    char apart[WF_NO_SHARING]; // keeps the next worker's shelf out of these cache lines
};

struct wf_shelves {
    unsigned count; // I
    struct shelf of[];
};

static char *pop_pile(struct pile *p)
{
    char *buf = p->first;

    memcpy(&p->first, buf, sizeof(char *));
    p->count--;
    wf_debug_assert(!p->first == (p->count == 0));
    return buf;
}

static void push_pile(struct pile *p, char *buf)
{
    wf_debug_assert(!p->first == (p->count == 0));
    wf_debug_assert(buf != p->first); // otherwise it was given back twice
    memcpy(buf, &p->first, sizeof(char *));
    p->first = buf;
    p->count++;
}

// pile_of is the calling worker's pile of this size; NULL on other threads, and for
// sizes that are not kept.
static struct pile *pile_of(size_t room)
{
    struct wf_task *self = wf_self();

    for (size_t i = 0; self && i < wf_countof(sizes); i++) {
        if (room == sizes[i]) {
            struct weft_rt *rt = wf_weft_task(self)->rt;
            wf_debug_assert(wf_sched_worker_index(rt->sched) < rt->shelves->count);
            return &rt->shelves->of[wf_sched_worker_index(rt->sched)].piles[i];
        }
    }
    return NULL;
}

// round_up is the size that a buffer of at least `room` bytes has.
static size_t round_up(size_t room)
{
    for (size_t i = 0; i < wf_countof(sizes); i++)
        if (room <= sizes[i])
            return sizes[i];
    return (room + WF_BUFFER_SMALL - 1) & ~(size_t)(WF_BUFFER_SMALL - 1);
}

char *wf_buffer_take(size_t *room)
{
    *room = round_up(*room);
    struct pile *pile = pile_of(*room);
    return pile && pile->count > 0 ? pop_pile(pile) : wf_alloc_raw(*room + 1);
}

void wf_buffer_give(char *buf, size_t room)
{
    struct pile *pile = buf ? pile_of(room) : NULL;

    wf_debug_assert(!buf || room == round_up(room)); // otherwise it would be kept with a wrong size
    if (pile && (pile->count + 1) * room <= KEPT)
        push_pile(pile, buf);
    else
        wf_free(buf);
}

// --- The service ---------------------------------------------------------------------

static int make_shelves(struct weft_rt *rt, const weft_config *cfg)
{
    rt->shelves = wf_alloc(sizeof(*rt->shelves) + cfg->workers * sizeof(struct shelf));
    if (!rt->shelves)
        return -ENOMEM;
    rt->shelves->count = cfg->workers;
    return 0;
}

static void free_shelves(struct weft_rt *rt)
{
    for (unsigned i = 0; i < rt->shelves->count; i++)
        for (size_t size = 0; size < wf_countof(sizes); size++)
            while (rt->shelves->of[i].piles[size].count > 0)
                wf_free(pop_pile(&rt->shelves->of[i].piles[size]));
    wf_free(rt->shelves);
}

const struct wf_service wf_buffers_service = {
    .make = make_shelves,
    .free = free_shelves,
    .abandon = free_shelves,
};
