// A run ends like a runtime (runtime.c): when the first task has ended, or all are
// stuck (idle.c), the run cancels the others, and ends when all have ended. Then no
// timer is armed and no task waits, so the next run uses the same runtime, with its
// clock set back.
#include "runtime/sim/sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/error.h>

#include "base/assert.h"
#include "base/rand.h"
#include "runtime/task/blocking.h"

// --- Between turns -------------------------------------------------------------------

static bool go_on(void *self)
{
    struct wf_test *t = self;

    if (!weft_task_done(t->first))
        return true;
    if (wf_sched_living(t->rt->sched) == 0)
        return false;
    if (!t->dismissed)
        wf_test_dismiss(t);
    return true;
}

static uint64_t mix(uint64_t sum, uint64_t x)
{
    return wf_rand_seed(sum, x);
}

static void drawn(void *self, struct wf_task *task, unsigned number, unsigned of)
{
    struct wf_test *t = self;

    wf_debug_assert(number < of && wf_clock_used() == &t->clock);
    t->turns++;
    t->trace = mix(mix(t->trace, task->id << 32 ^ (uint64_t)of << 16 ^ number), (uint64_t)wf_now());
    if (t->cfg.turn)
        t->cfg.turn(t->cfg.turn_arg, (const weft_task *)task);
}

// --- Runs ----------------------------------------------------------------------------

static int make_runtime(struct wf_test *t)
{
    weft_config asked = WEFT_CONFIG_INIT, full;
    struct wf_idle_source idle = wf_test_idle_source(t);
    struct wf_sim_hooks hooks = { .self = t, .go_on = go_on, .drawn = drawn, .pass_time = wf_test_pass_time };

    asked.workers = 1;
    asked.stack_size = t->cfg.stack_size;
    asked.seed = 1; // not used: the scheduler draws at random
    int err = wf_config_read(&full, &asked);
    if (!err)
        err = wf_rt_make(&t->rt, &full, &idle);
    if (err)
        return err;
    wf_pool_hold(t->rt->blocking);
    t->reactor = wf_reactor_idle_source(t->rt->reactor);
    err = wf_sim_new(&t->draw, t->rt->sched, &hooks);
    if (err)
        weft_rt_free(t->rt);
    return err;
}

static void begin_run(struct wf_test *t, uint64_t seed)
{
    wf_debug_assert(wf_sched_living(t->rt->sched) == 0 && wf_clock_used() == &t->clock);
    wf_store_relaxed(&t->clock.now, WEFT_TEST_START); // relaxed: base/clock.h
    wf_reactor_rewind(t->rt->reactor);
    wf_sim_begin(t->draw, seed);
    t->seed = seed;
    t->trace = 0;
    t->rng = wf_rand_seed(seed, 2); // 0 and 1 are the scheduler's
    t->calls = wf_rand_seed(seed, 3);
    t->turns = t->dismissed = t->stuck = 0;
    t->deadlock = false;
}

static int run_once(struct wf_test *t, uint64_t seed, weft_fn *fn, void *arg)
{
    begin_run(t, seed);
    int result = wf_task_spawn(t->rt, &t->first, NULL, NULL, fn, arg);
    if (result)
        return result;
    wf_sim_run(t->draw);
    wf_debug_assert(weft_task_done(t->first) && wf_sched_living(t->rt->sched) == 0);
    result = t->deadlock ? -EDEADLK : (int)t->first->done.weft_value;
    weft_detach(t->first);
    return result;
}

static int run_seeds(struct wf_test *t, uint64_t first, unsigned n, weft_fn *fn, void *arg)
{
    struct wf_test_thread *thread = wf_test_thread();
    bool spared = wf_test_signals_begin();
    int result = 0;

    thread->now = t;
    for (unsigned i = 0; i < n && result >= 0; i++)
        result = run_once(t, first + i, fn, arg);
    *thread = (struct wf_test_thread){ NULL, t->seed, t->trace };
    wf_test_signals_end(spared);
    return result;
}

static void name_failed(int result, uint64_t seed)
{
    char what[96];
    snprintf(what, sizeof(what), "a test run returned %d (%s)", result, weft_strerror(result));
    wf_test_name_seed(what, seed);
}

// run_all runs `n` seeds, or until one fails. `name`: print the seed that failed.
static int run_all(const weft_test_config *cfg, uint64_t first, unsigned n, bool name, weft_fn *fn, void *arg)
{
    struct wf_test t = { .cfg = *cfg };

    struct wf_clock *before = wf_clock_use(&t.clock);
    int result = make_runtime(&t);
    if (!result) {
        result = run_seeds(&t, first, n, fn, arg);
        if (result < 0 && name)
            name_failed(result, t.seed);
        wf_sim_free(t.draw);
        weft_rt_free(t.rt);
    }
    wf_clock_use(before);
    return result;
}

// --- What the program calls ----------------------------------------------------------

// read_settings reads the settings. Returns: 0, and in *seed the seed of the
// environment, or 0; WEFT_BAD_CONFIG, after a line on stderr.
static int read_settings(weft_test_config *cfg, const weft_test_config *given, uint64_t *seed)
{
    static const weft_test_config none = WEFT_TEST_CONFIG_INIT;
    const char *text = getenv("WEFT_SEED");
    char *end = NULL;

    *cfg = given ? *given : none;
    if (cfg->size != sizeof(*cfg)) {
        fprintf(stderr, "weft: weft_test_config.size is %zu, not %zu: begin with WEFT_TEST_CONFIG_INIT\n", cfg->size,
                sizeof(*cfg));
        return WEFT_BAD_CONFIG;
    }
    if (cfg->outside < 0) {
        fprintf(stderr, "weft: weft_test_config.outside is %" PRId64 ": it must not be negative\n", cfg->outside);
        return WEFT_BAD_CONFIG;
    }
    *seed = text ? strtoull(text, &end, 0) : 0;
    if (text && (text[0] < '0' || text[0] > '9' || *end || *seed == 0)) {
        fprintf(stderr, "weft: WEFT_SEED is '%s': it must be a number above 0\n", text);
        return WEFT_BAD_CONFIG;
    }
    return 0;
}

static void not_within(const char *call)
{
    if (wf_self() || wf_test_thread()->now)
        wf_misuse("%s must not be called by a task, nor within a test run", call);
}

int weft_test_run(const weft_test_config *given, weft_fn *fn, void *arg)
{
    weft_test_config cfg;
    uint64_t seed;

    not_within("weft_test_run");
    int err = read_settings(&cfg, given, &seed);
    if (err)
        return err;
    if (!seed)
        seed = wf_config_seed();
    return run_all(&cfg, cfg.seed ? cfg.seed : seed, 1, !cfg.seed, fn, arg);
}

int weft_test_seeds(const weft_test_config *given, uint64_t first, unsigned n, weft_fn *fn, void *arg)
{
    weft_test_config cfg;
    uint64_t seed;

    not_within("weft_test_seeds");
    int err = read_settings(&cfg, given, &seed);
    if (err)
        return err;
    if (seed)
        err = run_all(&cfg, seed, 1, true, fn, arg);
    else
        err = run_all(&cfg, first ? first : (wf_config_seed() >> 16) + 1, n, true, fn, arg);
    return err < 0 ? err : 0;
}

uint64_t weft_test_seed(void)
{
    const struct wf_test_thread *thread = wf_test_thread();
    return thread->now ? thread->now->seed : thread->seed;
}

uint64_t weft_test_trace(void)
{
    const struct wf_test_thread *thread = wf_test_thread();
    return thread->now ? thread->now->trace : thread->trace;
}

uint32_t weft_test_below(uint32_t n)
{
    struct wf_test *t = wf_test_thread()->now;

    if (!t)
        wf_misuse("weft_test_below may only be called by a task of a test run");
    if (n == 0)
        wf_misuse("weft_test_below: there is no number below 0");
    return wf_rand_below(&t->rng, n);
}
