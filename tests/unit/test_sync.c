// The parts of locks and the like, without tasks: the queue, and the words that any
// thread may change.
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "runtime/sync/queue.h"
#include "tests/support/tasks.h"
#include "tests/support/threads.h"

// --- the queue -----------------------------------------------------------------------

enum { WAITERS = 4 };

static struct wf_task nobody; // whose waiters they are; never woken here

static void make(struct wf_queue *q, struct wf_waiter *w)
{
    memset(q, 0, sizeof(*q)); // as a static initialiser leaves it
    wf_queue_lock(q);
    for (int i = 0; i < WAITERS; i++) {
        wf_waiter_init(&w[i], &nobody);
        wf_queue_join(q, &w[i]);
    }
    assert_int_equal(wf_list_check(&q->waiters), WAITERS);
}

static void all_zero_is_an_empty_queue(void **state)
{
    struct wf_queue q;
    struct wf_waiter w;
    (void)state;

    memset(&q, 0, sizeof(q));
    wf_queue_destroy(&q, "test");
    wf_queue_lock(&q);
    assert_true(wf_queue_empty(&q));
    wf_waiter_init(&w, &nobody);
    wf_queue_join(&q, &w);
    wf_queue_unlock(&q);
    wf_queue_lock(&q); // which makes it empty no second time
    assert_ptr_equal(wf_queue_head(&q), &w);
    wf_waiter_drop(&w);
    wf_queue_unlock(&q);
    wf_queue_init(&q);
    wf_queue_destroy(&q, "test");
}

static void it_is_first_in_first_out(void **state)
{
    struct wf_queue q;
    struct wf_waiter w[WAITERS];
    struct wf_list taken;
    (void)state;

    make(&q, w);
    wf_list_init(&taken);
    for (int i = 0; i < WAITERS; i++) {
        assert_true(w[i].queued);
        assert_ptr_equal(wf_queue_head(&q), &w[i]);
        assert_ptr_equal(wf_queue_take(&q, &taken), &w[i]);
        assert_false(w[i].queued);
    }
    assert_true(wf_queue_empty(&q));
    assert_int_equal(wf_list_check(&taken), WAITERS);
    assert_ptr_equal(wf_waiter_of(taken.next), &w[0]);
    assert_ptr_equal(wf_waiter_of(taken.prev), &w[WAITERS - 1]);
    wf_queue_unlock(&q);
}

static void who_joins_at_the_front_is_the_head(void **state)
{
    struct wf_queue q;
    struct wf_waiter w[WAITERS];
    struct wf_list taken;
    (void)state;

    make(&q, w);
    wf_list_init(&taken);
    wf_queue_take(&q, &taken);
    wf_list_remove(&w[0].link);
    wf_queue_join_front(&q, &w[0]);
    for (int i = 0; i < WAITERS; i++)
        assert_ptr_equal(wf_queue_take(&q, &taken), &w[i]);
    wf_list_remove(&w[0].link);
    wf_queue_join_front(&q, &w[0]); // of an empty one
    assert_ptr_equal(wf_queue_head(&q), &w[0]);
    wf_queue_unlock(&q);
}

static void one_in_the_middle_may_leave(void **state)
{
    struct wf_queue q;
    struct wf_waiter w[WAITERS];
    struct wf_list taken;
    (void)state;

    make(&q, w);
    wf_list_init(&taken);
    wf_waiter_drop(&w[1]);
    assert_ptr_equal(wf_queue_take(&q, &taken), &w[0]);
    assert_ptr_equal(wf_queue_take(&q, &taken), &w[2]);
    wf_waiter_drop(&w[3]);
    assert_true(wf_queue_empty(&q));
    wf_queue_unlock(&q);
}

// --- waiting in it -------------------------------------------------------------------

static struct wf_queue line;

static int wait_in_line(void *arg)
{
    struct wf_waiter w;
    (void)arg;

    wf_waiter_init(&w, wf_self());
    wf_queue_lock(&line);
    wf_queue_join(&line, &w);
    wf_queue_unlock(&line);
    int got = wf_queue_wait(&line, &w, "line", &line);
    if (got < 0)
        wf_queue_unlock(&line);
    return got;
}

static int leave_or_be_served(void *arg)
{
    struct wf_list taken;
    (void)arg;

    weft_task *gone = spawn(wait_in_line, NULL);
    wait_parked(gone, "line");
    weft_task *served = spawn(wait_in_line, NULL);
    wait_parked(served, "line");
    weft_task_cancel(gone);
    assert_int_equal(join(gone), -ECANCELED);

    // It is taken, and cancelled before it is granted: it comes to look, and waits on.
    wf_list_init(&taken);
    wf_queue_lock(&line);
    wf_queue_take(&line, &taken);
    assert_true(wf_queue_empty(&line));
    wf_queue_unlock(&line);
    weft_task_cancel(served);
    wait_parked(served, "line");
    wf_queue_grant(&taken, 7);
    assert_true(wf_list_empty(&taken));
    assert_int_equal(join(served), 7);
    wf_queue_destroy(&line, "test");
    return 0;
}

static void a_cancelled_waiter_leaves_unless_it_was_taken(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(leave_or_be_served, NULL), 0);
}

// --- between two steps ---------------------------------------------------------------
//
// Tasks that stand before the queue's lock, which the test holds: what they have read
// of the word may change before they get it.

static struct {
    weft_rwlock lock;
    _Atomic bool go, gone;        // A: the reader may give it back, and has
    _Atomic int reading, writing; // A: how many are in
} scene;

static struct wf_queue *queue_of_scene(void)
{
    return (struct wf_queue *)(void *)&scene.lock.weft_queue;
}

static int read_until_told(void *arg)
{
    int err = weft_rwlock_read_lock(&scene.lock);
    (void)arg;
    while (!wf_load_acquire(&scene.go)) // acquire: the lock is held
        sched_yield();
    weft_rwlock_read_unlock(&scene.lock);
    wf_store_release(&scene.gone, true); // release: to look_around
    return err;
}

// look_around stays until the first reader has gone, and for some time more, and checks
// that no excluded task is inside.
static void look_around(_Atomic int *in, _Atomic int *out)
{
    wf_fetch_add_acq_rel(in, 1);                                 // acq_rel: so that the others see it
    for (int i = 0; i < 20; i += wf_load_acquire(&scene.gone)) { // acquire: the unlock is over
        assert_int_equal(wf_load_acquire(out), 0);               // acquire: as above
        weft_yield();
    }
    wf_fetch_add_acq_rel(in, -1); // acq_rel: as above
}

static int read_it(void *arg)
{
    int err = weft_rwlock_read_lock(&scene.lock);
    (void)arg;
    if (err)
        return err;
    look_around(&scene.reading, &scene.writing);
    weft_rwlock_read_unlock(&scene.lock);
    return 0;
}

static int write_it(void *arg)
{
    int err = weft_rwlock_write_lock(&scene.lock);
    (void)arg;
    if (err)
        return err;
    look_around(&scene.writing, &scene.reading);
    weft_rwlock_write_unlock(&scene.lock);
    return 0;
}

static weft_task *spawn_waiting(weft_fn *fn, const char *call)
{
    weft_task *t = spawn(fn, NULL);
    wait_parked(t, call);
    return t;
}

// The last reader gives the lock back while a writer leaves the queue, which lets in
// the reader behind it: then the first reader is not the last one any more, and must
// not hand the lock to the next writer.
static int unlock_while_one_leaves(void *arg)
{
    (void)arg;
    wf_store_release(&scene.go, false);   // release: to read_until_told
    wf_store_release(&scene.gone, false); // release: as above
    weft_task *holder = spawn(read_until_told, NULL);
    while (weft_rwlock_try_write_lock(&scene.lock) == 0) {
        weft_rwlock_write_unlock(&scene.lock);
        weft_yield();
    }
    weft_task *leaver = spawn_waiting(write_it, "write lock");
    weft_task *reader = spawn_waiting(read_it, "read lock");
    weft_task *writer = spawn_waiting(write_it, "write lock");

    wf_queue_lock(queue_of_scene());
    weft_task_cancel(leaver);
    wf_store_release(&scene.go, true); // release: as above
    for (int i = 0; i < 50; i++)
        sched_yield(); // they come to the lock, in this order or the other
    wf_queue_unlock(queue_of_scene());
    int left = join(leaver);
    assert_true(left == 0 || left == -ECANCELED);
    assert_int_equal(join(holder), 0);
    assert_int_equal(join(reader), 0);
    assert_int_equal(join(writer), 0);
    assert_int_equal(weft_rwlock_try_write_lock(&scene.lock), 0);
    weft_rwlock_write_unlock(&scene.lock);
    return left;
}

static int unlock_often(void *arg)
{
    unsigned left = 0, rounds_of_it = wf_test_rounds(100);

    for (unsigned i = 0; i < rounds_of_it; i++)
        left += unlock_while_one_leaves(arg) < 0;
    printf("the writer left first in %u of %u rounds\n", left, rounds_of_it);
    return 0;
}

static void a_lock_is_not_handed_over_by_who_is_not_the_last_any_more(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    weft_rt *rt;
    (void)state;

    cfg.workers = 4;
    weft_rwlock_init(&scene.lock);
    assert_int_equal(weft_rt_new(&rt, &cfg), 0);
    assert_int_equal(weft_rt_block_on(rt, unlock_often, NULL), 0);
    weft_rt_free(rt);
    weft_rwlock_destroy(&scene.lock);
}

// --- words, by threads ---------------------------------------------------------------

enum { THREADS = 4, PERMITS = 5 };

static struct threads threads;
static unsigned rounds;
static weft_sem sem = WEFT_SEM_INIT(PERMITS);
static _Atomic unsigned out, got; // A: permits that are out; how often they were had

static void *take_and_give(void *arg)
{
    struct wf_test_rand r = wf_test_rand((uint64_t)(uintptr_t)arg);

    threads_ready(&threads);
    for (unsigned i = 0; i < rounds; i++) {
        unsigned n = wf_test_below(&r, PERMITS + 1);
        assert_in_range(weft_sem_available(&sem), 0, PERMITS);
        if (weft_sem_try_acquire(&sem, n) == 0) {
            assert_in_range(wf_fetch_add_relaxed(&out, n) + n, 0, PERMITS); // relaxed: a sum
            wf_fetch_add_relaxed(&got, 1);                                  // relaxed: as above
            wf_fetch_add_relaxed(&out, 0u - n);                             // relaxed: as above
            weft_sem_release(&sem, n);
        }
    }
    return NULL;
}

static void a_semaphore_loses_no_permit_to_threads(void **state)
{
    (void)state;
    rounds = wf_test_rounds(20000);
    threads_init(&threads, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        threads_add(&threads, take_and_give, (void *)i);
    threads_join(&threads);
    assert_int_equal(weft_sem_available(&sem), PERMITS);
    assert_true(wf_load_relaxed(&got) > 0); // relaxed: the threads have ended
    weft_sem_destroy(&sem);
}

static weft_latch *latch;
static unsigned written[THREADS]; // each by a thread, before it counts down
static weft_event gone;           // the latch is

static void *write_and_count_down(void *arg)
{
    unsigned *mine = arg;

    threads_ready(&threads);
    *mine = 1;
    weft_latch_count_down(latch, 1);
    return NULL;
}

static void *see_it_done(void *arg)
{
    (void)arg;
    threads_ready(&threads);
    while (!weft_latch_done(latch))
        sched_yield();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(written[i], 1);
    memset(latch, 0xee, sizeof(*latch)); // no other thread accesses it any more
    weft_event_set(&gone);
    return NULL;
}

static void a_latch_is_done_when_all_have_counted(void **state)
{
    weft_latch l;
    (void)state;

    latch = &l;
    for (unsigned i = wf_test_rounds(200); i > 0; i--) {
        weft_latch_init(&l, THREADS);
        memset(written, 0, sizeof(written));
        threads_init(&threads, THREADS + 1);
        for (int t = 0; t < THREADS; t++)
            threads_add(&threads, write_and_count_down, &written[t]);
        threads_add(&threads, see_it_done, NULL);
        threads_join(&threads);
        assert_true(weft_event_is_set(&gone));
        weft_event_reset(&gone);
        for (size_t b = 0; b < sizeof(l); b++)
            assert_int_equal(((unsigned char *)&l)[b], 0xee);
    }
}

static void an_event_is_set_until_it_is_reset(void **state)
{
    static weft_event e = WEFT_EVENT_INIT;
    (void)state;

    for (int i = 0; i < 2; i++) {
        assert_false(weft_event_is_set(&e));
        weft_event_reset(&e);
        weft_event_set(&e);
        weft_event_set(&e);
        assert_true(weft_event_is_set(&e));
        weft_event_reset(&e);
    }
    weft_event_destroy(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_zero_is_an_empty_queue),
        cmocka_unit_test(it_is_first_in_first_out),
        cmocka_unit_test(who_joins_at_the_front_is_the_head),
        cmocka_unit_test(one_in_the_middle_may_leave),
        cmocka_unit_test(a_cancelled_waiter_leaves_unless_it_was_taken),
        cmocka_unit_test(a_lock_is_not_handed_over_by_who_is_not_the_last_any_more),
        cmocka_unit_test(a_semaphore_loses_no_permit_to_threads),
        cmocka_unit_test(a_latch_is_done_when_all_have_counted),
        cmocka_unit_test(an_event_is_set_until_it_is_reset),
    };
    return wf_test_run(tests);
}
