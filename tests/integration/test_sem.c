// The semaphore: permits are neither lost nor doubled, the order is strict, a large
// request is not starved, and what a cancel leaves behind. Each body runs on workers,
// and in many orders by virtual time.
#include <pthread.h>

#include "base/atomic.h"
#include "tests/support/left.h"
#include "tests/support/locks.h"
#include "tests/support/seeds.h"

enum { SEEDS = 100 };

static void run_both(weft_fn *fn)
{
    assert_int_equal(run_tasks(fn, NULL), 0);
    run_seeds(SEEDS, fn, NULL);
}

// --- counting ------------------------------------------------------------------------

static int count(void *arg)
{
    static weft_sem of_all_tasks = WEFT_SEM_INIT(5);
    weft_sem s;
    (void)arg;

    assert_int_equal(weft_sem_available(&of_all_tasks), 5);
    weft_sem_init(&s, 3);
    acquire(&s, 2);
    assert_int_equal(weft_sem_available(&s), 1);
    assert_int_equal(weft_sem_try_acquire(&s, 2), -EAGAIN);
    assert_int_equal(weft_sem_try_acquire(&s, 1), 0);
    assert_int_equal(weft_sem_try_acquire(&s, 1), -EAGAIN);
    assert_int_equal(weft_sem_try_acquire(&s, 0), 0);
    acquire(&s, 0);
    weft_sem_release(&s, 0);
    assert_int_equal(weft_sem_available(&s), 0);
    weft_sem_release(&s, 7);
    assert_int_equal(weft_sem_available(&s), 7);
    acquire(&s, 7);
    weft_sem_release(&s, WEFT_SEM_MAX);
    assert_int_equal(weft_sem_available(&s), WEFT_SEM_MAX);
    acquire(&s, WEFT_SEM_MAX);
    weft_sem_destroy(&s);
    return 0;
}

static void it_counts_up_to_its_maximum(void **state)
{
    (void)state;
    run_both(count);
}

// --- conservation --------------------------------------------------------------------

enum { TASKS = 8, TURNS = 60, PERMITS = 5 };

struct shared {
    weft_sem sem;
    _Atomic unsigned out; // A: permits that are out
};

static int take_and_give(void *arg)
{
    struct shared *s = arg;
    struct wf_test_rand r = wf_test_rand(weft_task_id(weft_self()));

    for (int i = 0; i < TURNS; i++) {
        unsigned n = wf_test_below(&r, PERMITS + 1);
        acquire(&s->sem, n);
        assert_true(wf_fetch_add_relaxed(&s->out, n) + n <= PERMITS); // relaxed: a sum
        if (i % 3 == 0)
            yield();
        wf_fetch_add_relaxed(&s->out, 0u - n); // relaxed: as above
        weft_sem_release(&s->sem, n);
    }
    return 0;
}

static int share(void *arg)
{
    struct shared s = { .sem = WEFT_SEM_INIT(PERMITS) };
    weft_task *t[TASKS];
    (void)arg;

    for (int i = 0; i < TASKS; i++)
        t[i] = spawn(take_and_give, &s);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(join(t[i]), 0);
    assert_int_equal(weft_sem_available(&s.sem), PERMITS);
    weft_sem_destroy(&s.sem);
    return 0;
}

static void permits_are_conserved(void **state)
{
    (void)state;
    run_both(share);
}

// --- order ---------------------------------------------------------------------------

enum { REQUESTS = 5 };

struct request {
    struct queue *queue;
    size_t n;
    weft_task *task;
};

struct queue {
    weft_sem sem;
    struct request r[REQUESTS];
};

static int request(void *arg)
{
    struct request *r = arg;
    return weft_sem_acquire(&r->queue->sem, r->n);
}

// line_up makes a semaphore of `permits`, and lets tasks queue, for as many as the
// digits of `requests` say.
static void line_up(struct queue *q, size_t permits, const char *requests)
{
    memset(q, 0, sizeof(*q));
    weft_sem_init(&q->sem, permits);
    for (int i = 0; requests[i]; i++) {
        q->r[i] = (struct request){ .queue = q, .n = (size_t)(requests[i] - '0') };
        q->r[i].task = spawn_parked(request, &q->r[i], "semaphore");
    }
}

// expect_served: those from `from` to `to` have what they asked for, and the one behind
// them has not.
static void expect_served(struct queue *q, int from, int to)
{
    for (int i = from; i <= to; i++)
        assert_int_equal(join(q->r[i].task), 0);
    if (to + 1 < REQUESTS && q->r[to + 1].task)
        wait_parked(q->r[to + 1].task, "semaphore");
}

static int ask_for_much(void *arg)
{
    struct queue q;
    (void)arg;

    line_up(&q, 2, "41131");
    assert_int_equal(weft_sem_try_acquire(&q.sem, 1), -EAGAIN); // they are available, but a task waits
    assert_int_equal(weft_sem_try_acquire(&q.sem, 0), 0);
    weft_sem_release(&q.sem, 1);
    assert_int_equal(weft_sem_available(&q.sem), 3);
    wait_parked(q.r[0].task, "semaphore");
    weft_sem_release(&q.sem, 2); // the four that it asked for, and one for the next
    expect_served(&q, 0, 1);
    weft_sem_release(&q.sem, 1);
    expect_served(&q, 2, 2);
    weft_sem_release(&q.sem, 10);
    expect_served(&q, 3, 4);
    assert_int_equal(weft_sem_available(&q.sem), 6);
    weft_sem_destroy(&q.sem);
    return 0;
}

static void a_large_request_is_not_overtaken(void **state)
{
    (void)state;
    run_both(ask_for_much);
}

// Small requests that come all the time do not starve the large one: each round one
// gives back and one comes.
static int come_all_the_time(void *arg)
{
    struct queue q;
    (void)arg;

    line_up(&q, 0, "311");
    for (int i = 0; i < 3; i++) {
        wait_parked(q.r[0].task, "semaphore");
        weft_sem_release(&q.sem, 1);
        assert_int_equal(weft_sem_try_acquire(&q.sem, 1), -EAGAIN);
    }
    assert_int_equal(join(q.r[0].task), 0);
    weft_sem_release(&q.sem, 2);
    assert_int_equal(join(q.r[1].task), 0);
    assert_int_equal(join(q.r[2].task), 0);
    weft_sem_destroy(&q.sem);
    return 0;
}

static void small_ones_do_not_starve_a_large_one(void **state)
{
    (void)state;
    run_both(come_all_the_time);
}

// --- cancelled -----------------------------------------------------------------------

static void cancel(struct queue *q, int who)
{
    weft_task_cancel(q->r[who].task);
    assert_int_equal(join(q->r[who].task), -ECANCELED);
}

static int the_large_one_leaves(void *arg)
{
    struct queue q;
    (void)arg;

    line_up(&q, 3, "91221");
    cancel(&q, 3);
    cancel(&q, 0); // one and two fit, and then there are none left
    assert_int_equal(join(q.r[1].task), 0);
    assert_int_equal(join(q.r[2].task), 0);
    wait_parked(q.r[4].task, "semaphore");
    assert_int_equal(weft_sem_available(&q.sem), 0);
    cancel(&q, 4);
    weft_sem_release(&q.sem, 1);
    assert_int_equal(weft_sem_try_acquire(&q.sem, 1), 0);
    weft_sem_destroy(&q.sem);
    return 0;
}

static void those_behind_a_large_one_that_leaves_go_on(void **state)
{
    (void)state;
    run_both(the_large_one_leaves);
}

static int cancel_the_served(void *arg)
{
    struct queue q;
    (void)arg;

    line_up(&q, 0, "2");
    weft_sem_release(&q.sem, 2);
    weft_task_cancel(q.r[0].task);
    assert_int_equal(join(q.r[0].task), 0);
    assert_int_equal(weft_sem_available(&q.sem), 0);
    weft_sem_destroy(&q.sem);
    return 0;
}

static void who_was_served_before_the_cancel_has_them(void **state)
{
    (void)state;
    run_both(cancel_the_served);
}

static int acquire_while_cancelled(void *arg)
{
    weft_sem s = WEFT_SEM_INIT(1);
    (void)arg;

    weft_task_cancel(weft_self());
    assert_int_equal(weft_sem_acquire(&s, 1), -ECANCELED);
    assert_int_equal(weft_sem_available(&s), 1);
    assert_int_equal(weft_sem_try_acquire(&s, 1), 0);
    weft_sem_release(&s, 1);
    weft_shield_begin(WEFT_NEVER);
    assert_int_equal(weft_sem_acquire(&s, 1), 0);
    weft_shield_end();
    weft_sem_destroy(&s);
    return 0;
}

static int level_triggered(void *arg)
{
    return join(spawn(acquire_while_cancelled, arg));
}

static void a_cancelled_task_gets_none_there_or_not(void **state)
{
    (void)state;
    run_both(level_triggered);
}

// --- foreign threads -----------------------------------------------------------------

enum { FOREIGN = 200 };

static void *release_in_a_thread(void *s)
{
    for (int i = 0; i < FOREIGN; i++) {
        weft_sem_release(s, 2);
        if (weft_sem_try_acquire(s, 1) == 0)
            weft_sem_release(s, 1);
    }
    return NULL;
}

static int acquire_from_a_thread(void *arg)
{
    weft_sem s = WEFT_SEM_INIT(0);
    pthread_t thread;
    (void)arg;

    assert_int_equal(pthread_create(&thread, NULL, release_in_a_thread, &s), 0);
    for (int i = 0; i < FOREIGN; i++) {
        acquire(&s, 1);
        acquire(&s, 1);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(weft_sem_available(&s), 0);
    weft_sem_destroy(&s);
    return 0;
}

static void foreign_threads_may_release_and_try(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(acquire_from_a_thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(it_counts_up_to_its_maximum),
        left_test(permits_are_conserved),
        left_test(a_large_request_is_not_overtaken),
        left_test(small_ones_do_not_starve_a_large_one),
        left_test(those_behind_a_large_one_that_leaves_go_on),
        left_test(who_was_served_before_the_cancel_has_them),
        left_test(a_cancelled_task_gets_none_there_or_not),
        left_test(foreign_threads_may_release_and_try),
    };
    return wf_test_run(tests);
}
