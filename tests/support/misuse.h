// Misuse, tried in a child process: it must stop the program with one sentence that
// names the task and the rule.
#ifndef WF_TESTS_MISUSE_H
#define WF_TESTS_MISUSE_H

#include <weft.h>

#include "tests/support/child.h"

struct misuse {
    weft_fn *fn;
    const char *words[2]; // the call, and the rule
};

static inline int misuse_spawn(void *arg)
{
    const struct misuse *m = arg;
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;

    opts.name = "the culprit";
    assert_int_equal(weft_spawn_with(&t, &opts, m->fn, NULL), 0);
    return weft_join(t, NULL);
}

static inline void misuse_in_a_task(void *arg)
{
    _exit(weft_run(NULL, misuse_spawn, arg) ? 3 : 2);
}

static inline void misuse_outside(void *arg)
{
    _exit(((const struct misuse *)arg)->fn(NULL) ? 3 : 2);
}

// misuse_expect expects one line, which begins with the name of the culprit.
static inline void misuse_expect(const struct child *c, const char *who, const struct misuse *m)
{
    child_expect_signal(c, SIGABRT);
    if (strncmp(c->said, "weft: ", 6) != 0 || strchr(c->said, '\n') != c->said + strlen(c->said) - 1)
        fail_msg("not one sentence: %s", c->said);
    child_expect_said(c, who);
    for (int i = 0; i < 2; i++)
        child_expect_said(c, m->words[i]);
}

// misuse_try tries each of `n`, by a task or outside of one.
static inline void misuse_try(const struct misuse *all, size_t n, bool by_a_task)
{
    struct child c;

    for (size_t i = 0; i < n && child_may_run(); i++) {
        child_run(&c, by_a_task ? misuse_in_a_task : misuse_outside, (void *)&all[i]);
        misuse_expect(&c, by_a_task ? " 'the culprit': " : "weft: outside a task: ", &all[i]);
    }
}

#endif
