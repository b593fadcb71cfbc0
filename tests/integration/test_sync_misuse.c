// Misuse of locks and the like stops the program, with one sentence that names the task
// and the rule.
#include "tests/support/left.h"
#include "tests/support/locks.h"
#include "tests/support/misuse.h"

static weft_mutex mutex = WEFT_MUTEX_INIT, other_mutex = WEFT_MUTEX_INIT;
static weft_rwlock rwlock = WEFT_RWLOCK_INIT;
static weft_cond cond = WEFT_COND_INIT;
static weft_sem sem = WEFT_SEM_INIT(0);
static weft_barrier barrier = WEFT_BARRIER_INIT(2);
static weft_once once = WEFT_ONCE_INIT;
static weft_event event = WEFT_EVENT_INIT;
static weft_latch latch = WEFT_LATCH_INIT(2);

// --- what one holds, and does not ----------------------------------------------------

static int locks_twice(void *arg)
{
    (void)arg;
    lock(&mutex);
    return weft_mutex_lock(&mutex);
}

static int unlocks_what_is_free(void *arg)
{
    (void)arg;
    weft_mutex_unlock(&mutex);
    return 0;
}

static int unlock_it(void *arg)
{
    weft_mutex_unlock(arg);
    return 0;
}

static int has_it_unlocked_by_another(void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;
    (void)arg;

    lock(&mutex);
    opts.name = "the culprit";
    assert_int_equal(weft_spawn_with(&t, &opts, unlock_it, &mutex), 0);
    return join(t);
}

static int destroys_a_locked_mutex(void *arg)
{
    (void)arg;
    lock(&mutex);
    weft_mutex_destroy(&mutex);
    return 0;
}

static int read_unlocks_what_is_free(void *arg)
{
    (void)arg;
    weft_rwlock_read_unlock(&rwlock);
    return 0;
}

static int read_unlocks_what_it_writes(void *arg)
{
    int err = weft_rwlock_write_lock(&rwlock);
    (void)arg;
    weft_rwlock_read_unlock(&rwlock);
    return err;
}

static int write_unlocks_what_it_reads(void *arg)
{
    int err = weft_rwlock_read_lock(&rwlock);
    (void)arg;
    weft_rwlock_write_unlock(&rwlock);
    return err;
}

static int writes_twice(void *arg)
{
    int err = weft_rwlock_write_lock(&rwlock);
    (void)arg;
    return err ? err : weft_rwlock_write_lock(&rwlock);
}

static int reads_what_it_writes(void *arg)
{
    int err = weft_rwlock_write_lock(&rwlock);
    (void)arg;
    return err ? err : weft_rwlock_read_lock(&rwlock);
}

static int destroys_a_locked_rwlock(void *arg)
{
    int err = weft_rwlock_read_lock(&rwlock);
    (void)arg;
    weft_rwlock_destroy(&rwlock);
    return err;
}

static int waits_without_the_mutex(void *arg)
{
    (void)arg;
    return weft_cond_wait(&cond, &mutex);
}

static int waits_without_the_mutex_when_cancelled(void *arg)
{
    (void)arg;
    weft_task_cancel(weft_self());
    return weft_cond_wait(&cond, &mutex);
}

static int wait_with(void *arg)
{
    lock(arg);
    return weft_cond_wait(&cond, arg);
}

static int waits_with_another_mutex(void *arg)
{
    (void)arg;
    spawn_parked(wait_with, &other_mutex, "condition");
    return wait_with(&mutex);
}

static int does_it_in_itself(void *arg)
{
    return weft_once_do(&once, does_it_in_itself, arg);
}

// --- more than there is --------------------------------------------------------------

static int releases_too_many(void *arg)
{
    (void)arg;
    weft_sem_release(&sem, WEFT_SEM_MAX);
    weft_sem_release(&sem, 1);
    return 0;
}

static int releases_far_too_many(void *arg)
{
    (void)arg;
    weft_sem_release(&sem, SIZE_MAX);
    return 0;
}

static int acquire_most(void *arg)
{
    (void)arg;
    return weft_sem_acquire(&sem, WEFT_SEM_MAX);
}

static int releases_too_many_to_a_waiter(void *arg)
{
    (void)arg;
    spawn_parked(acquire_most, NULL, "semaphore");
    weft_sem_release(&sem, WEFT_SEM_MAX - 1);
    weft_sem_release(&sem, 2);
    return 0;
}

static int acquires_too_many(void *arg)
{
    (void)arg;
    return weft_sem_acquire(&sem, WEFT_SEM_MAX + 1);
}

static int tries_too_many(void *arg)
{
    (void)arg;
    return weft_sem_try_acquire(&sem, WEFT_SEM_MAX + 1);
}

static int begins_with_too_many(void *arg)
{
    (void)arg;
    weft_sem_init(&sem, WEFT_SEM_MAX + 1);
    return 0;
}

static int counts_below_zero(void *arg)
{
    (void)arg;
    weft_latch_count_down(&latch, 1);
    weft_latch_count_down(&latch, 2);
    return 0;
}

static int meets_nobody(void *arg)
{
    (void)arg;
    weft_barrier_init(&barrier, 0);
    return 0;
}

// --- destroyed while a task waits ----------------------------------------------------

static int wait_mutex(void *arg)
{
    (void)arg;
    return weft_mutex_lock(&mutex);
}

static int destroys_a_mutex_with_waiters(void *arg)
{
    (void)arg;
    lock(&mutex);
    spawn_parked(wait_mutex, NULL, "mutex");
    weft_mutex_destroy(&mutex);
    return 0;
}

static int wait_rwlock(void *arg)
{
    (void)arg;
    return weft_rwlock_write_lock(&rwlock);
}

static int destroys_a_rwlock_with_waiters(void *arg)
{
    int err = weft_rwlock_read_lock(&rwlock);
    (void)arg;
    spawn_parked(wait_rwlock, NULL, "write lock");
    weft_rwlock_destroy(&rwlock);
    return err;
}

static int destroys_a_cond_with_waiters(void *arg)
{
    (void)arg;
    spawn_parked(wait_with, &mutex, "condition");
    weft_cond_destroy(&cond);
    return 0;
}

static int wait_sem(void *arg)
{
    (void)arg;
    return weft_sem_acquire(&sem, 1);
}

static int destroys_a_sem_with_waiters(void *arg)
{
    (void)arg;
    spawn_parked(wait_sem, NULL, "semaphore");
    weft_sem_destroy(&sem);
    return 0;
}

static int wait_barrier(void *arg)
{
    (void)arg;
    return weft_barrier_wait(&barrier);
}

static int destroys_a_barrier_with_waiters(void *arg)
{
    (void)arg;
    spawn_parked(wait_barrier, NULL, "barrier");
    weft_barrier_destroy(&barrier);
    return 0;
}

static int park(void *arg)
{
    (void)arg;
    return weft_sleep_until(WEFT_NEVER);
}

static int park_in_once(void *arg)
{
    return weft_once_do(&once, park, arg);
}

static int destroys_once_that_is_being_done(void *arg)
{
    (void)arg;
    spawn_parked(park_in_once, NULL, "sleep");
    weft_once_destroy(&once);
    return 0;
}

static int destroys_once_with_waiters(void *arg)
{
    (void)arg;
    spawn_parked(park_in_once, NULL, "sleep");
    spawn_parked(park_in_once, NULL, "once");
    weft_once_destroy(&once);
    return 0;
}

static int wait_event(void *arg)
{
    (void)arg;
    return weft_event_wait(&event);
}

static int destroys_an_event_with_waiters(void *arg)
{
    (void)arg;
    spawn_parked(wait_event, NULL, "event");
    weft_event_destroy(&event);
    return 0;
}

static int wait_latch(void *arg)
{
    (void)arg;
    return weft_latch_wait(&latch);
}

static int destroys_a_latch_with_waiters(void *arg)
{
    (void)arg;
    spawn_parked(wait_latch, NULL, "latch");
    weft_latch_destroy(&latch);
    return 0;
}

static const struct misuse by_tasks[] = {
    { locks_twice, { "weft_mutex_lock", "holds the mutex already" } },
    { unlocks_what_is_free, { "weft_mutex_unlock", "does not hold the mutex" } },
    { has_it_unlocked_by_another, { "weft_mutex_unlock", "does not hold the mutex" } },
    { destroys_a_locked_mutex, { "weft_mutex_destroy", "holds the mutex" } },
    { read_unlocks_what_is_free, { "weft_rwlock_read_unlock", "nobody holds the lock for reading" } },
    { read_unlocks_what_it_writes, { "weft_rwlock_read_unlock", "nobody holds the lock for reading" } },
    { write_unlocks_what_it_reads, { "weft_rwlock_write_unlock", "does not hold the lock for writing" } },
    { writes_twice, { "weft_rwlock_write_lock", "holds the lock for writing" } },
    { reads_what_it_writes, { "weft_rwlock_read_lock", "holds the lock for writing" } },
    { destroys_a_locked_rwlock, { "weft_rwlock_destroy", "holds the lock" } },
    { waits_without_the_mutex, { "weft_cond_wait", "does not hold the mutex" } },
    { waits_without_the_mutex_when_cancelled, { "weft_cond_wait", "does not hold the mutex" } },
    { waits_with_another_mutex, { "weft_cond_wait", "another mutex" } },
    { does_it_in_itself, { "weft_once_do", "waits for itself" } },
    { releases_too_many, { "weft_sem_release", "beyond WEFT_SEM_MAX" } },
    { releases_far_too_many, { "weft_sem_release", "beyond WEFT_SEM_MAX" } },
    { releases_too_many_to_a_waiter, { "weft_sem_release", "beyond WEFT_SEM_MAX" } },
    { acquires_too_many, { "weft_sem_acquire", "more than WEFT_SEM_MAX" } },
    { tries_too_many, { "weft_sem_try_acquire", "more than WEFT_SEM_MAX" } },
    { begins_with_too_many, { "weft_sem_init", "more than WEFT_SEM_MAX" } },
    { counts_below_zero, { "weft_latch_count_down", "by 2, where 1 are left" } },
    { meets_nobody, { "weft_barrier_init", "1 task or more" } },
    { destroys_a_mutex_with_waiters, { "weft_mutex_destroy", "somebody waits" } },
    { destroys_a_rwlock_with_waiters, { "weft_rwlock_destroy", "somebody waits" } },
    { destroys_a_cond_with_waiters, { "weft_cond_destroy", "somebody waits" } },
    { destroys_a_sem_with_waiters, { "weft_sem_destroy", "somebody waits" } },
    { destroys_a_barrier_with_waiters, { "weft_barrier_destroy", "somebody waits" } },
    { destroys_once_that_is_being_done, { "weft_once_destroy", "a task is at it" } },
    { destroys_once_with_waiters, { "weft_once_destroy", "somebody waits" } },
    { destroys_an_event_with_waiters, { "weft_event_destroy", "somebody waits" } },
    { destroys_a_latch_with_waiters, { "weft_latch_destroy", "somebody waits" } },
};

static void misuse_by_a_task_names_it_and_the_rule(void **state)
{
    (void)state;
    misuse_try(by_tasks, wf_countof(by_tasks), true);
}

// --- outside a task ------------------------------------------------------------------

static int tries_mutex(void *arg)
{
    (void)arg;
    return weft_mutex_try_lock(&mutex);
}

static int reads(void *arg)
{
    (void)arg;
    return weft_rwlock_read_lock(&rwlock);
}

static int tries_to_read(void *arg)
{
    (void)arg;
    return weft_rwlock_try_read_lock(&rwlock);
}

static int tries_to_write(void *arg)
{
    (void)arg;
    return weft_rwlock_try_write_lock(&rwlock);
}

static int write_unlocks(void *arg)
{
    (void)arg;
    weft_rwlock_write_unlock(&rwlock);
    return 0;
}

static const struct misuse outside[] = {
    { wait_mutex, { "weft_mutex_lock", "only be called by a task" } },
    { tries_mutex, { "weft_mutex_try_lock", "only be called by a task" } },
    { unlocks_what_is_free, { "weft_mutex_unlock", "only be called by a task" } },
    { reads, { "weft_rwlock_read_lock", "only be called by a task" } },
    { wait_rwlock, { "weft_rwlock_write_lock", "only be called by a task" } },
    { tries_to_read, { "weft_rwlock_try_read_lock", "only be called by a task" } },
    { tries_to_write, { "weft_rwlock_try_write_lock", "only be called by a task" } },
    { read_unlocks_what_is_free, { "weft_rwlock_read_unlock", "only be called by a task" } },
    { write_unlocks, { "weft_rwlock_write_unlock", "only be called by a task" } },
    { waits_without_the_mutex, { "weft_cond_wait", "only be called by a task" } },
    { wait_sem, { "weft_sem_acquire", "only be called by a task" } },
    { wait_barrier, { "weft_barrier_wait", "only be called by a task" } },
    { park_in_once, { "weft_once_do", "only be called by a task" } },
    { wait_event, { "weft_event_wait", "only be called by a task" } },
    { wait_latch, { "weft_latch_wait", "only be called by a task" } },
    { releases_too_many, { "weft_sem_release", "beyond WEFT_SEM_MAX" } },
    { counts_below_zero, { "weft_latch_count_down", "where 1 are left" } },
};

static void misuse_outside_a_task_names_the_rule(void **state)
{
    (void)state;
    misuse_try(outside, wf_countof(outside), false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(misuse_by_a_task_names_it_and_the_rule),
        left_test(misuse_outside_a_task_names_the_rule),
    };
    return wf_test_run(tests);
}
