// Threads of a stress test that begin at the same moment.
#ifndef WF_TESTS_THREADS_H
#define WF_TESTS_THREADS_H

#include <pthread.h>

#include "tests/support/harness.h"

enum { THREADS_MAX = 16 };

struct threads {
    pthread_t thread[THREADS_MAX];
    unsigned count;
    pthread_barrier_t start;
};

// threads_init prepares for `n` threads; each begins with threads_ready.
static inline void threads_init(struct threads *t, unsigned n)
{
    t->count = 0;
    assert_int_equal(pthread_barrier_init(&t->start, NULL, n), 0);
}

static inline void threads_add(struct threads *t, void *(*body)(void *), void *arg)
{
    assert_true(t->count < THREADS_MAX);
    assert_int_equal(pthread_create(&t->thread[t->count++], NULL, body, arg), 0);
}

static inline void threads_ready(struct threads *t)
{
    pthread_barrier_wait(&t->start);
}

static inline void threads_join(struct threads *t)
{
    for (unsigned i = 0; i < t->count; i++)
        assert_int_equal(pthread_join(t->thread[i], NULL), 0);
    pthread_barrier_destroy(&t->start);
}

#endif
