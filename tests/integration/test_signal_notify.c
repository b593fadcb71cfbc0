// weft/signal.h: signals of the system, as messages in channels.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/peer.h"
#include "tests/support/seeds.h"
#include "tests/support/tasks.h"

static weft_chan *new_chan(size_t room)
{
    weft_chan *c = NULL;
    assert_int_equal(weft_chan_new(&c, sizeof(int), room), 0);
    return c;
}

static weft_chan *notified(size_t room, int signo)
{
    weft_chan *c = new_chan(room);
    assert_int_equal(weft_signal_notify(c, signo), 0);
    return c;
}

static int next_signal(weft_chan *c)
{
    int signo = 0;
    assert_int_equal(weft_chan_recv(c, &signo), 0);
    return signo;
}

static void expect_none(weft_chan *c)
{
    int signo;
    assert_int_equal(weft_chan_try_recv(c, &signo), -EAGAIN);
}

static void stop(weft_chan *c)
{
    assert_int_equal(weft_signal_stop(c), 0);
    weft_chan_unref(c);
}

static struct sigaction disposition(int signo)
{
    struct sigaction now;
    assert_int_equal(sigaction(signo, NULL, &now), 0);
    return now;
}

// What a handler of the program's has seen.
static _Atomic unsigned handled;

static void count_it(int sig)
{
    (void)sig;
    wf_fetch_add_seq_cst(&handled, 1u); // seq_cst: the tests do not reason about orders
}

static unsigned take_handled(void)
{
    return wf_exchange_seq_cst(&handled, 0u); // seq_cst: as above
}

static void handle(int signo, void (*fn)(int), int flags)
{
    struct sigaction action = { .sa_handler = fn, .sa_flags = flags };
    assert_int_equal(sigaction(signo, &action, NULL), 0);
}

// --- who gets what -------------------------------------------------------------------

static int receive_in_turns(void *arg)
{
    weft_chan *one = new_chan(4), *two = new_chan(4);
    (void)arg;

    assert_int_equal(weft_signal_notify(one, SIGUSR1), 0);
    assert_int_equal(weft_signal_notify(one, SIGUSR1), 0); // no second message for that
    assert_int_equal(weft_signal_notify(one, SIGUSR2), 0);
    assert_int_equal(weft_signal_notify(two, SIGUSR1), 0);
    raise(SIGUSR1);
    assert_int_equal(next_signal(one), SIGUSR1);
    assert_int_equal(next_signal(two), SIGUSR1);
    raise(SIGUSR2);
    assert_int_equal(next_signal(one), SIGUSR2);
    stop(one);
    raise(SIGUSR1);
    assert_int_equal(next_signal(two), SIGUSR1);
    expect_none(two);
    stop(two);
    return 0;
}

static void each_channel_of_a_signal_gets_it(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(receive_in_turns, NULL), 0);
    run_seeds(100, receive_in_turns, NULL);
}

static int overfill(void *arg)
{
    weft_chan *small = notified(1, SIGUSR1), *large = notified(8, SIGUSR1);
    (void)arg;

    for (int i = 0; i < 3; i++) {
        raise(SIGUSR1);
        assert_int_equal(next_signal(large), SIGUSR1);
    }
    assert_int_equal(next_signal(small), SIGUSR1);
    expect_none(small);
    stop(small);
    stop(large);
    return 0;
}

static void what_finds_no_room_is_dropped(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(overfill, NULL), 0);
    run_seeds(100, overfill, NULL);
}

static int receive(void *arg)
{
    return next_signal(arg);
}

static int meet(void *arg)
{
    weft_chan *c = notified(0, SIGUSR1);
    (void)arg;

    weft_task *t = spawn(receive, c);
    wait_parked(t, "weft_chan_recv");
    raise(SIGUSR1);
    assert_int_equal(join(t), SIGUSR1);
    stop(c);
    return 0;
}

static void a_rendezvous_gets_it_if_a_task_waits(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(meet, NULL), 0);
}

enum { QUEUED = 200 };

static int receive_all(void *arg)
{
    weft_chan *c = notified(WEFT_UNBOUNDED, SIGRTMIN);
    (void)arg;

    for (int i = 0; i < QUEUED; i++)
        raise(SIGRTMIN);
    for (int i = 0; i < QUEUED; i++)
        assert_int_equal(next_signal(c), SIGRTMIN);
    expect_none(c);
    stop(c);
    return 0;
}

static void arrivals_are_not_merged(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(receive_all, NULL), 0);
}

static void some_signals_cannot_be_had(void **state)
{
    const int signals[] = { SIGCHLD, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL,      SIGTRAP,
                            SIGSYS,  SIGABRT, 0,       -1,      32,     33,     SIGRTMAX + 1 };
    weft_chan *c = new_chan(1), *wide = NULL;
    (void)state;

    for (size_t i = 0; i < wf_countof(signals); i++)
        assert_int_equal(weft_signal_notify(c, signals[i]), -EINVAL);
    assert_int_equal(weft_chan_new(&wide, sizeof(long), 1), 0);
    assert_int_equal(weft_signal_notify(wide, SIGUSR1), -EINVAL);
    assert_true(disposition(SIGUSR1).sa_handler == SIG_DFL);
    weft_chan_unref(wide);
    stop(c);
}

static void all_others_can(void **state)
{
    (void)state;

    for (int signo = 1; signo <= SIGRTMAX; signo++) {
        weft_chan *c = new_chan(1);
        if (weft_signal_notify(c, signo) == 0) {
            raise(signo);
            assert_int_equal(weft_signal_stop(c), 0);
            int got = 0;
            assert_int_equal(weft_chan_try_recv(c, &got), 0);
            assert_int_equal(got, signo);
        }
        stop(c);
    }
}

// --- before, meanwhile, and after ----------------------------------------------------

static void old_dispositions_come_back(void **state)
{
    struct sigaction before, after;
    (void)state;

    handle(SIGUSR1, count_it, SA_RESTART | SA_NODEFER);
    handle(SIGUSR2, SIG_IGN, 0);
    before = disposition(SIGUSR1);
    weft_chan *one = notified(4, SIGUSR1), *two = notified(4, SIGUSR1);
    assert_int_equal(weft_signal_notify(one, SIGUSR2), 0);
    assert_int_equal(weft_signal_notify(one, SIGTERM), 0);
    raise(SIGUSR1);
    raise(SIGUSR2);
    raise(SIGTERM);
    assert_int_equal(take_handled(), 0);
    stop(one);
    assert_true(disposition(SIGUSR2).sa_handler == SIG_IGN);
    assert_true(disposition(SIGTERM).sa_handler == SIG_DFL);
    assert_true(disposition(SIGUSR1).sa_handler != count_it); // there is another receiver
    stop(two);
    after = disposition(SIGUSR1);
    assert_true(after.sa_handler == count_it);
    assert_int_equal(after.sa_flags, before.sa_flags);
    raise(SIGUSR1);
    assert_int_equal(take_handled(), 1);
    handle(SIGUSR1, SIG_DFL, 0);
    handle(SIGUSR2, SIG_DFL, 0);
}

static void a_channel_gets_what_arrives_between_notify_and_stop(void **state)
{
    weft_chan *c = new_chan(8);
    int signo = 0;
    (void)state;

    handle(SIGUSR1, count_it, 0);
    raise(SIGUSR1);
    assert_int_equal(take_handled(), 1);
    for (int round = 0; round < 100; round++) {
        assert_int_equal(weft_signal_notify(c, SIGUSR1), 0);
        raise(SIGUSR1);
        assert_int_equal(weft_signal_stop(c), 0);
        raise(SIGUSR1);
        assert_int_equal(take_handled(), 1);
        assert_int_equal(weft_chan_try_recv(c, &signo), 0);
        assert_int_equal(signo, SIGUSR1);
        expect_none(c);
    }
    assert_int_equal(weft_signal_stop(c), 0); // of what is not notified: nothing
    weft_chan_unref(c);
    handle(SIGUSR1, SIG_DFL, 0);
}

// The program's handler lies over weft's, for a while: it has the signal, and stays.
static void a_handler_that_is_installed_meanwhile_stays(void **state)
{
    struct sigaction mine = { .sa_handler = count_it }, old;
    weft_chan *c = notified(4, SIGUSR1);
    int signo;
    (void)state;

    assert_int_equal(sigaction(SIGUSR1, &mine, &old), 0);
    raise(SIGUSR1);
    assert_int_equal(take_handled(), 1);
    assert_int_equal(weft_signal_stop(c), 0);
    expect_none(c);
    raise(SIGUSR1);
    assert_int_equal(take_handled(), 1);

    assert_int_equal(weft_signal_notify(c, SIGUSR1), 0); // in its place again
    raise(SIGUSR1);
    assert_int_equal(take_handled(), 0);
    assert_int_equal(weft_signal_stop(c), 0);
    assert_int_equal(weft_chan_try_recv(c, &signo), 0);
    raise(SIGUSR1);
    assert_int_equal(take_handled(), 1);
    weft_chan_unref(c);
    handle(SIGUSR1, SIG_DFL, 0);
}

// What the program has taken from weft it gives back when there are no receivers.
static void restore_late(void *arg)
{
    struct sigaction mine = { .sa_handler = count_it }, old;
    weft_chan *c = notified(4, SIGTERM);
    (void)arg;

    assert_int_equal(sigaction(SIGTERM, &mine, &old), 0);
    stop(c);
    assert_int_equal(sigaction(SIGTERM, &old, NULL), 0);
    raise(SIGTERM);
}

// handlers_run_in_children: ThreadSanitizer does not call them in a child of fork, but
// some time later, if the parent has several threads.
static bool handlers_run_in_children(void)
{
#ifdef WF_TSAN
    return false;
#else
    return true;
#endif
}

static void without_receivers_it_does_what_it_did_before(void **state)
{
    struct child c;
    (void)state;

    if (!handlers_run_in_children())
        wf_test_skip("ThreadSanitizer defers signals in children");
    child_run(&c, restore_late, NULL);
    child_expect_signal(&c, SIGTERM);
}

// Threads send while channels come and go. Signals of real time are not merged, so each
// is either in a channel or with the program's handler.
struct race {
    _Atomic bool over;
    _Atomic unsigned sent;
};

static void *send_on(void *arg)
{
    struct race *r = arg;

    while (!wf_load_seq_cst(&r->over)) { // seq_cst: as above
        pthread_kill(pthread_self(), SIGRTMIN + 1);
        wf_fetch_add_seq_cst(&r->sent, 1u); // seq_cst: as above
    }
    return NULL;
}

static unsigned drain(weft_chan *c)
{
    unsigned n = 0;

    for (int signo; weft_chan_try_recv(c, &signo) == 0; n++)
        assert_int_equal(signo, SIGRTMIN + 1);
    return n;
}

static void none_is_lost_when_channels_come_and_go(void **state)
{
    struct race r = { false, 0 };
    pthread_t threads[2];
    unsigned got = 0;
    (void)state;

    handle(SIGRTMIN + 1, count_it, SA_RESTART);
    for (size_t i = 0; i < wf_countof(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_on, &r), 0);
    for (unsigned i = wf_test_rounds(1000); i > 0; i--) {
        weft_chan *c = notified(WEFT_UNBOUNDED, SIGRTMIN + 1);
        if (i % 2)
            sched_yield();
        assert_int_equal(weft_signal_stop(c), 0);
        got += drain(c);
        weft_chan_unref(c);
    }
    wf_store_seq_cst(&r.over, true); // seq_cst: as above
    for (size_t i = 0; i < wf_countof(threads); i++)
        pthread_join(threads[i], NULL);
    assert_true(got + take_handled() >= wf_load_seq_cst(&r.sent)); // seq_cst: as above
    handle(SIGRTMIN + 1, SIG_DFL, 0);
}

// --- threads, runtimes, processes ----------------------------------------------------

static void *kill_main(void *arg)
{
    (void)arg;
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    return NULL;
}

static int receive_from_outside(void *arg)
{
    weft_chan *c = arg;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, kill_main, NULL), 0);
    assert_int_equal(next_signal(c), SIGUSR1);
    pthread_join(thread, NULL);
    return 0;
}

static void a_process_is_sent_to_by_others(void **state)
{
    weft_chan *c = notified(4, SIGUSR1);
    (void)state;

    for (int i = 0; i < 10; i++) // each in a runtime of its own
        assert_int_equal(run_tasks(receive_from_outside, c), 0);
    stop(c);
}

static void threads_receive_without_a_runtime(void **state)
{
    weft_chan *c = notified(4, SIGUSR1);
    int signo = 0;
    (void)state;

    raise(SIGUSR1);
    while (weft_chan_try_recv(c, &signo) == -EAGAIN)
        nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
    assert_int_equal(signo, SIGUSR1);
    stop(c);
}

static void *run_receiver(void *arg)
{
    return (void *)(intptr_t)weft_run(NULL, receive, arg);
}

static void several_runtimes_receive(void **state)
{
    weft_chan *c[3];
    pthread_t threads[wf_countof(c)];
    (void)state;

    for (size_t i = 0; i < wf_countof(c); i++) {
        c[i] = notified(1, SIGUSR1);
        assert_int_equal(pthread_create(&threads[i], NULL, run_receiver, c[i]), 0);
    }
    raise(SIGUSR1);
    for (size_t i = 0; i < wf_countof(c); i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_int_equal((intptr_t)result, SIGUSR1);
        stop(c[i]);
    }
}

// The thread reads before the signals come, and its call goes on after each.
static void *read_a_byte(void *arg)
{
    char byte;
    return (void *)(intptr_t)read(*(int *)arg, &byte, 1);
}

static void calls_of_other_threads_go_on(void **state)
{
    weft_chan *c = notified(WEFT_UNBOUNDED, SIGUSR1);
    pthread_t thread;
    int fd[2], signo;
    void *result;
    (void)state;

#ifdef WF_TSAN
    stop(c);
    wf_test_skip("ThreadSanitizer merges signals, and restarts calls by itself");
#endif
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_a_byte, &fd[0]), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
        while (weft_chan_try_recv(c, &signo) == -EAGAIN)
            sched_yield();
    }
    assert_int_equal(write(fd[1], "x", 1), 1);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal((intptr_t)result, 1);
    close(fd[0]);
    close(fd[1]);
    stop(c);
}

static void be_ended(void *arg)
{
    (void)arg;
    raise(SIGTERM);
}

static void notify_anew(void *arg)
{
    weft_chan *c = notified(1, SIGTERM);
    (void)arg;

    raise(SIGTERM);
    assert_int_equal(run_tasks(receive, c), SIGTERM);
    stop(c);
    raise(SIGTERM);
}

static void be_handled(void *arg)
{
    (void)arg;
    raise(SIGUSR1);
    assert_int_equal(take_handled(), 1);
}

// A child has the old disposition, and may be notified of its own.
static void a_child_of_fork_is_no_receiver(void **state)
{
    weft_chan *c = notified(4, SIGTERM);
    struct child child;
    int signo;
    (void)state;

    child_run(&child, be_ended, NULL);
    child_expect_signal(&child, SIGTERM);
    if (handlers_run_in_children()) {
        child_run(&child, notify_anew, NULL);
        child_expect_signal(&child, SIGTERM);
        handle(SIGUSR1, count_it, 0);
        assert_int_equal(weft_signal_notify(c, SIGUSR1), 0);
        child_run(&child, be_handled, NULL);
        child_expect_exit(&child, 0);
    }
    expect_none(c);
    raise(SIGTERM); // here it is received, still
    assert_int_equal(weft_signal_stop(c), 0);
    assert_int_equal(weft_chan_try_recv(c, &signo), 0);
    weft_chan_unref(c);
    handle(SIGUSR1, SIG_DFL, 0);
}

static int fork_in_a_task(void *arg)
{
    be_ended(arg);
    return 0;
}

static void run_fork(void *arg)
{
    (void)arg;
    weft_chan *c = notified(4, SIGTERM);
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(fork_in_a_task(NULL));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    stop(c);
}

static int fork_body(void *arg)
{
    run_fork(arg);
    return 0;
}

static void a_task_forks_in_between(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(fork_body, NULL), 0);
}

static void the_runtime_ends_with_its_channels_notified(void **state)
{
    weft_chan *c = notified(1, SIGUSR1);
    (void)state;

    assert_int_equal(run_tasks(fork_body, NULL), 0);
    raise(SIGUSR1);
    assert_int_equal(run_tasks(receive, c), SIGUSR1);
    stop(c);
}

// --- steps ---------------------------------------------------------------------------

// A signal wakes its receiver, and no other task, however many there are.
enum { IDLE = 10000 };

static int be_idle(void *arg)
{
    return weft_chan_recv(arg, NULL);
}

struct turns {
    bool counted;
    unsigned of_others;
    uint64_t receiver, raiser;
};

static void count_turn(void *arg, const weft_task *next)
{
    struct turns *t = arg;
    uint64_t id = weft_task_id(next);

    t->of_others += t->counted && id != t->receiver && id != t->raiser;
}

static int raise_among_many(void *arg)
{
    struct turns *turns = arg;
    weft_chan *c = notified(1, SIGTERM), *never = NULL;
    weft_scope s;

    assert_int_equal(weft_chan_new(&never, 0, 0), 0);
    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    for (int i = 0; i < IDLE; i++)
        assert_int_equal(weft_scope_spawn(&s, be_idle, never), 0);
    weft_task *t = spawn(receive, c);
    assert_int_equal(weft_sleep(1), 0); // they are all parked
    turns->receiver = weft_task_id(t);
    turns->raiser = weft_task_id(weft_self());
    turns->counted = true;
    raise(SIGTERM);
    assert_int_equal(join(t), SIGTERM);
    turns->counted = false;
    weft_scope_cancel(&s);
    assert_int_equal(weft_scope_close(&s), -ECANCELED);
    weft_chan_unref(never);
    stop(c);
    return 0;
}

static void only_the_receiver_is_woken(void **state)
{
    struct turns turns = { 0 };
    weft_test_config cfg = WEFT_TEST_CONFIG_INIT;
    (void)state;

    cfg.turn = count_turn;
    cfg.turn_arg = &turns;
    cfg.seed = wf_test_seed();
    assert_int_equal(weft_test_run(&cfg, raise_among_many, &turns), 0);
    assert_int_equal(turns.of_others, 0);
}

// --- test runs -----------------------------------------------------------------------

static int sleep_long(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_S(3600));
}

// Time does not pass before what the run has raised is received.
static int raise_in_a_run(void *arg)
{
    weft_chan *c = notified(4, SIGUSR1);
    weft_task *t = spawn(receive, c), *sleeper = spawn(sleep_long, NULL);
    (void)arg;

    assert_int_equal(weft_sleep(WEFT_S(1)), 0);
    weft_time begun = weft_now();
    raise(SIGUSR1);
    assert_int_equal(join(t), SIGUSR1);
    assert_int_equal(weft_now(), begun);
    assert_int_equal(join(sleeper), 0);
    stop(c);
    return 0;
}

static uint64_t trace_of(uint64_t seed)
{
    assert_int_equal(run_seed(seed, raise_in_a_run, NULL), 0);
    return weft_test_trace();
}

static void the_seed_fixes_when_a_signal_comes(void **state)
{
    (void)state;
    run_seeds(200, raise_in_a_run, NULL);
    for (uint64_t seed = 1; seed <= 20; seed++)
        assert_int_equal(trace_of(seed), trace_of(seed));
}

// The signal comes from another process; nothing else could wake the run.
static int wait_for_a_process(void *arg)
{
    weft_chan *c = notified(4, SIGUSR2);
    pid_t pid = fork();
    (void)arg;

    if (pid == 0) {
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        _exit(kill(getppid(), SIGUSR2));
    }
    assert_int_equal(next_signal(c), SIGUSR2);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    stop(c);
    return 0;
}

static void a_run_waits_for_a_signal(void **state)
{
    (void)state;
    assert_int_equal(run_seed(1, wait_for_a_process, NULL), 0);
}

static int wait_elsewhere(void *arg)
{
    weft_chan *c = notified(4, SIGUSR2), *other = new_chan(1);
    int signo, err;
    (void)arg;

    err = weft_chan_recv(other, &signo);
    weft_chan_unref(other);
    stop(c);
    return err;
}

static void a_channel_in_which_no_task_waits_hides_no_deadlock(void **state)
{
    (void)state;
    assert_int_equal(run_seed(1, wait_elsewhere, NULL), -EDEADLK);
}

// --- what is refused -----------------------------------------------------------------

#ifdef WF_FAULTS
static void an_error_changes_nothing(void **state)
{
    static const int expected[] = { -ENOMEM, -EAGAIN };
    weft_chan *c = new_chan(1);
    (void)state;

    for (size_t i = 0; i < wf_countof(expected); i++) {
        wf_mem_fail_at((long)i + 1, false);
        assert_int_equal(weft_signal_notify(c, SIGUSR1), expected[i]);
        wf_mem_fail_at(0, false);
        assert_true(disposition(SIGUSR1).sa_handler == SIG_DFL);
        assert_int_equal(weft_signal_stop(c), 0);
    }
    assert_int_equal(weft_signal_notify(c, SIGUSR1), 0);
    stop(c);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(each_channel_of_a_signal_gets_it),
        left_test(what_finds_no_room_is_dropped),
        left_test(a_rendezvous_gets_it_if_a_task_waits),
        left_test(arrivals_are_not_merged),
        left_test(some_signals_cannot_be_had),
        left_test(all_others_can),
        left_test(old_dispositions_come_back),
        left_test(a_channel_gets_what_arrives_between_notify_and_stop),
        left_test(a_handler_that_is_installed_meanwhile_stays),
        left_test(without_receivers_it_does_what_it_did_before),
        left_test(none_is_lost_when_channels_come_and_go),
        left_test(a_process_is_sent_to_by_others),
        left_test(threads_receive_without_a_runtime),
        left_test(several_runtimes_receive),
        left_test(calls_of_other_threads_go_on),
        left_test(a_child_of_fork_is_no_receiver),
        left_test(a_task_forks_in_between),
        left_test(the_runtime_ends_with_its_channels_notified),
        left_test(only_the_receiver_is_woken),
        left_test(the_seed_fixes_when_a_signal_comes),
        left_test(a_run_waits_for_a_signal),
        left_test(a_channel_in_which_no_task_waits_hides_no_deadlock),
#ifdef WF_FAULTS
        left_test(an_error_changes_nothing),
#endif
    };
    return wf_test_run(tests);
}
