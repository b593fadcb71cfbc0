// The lease, the interrupt, and the reactor thread between them. A test that waits for
// an action of the thread waits as long as that takes: a bug shows as a hang, which
// ctest ends.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "reactor/state.h"
#include "reactor/interrupt.h"
#include "reactor/turn.h"
#include "tests/support/bell.h"
#include "tests/support/harness.h"

#define MS INT64_C(1000000)

static struct wf_reactor *reactor;
static struct wf_idle_source idle;
static bool one_worker; // what the next `start` says

// The workers, as the reactor sees them.
static _Atomic unsigned says;                // what `watch` returns
static _Atomic uint32_t looks;               // how often it was called
static _Atomic pid_t looker;                 // and by which thread
static _Atomic uint32_t begun, flushed, odd; // batches; calls out of turn

static void batch_begin(void *self)
{
    (void)self;
    wf_fetch_add_acq_rel(&begun, 1u);
}

static void batch_flush(void *self)
{
    (void)self;
    if (wf_load_acquire(&begun) != wf_fetch_add_acq_rel(&flushed, 1u) + 1)
        wf_fetch_add_acq_rel(&odd, 1u);
}

static unsigned watch(void *self)
{
    (void)self;
    wf_store_release(&looker, gettid());
    wf_fetch_add_acq_rel(&looks, 1u);
    return wf_load_acquire(&says);
}

static const struct wf_reactor_hooks hooks = { .batch_begin = batch_begin,
                                               .batch_flush = batch_flush,
                                               .monitor = watch };

static int setup(void **state)
{
    (void)state;
    wf_store_release(&says, 0u);
    assert_int_equal(wf_reactor_new(&reactor, 2), 0);
    idle = wf_reactor_idle_source(reactor);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    one_worker = false;
    wf_reactor_stop(reactor);
    assert_int_equal(wf_load_acquire(&reactor->lease.word), WF_LEASE_FREE);
    assert_int_equal(wf_load_acquire(&begun), wf_load_acquire(&flushed));
    assert_int_equal(wf_load_acquire(&odd), 0);
    wf_reactor_free(reactor);
    return 0;
}

// start returns when the thread has looked at the workers, which is the first that it
// does.
static void start(unsigned watch_says)
{
    uint32_t before = wf_load_acquire(&looks);

    wf_store_release(&says, watch_says);
    struct wf_reactor_hooks told = hooks;
    told.one_worker = one_worker;
    assert_int_equal(wf_reactor_start(reactor, &told, "a name longer than a thread's may be"), 0);
    while (wf_load_acquire(&looks) == before)
        sched_yield();
}

static void borrow(void)
{
    while (!idle.borrow(reactor))
        sched_yield();
}

static void wait_for_looks(uint32_t more)
{
    uint32_t from = wf_load_acquire(&looks);
    while (wf_load_acquire(&looks) - from < more)
        sched_yield();
}

// wait_for_standby waits until the thread sleeps in epoll, and does not look at the
// workers.
static void wait_for_standby(void)
{
    while (!wf_load_acquire(&reactor->monitor_paused) || wf_load_acquire(&reactor->parker.state) != WF_PARKER_ELSEWHERE)
        sched_yield();
}

static uint64_t wakes(void)
{
    struct wf_reactor_stats stats;

    wf_reactor_stats(reactor, &stats);
    return stats.wakes;
}

// A descriptor, and a waiter for it.
struct line {
    int fd;
    int to; // where to write for it
    struct wf_source *source;
    struct wf_cell_node node;
    struct bell bell;
};

static void line_open(struct line *l)
{
    *l = (struct line){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
    l->to = l->fd;
    assert_true(l->fd >= 0);
    assert_int_equal(wf_source_register(reactor, l->fd, &l->source, &(uint32_t){ 0 }), 0);
}

// line_open_pipe: each write is one event, and a read is none, as it is of an eventfd.
static void line_open_pipe(struct line *l)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    *l = (struct line){ .fd = ends[0], .to = ends[1] };
    assert_int_equal(wf_source_register(reactor, l->fd, &l->source, &(uint32_t){ 0 }), 0);
}

static void line_write(struct line *l)
{
    uint64_t one = 1;
    assert_int_equal(write(l->to, &one, sizeof(one)), sizeof(one));
}

// line_try reads; if there is nothing, it clears what it saw before, as a task does.
// Returns: whether it has read.
static bool line_try(struct line *l)
{
    uintptr_t seen = wf_cell_value(&l->source->ready[WF_READ]);
    uint64_t n;

    if (read(l->fd, &n, sizeof(n)) == sizeof(n))
        return true;
    assert_int_equal(errno, EAGAIN);
    if (seen)
        wf_cell_clear(&l->source->ready[WF_READ], seen);
    return false;
}

// line_park begins to wait. Returns: false if the line may be ready already.
static bool line_park(struct line *l)
{
    l->node = (struct wf_cell_node){ .waker = bell_waker(&l->bell) };
    return wf_cell_push(&l->source->ready[WF_READ], &l->node);
}

// line_wait waits for the bell, and until its ringer has released the node.
static void line_wait(struct line *l, uint32_t times)
{
    bell_wait(&l->bell, times);
    while (!wf_cell_signalled(&l->node))
        sched_yield();
}

// line_read reads, waiting for as long as there is nothing.
static void line_read(struct line *l)
{
    for (;;) {
        uint32_t rung = bell_count(&l->bell);
        if (line_try(l))
            return;
        if (line_park(l))
            line_wait(l, rung + 1);
    }
}

// line_turn waits, then writes the byte that it waits for, so that some thread has to
// dispatch it.
static void line_turn(struct line *l)
{
    uint32_t rung = bell_count(&l->bell);

    do
        line_try(l);
    while (!line_park(l));
    line_write(l);
    line_wait(l, rung + 1);
    line_read(l);
}

static void line_close(struct line *l)
{
    assert_true(wf_source_forget(reactor, l->fd));
    assert_int_equal(close(l->fd), 0);
}

static void one_at_a_time_has_the_lease(void **state)
{
    struct wf_lease l = { WF_LEASE_FREE };

    (void)state;
    assert_true(wf_lease_borrow(&l));
    assert_false(wf_lease_borrow(&l));
    wf_lease_return(&l);
    assert_true(wf_lease_borrow(&l));
}

// What a lease protects, here a plain number.
struct shared {
    struct wf_lease lease;
    unsigned n, rounds;
};

static void *borrow_and_count(void *arg)
{
    struct shared *shared = arg;

    for (unsigned i = 0; i < shared->rounds; i++) {
        while (!wf_lease_borrow(&shared->lease))
            sched_yield();
        shared->n++; // a race, for TSan, unless L1 orders it
        wf_lease_return(&shared->lease);
    }
    return NULL;
}

static void a_holder_sees_what_the_last_one_did(void **state)
{
    struct shared shared = { .lease = { WF_LEASE_FREE }, .rounds = wf_test_rounds(2000) };
    pthread_t threads[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, borrow_and_count, &shared), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared.n, 2 * shared.rounds);
}

static void an_interrupt_before_the_wait_ends_it(void **state)
{
    struct wf_reactor_stats stats;

    (void)state;
    borrow();
    idle.interrupt(reactor);
    idle.interrupt(reactor);
    assert_int_equal(idle.poll(reactor, 0), 0);        // does not wait, so it does not count
    assert_int_equal(idle.poll(reactor, WF_NEVER), 0); // hangs if the interrupt was lost
    wf_reactor_stats(reactor, &stats);
    assert_int_equal(stats.interrupts, 0); // no thread slept: no system call
    assert_int_equal(stats.polls, 2);
    idle.give_back(reactor);
}

static void a_wait_that_was_interrupted_is_announced_no_more(void **state)
{
    (void)state;
    borrow();
    idle.interrupt(reactor);
    idle.poll(reactor, WF_NEVER);
    assert_true(wf_load_acquire(&reactor->until) == 0);
    assert_false(wf_load_acquire(&reactor->interrupted));
    idle.poll(reactor, 1); // ends by itself
    assert_true(wf_load_acquire(&reactor->until) == 0);
    idle.give_back(reactor);
}

struct rounds {
    uint32_t max;
    struct bell bell;
};

static void *sleep_and_ring(void *arg)
{
    struct rounds *rounds = arg;

    while (bell_count(&rounds->bell) < rounds->max) {
        idle.poll(reactor, WF_NEVER);
        bell_ring(&rounds->bell);
    }
    return NULL;
}

// Each round hangs if the interrupt is lost; some waits end for nothing, which is
// allowed.
static void an_interrupt_while_the_poller_goes_to_sleep_ends_the_wait(void **state)
{
    struct rounds rounds = { .max = wf_test_rounds(20000) };
    pthread_t thread;

    (void)state;
    borrow();
    assert_int_equal(pthread_create(&thread, NULL, sleep_and_ring, &rounds), 0);
    for (uint32_t seen; (seen = bell_count(&rounds.bell)) < rounds.max;) {
        idle.interrupt(reactor);
        bell_wait(&rounds.bell, seen + 1);
    }
    pthread_join(thread, NULL);
    idle.give_back(reactor);
}

static void *look_beside(void *arg)
{
    while (!wf_load_acquire((_Atomic bool *)arg))
        idle.poll_beside(reactor);
    return NULL;
}

// A look beside the worker takes the eventfd's edge now and then: it must pass it on.
static void an_interrupt_gets_past_the_looks_beside(void **state)
{
    struct rounds rounds = { .max = wf_test_rounds(3000) };
    _Atomic bool end = false;
    struct line line;
    pthread_t sleeper, looker_beside;

    (void)state;
    line_open(&line);
    borrow();
    assert_int_equal(pthread_create(&sleeper, NULL, sleep_and_ring, &rounds), 0);
    assert_int_equal(pthread_create(&looker_beside, NULL, look_beside, &end), 0);
    for (uint32_t seen; (seen = bell_count(&rounds.bell)) < rounds.max;) {
        idle.interrupt(reactor);
        bell_wait(&rounds.bell, seen + 1);
    }
    pthread_join(sleeper, NULL);
    wf_store_release(&end, true);
    pthread_join(looker_beside, NULL);
    idle.give_back(reactor);
    line_close(&line);
}

// The worker that holds the lease is where it has said that it is going to sleep.
static void a_busy_worker_gets_events_while_another_one_waits(void **state)
{
    struct wf_reactor_stats stats;
    struct line line;

    (void)state;
    line_open(&line);
    borrow();
    line_write(&line);
    assert_int_equal(idle.poll_beside(reactor), 0); // the holder does not sleep: it polls when it means to
    wf_store_seq_cst(&reactor->until, WF_NEVER);
    assert_true(wf_lease_borrow(&reactor->beside));
    assert_int_equal(idle.poll_beside(reactor), 0); // one is at it
    wf_lease_return(&reactor->beside);
    idle.interrupt(reactor);
    assert_true(idle.poll_beside(reactor) > 0); // takes the call as well, and passes it on
    line_read(&line);
    for (int i = 1; i < 64; i++)
        (void)idle.poll_beside(reactor);
    line_write(&line);
    assert_int_equal(idle.poll_beside(reactor), 0); // leaves the call to the holder, which has not heard it yet
    wf_store_seq_cst(&reactor->interrupted, false);
    assert_true(idle.poll_beside(reactor) > 0);
    line_read(&line);
    wf_store_seq_cst(&reactor->until, (int64_t)0);
    wf_reactor_stats(reactor, &stats);
    assert_int_equal(stats.polls, 65);
    idle.give_back(reactor);
    line_close(&line);
}

static void the_thread_harvests_while_nobody_else_waits(void **state)
{
    struct line line;

    (void)state;
    line_open(&line);
    start(WF_MONITOR_ASLEEP);
    for (int i = 0; i < 100; i++)
        line_turn(&line);
    line_close(&line);
}

static void the_thread_looks_again_while_all_are_asleep_if_it_was_asked_to(void **state)
{
    (void)state;
    start(WF_MONITOR_ASLEEP | WF_MONITOR_AGAIN);
    uint32_t before = wf_load_acquire(&looks);
    while (wf_load_acquire(&looks) < before + 3)
        sched_yield();
}

static void the_thread_wakes_for_a_timer_that_is_armed_while_it_sleeps(void **state)
{
    struct bell bell = { 0 };
    struct wf_timer t;

    (void)state;
    start(WF_MONITOR_ASLEEP);
    for (uint32_t i = 1; i <= 100; i++) {
        wf_timer_arm(reactor, i % 2, &t, wf_now() + i % 3 * 50000, bell_waker(&bell));
        bell_wait(&bell, i);
        wf_timer_disarm(&t);
    }
}

// The thread leaves the events to the only worker, and fires timers all the same.
static void beside_one_worker_the_thread_stays_out_of_epoll(void **state)
{
    struct bell bell = { 0 };
    struct line line;
    struct wf_timer t;

    (void)state;
    one_worker = true;
    line_open(&line);
    start(WF_MONITOR_ASLEEP);
    for (uint32_t i = 1; i <= 20; i++) {
        while (wf_load_acquire(&reactor->parker.state) != WF_PARKER_IN_FUTEX)
            sched_yield();
        line_write(&line);
        borrow();
        assert_int_equal(idle.poll(reactor, 0), 1);
        idle.give_back(reactor);
        line_read(&line);
        wf_timer_arm(reactor, 0, &t, wf_now(), bell_waker(&bell));
        bell_wait(&bell, i); // hangs if no thread fires it
        wf_timer_disarm(&t);
    }
    line_close(&line);
}

static void while_all_sleep_the_thread_does_not_look(void **state)
{
    (void)state;
    start(WF_MONITOR_ASLEEP);
    wait_for_standby();
    uint32_t before = wf_load_acquire(&looks);
    for (int i = 0; i < 1000; i++)
        sched_yield();
    assert_int_equal(wf_load_acquire(&looks), before);
}

static void the_thread_looks_while_a_worker_is_awake(void **state)
{
    (void)state;
    start(0);
    wait_for_looks(5);
    assert_false(wf_load_acquire(&reactor->monitor_paused));
}

static void a_worker_that_something_waits_behind_makes_it_look(void **state)
{
    (void)state;
    start(WF_MONITOR_ASLEEP);
    for (int i = 0; i < 20; i++) {
        wait_for_standby();
        uint32_t before = wf_load_acquire(&looks);
        idle.notify_awake(reactor);
        while (wf_load_acquire(&looks) == before)
            sched_yield();
    }
}

static void the_thread_goes_on_looking_while_workers_ask_for_it(void **state)
{
    (void)state;
    start(WF_MONITOR_ASLEEP);
    wait_for_standby();
    for (uint32_t from = wf_load_acquire(&looks); wf_load_acquire(&looks) - from < 5;)
        idle.notify_awake(reactor);
    wait_for_standby(); // and stops when they do not
}

// A worker that waits in epoll, in a thread of its own.
struct waiter {
    pthread_t thread;
    _Atomic pid_t tid;
    _Atomic bool end;
    struct bell turns;
};

static void *wait_in_poll(void *arg)
{
    struct waiter *w = arg;

    wf_store_release(&w->tid, gettid());
    borrow();
    while (!wf_load_acquire(&w->end)) {
        idle.poll(reactor, WF_NEVER);
        bell_ring(&w->turns);
    }
    idle.give_back(reactor);
    return NULL;
}

static void waiter_start(struct waiter *w)
{
    *w = (struct waiter){ .end = false };
    assert_int_equal(pthread_create(&w->thread, NULL, wait_in_poll, w), 0);
    while (!wf_turn_is_awaited(reactor))
        sched_yield();
}

static void waiter_stop(struct waiter *w)
{
    wf_store_release(&w->end, true);
    idle.interrupt(reactor);
    pthread_join(w->thread, NULL);
}

// Either of the two that wait in epoll may get the eventfd that is written for the
// other: it passes it on.
static void an_interrupt_reaches_the_one_that_it_is_for(void **state)
{
    struct waiter w;

    (void)state;
    start(WF_MONITOR_ASLEEP);
    waiter_start(&w);
    for (unsigned i = wf_test_rounds(2000); i > 0; i--) {
        uint32_t turns = bell_count(&w.turns);
        idle.interrupt(reactor);
        bell_wait(&w.turns, turns + 1);
        uint32_t before = wf_load_acquire(&looks);
        while (wf_load_acquire(&looks) == before) {
            idle.notify_awake(reactor);
            sched_yield();
        }
    }
    waiter_stop(&w);
}

static int eventfds_ready(void)
{
    struct wf_epoll_batch batch;

    wf_epoll_wait(&reactor->epoll, 0, &batch);
    return batch.count;
}

static void the_thread_passes_on_what_is_the_workers(void **state)
{
    (void)state;
    reactor->hooks = hooks;
    wf_store_seq_cst(&reactor->until, WF_NEVER); // as if a worker slept
    idle.interrupt(reactor);
    assert_true(wf_turn_of_thread(reactor, 0).propagated);
    assert_int_equal(eventfds_ready(), 1);
    wf_interrupt_thread(reactor); // nor does it pass on what is its own
    assert_false(wf_turn_of_thread(reactor, WF_NEVER).propagated);
    assert_int_equal(eventfds_ready(), 0);
    wf_store_seq_cst(&reactor->until, (int64_t)0);
}

static void a_worker_passes_on_what_is_the_threads(void **state)
{
    struct line line;

    (void)state;
    line_open_pipe(&line); // without a descriptor a poll need not ask epoll
    borrow();
    assert_int_equal(idle.poll(reactor, 0), 0);
    assert_true(wf_parker_prepare(&reactor->parker, WF_PARKER_ELSEWHERE)); // as if the thread slept in epoll
    wf_interrupt_thread(reactor);
    assert_int_equal(idle.poll(reactor, 0), 0);
    assert_int_equal(eventfds_ready(), 1);
    assert_true(wf_parker_finish(&reactor->parker));
    idle.interrupt(reactor); // nor does it pass on what is its own
    assert_int_equal(idle.poll(reactor, WF_NEVER), 0);
    assert_int_equal(eventfds_ready(), 0);
    idle.give_back(reactor);
    line_close(&line);
    close(line.to);
}

static void a_stop_reaches_the_thread_behind_a_worker(void **state)
{
    struct waiter w;

    (void)state;
    start(WF_MONITOR_ASLEEP);
    waiter_start(&w);
    wait_for_standby();
    wf_reactor_stop(reactor);
    waiter_stop(&w);
}

// wait_for_sleep waits until a thread of this process sleeps in the kernel.
static void wait_for_sleep(pid_t tid)
{
    char path[64], text[256], *end;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
    do {
        FILE *f = fopen(path, "re");
        assert_non_null(f);
        size_t n = fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
        text[n] = 0;
        end = strrchr(text, ')'); // "17 (name) S ..."
        assert_non_null(end);
    } while (end[2] != 'S' && sched_yield() == 0);
}

// The worker that came last to epoll gets what happens there: the thread sleeps on.
static void the_worker_in_front_gets_the_events(void **state)
{
    struct line line;
    struct waiter w;

    (void)state;
    line_open_pipe(&line);
    start(WF_MONITOR_ASLEEP);
    wait_for_standby();
    wait_for_sleep(wf_load_acquire(&looker));
    waiter_start(&w);
    wait_for_sleep(wf_load_acquire(&w.tid));
    uint64_t before = wakes();
    for (unsigned i = wf_test_rounds(1000); i > 0; i--) {
        line_turn(&line);
        wait_for_sleep(wf_load_acquire(&w.tid));
    }
    assert_int_equal(wakes(), before);
    line_close(&line);
    close(line.to);
    waiter_stop(&w);
}

// A thread that comes when the worker waits already lets it pass: at once, or, if the
// CPUs were given to the two in another order, after one of the next events.
static void the_thread_lets_the_worker_pass(void **state)
{
    struct line line;
    struct waiter w;
    bool passed = false;

    (void)state;
    line_open_pipe(&line);
    waiter_start(&w);
    wait_for_sleep(wf_load_acquire(&w.tid));
    start(WF_MONITOR_ASLEEP);
    for (int i = 0; i < 1000 && !passed; i++) {
        wait_for_standby();
        wait_for_sleep(wf_load_acquire(&looker));
        wait_for_sleep(wf_load_acquire(&w.tid));
        uint64_t before = wakes();
        line_turn(&line);
        wait_for_standby();
        passed = wakes() == before;
    }
    assert_true(passed);
    line_close(&line);
    close(line.to);
    waiter_stop(&w);
}

// harvest_while_nobody_polls makes enough events in a row for the thread to regard the
// workers as busy.
static void harvest_while_nobody_polls(unsigned watch_says)
{
    struct bell bell = { 0 };
    struct wf_timer t;
    struct line line;

    line_open(&line);
    start(watch_says);
    for (uint32_t i = 1; i <= 36; i++) {
        line_turn(&line);
        wf_timer_arm(reactor, 0, &t, wf_now(), bell_waker(&bell));
        bell_wait(&bell, i);
        wf_timer_disarm(&t);
    }
    line_close(&line);
}

static void the_thread_harvests_for_workers_that_are_stuck(void **state)
{
    (void)state;
    harvest_while_nobody_polls(WF_MONITOR_STUCK);
}

static void the_thread_harvests_for_workers_that_are_busy(void **state)
{
    (void)state;
    harvest_while_nobody_polls(WF_MONITOR_PROGRESSING);
}

static void when_all_sleep_again_the_thread_comes_back_to_epoll(void **state)
{
    (void)state;
    harvest_while_nobody_polls(0);
    wf_store_release(&says, WF_MONITOR_ASLEEP);
    wait_for_standby();
}

static void the_thread_stops_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        wf_store_release(&says, i % 2 ? WF_MONITOR_ASLEEP : 0u);
        assert_int_equal(wf_reactor_start(reactor, &hooks, "r"), 0); // it may not have begun
        wf_reactor_stop(reactor);
        teardown(state);
        setup(state);
    }
}

static void a_thread_that_is_refused_is_an_error(void **state)
{
    (void)state;
    wf_mem_fail_at(1, false); // memory for it
    assert_int_equal(wf_reactor_start(reactor, &hooks, "r"), -ENOMEM);
    wf_mem_fail_at(2, false); // the thread
    assert_int_equal(wf_reactor_start(reactor, &hooks, "r"), -EAGAIN);
    wf_mem_fail_at(0, false);
    wf_reactor_stop(reactor); // there is nothing to stop
    start(0);
}

// The poll changes hands all the time: the reactor thread, and two workers that wait at
// random. Each round of a line hangs if an edge is lost or not dispatched.
struct worker {
    pthread_t thread;
    struct wf_test_rand rand;
    _Atomic bool *end;
};

static void *work(void *arg)
{
    struct worker *w = arg;

    while (!wf_load_acquire(w->end)) {
        if (!idle.borrow(reactor)) {
            if (idle.poll_beside(reactor) == 0)
                sched_yield();
            continue;
        }
        idle.poll(reactor, 0);
        idle.poll(reactor, wf_test_below(&w->rand, 3) * 100000);
        idle.give_back(reactor);
    }
    return NULL;
}

// A line whose reader and writer are threads of their own: each write comes about when
// the reader goes to wait.
struct pair {
    struct line line;
    struct bell taken; // what has been written
    uint32_t rounds;
    unsigned wheel;
    pthread_t reader, writer;
};

static void *read_all(void *arg)
{
    struct pair *p = arg;

    for (uint32_t i = 0; i < p->rounds; i++) {
        line_read(&p->line);
        bell_ring(&p->taken);
    }
    return NULL;
}

static void *write_all(void *arg)
{
    static struct bell time_out; // never goes away: it may ring late
    struct pair *p = arg;
    struct wf_timer t;

    for (uint32_t i = 0; i < p->rounds; i++) {
        wf_timer_arm(reactor, p->wheel, &t, wf_now() + 50000, bell_waker(&time_out));
        line_write(&p->line);
        bell_wait(&p->taken, i + 1);
        wf_timer_disarm(&t);
    }
    return NULL;
}

static void no_edge_is_lost_while_the_poll_changes_hands(void **state)
{
    struct pair pair[2];
    struct worker w[2];
    _Atomic bool end = false;

    (void)state;
    start(0);
    for (unsigned i = 0; i < 2; i++) {
        w[i] = (struct worker){ .rand = wf_test_rand(i), .end = &end };
        pair[i] = (struct pair){ .rounds = wf_test_rounds(3000), .wheel = i };
        line_open(&pair[i].line);
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
        assert_int_equal(pthread_create(&pair[i].reader, NULL, read_all, &pair[i]), 0);
        assert_int_equal(pthread_create(&pair[i].writer, NULL, write_all, &pair[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(pair[i].writer, NULL);
        pthread_join(pair[i].reader, NULL);
    }
    wf_store_release(&end, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(w[i].thread, NULL);
        line_close(&pair[i].line);
    }
}

int main(void)
{
#define FACT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        FACT(one_at_a_time_has_the_lease),
        FACT(a_holder_sees_what_the_last_one_did),
        FACT(an_interrupt_before_the_wait_ends_it),
        FACT(a_wait_that_was_interrupted_is_announced_no_more),
        FACT(an_interrupt_while_the_poller_goes_to_sleep_ends_the_wait),
        FACT(an_interrupt_gets_past_the_looks_beside),
        FACT(a_busy_worker_gets_events_while_another_one_waits),
        FACT(the_thread_harvests_while_nobody_else_waits),
        FACT(the_thread_looks_again_while_all_are_asleep_if_it_was_asked_to),
        FACT(the_thread_wakes_for_a_timer_that_is_armed_while_it_sleeps),
        FACT(beside_one_worker_the_thread_stays_out_of_epoll),
        FACT(while_all_sleep_the_thread_does_not_look),
        FACT(the_thread_looks_while_a_worker_is_awake),
        FACT(a_worker_that_something_waits_behind_makes_it_look),
        FACT(the_thread_goes_on_looking_while_workers_ask_for_it),
        FACT(an_interrupt_reaches_the_one_that_it_is_for),
        FACT(the_thread_passes_on_what_is_the_workers),
        FACT(a_worker_passes_on_what_is_the_threads),
        FACT(a_stop_reaches_the_thread_behind_a_worker),
        FACT(the_worker_in_front_gets_the_events),
        FACT(the_thread_lets_the_worker_pass),
        FACT(the_thread_harvests_for_workers_that_are_stuck),
        FACT(the_thread_harvests_for_workers_that_are_busy),
        FACT(when_all_sleep_again_the_thread_comes_back_to_epoll),
        FACT(the_thread_stops_at_once),
        FACT(a_thread_that_is_refused_is_an_error),
        FACT(no_edge_is_lost_while_the_poll_changes_hands),
    };
    return wf_test_run(tests);
}
