// The pool of task headers: single facts, then threads that take and give.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sched/stacks/headers.h"
#include "tests/support/harness.h"
#include "tests/support/threads.h"

// A header as the scheduler's user makes it: the core, and the user's own part.
struct user {
    struct wf_task core;
    _Atomic unsigned owner; // A: the owner, 0: none
    char more[100];
};

static struct wf_headers headers;

static void begin(void)
{
    wf_headers_init(&headers, sizeof(struct user));
}

static void end(void)
{
    wf_headers_fini(&headers);
    headers = (struct wf_headers){ 0 };
}

static struct user *take(struct wf_header_list *local)
{
    struct wf_task *task = wf_headers_take(&headers, local);
    assert_non_null(task);
    return (struct user *)(void *)task;
}

static void count_one(struct wf_task *task, void *n)
{
    assert_false(wf_load_relaxed(&task->word) & WF_TASK_LIVE);
    ++*(unsigned *)n;
}

static unsigned count_all(void)
{
    unsigned n = 0;
    wf_headers_each(&headers, count_one, &n);
    return n;
}

static void there_are_none_before_the_first_is_taken(void **state)
{
    (void)state;
    begin();
    assert_int_equal(count_all(), 0);
    end();
}

static void headers_are_aligned_distinct_and_zero_at_first(void **state)
{
    enum { N = 1000 };
    struct user *taken[N], zero = { 0 };
    (void)state;
    begin();
    for (unsigned i = 0; i < N; i++) {
        taken[i] = take(NULL);
        assert_int_equal((uintptr_t)taken[i] % WF_CACHE_LINE, 0);
        assert_memory_equal(taken[i]->more, zero.more, sizeof(zero.more));
        memset(taken[i]->more, 1 + (int)(i % 100),
               sizeof(zero.more)); // the next one would not be zero if they overlapped
    }
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(taken[i]->more[99], 1 + i % 100);
    assert_true(count_all() >= N);
    end();
}

static void the_last_given_is_the_next_taken(void **state)
{
    struct wf_header_list local = { 0 };
    (void)state;
    begin();
    struct user *first = take(&local), *second = take(&local);
    wf_headers_give(&headers, &local, &first->core);
    wf_headers_give(&headers, &local, &second->core);
    assert_ptr_equal(take(&local), second);
    assert_ptr_equal(take(&local), first);
    end();
}

static void a_worker_keeps_a_bounded_number(void **state)
{
    enum { N = 10 * WF_HEADERS_BATCH };
    struct wf_header_list local = { 0 };
    struct user *taken[N];
    (void)state;
    begin();
    for (unsigned i = 0; i < N; i++) {
        taken[i] = take(&local);
        assert_true(local.count <= WF_HEADERS_BATCH);
    }
    for (unsigned i = 0; i < N; i++) {
        wf_headers_give(&headers, &local, &taken[i]->core);
        assert_true(local.count <= 2 * WF_HEADERS_BATCH);
    }
    end();
}

// One worker makes them, another one ends them: the memory must go round.
static void what_one_gives_another_takes(void **state)
{
    struct wf_header_list one = { 0 }, other = { 0 };
    unsigned before = 0;
    (void)state;
    begin();
    for (unsigned i = 0; i < 100 * WF_HEADERS_BATCH; i++) {
        wf_headers_give(&headers, &other, &take(&one)->core);
        if (i == 10 * WF_HEADERS_BATCH)
            before = count_all();
    }
    assert_int_equal(count_all(), before);
    end();
}

static void a_header_stays_a_header(void **state)
{
    (void)state;
    begin();
    struct user *task = take(NULL);
    unsigned all = count_all();
    wf_task_begin(&task->core);
    wf_task_end(&task->core);
    wf_headers_give(&headers, NULL, &task->core);
    assert_int_equal(count_all(), all);
    assert_false(wf_task_note_wake(&task->core)); // a late wake finds an ended task
    end();
}

static void without_memory_there_is_none_and_nothing_breaks(void **state)
{
    struct wf_header_list local = { 0 };
    (void)state;
    begin();
    wf_mem_fail_at(1, false);
    assert_null(wf_headers_take(&headers, &local));
    assert_int_equal(wf_mem_count(), 1);
    wf_mem_fail_at(0, false);
    assert_non_null(wf_headers_take(&headers, &local));
    end();
}

static void what_nobody_gave_back_is_reclaimed(void **state)
{
    enum { N = 2000 };
    struct wf_header_list local = { 0 };
    (void)state;

    begin();
    wf_headers_reclaim(&headers, &local);
    assert_int_equal(count_all(), 0);
    for (unsigned i = 0; i < N; i++) {
        struct user *user = take(&local);
        if (i % 3 == 0)
            wf_headers_give(&headers, &local, &user->core);
    }
    unsigned all = count_all();
    wf_headers_reclaim(&headers, &local);
    for (unsigned i = 0; i < all; i++) {
        unsigned nobody = 0;
        assert_true(wf_cas_relaxed(&take(&local)->owner, &nobody, 1)); // each comes up once
    }
    assert_int_equal(count_all(), all); // and no new one had to be made
    end();
}

// --- threads -------------------------------------------------------------------------

enum { THREADS = 3, HELD = 300 };

static struct threads threads;
static unsigned rounds;

// The last thread is not a worker: it has no list of its own.
static void *take_and_give(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg, n = 0;
    struct wf_header_list list = { 0 }, *local = self == THREADS ? NULL : &list;
    struct wf_test_rand r = wf_test_rand(self);
    struct user *held[HELD];

    threads_ready(&threads);
    for (unsigned i = 0; i < rounds; i++) {
        if (n == 0 || (n < HELD && wf_test_below(&r, 2))) {
            unsigned nobody = 0;
            held[n] = take(local);
            assert_true(wf_cas_relaxed(&held[n]->owner, &nobody, self));
            n++;
        } else {
            unsigned me = self;
            struct user *user = held[--n];
            assert_true(wf_cas_relaxed(&user->owner, &me, 0));
            wf_headers_give(&headers, local, &user->core);
        }
    }
    return NULL;
}

static void no_header_is_given_to_two(void **state)
{
    (void)state;
    begin();
    rounds = wf_test_rounds(200000);
    threads_init(&threads, THREADS);
    for (uintptr_t i = 1; i <= THREADS; i++)
        threads_add(&threads, take_and_give, (void *)i);
    threads_join(&threads);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_none_before_the_first_is_taken),
        cmocka_unit_test(headers_are_aligned_distinct_and_zero_at_first),
        cmocka_unit_test(the_last_given_is_the_next_taken),
        cmocka_unit_test(a_worker_keeps_a_bounded_number),
        cmocka_unit_test(what_one_gives_another_takes),
        cmocka_unit_test(a_header_stays_a_header),
        cmocka_unit_test(without_memory_there_is_none_and_nothing_breaks),
        cmocka_unit_test(what_nobody_gave_back_is_reclaimed),
        cmocka_unit_test(no_header_is_given_to_two),
    };
    return wf_test_run(tests);
}
