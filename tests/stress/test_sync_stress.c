// Locks and the like while waiters leave: by deadlines, by cancels, by both, on every
// worker. Locks guard plain memory; counts must be conserved; a lost wake hangs the
// test. Each body runs once normally, and once with every wake on another worker.
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "tests/support/locks.h"

enum { TASKS = 8 };

static _Atomic unsigned number;       // A: of the run
static _Atomic unsigned served, left; // A: how waits in a hurry ended

static void count_one(_Atomic unsigned *counter)
{
    wf_fetch_add_relaxed(counter, 1); // relaxed: a sum, read when all is over
}

static void run_scattered(weft_fn *fn)
{
    served = left = 0;
    assert_int_equal(run_tasks(fn, NULL), 0);
    setenv("WEFT_SCATTER", "1", 1);
    assert_int_equal(run_tasks(fn, NULL), 0);
    unsetenv("WEFT_SCATTER");
    if (served + left > 0)
        printf("%u served, %u left\n", served, left);
}

static struct wf_test_rand rand_of_task(void)
{
    uint64_t run = wf_load_relaxed(&number); // relaxed: a label
    return wf_test_rand(run << 32 | weft_task_id(weft_self()));
}

static void dawdle(struct wf_test_rand *r)
{
    unsigned kind = wf_test_below(r, 16);

    if (kind == 0)
        weft_yield(); // a cancelled task goes on at once
    for (unsigned n = wf_test_below(r, kind < 4 ? 400 : 20); n > 0; n--)
        __asm__ volatile("");
}

// in_a_hurry calls fn(arg) in a scope whose deadline is about to come, most times.
// Returns: its result.
static int in_a_hurry(struct wf_test_rand *r, weft_fn *fn, void *arg)
{
    weft_scope s;

    if (wf_test_below(r, 4) == 0)
        return fn(arg);
    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_scope_deadline(&s, weft_after(WEFT_US(wf_test_below(r, 40))));
    int result = fn(arg);
    int err = weft_scope_close(&s);
    assert_true(err == 0 || err == -ETIMEDOUT);
    count_one(result < 0 ? &left : &served);
    return result;
}

// play runs TASKS tasks, and joins them.
static void play(weft_fn *fn, void *arg)
{
    weft_task *t[TASKS];

    count_one(&number);
    for (int i = 0; i < TASKS; i++)
        t[i] = spawn(fn, arg);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(join(t[i]), 0);
}

// --- mutex and readers-writer lock ---------------------------------------------------

static struct {
    weft_mutex mutex;
    weft_rwlock rwlock;
    long count, mirror;    // under the lock that is tested
    _Atomic unsigned mine; // A: how often it was held
} guarded;

static int lock_mutex(void *arg)
{
    return weft_mutex_lock(arg);
}

static int contend(void *arg)
{
    struct wf_test_rand r = rand_of_task();
    (void)arg;

    for (unsigned i = wf_test_rounds(1500); i > 0; i--) {
        int err = in_a_hurry(&r, lock_mutex, &guarded.mutex);
        assert_true(err == 0 || err == -ETIMEDOUT);
        if (err == 0) {
            guarded.count++;
            dawdle(&r);
            guarded.mirror++;
            count_one(&guarded.mine);
            weft_mutex_unlock(&guarded.mutex);
        }
        dawdle(&r);
    }
    return 0;
}

static int contend_for_a_mutex(void *arg)
{
    weft_mutex_init(&guarded.mutex);
    guarded.count = guarded.mirror = 0;
    guarded.mine = 0;
    play(contend, arg);
    assert_int_equal(guarded.count, guarded.mine);
    assert_int_equal(guarded.mirror, guarded.mine);
    weft_mutex_destroy(&guarded.mutex);
    return 0;
}

static void a_mutex_excludes_and_forgets_nobody(void **state)
{
    (void)state;
    run_scattered(contend_for_a_mutex);
}

static int write_lock(void *arg)
{
    return weft_rwlock_write_lock(arg);
}

static int read_lock(void *arg)
{
    return weft_rwlock_read_lock(arg);
}

static void write_guarded(struct wf_test_rand *r)
{
    guarded.count++;
    dawdle(r);
    guarded.mirror++;
    count_one(&guarded.mine);
    weft_rwlock_write_unlock(&guarded.rwlock);
}

static void read_guarded(struct wf_test_rand *r)
{
    long seen = guarded.count;

    assert_int_equal(seen, guarded.mirror);
    dawdle(r);
    assert_int_equal(seen, guarded.count);
    weft_rwlock_read_unlock(&guarded.rwlock);
}

static int read_and_write(void *arg)
{
    struct wf_test_rand r = rand_of_task();
    (void)arg;

    for (unsigned i = wf_test_rounds(1500); i > 0; i--) {
        bool writes = wf_test_below(&r, 3) == 0;
        int err = in_a_hurry(&r, writes ? write_lock : read_lock, &guarded.rwlock);
        assert_true(err == 0 || err == -ETIMEDOUT);
        if (err == 0)
            (writes ? write_guarded : read_guarded)(&r);
        dawdle(&r);
    }
    return 0;
}

static int contend_for_a_rwlock(void *arg)
{
    weft_rwlock_init(&guarded.rwlock);
    guarded.count = guarded.mirror = 0;
    guarded.mine = 0;
    play(read_and_write, arg);
    assert_int_equal(guarded.count, guarded.mine);
    weft_rwlock_destroy(&guarded.rwlock);
    return 0;
}

static void a_rwlock_excludes_and_forgets_nobody(void **state)
{
    (void)state;
    run_scattered(contend_for_a_rwlock);
}

// --- an object that its last user frees ----------------------------------------------

struct shared {
    weft_mutex mutex;
    unsigned users; // under the mutex
};

static int use_and_drop(void *arg)
{
    struct shared *s = arg;

    lock(&s->mutex);
    bool last = --s->users == 0;
    weft_mutex_unlock(&s->mutex);
    if (last)
        free(s);
    return 0;
}

static int share(void *arg)
{
    (void)arg;
    for (unsigned i = wf_test_rounds(400); i > 0; i--) {
        struct shared *s = malloc(sizeof(*s));
        assert_non_null(s);
        weft_mutex_init(&s->mutex);
        s->users = TASKS + 1;
        weft_task *t[TASKS];
        for (int k = 0; k < TASKS; k++)
            t[k] = spawn(use_and_drop, s);
        use_and_drop(s);
        for (int k = 0; k < TASKS; k++)
            assert_int_equal(join(t[k]), 0);
    }
    return 0;
}

static void the_last_one_to_hold_a_mutex_may_free_it(void **state)
{
    (void)state;
    run_scattered(share);
}

// --- semaphore -----------------------------------------------------------------------

enum { PERMITS = 6 };

static struct {
    weft_sem sem;
    _Atomic unsigned out; // A: permits that are out
    _Atomic bool over;    // A: the thread may stop
} pool;

struct request {
    size_t n;
};

static int acquire_some(void *arg)
{
    return weft_sem_acquire(&pool.sem, ((struct request *)arg)->n);
}

static int take_and_give(void *arg)
{
    struct wf_test_rand r = rand_of_task();
    (void)arg;

    for (unsigned i = wf_test_rounds(1500); i > 0; i--) {
        struct request q = { wf_test_below(&r, PERMITS + 1) };
        int err = in_a_hurry(&r, acquire_some, &q);
        assert_true(err == 0 || err == -ETIMEDOUT);
        if (err == 0) {
            assert_in_range(wf_fetch_add_relaxed(&pool.out, (unsigned)q.n) + q.n, 0, PERMITS); // relaxed: a sum
            dawdle(&r);
            wf_fetch_add_relaxed(&pool.out, 0u - (unsigned)q.n); // relaxed: as above
            weft_sem_release(&pool.sem, q.n);
        }
        dawdle(&r);
    }
    return 0;
}

static void *take_and_give_in_a_thread(void *arg)
{
    struct wf_test_rand r = wf_test_rand(UINT64_MAX);
    (void)arg;

    while (!wf_load_acquire(&pool.over)) { // acquire: for nothing in particular
        unsigned n = wf_test_below(&r, PERMITS + 1);
        if (weft_sem_try_acquire(&pool.sem, n) == 0) {
            sched_yield();
            weft_sem_release(&pool.sem, n);
        }
        sched_yield();
    }
    return NULL;
}

static int contend_for_permits(void *arg)
{
    pthread_t thread;

    weft_sem_init(&pool.sem, PERMITS);
    wf_store_release(&pool.over, false); // release: as above
    assert_int_equal(pthread_create(&thread, NULL, take_and_give_in_a_thread, NULL), 0);
    play(take_and_give, arg);
    wf_store_release(&pool.over, true); // release: as above
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(weft_sem_available(&pool.sem), PERMITS);
    weft_sem_destroy(&pool.sem);
    return 0;
}

static void permits_are_conserved(void **state)
{
    (void)state;
    run_scattered(contend_for_permits);
}

// A semaphore on the waiter's stack: gone as soon as the last permit is there.
struct giver {
    weft_sem *sem;
    int done; // before the permit is released
};

static int release_one(void *arg)
{
    struct giver *g = arg;
    weft_sem *s = g->sem;

    g->done = 1;
    weft_sem_release(s, 1);
    return 0;
}

static int gather(void *arg)
{
    (void)arg;
    for (unsigned i = wf_test_rounds(400); i > 0; i--) {
        weft_task *t[TASKS];
        weft_sem s = WEFT_SEM_INIT(0);
        struct giver givers[TASKS];
        for (int k = 0; k < TASKS; k++) {
            givers[k] = (struct giver){ .sem = &s };
            t[k] = spawn(release_one, &givers[k]);
        }
        acquire(&s, TASKS / 2);
        if (i % 2)
            yield();
        acquire(&s, TASKS - TASKS / 2);
        memset(&s, 0xee, sizeof(s));
        for (int k = 0; k < TASKS; k++)
            assert_int_equal(givers[k].done, 1);
        for (int k = 0; k < TASKS; k++)
            assert_int_equal(join(t[k]), 0);
        for (size_t b = 0; b < sizeof(s); b++)
            assert_int_equal(((unsigned char *)&s)[b], 0xee);
    }
    return 0;
}

static void a_semaphore_may_go_when_its_permits_have_come(void **state)
{
    (void)state;
    run_scattered(gather);
}

// --- condition -----------------------------------------------------------------------

static struct {
    weft_mutex mutex;
    weft_cond cond;
    unsigned tokens;        // under the mutex
    _Atomic unsigned roles; // A: how many tasks have one
} counter;

static int wait_for_signal(void *arg)
{
    (void)arg;
    return weft_cond_wait(&counter.cond, &counter.mutex);
}

// take_tokens takes as many as give_tokens of another task gives. One signal is one
// token: if a leaving waiter lost a signal, another one would wait although there is a
// token.
static int take_tokens(struct wf_test_rand *r)
{
    for (unsigned i = wf_test_rounds(800); i > 0; i--) {
        lock(&counter.mutex);
        bool signalled = false;
        while (counter.tokens == 0) {
            int err = in_a_hurry(r, wait_for_signal, NULL);
            assert_true(err == 0 || err == -ETIMEDOUT);
            signalled = err == 0;
        }
        counter.tokens--;
        weft_mutex_unlock(&counter.mutex);
        if (signalled)
            dawdle(r);
    }
    return 0;
}

static int give_tokens(struct wf_test_rand *r)
{
    for (unsigned i = wf_test_rounds(800); i > 0; i--) {
        bool under = wf_test_below(r, 2);
        lock(&counter.mutex);
        counter.tokens++;
        if (under)
            weft_cond_signal(&counter.cond);
        weft_mutex_unlock(&counter.mutex);
        if (!under)
            weft_cond_signal(&counter.cond);
        dawdle(r);
    }
    return 0;
}

static int give_or_take(void *arg)
{
    struct wf_test_rand r = rand_of_task();
    (void)arg;
    // relaxed: half of the tasks give, whichever
    return wf_fetch_add_relaxed(&counter.roles, 1) % 2 ? give_tokens(&r) : take_tokens(&r);
}

static int pass_tokens(void *arg)
{
    weft_mutex_init(&counter.mutex);
    weft_cond_init(&counter.cond);
    counter.tokens = 0;
    play(give_or_take, arg);
    assert_int_equal(counter.tokens, 0);
    weft_cond_destroy(&counter.cond);
    weft_mutex_destroy(&counter.mutex);
    return 0;
}

static void signals_are_not_lost_to_those_who_leave(void **state)
{
    (void)state;
    run_scattered(pass_tokens);
}

// --- barrier -------------------------------------------------------------------------

enum { PARTIES = 3 };

static struct {
    weft_barrier barrier;
    _Atomic unsigned met, ones; // A: waits that ended with 0 or 1; with 1
    _Atomic unsigned busy;      // A: tasks that have not met often enough
} meeting;

// meet meets the others a number of times, and continues until all others have, so that
// none is left alone.
static int meet(void *arg)
{
    struct wf_test_rand r = rand_of_task();
    unsigned wanted = wf_test_rounds(300);
    (void)arg;

    for (unsigned mine = 0; wf_load_acquire(&meeting.busy) > 0;) { // acquire: to end is all that it decides
        weft_scope s;
        weft_scope_open(&s, WEFT_SCOPE_COLLECT);
        weft_scope_deadline(&s, weft_after(WEFT_US(wf_test_below(&r, 200))));
        int got = weft_barrier_wait(&meeting.barrier);
        weft_scope_close(&s);
        count_one(got < 0 ? &left : &served);
        assert_true(got == -ETIMEDOUT || got == 0 || got == 1);
        if (got < 0)
            continue;
        count_one(&meeting.met);
        if (got)
            count_one(&meeting.ones);
        if (++mine == wanted)
            wf_fetch_add_acq_rel(&meeting.busy, 0u - 1); // release: as above
    }
    return 0;
}

static int meet_and_leave(void *arg)
{
    weft_barrier_init(&meeting.barrier, PARTIES);
    meeting.met = meeting.ones = 0;
    meeting.busy = TASKS;
    play(meet, arg);
    assert_int_equal(meeting.met, PARTIES * meeting.ones);
    weft_barrier_destroy(&meeting.barrier);
    return 0;
}

static void each_round_of_a_barrier_is_whole(void **state)
{
    (void)state;
    run_scattered(meet_and_leave);
}

// --- cancelled tasks -----------------------------------------------------------------

// Tasks that hold one of each, in turn, until they are cancelled: wherever that meets
// them, they leave all as it was.
static struct {
    weft_mutex mutex;
    weft_sem sem;
    weft_rwlock rwlock;
} all;

static int use_all(struct wf_test_rand *r)
{
    int err = weft_mutex_lock(&all.mutex);
    if (err)
        return err;
    dawdle(r);
    weft_mutex_unlock(&all.mutex);
    if ((err = weft_sem_acquire(&all.sem, 2)))
        return err;
    dawdle(r);
    weft_sem_release(&all.sem, 2);
    if ((err = weft_rwlock_write_lock(&all.rwlock)))
        return err;
    dawdle(r);
    weft_rwlock_write_unlock(&all.rwlock);
    if ((err = weft_rwlock_read_lock(&all.rwlock)))
        return err;
    dawdle(r);
    weft_rwlock_read_unlock(&all.rwlock);
    return 0;
}

static int use_until_cancelled(void *arg)
{
    struct wf_test_rand r = rand_of_task();
    int err;
    (void)arg;

    do {
        err = use_all(&r);
    } while (err == 0);
    return err;
}

static int cancel_users(void *arg)
{
    (void)arg;
    weft_mutex_init(&all.mutex);
    weft_sem_init(&all.sem, 3);
    weft_rwlock_init(&all.rwlock);
    for (unsigned i = wf_test_rounds(300); i > 0; i--) {
        struct wf_test_rand r = wf_test_rand(i);
        weft_task *t[TASKS];
        count_one(&number);
        for (int k = 0; k < TASKS; k++)
            t[k] = spawn(use_until_cancelled, NULL);
        for (int k = 0; k < TASKS; k++) {
            if (wf_test_below(&r, 2))
                assert_int_equal(weft_sleep(WEFT_US(wf_test_below(&r, 100))), 0);
            weft_task_cancel(t[k]);
        }
        for (int k = 0; k < TASKS; k++)
            assert_int_equal(join(t[k]), -ECANCELED);
        assert_int_equal(weft_sem_available(&all.sem), 3);
    }
    weft_mutex_destroy(&all.mutex);
    weft_sem_destroy(&all.sem);
    weft_rwlock_destroy(&all.rwlock);
    return 0;
}

static void cancelled_tasks_leave_all_as_it_was(void **state)
{
    (void)state;
    run_scattered(cancel_users);
}

// --- two runtimes --------------------------------------------------------------------

static int contend_quietly(void *arg)
{
    struct wf_test_rand r = rand_of_task();
    (void)arg;

    for (unsigned i = wf_test_rounds(600); i > 0; i--) {
        lock(&guarded.mutex);
        guarded.count++;
        dawdle(&r);
        weft_mutex_unlock(&guarded.mutex);
        acquire(&pool.sem, 1);
        dawdle(&r);
        weft_sem_release(&pool.sem, 1);
    }
    return 0;
}

static int play_quietly(void *arg)
{
    play(contend_quietly, arg);
    return 0;
}

static void *run_in_a_thread(void *arg)
{
    (void)arg;
    assert_int_equal(run_tasks(play_quietly, NULL), 0);
    return NULL;
}

static void tasks_of_two_runtimes_share_them(void **state)
{
    pthread_t thread;
    (void)state;

    weft_mutex_init(&guarded.mutex);
    guarded.count = 0;
    weft_sem_init(&pool.sem, 2);
    assert_int_equal(pthread_create(&thread, NULL, run_in_a_thread, NULL), 0);
    assert_int_equal(run_tasks(play_quietly, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(guarded.count, 2 * TASKS * wf_test_rounds(600));
    assert_int_equal(weft_sem_available(&pool.sem), 2);
    weft_mutex_destroy(&guarded.mutex);
    weft_sem_destroy(&pool.sem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutex_excludes_and_forgets_nobody),
        cmocka_unit_test(a_rwlock_excludes_and_forgets_nobody),
        cmocka_unit_test(the_last_one_to_hold_a_mutex_may_free_it),
        cmocka_unit_test(permits_are_conserved),
        cmocka_unit_test(a_semaphore_may_go_when_its_permits_have_come),
        cmocka_unit_test(signals_are_not_lost_to_those_who_leave),
        cmocka_unit_test(each_round_of_a_barrier_is_whole),
        cmocka_unit_test(cancelled_tasks_leave_all_as_it_was),
        cmocka_unit_test(tasks_of_two_runtimes_share_them),
    };
    return wf_test_run(tests);
}
