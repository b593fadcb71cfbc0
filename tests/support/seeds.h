// Tests that run under many seeds, in virtual time (weft/test.h): each run has another
// order of the same tasks.
#ifndef WF_TESTS_SEEDS_H
#define WF_TESTS_SEEDS_H

#include "tests/support/tasks.h"

// run_seeds runs a body under `seeds` seeds, more or less by WEFT_TEST_SCALE, from this
// run's own on.
static inline void run_seeds(unsigned seeds, weft_fn *fn, void *arg)
{
    struct tasks_body body = { fn, arg };
    assert_int_equal(weft_test_seeds(NULL, wf_test_seed(), wf_test_rounds(seeds), tasks_watched, &body), 0);
}

// run_seed runs a body under one seed. Returns: as weft_test_run.
static inline int run_seed(uint64_t seed, weft_fn *fn, void *arg)
{
    weft_test_config cfg = WEFT_TEST_CONFIG_INIT;

    cfg.seed = seed;
    return weft_test_run(&cfg, tasks_watched, &(struct tasks_body){ fn, arg });
}

#endif
