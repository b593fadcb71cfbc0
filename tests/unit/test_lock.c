// The lock. Under ThreadSanitizer this also tests tests/support/tsan/ck_pr.h: without
// it, these tests are reported as races.
#include <pthread.h>
#include <unistd.h>

#include "base/lock.h"
#include "tests/support/harness.h"

enum { THREADS = 4 };

static struct wf_lock lock;
static unsigned a, b; // under the lock
static unsigned rounds;
static pthread_barrier_t start;

static void it_is_taken_by_one_at_a_time(void **state)
{
    (void)state;
    wf_lock_init(&lock);
    assert_true(wf_lock_try(&lock));
    assert_false(wf_lock_try(&lock));
    wf_lock_release(&lock);
    wf_lock_acquire(&lock);
    assert_false(wf_lock_try(&lock));
    wf_lock_release(&lock);
    wf_lock_acquire_patiently(&lock);
    assert_false(wf_lock_try(&lock));
    wf_lock_release(&lock);
    assert_true(wf_lock_try(&lock));
    wf_lock_release(&lock);
}

static void take_lock(unsigned round)
{
    if (round % 4 == 0 && wf_lock_try(&lock))
        return;
    if (round % 4 == 1)
        wf_lock_acquire_patiently(&lock);
    else
        wf_lock_acquire(&lock);
}

static void *count_both(void *arg)
{
    (void)arg;
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < rounds; i++) {
        take_lock(i);
        assert_int_equal(a, b);
        a++;
        b++;
        wf_lock_release(&lock);
    }
    return NULL;
}

static void what_is_done_under_it_is_seen_whole_and_in_turn(void **state)
{
    pthread_t threads[THREADS];
    (void)state;

    wf_lock_init(&lock);
    a = b = 0;
    rounds = wf_test_rounds(200000);
    assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_both, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(a, THREADS * rounds);
    pthread_barrier_destroy(&start);
}

typedef void acquire_fn(struct wf_lock *);

static void *wait_for_lock(void *acquire)
{
    pthread_barrier_wait(&start);
    (*(acquire_fn **)acquire)(&lock);
    pthread_barrier_wait(&start);
    pthread_barrier_wait(&start);
    wf_lock_release(&lock);
    return NULL;
}

// The waiter most probably waits when the lock is released; what is asserted holds in
// either case.
static void expect_held_by_waiter(acquire_fn *acquire)
{
    pthread_t waiter;

    wf_lock_acquire(&lock);
    assert_int_equal(pthread_create(&waiter, NULL, wait_for_lock, &acquire), 0);
    pthread_barrier_wait(&start);
    usleep(2000);
    wf_lock_release(&lock);
    pthread_barrier_wait(&start);
    assert_false(wf_lock_try(&lock));
    pthread_barrier_wait(&start);
    assert_int_equal(pthread_join(waiter, NULL), 0);
    assert_true(wf_lock_try(&lock));
    wf_lock_release(&lock);
}

static void a_waiter_has_the_lock_when_it_goes_on(void **state)
{
    (void)state;
    wf_lock_init(&lock);
    assert_int_equal(pthread_barrier_init(&start, NULL, 2), 0);
    for (int i = 0; i < 5; i++) {
        expect_held_by_waiter(wf_lock_acquire);
        expect_held_by_waiter(wf_lock_acquire_patiently);
    }
    pthread_barrier_destroy(&start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_taken_by_one_at_a_time),
        cmocka_unit_test(what_is_done_under_it_is_seen_whole_and_in_turn),
        cmocka_unit_test(a_waiter_has_the_lock_when_it_goes_on),
    };
    return wf_test_run(tests);
}
