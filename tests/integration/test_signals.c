// weft and signals: its threads take signals like any thread of the program, children
// have the program's dispositions, and signals do not disturb calls.
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "base/atomic.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"

extern char **environ;

static pid_t gettid_now(void)
{
    return (pid_t)syscall(SYS_gettid); // valgrind and old libraries have no other
}

static void handle(int sig, void (*fn)(int), int flags)
{
    struct sigaction action = { .sa_handler = fn, .sa_flags = flags };
    assert_int_equal(sigaction(sig, &action, NULL), 0);
}

static void block(int sig)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, sig);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
}

// --- children ------------------------------------------------------------------------

// The ways to start a program, which here writes what it knows of signals to the file
// `out`. By a shell, and without one: some shells clear the mask that they inherit.
// Returns: as waitpid tells.
typedef int start_program(int out);

static const char *view_command(int out)
{
    static char command[128];
    snprintf(command, sizeof(command), "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status >/proc/self/fd/%d", out);
    return command;
}

static int by_system(int out)
{
    return system(view_command(out));
}

static int by_popen(int out)
{
    FILE *f = popen(view_command(out), "r");
    assert_non_null(f);
    return pclose(f);
}

static int await_child(pid_t pid)
{
    int status = -1;
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    return status;
}

// spawn_program starts one whose output goes to `out`.
static pid_t spawn_program(const char *const *argv, int out)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;

    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO), 0);
    assert_int_equal(posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ), 0);
    assert_int_equal(posix_spawn_file_actions_destroy(&actions), 0);
    return pid;
}

static const char *const view_program[] = { "grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status", NULL };

static int by_spawn(int out)
{
    return await_child(spawn_program(view_program, out));
}

static int by_fork(int out)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(out, STDOUT_FILENO);
        execvp(view_program[0], (char *const *)view_program);
        _exit(127);
    }
    return await_child(pid);
}

static start_program *const ways[] = { by_system, by_popen, by_spawn, by_fork };

struct view {
    start_program *start;
    char text[256];
};

static int take_view(void *arg)
{
    struct view *v = arg;
    int out = memfd_create("view", 0); // which the shell inherits

    assert_true(out >= 0);
    assert_int_equal(v->start(out), 0);
    ssize_t n = pread(out, v->text, sizeof(v->text) - 1, 0);
    assert_true(n > 0);
    v->text[n] = 0;
    close(out);
    return 0;
}

static int take_view_in_a_job(void *arg)
{
    return weft_blocking(take_view, arg);
}

static int run_in_a_test(weft_fn *fn, void *arg)
{
    return weft_test_run(NULL, fn, arg);
}

static int run_in_a_runtime(weft_fn *fn, void *arg)
{
    return weft_run(NULL, fn, arg);
}

static void compare_views(void *arg)
{
    static weft_fn *const places[] = { take_view, take_view_in_a_job };
    (void)arg;

    block(SIGUSR2); // the program's own wishes are passed on
    signal(SIGHUP, SIG_IGN);
    for (size_t w = 0; w < wf_countof(ways); w++) {
        struct view before = { .start = ways[w] }, now = before;
        take_view(&before);
        for (size_t p = 0; p < wf_countof(places); p++) {
            assert_int_equal(run_in_a_runtime(places[p], &now), 0);
            assert_string_equal(now.text, before.text);
            assert_int_equal(run_in_a_test(places[p], &now), 0);
            assert_string_equal(now.text, before.text);
        }
    }
}

static void a_child_knows_the_signals_that_the_program_knew(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, compare_views, NULL);
    child_expect_exit(&c, 0);
}

static int end_a_sleeper(void *arg)
{
    static const char *const sleeper[] = { "sleep", "60", NULL };
    pid_t pid = spawn_program(sleeper, STDERR_FILENO);
    (void)arg;

    assert_int_equal(kill(pid, SIGTERM), 0);
    int status = await_child(pid);
    assert_true(WIFSIGNALED(status));
    return WTERMSIG(status);
}

static int end_a_sleeper_in_a_job(void *arg)
{
    return weft_blocking(end_a_sleeper, arg);
}

static void end_sleepers(void *arg)
{
    (void)arg;
    assert_int_equal(weft_run(NULL, end_a_sleeper, NULL), SIGTERM);
    assert_int_equal(weft_run(NULL, end_a_sleeper_in_a_job, NULL), SIGTERM);
}

static void a_child_can_be_ended(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, end_sleepers, NULL);
    child_expect_exit(&c, 0);
}

// end_a_writer: it writes as long as its pipe has a reader.
static int end_a_writer(void *arg)
{
    static const char *const writer[] = { "yes", NULL };
    char line[2];
    int fd[2];
    (void)arg;

    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    pid_t pid = spawn_program(writer, fd[1]);
    close(fd[1]);
    peer_read(fd[0], line, sizeof(line));
    close(fd[0]);
    int status = await_child(pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int end_a_writer_in_a_job(void *arg)
{
    return weft_blocking(end_a_writer, arg);
}

static void end_writers(void *arg)
{
    (void)arg;
    assert_int_equal(weft_run(NULL, end_a_writer, NULL), SIGPIPE);
    assert_int_equal(weft_run(NULL, end_a_writer_in_a_job, NULL), SIGPIPE);
}

static void a_child_ends_when_nobody_reads_it_any_more(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, end_writers, NULL);
    child_expect_exit(&c, 0);
    assert_string_equal(c.said, ""); // no "Broken pipe"
}

// --- SIGPIPE -------------------------------------------------------------------------

static void make_closed_pipe(int fd[2])
{
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    close(fd[0]);
}

static int write_in_vain(void *arg)
{
    int fd[2];
    (void)arg;

    make_closed_pipe(fd);
    assert_int_equal(write(fd[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    close(fd[1]);
    return 0;
}

static int write_in_each_way(void *arg)
{
    int fd[2];

    make_closed_pipe(fd);
    assert_int_equal(weft_write(fd[1], "x", 1), -EPIPE);
    assert_int_equal(weft_close(fd[1]), 0);
    assert_int_equal(write_in_vain(arg), 0);
    return weft_blocking(write_in_vain, arg);
}

static void write_and_live(void *arg)
{
    struct sigaction now;

    signal(SIGPIPE, SIG_DFL);
    assert_int_equal(run_in_a_runtime(write_in_each_way, arg), 0);
    assert_int_equal(run_in_a_test(write_in_each_way, arg), 0);
    assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, SIG_DFL);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now.sa_mask), 0);
    assert_false(sigismember(&now.sa_mask, SIGPIPE));
}

static void a_write_to_a_closed_pipe_is_an_error_only(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, write_and_live, NULL);
    child_expect_exit(&c, 0);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static weft_rt *begin_runtime(void)
{
    weft_rt *rt;
    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    assert_int_equal(weft_rt_block_on(rt, nothing, NULL), 0);
    return rt;
}

static void write_in_the_host(void *arg)
{
    begin_runtime();
    write_in_vain(arg);
}

// be_sent_one has its sender before it has threads: ThreadSanitizer minds a signal
// right after a fork.
static void be_sent_one(void *arg)
{
    int fd[2];
    char c;
    (void)arg;

    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    if (fork() == 0) {
        peer_read(fd[0], &c, 1);
        _exit(kill(getppid(), SIGPIPE));
    }
    begin_runtime();
    peer_write(fd[1], "x", 1);
    sleep(20);
}

static int raise_it(void *arg)
{
    (void)arg;
    return raise(SIGPIPE);
}

static void raise_in_a_task(void *arg)
{
    weft_run(NULL, raise_it, arg);
}

static int raise_in_a_job(void *arg)
{
    return weft_blocking(raise_it, arg);
}

static void raise_on_the_pool(void *arg)
{
    weft_run(NULL, raise_in_a_job, arg);
}

static void what_is_not_of_a_write_by_weft_ends_the_program(void **state)
{
    static void (*const bodies[])(void *) = { write_in_the_host, be_sent_one, raise_in_a_task, raise_on_the_pool };
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(bodies); i++) {
        child_run(&c, bodies[i], NULL);
        child_expect_signal(&c, SIGPIPE);
    }
}

static volatile sig_atomic_t handled;

static void count_signal(int sig)
{
    (void)sig;
    handled++;
}

// keep_its_own: a disposition that is not the default one stays through it all.
static void keep_its_own(void (*own)(int))
{
    struct sigaction now;

    handle(SIGPIPE, own, 0);
    weft_rt *rt = begin_runtime();
    assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, own);
    weft_rt_free(rt);
    assert_int_equal(weft_run(NULL, write_in_each_way, NULL), 0);
    assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, own);
}

static void keep_each_of_its_own(void *arg)
{
    (void)arg;
    keep_its_own(SIG_IGN);
    assert_int_equal(handled, 0);
    keep_its_own(count_signal);
    assert_int_equal(handled, 3);
}

// change_meanwhile: what the program installs while a runtime lives stays, too; and the
// next runtime finds it.
static void change_meanwhile(void *arg)
{
    struct sigaction now;
    weft_rt *rt = begin_runtime();
    (void)arg;

    handle(SIGPIPE, SIG_IGN, 0);
    weft_rt_free(rt);
    assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    write_and_live(NULL);
}

static void the_programs_own_disposition_stays(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, keep_each_of_its_own, NULL);
    child_expect_exit(&c, 0);
    child_run(&c, change_meanwhile, NULL);
    child_expect_exit(&c, 0);
}

static int fork_and_write(void *arg)
{
    struct sigaction now;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (sigaction(SIGPIPE, NULL, &now) < 0 || now.sa_handler != SIG_DFL)
            _exit(2);
        write_in_vain(arg);
        _exit(1);
    }
    int status = await_child(pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int fork_and_write_in_a_job(void *arg)
{
    return weft_blocking(fork_and_write, arg);
}

static void fork_and_write_everywhere(void *arg)
{
    weft_rt *rt = begin_runtime();

    assert_int_equal(fork_and_write(arg), SIGPIPE);
    assert_int_equal(weft_rt_block_on(rt, fork_and_write, arg), SIGPIPE);
    assert_int_equal(weft_rt_block_on(rt, fork_and_write_in_a_job, arg), SIGPIPE);
    weft_rt_free(rt);
}

static void a_child_of_fork_has_the_default_action_again(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, fork_and_write_everywhere, NULL);
    child_expect_exit(&c, 0);
}

// --- masks ---------------------------------------------------------------------------

static int compare_mask(void *arg)
{
    sigset_t now;

    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
    for (int sig = 1; sig < SIGRTMAX; sig++)
        assert_int_equal(sigismember(&now, sig), sigismember(arg, sig));
    return 0;
}

// ask_the_pool makes the pool's thread while the worker has another mask.
static int ask_the_pool(void *arg)
{
    sigset_t most, before;

    assert_int_equal(compare_mask(arg), 0);
    sigfillset(&most);
    sigdelset(&most, SIGABRT);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &most, &before), 0);
    int err = weft_blocking(compare_mask, arg);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    return err;
}

static void have_a_mask(void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    sigset_t mine;
    (void)arg;

    cfg.workers = 1; // which the task does not leave
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mine), 0);
        assert_int_equal(weft_run(&cfg, ask_the_pool, &mine), 0);
        block(SIGUSR1);
        block(SIGRTMIN + 1);
    }
}

static void wefts_threads_have_the_mask_of_the_thread_that_starts_them(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, have_a_mask, NULL);
    child_expect_exit(&c, 0);
}

// take_a_signal is the documented way: blocked everywhere, it is read from a
// descriptor.
static int take_a_signal(void *arg)
{
    struct signalfd_siginfo info;

    assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(kill(getpid(), SIGUSR1), 0);
        assert_int_equal(weft_read(*(int *)arg, &info, sizeof(info)), sizeof(info));
        assert_int_equal(info.ssi_signo, SIGUSR1);
    }
    return 0;
}

static void read_signals(void *arg)
{
    sigset_t set;
    (void)arg;

    block(SIGUSR1);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(weft_run(NULL, take_a_signal, &fd), 0);
}

static void a_signal_that_is_blocked_before_is_read_from_a_descriptor(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, read_signals, NULL);
    child_expect_exit(&c, 0);
}

// --- a terminal ----------------------------------------------------------------------

static int read_a_line(void *arg)
{
    char line[16];
    (void)arg;
    return (int)weft_read(STDIN_FILENO, line, sizeof(line));
}

// read_in_the_background is a job that the shell has put there.
static _Noreturn void read_in_the_background(int terminal)
{
    assert_int_equal(setpgid(0, 0), 0);
    assert_true(dup2(terminal, STDIN_FILENO) >= 0);
    alarm(child_seconds());
    int n = weft_run(NULL, read_a_line, NULL);
    _exit(n == 6 ? 0 : n < 0 ? 1 : 2);
}

// be_a_shell has a job in the background, and brings it to the front when it is
// stopped.
static void be_a_shell(void *arg)
{
    int master, terminal, status;
    (void)arg;

    assert_true(setsid() >= 0);
    if (openpty(&master, &terminal, NULL, NULL, NULL) < 0)
        fail_msg("no pseudo-terminal: %s", strerror(errno));
    assert_int_equal(ioctl(terminal, TIOCSCTTY, 0), 0);
    assert_int_equal(tcsetpgrp(terminal, getpgrp()), 0);
    peer_write(master, "hello\n", 6);
    pid_t job = fork();
    if (job == 0)
        read_in_the_background(terminal);
    assert_int_equal(waitpid(job, &status, WUNTRACED), job);
    if (!WIFSTOPPED(status))
        fail_msg("the job ended with status %#x", (unsigned)status);
    assert_int_equal(WSTOPSIG(status), SIGTTIN);
    assert_int_equal(tcsetpgrp(terminal, job), 0);
    assert_int_equal(kill(-job, SIGCONT), 0);
    status = await_child(job);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0); // it has its line
}

static void a_background_job_that_reads_its_terminal_is_stopped(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, be_a_shell, NULL);
    child_expect_exit(&c, 0);
}

// --- profilers -----------------------------------------------------------------------

static pid_t main_thread;
static _Atomic unsigned samples_of_main, samples_of_others;

static void take_sample(int sig)
{
    (void)sig;
    // relaxed: counters
    wf_fetch_add_relaxed(gettid_now() == main_thread ? &samples_of_main : &samples_of_others, 1u);
}

static int compute(void *arg)
{
    (void)arg;
    while (wf_load_relaxed(&samples_of_main) + wf_load_relaxed(&samples_of_others) < 100) // relaxed: counters
        (void)time(NULL); // ThreadSanitizer lets signals in at such calls
    return 0;
}

static int compute_in_a_job(void *arg)
{
    return weft_blocking(compute, arg);
}

static void profile(void *arg)
{
    static const struct itimerval each_ms = { { 0, 1000 }, { 0, 1000 } };
    weft_fn *fn = *(weft_fn *const *)arg;

    main_thread = gettid_now();
    handle(SIGPROF, take_sample, SA_RESTART);
    assert_int_equal(setitimer(ITIMER_PROF, &each_ms, NULL), 0);
    assert_int_equal(weft_run(NULL, fn, NULL), 0);
    assert_true(wf_load_relaxed(&samples_of_others) > wf_load_relaxed(&samples_of_main)); // relaxed: counters
}

static void a_profiler_sees_the_threads_that_compute(void **state)
{
    static weft_fn *const places[] = { compute, compute_in_a_job };
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(places); i++) {
        child_run(&c, profile, (void *)&places[i]);
        child_expect_exit(&c, 0);
    }
}

// --- handlers ------------------------------------------------------------------------

static volatile sig_atomic_t handler_thread, handler_is_aside;

static void take_note(int sig)
{
    stack_t now;

    (void)sig;
    handler_thread = gettid_now();
    handler_is_aside = sigaltstack(NULL, &now) == 0 && now.ss_flags & SS_ONSTACK;
}

static int send_to_itself(void *arg)
{
    (void)arg;
    handler_thread = 0;
    assert_int_equal(pthread_kill(pthread_self(), SIGUSR1), 0);
    assert_int_equal(handler_thread, gettid_now());
    return 0;
}

static int send_to_itself_in_a_job(void *arg)
{
    return weft_blocking(send_to_itself, arg);
}

static int run_on_little_stack(weft_fn *fn)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    cfg.stack_size = 16 << 10;
    return weft_run(&cfg, fn, NULL);
}

// expect_handler: it runs on the thread, and if that is a task's on the stack that it
// asked for.
static void expect_handler(int flags)
{
    handle(SIGUSR1, take_note, flags);
    assert_int_equal(run_on_little_stack(send_to_itself_in_a_job), 0);
    assert_int_equal(run_on_little_stack(send_to_itself), 0);
    assert_int_equal(handler_is_aside, flags == SA_ONSTACK);
}

static void handle_on_each_thread(void *arg)
{
    (void)arg;
    expect_handler(SA_ONSTACK);
    expect_handler(0);
}

static void the_programs_handlers_run_on_each_thread(void **state)
{
    struct child c;
    (void)state;

#ifdef WF_TSAN
    wf_test_skip("ThreadSanitizer calls handlers itself, later or, in a child of fork, not at all");
#endif
    child_run(&c, handle_on_each_thread, NULL);
    child_expect_exit(&c, 0);
}

static void use_much(int sig)
{
    volatile char frame[256 << 10];
    frame[0] = (char)sig;
    frame[sizeof(frame) - 1] = frame[0];
}

static int send_and_live(void *arg)
{
    (void)arg;
    return raise(SIGUSR1);
}

static void use_much_in_a_handler(void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)arg;

    cfg.workers = 8; // whose stacks lie side by side
    handle(SIGUSR1, use_much, SA_ONSTACK);
    _exit(weft_run(&cfg, send_and_live, NULL) ? 3 : 2);
}

static void a_handler_cannot_overflow_the_stack_for_signals_unseen(void **state)
{
    struct child c;
    (void)state;

#if defined(WF_ASAN) || defined(WF_TSAN)
    wf_test_skip("the sanitizers look at stacks themselves");
#endif
    child_run(&c, use_much_in_a_handler, NULL);
    child_expect_signal(&c, SIGSEGV);
}

#if defined(__x86_64__) || defined(__aarch64__)
// send_when_the_stack_is_full sends at each depth, until the handler's frame does not
// fit any more.
static WF_NOINLINE int send_when_the_stack_is_full(unsigned depth)
{
    volatile char frame[16];

    frame[depth % 16] = (char)depth;
    assert_int_equal(syscall(SYS_tgkill, getpid(), gettid_now(), SIGUSR1), 0);
    return depth > 0 ? send_when_the_stack_is_full(depth - 1) + frame[depth % 16] : 0;
}

static int fill_the_stack(void *arg)
{
    (void)arg;
    return send_when_the_stack_is_full(1000000);
}

static void overflow_by_a_handler(void *arg)
{
    (void)arg;
    handle(SIGUSR1, count_signal, 0);
    _exit(run_on_little_stack(fill_the_stack) ? 3 : 2);
}

static void a_handler_that_does_not_fit_on_the_stack_is_an_overflow(void **state)
{
    struct child c;
    (void)state;

#if defined(WF_ASAN) || defined(WF_TSAN)
    wf_test_skip("the sanitizers have handlers of their own in between");
#endif
    child_run(&c, overflow_by_a_handler, NULL);
    child_expect_signal(&c, SIGSEGV);
    assert_string_equal(c.said, "weft: task 1 overflowed its 16 KiB stack\n");
}
#else
static void a_handler_that_does_not_fit_on_the_stack_is_an_overflow(void **state)
{
    (void)state;
    wf_test_skip("on this processor the place of the stack pointer is not known");
}
#endif

// --- a storm -------------------------------------------------------------------------

enum { STORM = 2000 /* signals at least */, WORDS = 200 };

static _Atomic unsigned gusts;

static void blow(int sig)
{
    (void)sig;
    wf_fetch_add_relaxed(&gusts, 1u); // relaxed: a counter
}

static bool blows(void)
{
    return wf_load_relaxed(&gusts) < STORM; // relaxed: a counter
}

static int echo(void *arg)
{
    int fd = *(int *)arg;
    uint64_t word;
    int err;

    while ((err = weft_read_full(fd, &word, sizeof(word), NULL)) == 0)
        assert_int_equal(weft_write_all(fd, &word, sizeof(word), NULL), 0);
    assert_int_equal(err, -ENODATA);
    return weft_close(fd);
}

static void talk(int fd)
{
    for (uint64_t i = 0; i < WORDS || blows(); i++) {
        uint64_t word = 0;
        assert_int_equal(weft_write(fd, &i, sizeof(i)), sizeof(i));
        assert_int_equal(weft_read_full(fd, &word, sizeof(word), NULL), 0);
        assert_int_equal(word, i);
    }
    assert_int_equal(weft_close(fd), 0);
}

static int talk_over_a_socket(void *arg)
{
    int *fd = arg;
    weft_task *t = spawn(echo, &fd[0]);
    talk(fd[1]);
    return join(t);
}

static int accept_one(void *arg)
{
    int fd = weft_accept(*(int *)arg, NULL, NULL);
    assert_true(fd >= 0);
    return weft_close(fd);
}

static int dial_often(void *arg)
{
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    char addr[32];
    int listener = weft_tcp_listen("127.0.0.1:0");
    (void)arg;

    assert_true(listener >= 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    snprintf(addr, sizeof(addr), "127.0.0.1:%u", ntohs(at.sin_port));
    for (int i = 0; i < WORDS / 10 || blows(); i++) {
        char c;
        weft_task *t = spawn(accept_one, &listener);
        int fd = weft_tcp_dial(addr);
        assert_true(fd >= 0);
        assert_int_equal(weft_read(fd, &c, 1), 0);
        assert_int_equal(weft_close(fd), 0);
        assert_int_equal(join(t), 0);
    }
    return weft_close(listener);
}

static int use_files(void *arg)
{
    char file[] = "/tmp/weft-signals-XXXXXX";
    int fd = mkstemp(file);
    (void)arg;

    assert_true(fd >= 0);
    unlink(file);
    for (int i = 0; i < WORDS || blows(); i++) {
        int seen = -1;
        assert_int_equal(weft_write(fd, &i, sizeof(i)), sizeof(i));
        assert_int_equal(lseek(fd, -(off_t)sizeof(i), SEEK_CUR) >= 0, 1);
        assert_int_equal(weft_read(fd, &seen, sizeof(seen)), sizeof(seen));
        assert_int_equal(seen, i);
    }
    return weft_close(fd);
}

static int sleep_a_little(void *arg)
{
    weft_time before = weft_now();
    (void)arg;

    for (int i = 0; i < WORDS || blows(); i++) {
        assert_int_equal(weft_sleep(WEFT_US(50)), 0);
        assert_true(weft_now() - before >= WEFT_US(50) * (i + 1));
    }
    return 0;
}

static int wait_in_a_select(void *arg)
{
    int fd[2];
    (void)arg;

    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    for (int i = 0; i < WORDS || blows(); i++) {
        weft_case cases[] = { weft_on_fd(fd[0], POLLIN), weft_on_time(weft_after(WEFT_US(100))) };
        assert_int_equal(weft_select(cases, 2), 1);
        peer_write(fd[1], "x", 1);
        assert_int_equal(weft_poll(fd[0], POLLIN), POLLIN);
        char c;
        assert_int_equal(weft_read(fd[0], &c, 1), 1);
    }
    assert_int_equal(weft_close(fd[0]), 0);
    return weft_close(fd[1]);
}

static int stand_in_the_storm(void *arg)
{
    int (*pairs)[2] = arg;
    weft_task *tasks[] = { spawn(talk_over_a_socket, pairs[0]),
                           spawn(talk_over_a_socket, pairs[1]),
                           spawn(dial_often, NULL),
                           spawn(use_files, NULL),
                           spawn(sleep_a_little, NULL),
                           spawn(wait_in_a_select, NULL) };

    for (size_t i = 0; i < wf_countof(tasks); i++)
        assert_int_equal(join(tasks[i]), 0);
    return 0;
}

static int stand_watched(void *arg)
{
    return tasks_watched(&(struct tasks_body){ stand_in_the_storm, arg });
}

// storm sends ten thousand signals a second to weft's threads: the main thread blocks
// it when they have begun.
static void storm(void *arg)
{
    static const struct itimerspec pace = { { 0, 100000 }, { 0, 100000 } };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
    timer_t timer;
    int pairs[2][2];

    peer_pair(PEER_TCP, pairs[0]); // before it begins: plain calls mind it
    peer_pair(PEER_UNIX, pairs[1]);
    handle(SIGRTMIN, blow, *(const int *)arg);
    weft_rt *rt = begin_runtime();
    block(SIGRTMIN);
    assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    assert_int_equal(timer_settime(timer, 0, &pace, NULL), 0);
    assert_int_equal(weft_rt_block_on(rt, stand_watched, pairs), 0);
    weft_rt_free(rt);
    assert_true(wf_load_relaxed(&gusts) >= STORM); // relaxed: a counter
    assert_int_equal(timer_delete(timer), 0);
}

static void a_storm_of_signals_costs_no_call_its_result(void **state)
{
    static const int flags[] = { 0, SA_RESTART, SA_ONSTACK };
    struct child c;
    (void)state;

    for (size_t i = 0; i < wf_countof(flags); i++) {
        child_run(&c, storm, (void *)&flags[i]);
        child_expect_exit(&c, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_child_knows_the_signals_that_the_program_knew),
        left_test(a_child_can_be_ended),
        left_test(a_child_ends_when_nobody_reads_it_any_more),
        left_test(a_write_to_a_closed_pipe_is_an_error_only),
        left_test(what_is_not_of_a_write_by_weft_ends_the_program),
        left_test(the_programs_own_disposition_stays),
        left_test(a_child_of_fork_has_the_default_action_again),
        left_test(wefts_threads_have_the_mask_of_the_thread_that_starts_them),
        left_test(a_signal_that_is_blocked_before_is_read_from_a_descriptor),
        left_test(a_background_job_that_reads_its_terminal_is_stopped),
        left_test(a_profiler_sees_the_threads_that_compute),
        left_test(the_programs_handlers_run_on_each_thread),
        left_test(a_handler_cannot_overflow_the_stack_for_signals_unseen),
        left_test(a_handler_that_does_not_fit_on_the_stack_is_an_overflow),
        left_test(a_storm_of_signals_costs_no_call_its_result),
    };
    return wf_test_run(tests);
}
