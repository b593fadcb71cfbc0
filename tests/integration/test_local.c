// Task-local values: each task has its own, on every worker, and they are destroyed
// with it.
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

static weft_local plain; // no destructor
static weft_local freed; // free

static void keys_of_the_file(void **state)
{
    (void)state;
    assert_int_equal(weft_local_key(&plain, NULL), 0);
    assert_int_equal(weft_local_key(&freed, free), 0);
    assert_int_not_equal(plain, freed);
}

// --- values --------------------------------------------------------------------------

static int keep_own(void *arg)
{
    int other;

    assert_null(weft_local_get(plain)); // not what the header's last user left
    assert_null(weft_local_get(freed));
    assert_int_equal(weft_local_set(plain, arg), 0);
    for (int i = 0; i < 20; i++) {
        assert_ptr_equal(weft_local_get(plain), arg);
        assert_int_equal(i % 5 ? weft_yield() : weft_sleep(WEFT_US(100)), 0);
    }
    assert_int_equal(weft_local_set(plain, &other), 0);
    assert_ptr_equal(weft_local_get(plain), &other);
    assert_int_equal(weft_local_set(plain, NULL), 0);
    assert_null(weft_local_get(plain));
    if ((uintptr_t)arg % 16 == 0) // some leave a value behind
        assert_int_equal(weft_local_set(plain, arg), 0);
    return 0;
}

static int keep_apart(void *arg)
{
    enum { N = 100 };
    static char places[N];
    weft_task *tasks[N];
    (void)arg;

    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < N; i++)
            tasks[i] = spawn(keep_own, &places[i]);
        for (int i = 0; i < N; i++)
            assert_int_equal(join(tasks[i]), 0);
    }
    assert_null(weft_local_get(plain));
    return 0;
}

static void each_task_has_its_own_value(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(keep_apart, NULL), 0);
}

// --- destructors ---------------------------------------------------------------------

struct grave {
    weft_task *task;         // whose value it is
    _Atomic unsigned buried; // how often it was destroyed
    unsigned again;          // how often it sets itself anew
    weft_local key;
    int err; // of a parking call in the destructor
};

static void bury(void *arg)
{
    struct grave *g = arg;

    assert_ptr_equal(weft_self(), g->task);
    assert_null(weft_local_get(g->key)); // taken before the call
    g->err = weft_sleep(WEFT_US(200));
    wf_fetch_add_relaxed(&g->buried, 1); // relaxed: a counter, read after the join
    if (g->again) {
        g->again--;
        assert_int_equal(weft_local_set(g->key, g), 0);
    }
}

static int die_with_value(void *arg)
{
    struct grave *g = arg;
    g->task = weft_self();
    assert_int_equal(weft_local_set(g->key, g), 0);
    return weft_cancelled() ? 1 : 0;
}

static int destroy_values(void *arg)
{
    struct grave once = { .key = *(weft_local *)arg }, thrice = once, for_ever = once, cancelled = once;

    assert_int_equal(join(spawn(die_with_value, &once)), 0);
    assert_int_equal(wf_load_relaxed(&once.buried), 1); // relaxed: joined; it had happened by then
    assert_int_equal(once.err, 0);

    thrice.again = 2;
    assert_int_equal(join(spawn(die_with_value, &thrice)), 0);
    assert_int_equal(wf_load_relaxed(&thrice.buried), 3); // relaxed: as above

    for_ever.again = 1000;
    assert_int_equal(join(spawn(die_with_value, &for_ever)), 0);
    assert_int_equal(wf_load_relaxed(&for_ever.buried), 4); // relaxed: as above

    weft_task *t = spawn(die_with_value, &cancelled);
    weft_task_cancel(t);
    join(t);
    assert_int_equal(wf_load_relaxed(&cancelled.buried), 1); // relaxed: as above
    return 0;
}

static void destructors_run_on_the_ending_task_and_may_park(void **state)
{
    weft_local key;
    (void)state;

    assert_int_equal(weft_local_key(&key, bury), 0);
    assert_int_equal(run_tasks(destroy_values, &key), 0);
}

static int allocate_value(void *arg)
{
    for (int i = 0; i < 3; i++) {
        free(weft_local_get(freed)); // a new value does not destroy the old one
        assert_int_equal(weft_local_set(freed, malloc(16)), 0);
    }
    wf_fetch_add_relaxed((_Atomic unsigned *)arg, 1); // relaxed: a counter
    return 0;
}

static int detach_with_values(void *arg)
{
    _Atomic unsigned ended = 0;
    (void)arg;

    for (int i = 0; i < 1000; i++)
        assert_int_equal(weft_spawn(NULL, allocate_value, &ended), 0);
    while (wf_load_relaxed(&ended) < 1000) // relaxed: a counter
        assert_int_equal(weft_yield(), 0);
    return allocate_value(&ended); // the first task's, too; LeakSanitizer counts
}

static void values_of_detached_tasks_are_destroyed(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(detach_with_values, NULL), 0);
}

// --- keys ----------------------------------------------------------------------------

enum { MAKERS = 4, KEYS = 128 };

struct maker {
    unsigned made;
    weft_local keys[KEYS];
};

static void *make_keys(void *arg)
{
    struct maker *m = arg;
    while (m->made < KEYS && weft_local_key(&m->keys[m->made], NULL) == 0)
        m->made++;
    return NULL;
}

static int use_all_keys(void *arg)
{
    struct maker *makers = arg;
    static char places[MAKERS][KEYS];

    // Large keys first, then small ones: the array grows once, and then not at all; and
    // the other way round.
    for (int i = MAKERS - 1; i >= 0; i--)
        for (unsigned k = makers[i].made; k-- > 0;)
            assert_int_equal(weft_local_set(makers[i].keys[k], &places[i][k]), 0);
    for (int i = 0; i < MAKERS; i++)
        for (unsigned k = 0; k < makers[i].made; k++)
            assert_ptr_equal(weft_local_get(makers[i].keys[k]), &places[i][k]);
    assert_null(weft_local_get(plain));
    return 0;
}

static int grow_key_by_key(void *arg)
{
    static char places[KEYS];
    (void)arg;

    for (weft_local key = 0; key < KEYS; key++) {
        if (key == freed)
            continue;
        assert_null(weft_local_get(key));
        assert_int_equal(weft_local_set(key, &places[key]), 0);
        for (weft_local before = 0; before <= key; before++)
            assert_ptr_equal(weft_local_get(before), before == freed ? NULL : &places[before]);
    }
    for (weft_local key = 0; key < KEYS; key++) // some have destructors that know only their own values
        assert_int_equal(weft_local_set(key, NULL), 0);
    return 0;
}

static void there_are_128_keys_for_whoever_comes_first(void **state)
{
    struct maker *makers = calloc(MAKERS, sizeof(*makers));
    pthread_t threads[MAKERS];
    bool taken[KEYS] = { false };
    unsigned made = 0;
    weft_local key;
    (void)state;

    assert_non_null(makers);
    for (int i = 0; i < MAKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_keys, &makers[i]), 0);
    for (int i = 0; i < MAKERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < MAKERS; i++) {
        for (unsigned k = 0; k < makers[i].made; k++) {
            assert_in_range(makers[i].keys[k], 0, KEYS - 1);
            assert_false(taken[makers[i].keys[k]]);
            taken[makers[i].keys[k]] = true;
            made++;
        }
    }
    assert_int_equal(made, KEYS - 3); // the other tests have made three
    assert_int_equal(weft_local_key(&key, NULL), -EAGAIN);
    assert_int_equal(run_tasks(use_all_keys, makers), 0);
    assert_int_equal(run_tasks(grow_key_by_key, NULL), 0);
    free(makers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(keys_of_the_file),
        left_test(each_task_has_its_own_value),
        left_test(destructors_run_on_the_ending_task_and_may_park),
        left_test(values_of_detached_tasks_are_destroyed),
        left_test(there_are_128_keys_for_whoever_comes_first), // last: keys are never freed
    };
    return wf_test_run(tests);
}
