#include "bench/echo/counters.h"
#include "bench/echo/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

// One neighbour; of a chat, a pair of tasks.
struct neighbour {
    struct counter *counter;
    weft_chan *there;
    weft_chan *back;
};

static weft_mutex shared = WEFT_MUTEX_INIT;

// must ends the program if a call failed: what was measured beside a neighbour that
// stands still would mean nothing.
static void must(int err)
{
    if (err < 0) {
        fprintf(stderr, "echo-weft: a neighbour: %s\n", weft_strerror(err));
        exit(1);
    }
}

// --- what they do, again and again: one round is one count ---------------------------

static bool count(const struct neighbour *n)
{
    n->counter->done++;
    return true;
}

static int answer(void *arg)
{
    const struct neighbour *n = arg;
    uint64_t word;
    for (;;) {
        must(weft_chan_recv(n->there, &word));
        must(weft_chan_send(n->back, &word));
    }
    return 0;
}

static int chat(void *arg)
{
    const struct neighbour *n = arg;
    uint64_t word = 0;
    must(weft_spawn(NULL, answer, arg));
    do {
        must(weft_chan_send(n->there, &word));
        must(weft_chan_recv(n->back, &word));
    } while (count(n));
    return 0;
}

static int yield(void *arg)
{
    do
        must(weft_yield());
    while (count(arg));
    return 0;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int spawn(void *arg)
{
    weft_task *task;
    do {
        must(weft_spawn(&task, nothing, NULL));
        must(weft_join(task, NULL));
    } while (count(arg));
    return 0;
}

static int nap(void *arg)
{
    do
        must(weft_sleep(WEFT_US(NEIGHBOUR_SLEEP_US)));
    while (count(arg));
    return 0;
}

static int lock(void *arg)
{
    do {
        must(weft_mutex_lock(&shared));
        must(weft_yield());
        weft_mutex_unlock(&shared);
    } while (count(arg));
    return 0;
}

static int compute(void *arg)
{
    do {
        server_compute_us(NEIGHBOUR_COMPUTE_US);
        must(weft_yield());
    } while (count(arg));
    return 0;
}

// --- starting them -------------------------------------------------------------------

static const struct {
    const char *name;
    weft_fn *fn;
} kinds[] = {
    { "none", NULL }, { "chat", chat },  { "yield", yield },     { "spawn", spawn },
    { "sleep", nap }, { "mutex", lock }, { "compute", compute },
};

static weft_fn *find_kind(const char *name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, name) == 0)
            return kinds[i].fn;
    }
    fprintf(stderr, "echo-weft: --neighbours: there is no kind '%s'\n", name);
    exit(2);
}

void neighbours_check(const struct server_options *opt)
{
    find_kind(opt->neighbour_kind);
}

void neighbours_start(const struct server_options *opt)
{
    struct counters counters;
    weft_fn *fn = find_kind(opt->neighbour_kind);
    unsigned count = fn ? opt->neighbours : 0;
    must(counters_map(&counters, opt->counters, count + 1)); // a file of no bytes cannot be mapped
    struct neighbour *all = calloc(count + 1, sizeof(*all));
    must(all ? 0 : -ENOMEM);
    for (unsigned i = 0; i < count; i++) {
        all[i].counter = &counters.all[i];
        must(weft_chan_new(&all[i].there, sizeof(uint64_t), 1));
        must(weft_chan_new(&all[i].back, sizeof(uint64_t), 1));
        must(weft_spawn(NULL, fn, &all[i]));
    }
}
