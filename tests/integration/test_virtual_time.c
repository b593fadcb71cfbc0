// The clock of a test run: it stands still while a task can run, and jumps to the next
// deadline when all are parked.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "base/compiler.h"
#include "tests/support/left.h"
#include "tests/support/seeds.h"

static weft_time elapsed(void)
{
    return weft_now() - WEFT_TEST_START;
}

static int64_t real_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

// --- standing and jumping ------------------------------------------------------------

static int stand_still(void *arg)
{
    (void)arg;
    assert_int_equal(elapsed(), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(weft_yield(), 0);
    assert_int_equal(weft_sleep(0), 0);
    assert_int_equal(weft_sleep(-5), 0);
    assert_int_equal(elapsed(), 0);
    return 0;
}

static void time_stands_still_while_a_task_runs(void **state)
{
    (void)state;
    run_seeds(20, stand_still, NULL);
}

static int sleep_long(void *arg)
{
    static const weft_time naps[] = {
        1, 2, 16383, 16384, 16385, WEFT_US(100), WEFT_MS(1) + 7, WEFT_S(3600) * 1000, WEFT_S(3600) * 24 * 365 * 200
    };
    weft_time slept = 0;
    (void)arg;

    for (size_t i = 0; i < wf_countof(naps); i++) {
        assert_int_equal(weft_sleep(naps[i]), 0);
        slept += naps[i];
        assert_int_equal(elapsed(), slept); // to the nanosecond
    }
    return 0;
}

static void any_sleep_is_exact_and_costs_nothing(void **state)
{
    (void)state;
    run_seeds(20, sleep_long, NULL);
}

static int begin_again(void *arg)
{
    (void)arg;
    assert_int_equal(elapsed(), 0);
    return weft_sleep(WEFT_S(1) + weft_test_below(1 << 30));
}

static void each_run_begins_at_the_same_moment(void **state)
{
    (void)state;
    run_seeds(1000, begin_again, NULL);
}

// --- the order of sleepers -----------------------------------------------------------

enum { SLEEPERS = 200 };

struct sleepers {
    weft_time when[SLEEPERS];
    weft_time last;
    int number[SLEEPERS], woken; // in the order in which they woke up
    int next;
};

static int sleep_one(void *arg)
{
    struct sleepers *s = arg;
    int me = s->next++;

    assert_int_equal(weft_sleep_until(s->when[me]), 0);
    assert_true(weft_now() == s->when[me]);
    assert_true(s->last <= s->when[me]);
    s->last = s->when[me];
    s->number[s->woken++] = me;
    return 0;
}

static int sleep_all(void *arg)
{
    static const uint32_t spans[] = { 4, 100, 20000, 1000000, UINT32_MAX };
    struct sleepers s = { .last = 0 };
    weft_scope scope;
    (void)arg;

    weft_scope_open(&scope, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < SLEEPERS; i++) {
        s.when[i] = weft_after(1 + weft_test_below(spans[weft_test_below(wf_countof(spans))]));
        assert_int_equal(weft_scope_spawn(&scope, sleep_one, &s), 0);
    }
    assert_int_equal(weft_scope_close(&scope), 0);
    assert_int_equal(s.woken, SLEEPERS);
    return 0;
}

static void sleepers_wake_in_the_order_of_their_deadlines(void **state)
{
    (void)state;
    run_seeds(300, sleep_all, NULL);
}

static int first_of_two;

static int two_at_once(void *arg)
{
    struct sleepers s = { .when = { weft_after(WEFT_MS(5)), weft_after(WEFT_MS(5)) } };
    weft_task *a = spawn(sleep_one, &s), *b = spawn(sleep_one, &s);
    (void)arg;

    join(a);
    join(b);
    first_of_two |= 1 << s.number[0];
    return 0;
}

static void equal_deadlines_come_in_any_order(void **state)
{
    (void)state;
    first_of_two = 0;
    run_seeds(100, two_at_once, NULL);
    assert_int_equal(first_of_two, 3);
}

enum { MANY = 5000 };

static int many_at_once(void *arg)
{
    static weft_task *tasks[MANY];
    (void)arg;

    for (int i = 0; i < MANY; i++)
        tasks[i] = spawn(begin_again, NULL);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(join(tasks[i]), 0);
    return 0;
}

static void thousands_of_sleepers_are_as_exact(void **state)
{
    (void)state;
    run_seeds(3, many_at_once, NULL);
}

// --- deadlines -----------------------------------------------------------------------

static int complete_later(void *arg)
{
    weft_future *f = arg;
    assert_int_equal(weft_sleep(WEFT_MS(10)), 0);
    weft_future_complete(f, 5);
    return 0;
}

static int wait_with_deadlines(void *arg)
{
    weft_future f = WEFT_FUTURE_INIT;
    weft_task *t = spawn(complete_later, &f);
    intptr_t value = 0;
    (void)arg;

    assert_int_equal(weft_await_until(&f, &value, weft_after(WEFT_MS(10) - 1)), -ETIMEDOUT);
    assert_int_equal(elapsed(), WEFT_MS(10) - 1);
    assert_int_equal(weft_await_until(&f, &value, weft_after(WEFT_S(3600))), 0);
    assert_int_equal(value, 5);
    assert_int_equal(elapsed(), WEFT_MS(10)); // the timeout that was not needed has not advanced the clock
    assert_int_equal(join(t), 0);
    assert_int_equal(weft_yield(), 0);
    assert_int_equal(elapsed(), WEFT_MS(10));
    return 0;
}

static void a_deadline_that_is_not_needed_moves_nothing(void **state)
{
    (void)state;
    run_seeds(100, wait_with_deadlines, NULL);
}

static int both_seen;

static int race_a_deadline(void *arg)
{
    weft_future f = WEFT_FUTURE_INIT;
    weft_task *t = spawn(complete_later, &f);
    (void)arg;

    int err = weft_await_until(&f, NULL, weft_after(WEFT_MS(10)));
    both_seen |= err == 0 ? 1 : 2;
    assert_true(err == 0 || err == -ETIMEDOUT);
    return join(t);
}

static void a_deadline_races_with_what_happens_at_the_same_moment(void **state)
{
    (void)state;
    both_seen = 0;
    run_seeds(200, race_a_deadline, NULL);
    assert_int_equal(both_seen, 3);
}

static int until_cut(void *arg)
{
    (void)arg;
    return weft_sleep_until(WEFT_NEVER);
}

static int scoped(void *arg)
{
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_S(5)));
    assert_int_equal(weft_scope_spawn(&s, until_cut, NULL), 0);
    assert_int_equal(weft_sleep(WEFT_S(7)), -ETIMEDOUT);
    assert_int_equal(elapsed(), WEFT_S(5));
    weft_shield_begin(WEFT_S(2));
    assert_int_equal(weft_sleep(WEFT_S(1)), 0);
    assert_int_equal(weft_sleep(WEFT_S(3)), -ETIMEDOUT); // the grace ends after a second more
    assert_int_equal(elapsed(), WEFT_S(7));
    weft_shield_end();
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    return 0;
}

static void scopes_and_shields_go_by_it(void **state)
{
    (void)state;
    run_seeds(100, scoped, NULL);
}

// --- tasks that only yield -----------------------------------------------------------

static int sleep_and_tell(void *arg)
{
    assert_int_equal(weft_sleep(WEFT_S(60)), 0);
    *(bool *)arg = true;
    return 0;
}

static int spin_until_told(void *arg)
{
    bool over = false;
    weft_task *t = spawn(sleep_and_tell, &over);
    (void)arg;

    while (!over)
        assert_int_equal(weft_yield(), 0);
    assert_int_equal(elapsed(), WEFT_S(60));
    return join(t);
}

static int yield_for(void *arg)
{
    for (int i = 0; i < *(int *)arg; i++)
        assert_int_equal(weft_yield(), 0);
    return 0;
}

static int yield_for_a_while(void *arg)
{
    bool over = false;
    int times = 100;
    weft_task *a = spawn(yield_for, &times), *b = spawn(yield_for, &times), *c = spawn(sleep_and_tell, &over);
    (void)arg;

    assert_int_equal(join(a), 0);
    assert_int_equal(join(b), 0);
    assert_int_equal(elapsed(), 0);
    return join(c);
}

// Two tasks that pass a ball to each other until another one has slept: they do not
// just yield, and are never both parked.
struct game {
    weft_sem ball[2];
    bool over;
};

static int play(void *arg)
{
    struct game *g = arg;

    while (!g->over) {
        assert_int_equal(weft_sem_acquire(&g->ball[0], 1), 0);
        weft_sem_release(&g->ball[1], 1);
    }
    return 0;
}

static int play_until_told(void *arg)
{
    struct game g = { { WEFT_SEM_INIT(1), WEFT_SEM_INIT(0) }, false };
    weft_task *sleeper = spawn(sleep_and_tell, &g.over), *player = spawn(play, &g);
    (void)arg;

    while (!g.over) {
        assert_int_equal(weft_sem_acquire(&g.ball[1], 1), 0);
        weft_sem_release(&g.ball[0], 1);
    }
    assert_int_equal(join(player), 0);
    return join(sleeper);
}

static void nobody_is_kept_busy_for_ever(void **state)
{
    (void)state;
    run_seeds(3, play_until_told, NULL);
}

static void time_passes_for_who_does_nothing_but_yield(void **state)
{
    (void)state;
    run_seeds(50, spin_until_told, NULL);
    run_seeds(50, yield_for_a_while, NULL);
}

// --- blocking calls ------------------------------------------------------------------

struct blocking {
    weft_time seen;
    atomic_bool begun, over;
    pthread_t thread;
};

static int take_a_while(void *arg)
{
    struct blocking *b = arg;

    b->seen = weft_now();
    b->thread = pthread_self();
    atomic_store(&b->begun, true);
    for (int i = 0; i < 10; i++)
        sched_yield();
    atomic_store(&b->over, true);
    return 3;
}

static int tick_along(void *arg)
{
    struct blocking *b = arg;
    assert_int_equal(weft_sleep(1), 0);
    assert_true(atomic_load(&b->over)); // time has waited for it
    return 0;
}

static int block(void *arg)
{
    struct blocking b = { .seen = -1 };
    (void)arg;

    assert_int_equal(weft_sleep(WEFT_S(9)), 0);
    weft_task *t = spawn(tick_along, &b);
    assert_int_equal(weft_yield(), 0);
    assert_int_equal(weft_blocking(take_a_while, &b), 3);
    assert_false(pthread_equal(b.thread, pthread_self()));
    assert_int_equal(b.seen, WEFT_TEST_START + WEFT_S(9));
    return join(t);
}

static void time_waits_for_blocking_calls(void **state)
{
    (void)state;
    run_seeds(100, block, NULL);
}

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool open; // under lock
};

static int wait_at_gate(void *arg)
{
    struct gate *g = arg;

    pthread_mutex_lock(&g->lock);
    while (!g->open)
        pthread_cond_wait(&g->opened, &g->lock);
    pthread_mutex_unlock(&g->lock);
    return 0;
}

static int open_later(void *arg)
{
    struct gate *g = arg;

    assert_int_equal(weft_sleep(WEFT_S(3600)), 0);
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_signal(&g->opened);
    pthread_mutex_unlock(&g->lock);
    return 0;
}

static int block_on_a_sleeper(void *arg)
{
    struct gate g = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
    weft_task *t = spawn(open_later, &g);
    (void)arg;

    assert_int_equal(weft_blocking(wait_at_gate, &g), 0);
    return join(t);
}

static void but_not_for_ever(void **state)
{
    (void)state;
    assert_int_equal(run_seed(1, block_on_a_sleeper, NULL), 0);
}

// --- other threads -------------------------------------------------------------------

static void *look_at_clock(void *arg)
{
    int64_t before = real_now(), *seen = arg;
    *seen = weft_now();
    assert_true(before <= *seen && *seen <= real_now());
    return NULL;
}

static int start_thread(void *arg)
{
    pthread_t thread;
    int64_t seen;
    (void)arg;

    assert_int_equal(pthread_create(&thread, NULL, look_at_clock, &seen), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(elapsed(), 0);
    return 0;
}

static void other_threads_keep_the_real_clock(void **state)
{
    int64_t seen;
    (void)state;

    assert_int_equal(run_seed(1, start_thread, NULL), 0);
    look_at_clock(&seen); // and so does this one, once the run is over
}

static int sleep_for_real(void *arg)
{
    int64_t before = real_now(), clock = weft_now();
    (void)arg;

    for (int i = 0; i < 20; i++)
        assert_int_equal(weft_sleep(WEFT_US(300)), 0);
    assert_true(real_now() - before >= 20 * WEFT_US(300));
    assert_true(weft_now() - clock >= 20 * WEFT_US(300));
    return 0;
}

static atomic_bool ordinary_over;

static void *run_ordinary(void *arg)
{
    (void)arg;
    assert_int_equal(weft_run(NULL, sleep_for_real, NULL), 0);
    atomic_store(&ordinary_over, true);
    return NULL;
}

static void an_ordinary_runtime_beside_is_not_disturbed(void **state)
{
    pthread_t thread;
    (void)state;

    atomic_store(&ordinary_over, false);
    assert_int_equal(pthread_create(&thread, NULL, run_ordinary, NULL), 0);
    while (!atomic_load(&ordinary_over))
        assert_int_equal(run_seed(3, sleep_long, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(time_stands_still_while_a_task_runs),
        left_test(any_sleep_is_exact_and_costs_nothing),
        left_test(each_run_begins_at_the_same_moment),
        left_test(sleepers_wake_in_the_order_of_their_deadlines),
        left_test(equal_deadlines_come_in_any_order),
        left_test(thousands_of_sleepers_are_as_exact),
        left_test(a_deadline_that_is_not_needed_moves_nothing),
        left_test(a_deadline_races_with_what_happens_at_the_same_moment),
        left_test(scopes_and_shields_go_by_it),
        left_test(time_passes_for_who_does_nothing_but_yield),
        left_test(nobody_is_kept_busy_for_ever),
        left_test(time_waits_for_blocking_calls),
        left_test(but_not_for_ever),
        left_test(other_threads_keep_the_real_clock),
        left_test(an_ordinary_runtime_beside_is_not_disturbed),
    };
    return wf_test_run(tests);
}
