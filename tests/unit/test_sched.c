// The scheduler by itself: no reactor, no timers, and no calls of wf_sched_monitor, so
// that nothing repairs a lost wake. Queues have four slots.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sched/state.h"
#include "tests/support/bell.h"
#include "tests/support/harness.h"
#include "tests/support/threads.h"

// A task of these tests.
struct job {
    struct wf_task core;        // first
    void (*body)(struct job *); // fixed at spawn
    void *arg;                  // fixed at spawn
    struct bell *ended;         // fixed at spawn: rung at the end, or NULL
};

static struct wf_sched *sched;
static struct wf_idle_source idle; // of the next `start`; all zero: none

static int run(struct wf_task *task)
{
    struct job *job = (struct job *)(void *)task;
    job->body(job);
    return 0;
}

static void ended(struct wf_task *task)
{
    struct bell *bell = ((struct job *)(void *)task)->ended;
    wf_sched_task_free(task);
    if (bell)
        bell_ring(bell);
}

static void start(unsigned workers)
{
    struct wf_sched_config cfg = {
        .workers = workers,
        .stack_size = 64 << 10,
        .seed = wf_test_seed(),
        .name = "test",
        .task_size = sizeof(struct job),
        .run = run,
        .ended = ended,
        .idle = idle,
    };
    assert_int_equal(wf_sched_new(&sched, &cfg), 0);
    assert_int_equal(wf_sched_start(sched), 0);
}

static void stop(void)
{
    assert_int_equal(wf_sched_drain(sched, WF_NEVER), 0);
    wf_sched_stop(sched);
    wf_sched_free(sched);
}

static struct job *make(void (*body)(struct job *), void *arg, struct bell *bell)
{
    int err = 0;
    struct wf_task *task = wf_sched_task_new(sched, &err);
    assert_non_null(task);
    struct job *job = (struct job *)(void *)task;
    job->body = body;
    job->arg = arg;
    job->ended = bell;
    return job;
}

static void spawn(void (*body)(struct job *), void *arg, struct bell *bell)
{
    wf_sched_submit(&make(body, arg, bell)->core);
}

static void do_nothing(struct job *job)
{
    (void)job;
}

// --- the monitor ---------------------------------------------------------------------

static void count_call(void *calls)
{
    wf_fetch_add_acq_rel((_Atomic uint32_t *)calls, 1u);
}

static void spawn_second(struct job *job)
{
    spawn(do_nothing, NULL, job->arg);
}

// While all workers sleep, no thread looks at them.
static void a_worker_with_a_second_task_calls_the_monitor(void **state)
{
    static _Atomic uint32_t calls;
    struct bell bell = { 0 };
    (void)state;

    idle = (struct wf_idle_source){ .self = (void *)&calls, .notify_awake = count_call };
    start(1);
    while (!wf_idle_all_asleep(&sched->idle))
        sched_yield();
    spawn(spawn_second, &bell, NULL);
    bell_wait(&bell, 1);
    assert_true(wf_load_acquire(&calls) > 0);
    stop();
    idle = (struct wf_idle_source){ 0 };
}

// --- [I1] with the real workers ------------------------------------------------------

static struct threads threads;
static unsigned rounds;

static void *spawn_and_wait(void *arg)
{
    struct bell bell = { 0 };

    (void)arg;
    threads_ready(&threads);
    for (unsigned round = 1; round <= rounds; round++) {
        spawn(do_nothing, NULL, &bell);
        bell_wait(&bell, round);
    }
    return NULL;
}

static void a_task_from_outside_is_never_left_lying(void **state)
{
    (void)state;
    rounds = wf_test_rounds(20000);
    for (unsigned workers = 1; workers <= 3; workers++) {
        start(workers);
        threads_init(&threads, 2);
        threads_add(&threads, spawn_and_wait, NULL);
        threads_add(&threads, spawn_and_wait, NULL);
        threads_join(&threads);
        stop();
    }
}

// --- pinned tasks --------------------------------------------------------------------

enum { PINNED = 12 };

struct guest {
    struct wf_task *task;    // written by the task, before its first answer
    _Atomic unsigned asked;  // A: by the test
    _Atomic unsigned strays; // A: by the task: how often it found itself on another worker
};

static struct guest guests[PINNED];
static struct bell answers;

static void stay_at_home(struct job *job)
{
    struct guest *guest = job->arg;
    unsigned home = wf_sched_worker_index(sched);

    guest->task = wf_self();
    for (unsigned round = 1;; round++) {
        bell_ring(&answers);
        while (wf_load_acquire(&guest->asked) < round)
            wf_park(wf_self(), "a question", 0);
        if (wf_sched_worker_index(sched) != home)
            wf_fetch_add_relaxed(&guest->strays, 1);
        if (round % 8 == 0)
            wf_yield(wf_self());
        if (wf_task_cancel_pending(wf_self()))
            return;
    }
}

static void spawn_pinned(struct job *job)
{
    for (int i = 0; i < PINNED; i++) {
        struct job *guest = make(stay_at_home, &guests[i], job->arg);
        guest->core.pinned = true;
        wf_sched_submit(&guest->core);
    }
}

// All are woken at once, by a thread that is not a worker, while the workers sleep;
// each must wake up.
static void a_pinned_task_is_woken_from_outside_and_stays_at_home(void **state)
{
    struct bell done = { 0 };
    (void)state;
    memset(guests, 0, sizeof(guests));
    answers = (struct bell){ 0 };
    start(3);
    spawn(spawn_pinned, &done, NULL);
    rounds = wf_test_rounds(2000);
    for (unsigned round = 1; round <= rounds; round++) {
        bell_wait(&answers, round * PINNED);
        for (int i = 0; i < PINNED; i++)
            wf_store_release(&guests[i].asked, round);
        for (int i = 0; i < PINNED; i++)
            wf_task_wake(guests[i].task);
    }
    bell_wait(&answers, (rounds + 1) * PINNED);
    for (int i = 0; i < PINNED; i++) {
        wf_store_release(&guests[i].asked, UINT32_MAX);
        wf_task_cancel(guests[i].task);
    }
    bell_wait(&done, PINNED);
    for (int i = 0; i < PINNED; i++)
        assert_int_equal(wf_load_relaxed(&guests[i].strays), 0);
    stop();
}

// --- full queues ---------------------------------------------------------------------

static void yield_a_few_times(struct job *job)
{
    (void)job;
    for (int i = 0; i < 5; i++)
        wf_yield(wf_self());
}

static void spawn_many(struct job *job)
{
    struct bell *bell = job->arg;
    for (int i = 0; i < 500; i++)
        spawn(i % 2 ? yield_a_few_times : do_nothing, NULL, bell);
}

static void what_the_queues_do_not_hold_is_not_lost(void **state)
{
    (void)state;
    rounds = wf_test_rounds(100);
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct bell bell = { 0 };
        start(workers);
        for (unsigned round = 1; round <= rounds; round++) {
            spawn(spawn_many, &bell, NULL);
            bell_wait(&bell, 500 * round);
        }
        stop();
    }
}

enum { YIELDERS = 20, YIELDS = 4000 };

// One worker, so no two tasks run at a time.
static unsigned progress[YIELDERS];
static unsigned least; // the slowest one's progress when the first was done

static void yield_and_count(struct job *job)
{
    unsigned *own = job->arg;

    while (*own < YIELDS) {
        ++*own;
        wf_yield(&job->core);
    }
    if (least > 0)
        return;
    least = YIELDS;
    for (int i = 0; i < YIELDERS; i++)
        least = progress[i] < least ? progress[i] : least;
}

static void spawn_yielders(struct job *job)
{
    for (int i = 0; i < YIELDERS; i++)
        spawn(yield_and_count, &progress[i], job->arg);
}

static void tasks_that_yield_make_equal_progress(void **state)
{
    struct bell bell = { 0 };
    (void)state;
    memset(progress, 0, sizeof(progress));
    least = 0;
    start(1);
    spawn(spawn_yielders, &bell, NULL);
    bell_wait(&bell, YIELDERS);
    assert_true(least > YIELDS / 2);
    stop();
}

// --- the next slot -------------------------------------------------------------------

// Two tasks that wake each other, and compute after the wake: so the woken one waits in
// the next slot, and the monitor, which looks very often here, finds its worker stuck,
// and lets thieves take it.
struct pair {
    struct player {
        struct pair *pair;              // fixed
        unsigned number;                // fixed
        _Atomic(struct wf_task *) task; // A: written by the task, first
        _Atomic bool running;           // A: written by the task
    } players[2];
    _Atomic unsigned turn; // A
    _Atomic unsigned last; // the round after which both end: written by the first, before its last move
};

enum { PAIRS = 1, STEALS = 100 };

static struct pair pairs[PAIRS];
static _Atomic bool enough; // A: written by the watch: the game may end

// compute takes long enough now and then for a thief to wake up and come.
static void compute(struct wf_test_rand *r)
{
    for (unsigned n = wf_test_below(r, 8) ? wf_test_below(r, 4000) : 2000000; n > 0; n--)
        __asm__ volatile("");
}

static void play(struct job *job)
{
    struct player *self = job->arg, *other = &self->pair->players[!self->number];
    struct wf_test_rand r = wf_test_rand((uint64_t)(self - pairs[0].players));
    struct wf_task *woken;

    wf_store_release(&self->task, &job->core);
    // relaxed: the second may see it late, or early: the rounds before it are played in
    // any case
    for (unsigned round = 0; round <= wf_load_relaxed(&self->pair->last); round++) {
        while (wf_load_acquire(&self->pair->turn) != 2 * round + self->number) {
            wf_park(&job->core, "the other's move", 0);
            assert_true(wf_load_relaxed(&job->core.word) & WF_TASK_ACTIVE); // else it was resumed, but not woken
        }
        assert_false(wf_exchange_acq_rel(&self->running, true));
        if (self->number == 0 && wf_load_acquire(&enough))
            wf_store_relaxed(&self->pair->last, round); // relaxed: as above; `turn` brings it to the second
        wf_fetch_add_acq_rel(&self->pair->turn, 1);
        if ((woken = wf_load_acquire(&other->task)))
            wf_task_wake(woken);
        compute(&r);
        assert_true(wf_exchange_acq_rel(&self->running, false));
    }
}

// watch ends the game when enough tasks have been stolen, from the next slot: nothing
// else is queued.
static void *watch(void *ended)
{
    struct wf_sched_stats stats = { 0 };

    while (bell_count(ended) < 2 * PAIRS) {
        usleep(50); // a thief needs a processor, too
        wf_sched_monitor(sched);
        wf_sched_stats(sched, &stats);
        if (stats.steals >= wf_test_rounds(STEALS))
            wf_store_release(&enough, true);
    }
    return NULL;
}

static void who_waits_in_the_next_slot_of_a_hog_is_taken_once(void **state)
{
    struct bell bell = { 0 };
    pthread_t watcher;
    (void)state;
    memset(pairs, 0, sizeof(pairs));
    enough = false;
    start(3); // two are idle, and may be sent to steal
    assert_int_equal(pthread_create(&watcher, NULL, watch, &bell), 0);
    for (unsigned i = 0; i < 2 * PAIRS; i++) {
        struct player *player = &pairs[i / 2].players[i % 2];
        player->pair = &pairs[i / 2];
        player->number = i % 2;
        wf_store_relaxed(&pairs[i / 2].last, UINT32_MAX - 1u); // relaxed: the game has not begun
        spawn(play, player, &bell);
    }
    bell_wait(&bell, 2 * PAIRS);
    assert_int_equal(pthread_join(watcher, NULL), 0);
    stop();
}

// --- long turns ----------------------------------------------------------------------

struct worker_bee {
    _Atomic(struct wf_task *) task; // A: set by itself
    struct bell begun, go;          // rung at the beginning of a turn; to end it
    uint64_t slice;                 // of its thread, in its last turn
    uint64_t child_slice;           // of a child of fork, made then
    _Atomic bool over;              // A: the present turn is the last
};

static uint64_t slice_of_thread(void)
{
    struct wf_sched_attr attr = { 0 };
    return wf_slice_read(&attr) ? attr.runtime : 0;
}

// slice_of_child is in milliseconds.
static uint64_t slice_of_child(void)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        _exit((int)(slice_of_thread() / 1000000));
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return (uint64_t)WEXITSTATUS(status);
}

// toil has turns as many, and each as long, as the test wants.
static void toil(struct job *job)
{
    struct worker_bee *bee = job->arg;

    wf_store_release(&bee->task, &job->core);
    for (unsigned turn = 1;; turn++) {
        bee->slice = slice_of_thread();
        if (turn < 3)
            bee->child_slice = slice_of_child();
        bell_ring(&bee->begun);
        while (bell_count(&bee->go) < turn)
            ;
        if (wf_load_acquire(&bee->over))
            return;
        wf_park(&job->core, "the next turn", 0);
    }
}

// begin_turn begins a bee's next one, with all workers asleep. Returns: how many wakes
// by workers it took.
static uint64_t begin_turn(struct worker_bee *bee, unsigned turn)
{
    struct wf_sched_stats before, after;

    while (!wf_idle_all_asleep(&sched->idle))
        sched_yield();
    wf_sched_stats(sched, &before);
    if (turn == 1)
        spawn(toil, bee, NULL);
    else
        wf_task_wake(wf_load_acquire(&bee->task));
    bell_wait(&bee->begun, turn);
    wf_sched_stats(sched, &after);
    return after.wakes - before.wakes;
}

// longest_slice is what the kernel makes of WF_SLICE_LONG: 0 if it takes no notice.
static uint64_t longest_slice(void)
{
    wf_slice_ask(WF_SLICE_LONG);
    uint64_t got = slice_of_thread();
    wf_slice_ask(WF_SLICE_USUAL);
    return got == WF_SLICE_LONG ? WF_SLICE_LONG : 0;
}

static void a_task_whose_last_turn_was_long_makes_way_for_others(void **state)
{
    struct worker_bee bee = { .slice = 0 };
    uint64_t longest = longest_slice();
    (void)state;

    start(2);
    assert_int_equal(begin_turn(&bee, 1), 0);
    assert_true(bee.slice < WF_SLICE_LONG);
    while (!(wf_sched_monitor(sched) & WF_MONITOR_STUCK))
        usleep(1000); // it computes during this time
    bell_ring(&bee.go);

    assert_int_equal(begin_turn(&bee, 2), 1); // the other worker is sent to poll
    assert_true(longest == 0 || bee.slice == longest);
    assert_true(bee.child_slice < WF_SLICE_LONG / 1000000);
    bell_ring(&bee.go);

    // A turn that is short, on a machine that may be busy.
    unsigned turn = 3;
    for (int64_t took = WF_LONG_NS; took >= WF_LONG_NS; turn++) {
        int64_t from = wf_now();
        begin_turn(&bee, turn);
        bell_ring(&bee.go);
        while (!wf_idle_all_asleep(&sched->idle))
            sched_yield();
        took = wf_now() - from;
    }
    wf_store_release(&bee.over, true);
    assert_int_equal(begin_turn(&bee, turn), 0);
    assert_true(bee.slice < WF_SLICE_LONG);
    bell_ring(&bee.go);
    stop();
}

// --- the end -------------------------------------------------------------------------

static void park_until_cancelled(struct job *job)
{
    bell_ring(job->arg);
    while (!wf_task_cancel_pending(wf_self()))
        wf_park(wf_self(), "the end", 0);
}

static void a_drain_cancels_all_and_refuses_new_ones(void **state)
{
    struct bell begun = { 0 };
    int err = 0;
    (void)state;
    start(2);
    for (int i = 0; i < 100; i++)
        spawn(park_until_cancelled, &begun, NULL);
    bell_wait(&begun, 100);
    assert_int_equal(wf_sched_drain(sched, WF_NEVER), 0);
    assert_null(wf_sched_task_new(sched, &err));
    assert_int_equal(err, -ECANCELED);
    stop();
}

static void hold_out(struct job *job)
{
    struct bell *go = job->arg;
    while (bell_count(go) == 0)
        wf_yield(wf_self());
}

static void a_drain_gives_up_at_its_deadline_and_may_be_called_again(void **state)
{
    struct bell go = { 0 };
    (void)state;
    start(2);
    spawn(hold_out, &go, NULL);
    assert_int_equal(wf_sched_drain(sched, 0), -ETIMEDOUT);
    bell_ring(&go);
    stop();
}

struct told {
    unsigned starved, fed;
    struct wf_stack *reserve; // which all starved tasks had
};

static void tell_starved(struct job *job)
{
    struct told *told = job->arg;

    if (!wf_task_starved(&job->core)) {
        told->fed++;
        assert_ptr_not_equal(job->core.stack, told->reserve);
        return;
    }
    assert_true(wf_task_cancel_pending(&job->core));
    assert_true(told->reserve == NULL || job->core.stack == told->reserve);
    told->reserve = job->core.stack;
    told->starved++;
}

// One after the other, however many there are.
static void a_task_that_gets_no_stack_runs_on_the_reserve(void **state)
{
    enum { N = 10 };
    struct bell bell = { 0 };
    struct told told = { 0 };
    struct job *jobs[N];
    (void)state;

    start(1);
    for (int i = 0; i < N; i++)
        jobs[i] = make(tell_starved, &told, &bell);
    wf_mem_fail_at(1, true);
    for (int i = 0; i < N; i++)
        wf_sched_submit(&jobs[i]->core);
    bell_wait(&bell, N);
    wf_mem_fail_at(0, false);
    assert_int_equal(told.starved, N);
    for (unsigned i = 1; i <= 2 * N; i++) {
        spawn(tell_starved, &told, &bell);
        bell_wait(&bell, N + i);
    }
    stop();
    assert_int_equal(told.starved, N);
    assert_int_equal(told.fed, 2 * N);
}

// Wherever making or starting fails, nothing is left behind (the leak checkers look),
// and there is an error.
static void it_starts_or_says_why_not(void **state)
{
    int err = 0;
    (void)state;
    do {
        static long at;
        struct wf_sched_config cfg = { .workers = 2,
                                       .stack_size = 64 << 10,
                                       .name = "test",
                                       .run = run,
                                       .ended = ended,
                                       .task_size = sizeof(struct job) };
        wf_mem_fail_at(++at, false);
        err = wf_sched_new(&sched, &cfg);
        if (!err) {
            err = wf_sched_start(sched);
            if (err)
                wf_sched_free(sched);
        }
        // For each worker a stack (of the first: and its slab), a stack for signals, what
        // its thread is given, the thread.
        assert_int_equal(err, at == 8 || at == 12 ? -EAGAIN : at <= 11 ? -ENOMEM : 0);
    } while (err);
    wf_mem_fail_at(0, false);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_with_a_second_task_calls_the_monitor),
        cmocka_unit_test(a_task_from_outside_is_never_left_lying),
        cmocka_unit_test(a_pinned_task_is_woken_from_outside_and_stays_at_home),
        cmocka_unit_test(what_the_queues_do_not_hold_is_not_lost),
        cmocka_unit_test(tasks_that_yield_make_equal_progress),
        cmocka_unit_test(who_waits_in_the_next_slot_of_a_hog_is_taken_once),
        cmocka_unit_test(a_task_whose_last_turn_was_long_makes_way_for_others),
        cmocka_unit_test(a_drain_cancels_all_and_refuses_new_ones),
        cmocka_unit_test(a_drain_gives_up_at_its_deadline_and_may_be_called_again),
        cmocka_unit_test(a_task_that_gets_no_stack_runs_on_the_reserve),
        cmocka_unit_test(it_starts_or_says_why_not),
    };
    return wf_test_run(tests);
}
