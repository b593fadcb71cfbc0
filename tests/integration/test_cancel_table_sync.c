// The cancellation table: locks, conditions and the like. See docs/cancellation.md and
// tests/support/cancel_table.h.
#include <errno.h>

#include "tests/support/cancel_table.h"
#include "tests/support/tasks.h"

// A task that queues behind the subject, if the row has one.
static weft_task *follower;

static void queue_behind(weft_fn *fn, const char *what)
{
    follower = spawn(fn, NULL);
    cancel_await_parked(follower, what);
}

static void join_follower(void)
{
    if (follower)
        assert_int_equal(join(follower), 0);
    follower = NULL;
}

static void join_freed(struct cancel_case *c)
{
    (void)c;
    join_follower();
}

static _Atomic int count;

static void add(int n)
{
    wf_fetch_add_acq_rel(&count, n);
}

static int counted(void)
{
    return wf_load_acquire(&count); // acquire: from add
}

static void reset_count(void)
{
    wf_store_release(&count, 0); // release: to add
}

// --- mutex ---------------------------------------------------------------------------

static weft_mutex mutex;

static void mutex_set_up(struct cancel_case *c)
{
    (void)c;
    reset_count();
    weft_mutex_init(&mutex);
    assert_int_equal(weft_mutex_lock(&mutex), 0);
}

static int lock_and_count(void *arg)
{
    (void)arg;
    int err = weft_mutex_lock(&mutex);
    if (err)
        return err;
    add(1);
    weft_mutex_unlock(&mutex);
    return 0;
}

static int mutex_call(struct cancel_case *c)
{
    (void)c;
    return lock_and_count(NULL);
}

static void mutex_follow(struct cancel_case *c)
{
    (void)c;
    queue_behind(lock_and_count, "mutex");
}

static void mutex_complete(struct cancel_case *c)
{
    (void)c;
    weft_mutex_unlock(&mutex);
}

// The mutex is free, and every task except a cancelled one had it.
static void mutex_left(struct cancel_case *c, int result)
{
    (void)c;
    join_follower();
    assert_int_equal(counted(), result < 0 ? 1 : 2);
    assert_int_equal(weft_mutex_try_lock(&mutex), 0);
    weft_mutex_unlock(&mutex);
    weft_mutex_destroy(&mutex);
}

// --- readers-writer lock -------------------------------------------------------------

static weft_rwlock rwlock;

static int read_and_count(void *arg)
{
    (void)arg;
    int err = weft_rwlock_read_lock(&rwlock);
    if (err)
        return err;
    add(1);
    weft_rwlock_read_unlock(&rwlock);
    return 0;
}

static int write_and_count(void *arg)
{
    (void)arg;
    int err = weft_rwlock_write_lock(&rwlock);
    if (err)
        return err;
    add(1);
    weft_rwlock_write_unlock(&rwlock);
    return 0;
}

static void read_set_up(struct cancel_case *c)
{
    (void)c;
    reset_count();
    weft_rwlock_init(&rwlock);
    assert_int_equal(weft_rwlock_write_lock(&rwlock), 0);
}

static int read_call(struct cancel_case *c)
{
    (void)c;
    return read_and_count(NULL);
}

static void read_follow(struct cancel_case *c)
{
    (void)c;
    queue_behind(write_and_count, "write lock");
}

static void read_complete(struct cancel_case *c)
{
    (void)c;
    weft_rwlock_write_unlock(&rwlock);
}

static void write_set_up(struct cancel_case *c)
{
    (void)c;
    reset_count();
    weft_rwlock_init(&rwlock);
    assert_int_equal(weft_rwlock_read_lock(&rwlock), 0);
}

static int write_call(struct cancel_case *c)
{
    (void)c;
    return write_and_count(NULL);
}

// A reader that waits only because a writer came before it goes on when the writer has
// left.
static void write_follow(struct cancel_case *c)
{
    (void)c;
    queue_behind(read_and_count, "read lock");
}

static void write_complete(struct cancel_case *c)
{
    (void)c;
    weft_rwlock_read_unlock(&rwlock);
}

static void rwlock_left(struct cancel_case *c, int result)
{
    (void)c;
    join_follower();
    assert_int_equal(counted(), result < 0 ? 1 : 2);
    assert_int_equal(weft_rwlock_try_write_lock(&rwlock), 0);
    weft_rwlock_write_unlock(&rwlock);
    weft_rwlock_destroy(&rwlock);
}

// --- condition -----------------------------------------------------------------------

static weft_cond cond;

static void cond_set_up(struct cancel_case *c)
{
    (void)c;
    weft_mutex_init(&mutex);
    weft_cond_init(&cond);
}

// wait_for_signal comes back with the mutex, whatever happened. It takes it behind a
// shield, so that a task that is cancelled already gets as far as the wait. A task that
// cannot park tries to take it.
static int wait_for_signal(void *arg)
{
    (void)arg;
    weft_shield_begin(WEFT_NEVER);
    if (weft_mutex_lock(&mutex) == -ENOMEM)
        assert_int_equal(weft_mutex_try_lock(&mutex), 0);
    weft_shield_end();
    int err = weft_cond_wait(&cond, &mutex);
    assert_int_equal(weft_mutex_try_lock(&mutex), -EBUSY);
    weft_mutex_unlock(&mutex);
    return err;
}

static int cond_call(struct cancel_case *c)
{
    (void)c;
    return wait_for_signal(NULL);
}

static void cond_follow(struct cancel_case *c)
{
    (void)c;
    queue_behind(wait_for_signal, "condition");
}

static void cond_complete(struct cancel_case *c)
{
    (void)c;
    weft_cond_signal(&cond);
}

// One signal lets one go on: the follower, if it was not the subject.
static void cond_left(struct cancel_case *c, int result)
{
    (void)c;
    if (result >= 0) {
        cancel_await_parked(follower, "condition");
        assert_false(weft_task_done(follower));
        weft_cond_signal(&cond);
    }
    join_follower();
    weft_cond_destroy(&cond);
    weft_mutex_destroy(&mutex);
}

// --- semaphore -----------------------------------------------------------------------

static weft_sem sem;

static void sem_set_up(struct cancel_case *c)
{
    (void)c;
    weft_sem_init(&sem, 2);
}

static int sem_call(struct cancel_case *c)
{
    (void)c;
    return weft_sem_acquire(&sem, 3);
}

static int acquire_one(void *arg)
{
    (void)arg;
    return weft_sem_acquire(&sem, 1);
}

// A request for one permit waits only because a request for three came before.
static void sem_follow(struct cancel_case *c)
{
    (void)c;
    queue_behind(acquire_one, "semaphore");
}

static void sem_complete(struct cancel_case *c)
{
    (void)c;
    weft_sem_release(&sem, 3);
}

static void sem_left(struct cancel_case *c, int result)
{
    size_t left = result < 0 ? 4 : 1;
    (void)c;

    join_follower();
    assert_int_equal(weft_sem_available(&sem), left);
    assert_int_equal(weft_sem_acquire(&sem, left), 0);
    assert_int_equal(weft_sem_try_acquire(&sem, 1), -EAGAIN);
    weft_sem_destroy(&sem);
}

// --- barrier -------------------------------------------------------------------------

static weft_barrier barrier;
static weft_task *partner;

static void barrier_set_up(struct cancel_case *c)
{
    (void)c;
    weft_barrier_init(&barrier, 2);
}

static int barrier_call(struct cancel_case *c)
{
    (void)c;
    return weft_barrier_wait(&barrier);
}

static int arrive(void *arg)
{
    (void)arg;
    return weft_barrier_wait(&barrier);
}

static void barrier_complete(struct cancel_case *c)
{
    (void)c;
    partner = spawn(arrive, NULL);
}

// Two have met: the partner waits for one more if the subject has gone. One of the two
// is told that it was the one.
static void barrier_left(struct cancel_case *c, int result)
{
    (void)c;
    if (result < 0) {
        cancel_await_parked(partner, "barrier");
        assert_false(weft_task_done(partner));
        result = weft_barrier_wait(&barrier);
    }
    assert_int_equal(result + join(partner), 1);
    weft_barrier_destroy(&barrier);
}

// --- once ----------------------------------------------------------------------------

static weft_once once;
static weft_future inside, outcome;
static weft_task *first;

static int enter(void *arg)
{
    intptr_t result;
    (void)arg;

    weft_future_complete(&inside, 0);
    int err = weft_await(&outcome, &result);
    return err ? err : (int)result;
}

static int be_first(void *arg)
{
    (void)arg;
    return weft_once_do(&once, enter, NULL);
}

static void once_set_up(struct cancel_case *c)
{
    (void)c;
    reset_count();
    weft_once_init(&once);
    weft_future_init(&inside);
    weft_future_init(&outcome);
    first = spawn(be_first, NULL);
    assert_int_equal(weft_await(&inside, NULL), 0);
}

static int do_it(void *arg)
{
    (void)arg;
    add(1);
    return 0;
}

static int be_next(void *arg)
{
    (void)arg;
    return weft_once_do(&once, do_it, NULL);
}

static int once_call(struct cancel_case *c)
{
    (void)c;
    return be_next(NULL);
}

static void once_follow(struct cancel_case *c)
{
    (void)c;
    queue_behind(be_next, "once");
}

// arg: the result of the fn for which the others wait.
static void once_complete(struct cancel_case *c)
{
    weft_future_complete(&outcome, *(const int *)c->row->arg);
}

// It was done once: by the first task, or, if that failed, by the next one that was not
// cancelled.
static void once_left(struct cancel_case *c, int result)
{
    int of_first = *(const int *)c->row->arg;
    (void)result;

    join_follower();
    assert_int_equal(join(first), of_first);
    assert_int_equal(counted(), of_first < 0 ? 1 : 0);
    assert_int_equal(be_next(NULL), 0);
    assert_int_equal(counted(), of_first < 0 ? 1 : 0);
    weft_once_destroy(&once);
}

static const int succeeds = 0, fails = -EIO;

// --- event, latch --------------------------------------------------------------------

static weft_event event;

static int wait_event(void *arg)
{
    (void)arg;
    return weft_event_wait(&event);
}

static void event_set_up(struct cancel_case *c)
{
    (void)c;
    weft_event_init(&event);
}

static int event_call(struct cancel_case *c)
{
    (void)c;
    return weft_event_wait(&event);
}

static void event_follow(struct cancel_case *c)
{
    (void)c;
    queue_behind(wait_event, "event");
}

static void event_complete(struct cancel_case *c)
{
    (void)c;
    weft_event_set(&event);
}

static void event_left(struct cancel_case *c, int result)
{
    (void)c, (void)result;
    join_follower();
    assert_true(weft_event_is_set(&event));
    assert_int_equal(weft_event_wait(&event), 0);
    weft_event_reset(&event);
    assert_false(weft_event_is_set(&event));
    weft_event_destroy(&event);
}

static weft_latch latch;

static int wait_latch(void *arg)
{
    (void)arg;
    return weft_latch_wait(&latch);
}

static void latch_set_up(struct cancel_case *c)
{
    (void)c;
    weft_latch_init(&latch, 3);
}

static int latch_call(struct cancel_case *c)
{
    (void)c;
    return weft_latch_wait(&latch);
}

static void latch_follow(struct cancel_case *c)
{
    (void)c;
    queue_behind(wait_latch, "latch");
}

static void latch_complete(struct cancel_case *c)
{
    (void)c;
    weft_latch_count_down(&latch, 2);
    weft_latch_count_down(&latch, 1);
}

static void latch_left(struct cancel_case *c, int result)
{
    (void)c, (void)result;
    join_follower();
    assert_true(weft_latch_done(&latch));
    assert_int_equal(weft_latch_wait(&latch), 0);
    weft_latch_destroy(&latch);
}

// --- drain ---------------------------------------------------------------------------

static weft_drain drain;

static void drain_set_up(struct cancel_case *c)
{
    (void)c;
    weft_drain_init(&drain);
    assert_int_equal(weft_drain_enter(&drain), 0);
}

static int drain_call(struct cancel_case *c)
{
    (void)c;
    return weft_drain_begin(&drain, WEFT_NEVER);
}

static void drain_complete(struct cancel_case *c)
{
    (void)c;
    weft_drain_leave(&drain);
}

// A call that was cut short while it waited has begun the draining; one that came too
// late has done nothing.
static void drain_left(struct cancel_case *c, int result)
{
    if (cancel_comes_first(c)) {
        assert_int_equal(weft_drain_enter(&drain), 0);
        weft_drain_leave(&drain);
    } else if (result == 0 || c->mode != RACING) {
        assert_int_equal(weft_drain_enter(&drain), -ESHUTDOWN);
    }
    assert_int_equal(weft_drain_begin(&drain, weft_now()), 0);
}

// --- the table -----------------------------------------------------------------------

// clang-format off
#define ONCE .what = "once", .set_up = once_set_up, .call = once_call, .follow = once_follow, \
             .complete = once_complete, .left = once_left

static const struct cancel_row rows[] = {
    { "weft_mutex_lock", .what = "mutex", .set_up = mutex_set_up, .call = mutex_call, .follow = mutex_follow,
      .complete = mutex_complete, .left = mutex_left, .at_once = true },
    { "weft_rwlock_read_lock", .what = "read lock", .set_up = read_set_up, .call = read_call, .follow = read_follow,
      .complete = read_complete, .left = rwlock_left, .at_once = true },
    { "weft_rwlock_write_lock", .what = "write lock", .set_up = write_set_up, .call = write_call,
      .follow = write_follow, .freed = join_freed, .complete = write_complete, .left = rwlock_left, .at_once = true },
    { "weft_cond_wait", .what = "condition", .set_up = cond_set_up, .call = cond_call, .follow = cond_follow,
      .complete = cond_complete, .left = cond_left, .at_once = true },
    { "weft_sem_acquire", .what = "semaphore", .set_up = sem_set_up, .call = sem_call, .follow = sem_follow,
      .freed = join_freed, .complete = sem_complete, .left = sem_left, .at_once = true },
    { "weft_barrier_wait", .what = "barrier", .set_up = barrier_set_up, .call = barrier_call,
      .complete = barrier_complete, .left = barrier_left },
    { "weft_once_do: the first succeeds", .arg = &succeeds, ONCE },
    { "weft_once_do: the first fails", .arg = &fails, ONCE },
    { "weft_event_wait", .what = "event", .set_up = event_set_up, .call = event_call, .follow = event_follow,
      .complete = event_complete, .left = event_left, .at_once = true },
    { "weft_latch_wait", .what = "latch", .set_up = latch_set_up, .call = latch_call, .follow = latch_follow,
      .complete = latch_complete, .left = latch_left, .at_once = true },
    { "weft_drain_begin", .what = "drain", .set_up = drain_set_up, .call = drain_call, .complete = drain_complete,
      .left = drain_left, .at_once = true },
};
// clang-format on

static void a_wait_that_is_cut_short_takes_nothing_with_it(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN(rows);
}

static void so_it_is_in_any_order(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN_SEEDS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_that_is_cut_short_takes_nothing_with_it),
        cmocka_unit_test(so_it_is_in_any_order),
    };
    return wf_test_run(tests);
}
