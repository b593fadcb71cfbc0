// After fork(2) the parent goes on undisturbed, and the child has only runtimes that it
// makes itself.
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/eventfd.h>

#include "base/atomic.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

// The sanitizers' allocators do not survive a fork in which another thread holds their
// locks (glibc's does): there, all others must be idle.
#if defined(WF_ASAN) || defined(WF_TSAN)
enum { BUSY = 0 };
#else
enum { BUSY = 3 };
#endif

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int count_to(void *arg)
{
    int n = *(int *)arg, sum = 0;

    for (int i = 0; i < n; i++) {
        weft_task *t = spawn(nothing, NULL);
        assert_int_equal(i % 8 ? weft_yield() : weft_sleep(WEFT_US(20)), 0);
        sum += join(t) == 0;
    }
    return sum;
}

// --- in a task -----------------------------------------------------------------------

// What a task's child process does. Each may only _exit, exec, or be stopped with a
// sentence.
typedef void in_child(weft_rt *rt);

static void exits(weft_rt *rt)
{
    _exit(rt ? 21 : 1);
}

static void execs(weft_rt *rt)
{
    (void)rt;
    execl("/bin/sh", "sh", "-c", "exit 22", (char *)NULL);
    _exit(1);
}

static void looks_around(weft_rt *rt)
{
    (void)rt;
    if (!weft_self() && !weft_rt_current() && !weft_cancelled() && weft_now() > 0)
        _exit(23);
    _exit(1);
}

static void closes(weft_rt *rt)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    (void)rt;
    _exit(fd >= 0 && weft_close(fd) == 0 && weft_close(fd) == -EBADF ? 24 : 1);
}

static void sleeps(weft_rt *rt)
{
    (void)rt;
    _exit(weft_sleep(WEFT_MS(1)) ? 1 : 2);
}

static void yields(weft_rt *rt)
{
    (void)rt;
    _exit(weft_yield() ? 1 : 2);
}

static void awaits(weft_rt *rt)
{
    weft_future f = WEFT_FUTURE_INIT;
    (void)rt;
    weft_future_complete(&f, 0);
    _exit(weft_await(&f, NULL) ? 1 : 2);
}

static void spawns(weft_rt *rt)
{
    (void)rt;
    _exit(weft_spawn(NULL, nothing, NULL) ? 1 : 2);
}

static void spawns_into(weft_rt *rt)
{
    _exit(weft_rt_spawn(rt, NULL, nothing, NULL) ? 1 : 2);
}

static void spawns_into_with(weft_rt *rt)
{
    _exit(weft_rt_spawn_with(rt, NULL, NULL, nothing, NULL) ? 1 : 2);
}

static weft_task *forking; // the task

static void joins(weft_rt *rt)
{
    (void)rt;
    _exit(weft_join(forking, NULL) ? 1 : 2);
}

static void opens_a_scope(weft_rt *rt)
{
    weft_scope s;
    weft_rt_scope_open(rt, &s, WEFT_SCOPE_FAIL_FAST);
    _exit(1);
}

static void blocks_on(weft_rt *rt)
{
    _exit(weft_rt_block_on(rt, nothing, NULL) ? 1 : 2);
}

static void stops(weft_rt *rt)
{
    _exit(weft_rt_stop(rt, WEFT_NEVER) ? 1 : 2);
}

static void frees(weft_rt *rt)
{
    weft_rt_free(rt);
    _exit(1);
}

static void returns(weft_rt *rt)
{
    (void)rt;
}

struct way {
    in_child *body;
    int code; // its exit status; 0: stopped with a sentence
    const char *said;
};

static const struct way ways[] = {
    { exits, 21, "" },
    { execs, 22, "" },
    { looks_around, 23, "" },
    { closes, 24, "" },
    { sleeps, 0, "weft: outside a task: weft_sleep may only be called by a task (nor in a child of fork)\n" },
    { yields, 0, "weft: outside a task: weft_yield may only be called by a task (nor in a child of fork)\n" },
    { awaits, 0, "weft: outside a task: weft_await may only be called by a task (nor in a child of fork)\n" },
    { spawns, 0, "weft_spawn may only be called by a task" },
    { spawns_into, 0, "weft_rt_spawn: the runtime's threads are in the parent process" },
    { spawns_into_with, 0, "weft_rt_spawn_with: the runtime's threads are in the parent process" },
    { joins, 0, "weft_join: the runtime's threads are in the parent process" },
    { opens_a_scope, 0, "weft_rt_scope_open: the runtime's threads are in the parent process" },
    { blocks_on, 0, "weft_rt_block_on: the runtime's threads are in the parent process" },
    { stops, 0, "weft_rt_stop: the runtime's threads are in the parent process" },
    { frees, 0, "weft_rt_free: a task's child of fork stands on the task's stack" },
    { returns, 0, "a task's body returned in a child of fork" },
};

struct forked {
    const struct way *way;
    int out;
    pid_t pid;
};

static int fork_here(void *arg)
{
    struct forked *f = arg;
    weft_rt *rt = weft_rt_current();

    forking = weft_self();
    f->pid = fork();
    if (f->pid != 0)
        return 0;
    if (dup2(f->out, STDERR_FILENO) < 0)
        _exit(126);
    alarm(child_seconds());
    f->way->body(rt);
    return 0;
}

// fork_in_each_way forks in tasks while others run, and looks after each child that the
// parent's go on.
static int fork_in_each_way(void *arg)
{
    int n = 50, ends[2], status;
    struct child c;
    (void)arg;

    for (size_t i = 0; i < wf_countof(ways); i++) {
        weft_task *busy[BUSY + 1];
        for (int t = 0; t < BUSY; t++)
            busy[t] = spawn(count_to, &n);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        struct forked f = { .way = &ways[i], .out = ends[1] };
        assert_int_equal(join(spawn(fork_here, &f)), 0);
        assert_true(f.pid > 0);
        close(ends[1]);
        size_t got = 0;
        assert_int_equal(weft_read_full(ends[0], c.said, sizeof(c.said) - 1, &got), -ENODATA);
        c.said[got] = 0;
        assert_int_equal(weft_close(ends[0]), 0);
        assert_int_equal(waitpid(f.pid, &status, 0), f.pid);
        c.status = status;
        if (ways[i].code)
            child_expect_exit(&c, ways[i].code);
        else
            child_expect_signal(&c, SIGABRT);
        child_expect_said(&c, ways[i].said);
        for (int t = 0; t < BUSY; t++)
            assert_int_equal(join(busy[t]), n);
    }
    return 0;
}

static void run_forking_tasks(void *arg)
{
    _exit(run_tasks(fork_in_each_way, arg) ? 1 : 0);
}

static void a_task_may_fork_but_its_child_may_not_park(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, run_forking_tasks, NULL); // in a child, for the sake of its signal actions
    child_expect_exit(&c, 0);
}

// --- in the host ---------------------------------------------------------------------

static int hundred = 100;

// settle waits until all workers have begun, and are idle again.
static void settle(weft_rt *rt)
{
    assert_int_equal(weft_rt_block_on(rt, count_to, &hundred), 100);
    usleep(100000);
}

static void free_inherited(void *arg)
{
    unsigned fds = left_count("/proc/self/fd");

    weft_rt_free(arg);
    assert_true(left_count("/proc/self/fd") < fds);
    assert_int_equal(weft_run(NULL, count_to, &hundred), 100); // and the child may have its own
}

static void make_anew(void *arg)
{
    (void)arg; // the inherited one is left alone
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_run(NULL, count_to, &hundred), 100);
}

static void fork_again(void *arg)
{
    struct child c;
    weft_rt *rt;

    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    settle(rt);
    child_run(&c, free_inherited, rt);
    child_expect_exit(&c, 0);
    child_run(&c, free_inherited, arg); // of its grandparent
    child_expect_exit(&c, 0);
    assert_int_equal(weft_rt_block_on(rt, count_to, &hundred), 100);
    weft_rt_free(rt);
    weft_rt_free(arg);
}

static void block_on_inherited(void *rt)
{
    blocks_on(rt);
}

static void *work_beside(void *rt)
{
    int n = 2000;
    return (void *)(intptr_t)weft_rt_block_on(rt, count_to, &n);
}

static void a_child_of_the_host_frees_what_it_inherits_and_makes_its_own(void **state)
{
    void (*const bodies[])(void *) = { free_inherited, make_anew, fork_again };
    pthread_t thread;
    struct child c;
    weft_rt *rt;
    void *done;
    (void)state;

    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    wf_test_watch(rt);
    settle(rt);
    if (BUSY)
        assert_int_equal(pthread_create(&thread, NULL, work_beside, rt), 0);
    for (size_t i = 0; i < wf_countof(bodies); i++) {
        child_run(&c, bodies[i], rt);
        child_expect_exit(&c, 0);
    }
    child_run(&c, block_on_inherited, rt);
    child_expect_signal(&c, SIGABRT);
    child_expect_said(&c, "weft: outside a task: weft_rt_block_on: the runtime's threads are in the parent process");
    if (BUSY) {
        pthread_join(thread, &done);
        assert_int_equal((intptr_t)done, 2000); // the parent went on
    }
    assert_int_equal(weft_rt_block_on(rt, count_to, &hundred), 100);
    wf_test_unwatch(rt);
    weft_rt_free(rt);
}

static void a_child_after_the_runtimes_end_makes_its_own(void **state)
{
    struct child c;
    (void)state;

    assert_int_equal(weft_run(NULL, count_to, &hundred), 100);
    child_run(&c, make_anew, NULL);
    child_expect_exit(&c, 0);
    assert_int_equal(weft_run(NULL, count_to, &hundred), 100);
}

// --- while another thread is at it ---------------------------------------------------

// A gate in the library's calls of sigaction, which it makes under a lock: the thread
// that comes there waits.
static struct {
    _Atomic int countdown; // at the how-manieth call; 0: never
    bool after;            // when that has been made
    sem_t reached, open;
} gate;

static void wait_at_gate(bool after)
{
    if (gate.after != after)
        return;
    sem_post(&gate.reached);
    sem_wait(&gate.open);
}

int __sigaction(int sig, const struct sigaction *action, struct sigaction *before);

// sigaction is the library's, too: the program's own definition goes first.
int sigaction(int sig, const struct sigaction *action, struct sigaction *before)
{
    bool here = sig == SIGSEGV && action && wf_load_relaxed(&gate.countdown) > 0 && // relaxed, both: of one thread
                wf_fetch_sub_relaxed(&gate.countdown, 1) == 1;

    if (here)
        wait_at_gate(false);
    int err = __sigaction(sig, action, before);
    if (here)
        wait_at_gate(true);
    return err;
}

static void on_segv(int sig)
{
    (void)sig;
}

static void *run_once(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)weft_run(NULL, nothing, NULL);
}

static void expect_on_segv(void)
{
    struct sigaction now;

    assert_int_equal(sigaction(SIGSEGV, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, on_segv);
}

static void run_beside_nobody(void)
{
    alarm(child_seconds());
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weft_run(NULL, count_to, &hundred), 100);
        expect_on_segv();
    }
    _exit(0);
}

// fork_at forks while another thread is in its how-manieth call.
static void fork_at(int call, bool after)
{
    pthread_t thread;
    void *result;
    int status;

    assert_int_not_equal(signal(SIGSEGV, on_segv), SIG_ERR);
    gate.after = after;
    wf_store_relaxed(&gate.countdown, call); // relaxed: the thread begins later
    assert_int_equal(pthread_create(&thread, NULL, run_once, NULL), 0);
    assert_int_equal(sem_wait(&gate.reached), 0);
    pid_t pid = fork(); // child_run would change the signal's action
    if (pid == 0)
        run_beside_nobody();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    sem_post(&gate.open);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
    expect_on_segv();
}

// The calls are to install the handler, and to remove it. At the second one threads
// have ended just before, to which ThreadSanitizer keeps pointers, in the child, too.
#ifdef WF_TSAN
enum { CALLS = 1 };
#else
enum { CALLS = 2 };
#endif

static void fork_at_each_call(void *arg)
{
    (void)arg;
    sem_init(&gate.reached, 0, 0);
    sem_init(&gate.open, 0, 0);
    for (int call = 1; call <= CALLS; call++)
        for (int after = 0; after <= 1; after++)
            fork_at(call, after);
}

static void a_child_needs_no_lock_that_another_thread_of_the_parents_held(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, fork_at_each_call, NULL); // in a child, for the sake of its signal actions
    child_expect_exit(&c, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_task_may_fork_but_its_child_may_not_park),
        left_test(a_child_of_the_host_frees_what_it_inherits_and_makes_its_own),
        left_test(a_child_after_the_runtimes_end_makes_its_own),
        left_test(a_child_needs_no_lock_that_another_thread_of_the_parents_held),
    };
    return wf_test_run(tests);
}
