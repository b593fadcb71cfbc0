// weft/process.h: real programs, from their start to their end. No test leaves a child
// behind, nor a zombie.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "tests/support/child.h"
#include "tests/support/filter.h"
#include "tests/support/left.h"
#include "tests/support/seeds.h"
#include "tests/support/tasks.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#define process_test(f) cmocka_unit_test_setup_teardown(f, left_before, nothing_left)

static int nothing_left(void **state)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    return left_after(state);
}

// shell is what has the shell run a command; valid in the block in which it is made.
#define shell(command) with_arguments((char *[]){ "sh", "-c", (command), NULL })

static weft_process_opts with_arguments(char *const *argv)
{
    weft_process_opts o = WEFT_PROCESS_OPTS_INIT;

    o.argv = argv;
    return o;
}

static weft_process *start(const weft_process_opts *o)
{
    weft_process *p = NULL;
    assert_int_equal(weft_process_spawn(&p, o), 0);
    assert_true(weft_process_pid(p) > 0);
    return p;
}

static weft_process *start_shell(char *command)
{
    weft_process_opts o = shell(command);
    return start(&o);
}

static int end_of(weft_process *p)
{
    int status = -1;
    assert_int_equal(weft_process_wait(p, &status), 0);
    return status;
}

static void run_body(weft_fn *fn)
{
    assert_int_equal(run_tasks(fn, NULL), 0);
}

// --- status --------------------------------------------------------------------------

static int see_statuses(void *arg)
{
    static const int codes[] = { 0, 3, 255 };
    char command[32];
    (void)arg;

    for (size_t i = 0; i < wf_countof(codes); i++) {
        snprintf(command, sizeof(command), "exit %d", codes[i]);
        weft_process *p = start_shell(command);
        assert_int_equal(end_of(p), codes[i] << 8);
        assert_int_equal(end_of(p), codes[i] << 8); // it is told again
        assert_int_equal(weft_process_wait(p, NULL), 0);
        assert_int_equal(weft_process_close(p), 0);
    }
    weft_process *p = start_shell("kill -TERM $$");
    assert_int_equal(end_of(p), SIGTERM);
    assert_int_equal(weft_process_close(p), 0);
    assert_int_equal(weft_process_close(NULL), 0);
    return 0;
}

static void the_status_is_that_of_waitpid(void **state)
{
    (void)state;
    run_body(see_statuses);
    run_seeds(5, see_statuses, NULL);
}

enum { TOO_MUCH = 4 << 20 }; // for an argument: the kernel takes 128 KiB

static int see_refusals(void *arg)
{
    weft_process_opts o = WEFT_PROCESS_OPTS_INIT;
    weft_output out = { .max = 1 };
    weft_process *p;
    (void)arg;

    assert_int_equal(weft_process_spawn(&p, &o), -EINVAL);
    o.path = "no-such-program";
    assert_int_equal(weft_process_spawn(&p, &o), -ENOENT);
    o.path = "/no/such/program";
    assert_int_equal(weft_process_spawn(&p, &o), -ENOENT);
    o.path = "/etc/passwd";
    assert_int_equal(weft_process_spawn(&p, &o), -EACCES);
    char text[] = "/tmp/weft-process-XXXXXX";
    int fd = mkstemp(text);
    assert_true(fd >= 0 && write(fd, "no program\n", 11) == 11 && fchmod(fd, 0700) == 0 && close(fd) == 0);
    o.path = text;
    assert_int_equal(weft_process_spawn(&p, &o), -ENOEXEC);
    assert_int_equal(unlink(text), 0);
    o.path = "true";
    char *much = calloc(1, TOO_MUCH);
    assert_non_null(much);
    memset(much, 'x', TOO_MUCH - 1);
    o.argv = (char *[]){ "true", much, NULL };
    assert_int_equal(weft_process_spawn(&p, &o), -E2BIG);
    o.argv = NULL;
    free(much);
    o.cwd = "/no/such/directory";
    assert_int_equal(weft_process_spawn(&p, &o), -ENOENT);
    o.cwd = NULL;
    o.out = 9999;
    assert_int_equal(weft_process_spawn(&p, &o), -EBADF);
    o.out = -3;
    assert_int_equal(weft_process_spawn(&p, &o), -EINVAL);
    o.out = WEFT_PIPE; // which is closed again
    o.kill_signal = 65;
    assert_int_equal(weft_process_spawn(&p, &o), -EINVAL);
    o.kill_signal = 0;
    o.kill_grace = -1;
    assert_int_equal(weft_process_spawn(&p, &o), -EINVAL);
    o.kill_grace = 0;
    o.size = sizeof(o) + 8;
    assert_int_equal(weft_process_spawn(&p, &o), -EINVAL);
    assert_int_equal(weft_process_run(&o, NULL, 0, &out), -EINVAL);
    o.size = sizeof(o);
    o.path = "/no/such/program";
    assert_int_equal(weft_process_spawn(&p, &o), -ENOENT);
    return 0;
}

static void what_cannot_start_is_an_error(void **state)
{
    (void)state;
    run_body(see_refusals);
}

// --- what a program begins with ------------------------------------------------------

static void expect_output(const weft_process_opts *o, const char *expected)
{
    weft_output out = { .max = 1 << 20 };

    assert_int_equal(weft_process_run(o, NULL, 0, &out), 0);
    assert_int_equal(out.status, 0);
    assert_string_equal(out.out, expected);
    assert_int_equal(out.out_len, strlen(expected));
    free(out.out);
    free(out.err);
}

static int see_options(void *arg)
{
    weft_process_opts o = shell("echo $WEFT_WORD; pwd");
    (void)arg;

    o.envp = (char *[]){ "WEFT_WORD=weft", "PATH=/nowhere", NULL };
    o.cwd = "/";
    expect_output(&o, "weft\n/\n");
    o.path = "/bin/sh"; // another name than argv[0]
    o.argv = (char *[]){ "a-name", "-c", "echo $0", NULL };
    expect_output(&o, "a-name\n");
    o = (weft_process_opts)WEFT_PROCESS_OPTS_INIT;
    o.path = "pwd";
    o.cwd = "/usr";
    expect_output(&o, "/usr\n");
    return 0;
}

static void arguments_environment_and_directory_are_the_options(void **state)
{
    (void)state;
    run_body(see_options);
}

static int see_descriptors(void *arg)
{
    weft_process_opts o = WEFT_PROCESS_OPTS_INIT;
    int open = fcntl(STDERR_FILENO, F_DUPFD, 100); // not close-on-exec
    (void)arg;

    assert_true(open >= 100);
    o.argv = (char *[]){ "ls", "/proc/self/fd", NULL };
    expect_output(&o, "0\n1\n2\n3\n"); // the last one belongs to ls itself, which reads the folder
    close(open);
    return 0;
}

static void a_program_has_three_descriptors(void **state)
{
    (void)state;
    run_body(see_descriptors);
}

static void expect_file(int fd, const char *expected)
{
    char text[64] = "";
    assert_true(pread(fd, text, sizeof(text) - 1, 0) >= 0);
    assert_string_equal(text, expected);
}

static int swap_outputs(void *arg)
{
    weft_process_opts o = shell("echo out; echo err >&2");
    const int *files = arg;

    o.out = STDERR_FILENO;
    o.err = STDOUT_FILENO;
    weft_process *p = start(&o);
    assert_int_equal(end_of(p), 0);
    assert_int_equal(weft_process_close(p), 0);
    expect_file(files[0], "err\n");
    expect_file(files[1], "out\n");
    return 0;
}

// In a child, because the harness needs its outputs.
static void have_outputs_swapped(void *arg)
{
    int files[2] = { memfd_create("out", MFD_CLOEXEC), memfd_create("err", MFD_CLOEXEC) };
    (void)arg;

    dup2(files[0], STDOUT_FILENO);
    dup2(files[1], STDERR_FILENO);
    assert_int_equal(run_tasks(swap_outputs, files), 0);
}

static int talk_without(void *arg)
{
    weft_process_opts o = shell("cat; echo err >&2");
    weft_output out = { .max = 100 };
    (void)arg;

    assert_int_equal(weft_process_run(&o, "in", 2, &out), 0);
    assert_string_equal(out.out, "in");
    assert_string_equal(out.err, "err\n");
    free(out.out);
    free(out.err);
    return 0;
}

static void close_standard(void *arg)
{
    (void)arg;
    for (int fd = 0; fd <= 2; fd++)
        close(fd);
    assert_int_equal(run_tasks(talk_without, NULL), 0);
}

static void descriptors_may_be_swapped_or_closed(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, have_outputs_swapped, NULL);
    child_expect_exit(&c, 0);
    child_run(&c, close_standard, NULL);
    child_expect_exit(&c, 0);
}

static int see_signals(void *arg)
{
    weft_process_opts o = WEFT_PROCESS_OPTS_INIT;

    o.argv = (char *[]){ "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL };
    expect_output(&o, arg);
    return 0;
}

// What the program has blocked and ignored is not the child's; but that a session's end
// is ignored.
static void have_signals_changed(void *arg)
{
    sigset_t set;
    (void)arg;

    sigfillset(&set);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    assert_int_equal(run_tasks(see_signals, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"), 0);
    signal(SIGHUP, SIG_IGN);
    assert_int_equal(run_tasks(see_signals, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000001\n"), 0);
}

static void signals_are_as_a_fresh_program_expects(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, have_signals_changed, NULL);
    child_expect_exit(&c, 0);
}

// --- pipes ---------------------------------------------------------------------------

static int talk_by_pipes(void *arg)
{
    weft_process_opts o = WEFT_PROCESS_OPTS_INIT;
    char text[8] = "";
    (void)arg;

    o.path = "cat";
    o.in = o.out = WEFT_PIPE;
    o.err = WEFT_NULL;
    weft_process *p = start(&o);
    int in = weft_process_pipe(p, 0), out = weft_process_pipe(p, 1);
    assert_int_equal(weft_process_pipe(p, 2), -EBADF);
    assert_int_equal(weft_process_pipe(p, 3), -EBADF);
    assert_int_equal(weft_write_all(in, "hello", 5, NULL), 0);
    assert_int_equal(weft_read(out, text, sizeof(text)), 5);
    assert_string_equal(text, "hello");
    assert_int_equal(weft_close(in), 0);
    assert_int_equal(weft_read(out, text, sizeof(text)), 0);
    assert_int_equal(end_of(p), 0);
    int other = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, in); // gets the number that was just closed
    assert_int_equal(other, in);
    assert_int_equal(weft_process_close(p), 0);
    assert_true(fcntl(other, F_GETFD) >= 0); // is not closed with it
    assert_int_equal(fcntl(out, F_GETFD), -1);
    close(other);
    return 0;
}

static void pipes_close_with_the_process(void **state)
{
    (void)state;
    run_body(talk_by_pipes);
}

// --- run -----------------------------------------------------------------------------

enum { MUCH = 1 << 20 };

static int run_much(void *arg)
{
    weft_process_opts o = shell("tee /dev/stderr");
    weft_output out = { .max = MUCH };
    char *text = malloc(MUCH);
    (void)arg;

    assert_non_null(text);
    for (int i = 0; i < MUCH; i++)
        text[i] = (char)(i * 7);
    assert_int_equal(weft_process_run(&o, text, MUCH, &out), 0);
    assert_int_equal(out.status, 0);
    assert_int_equal(out.out_len, MUCH);
    assert_int_equal(out.err_len, MUCH);
    assert_memory_equal(out.out, text, MUCH);
    assert_memory_equal(out.err, text, MUCH);
    free(out.out);
    free(out.err);
    free(text);
    return 0;
}

static void both_outputs_are_read_while_it_is_fed(void **state)
{
    (void)state;
    run_body(run_much);
}

static int run_deaf(void *arg)
{
    weft_process_opts o = shell("exec <&-; echo done; exit 5");
    weft_output out = { .max = 100 };
    char *text = calloc(MUCH, 1);
    (void)arg;

    assert_non_null(text);
    assert_int_equal(weft_process_run(&o, text, MUCH, &out), 0);
    assert_int_equal(out.status, 5 << 8);
    assert_string_equal(out.out, "done\n");
    assert_string_equal(out.err, "");
    free(out.out);
    free(out.err);
    free(text);
    return 0;
}

static void a_program_need_not_read_its_input(void **state)
{
    (void)state;
    run_body(run_deaf);
}

static int run_bounded(void *arg)
{
    static const size_t rooms[] = { 0, 1, 999, 4095, 4096, 4097, 70000 };
    char command[64];
    (void)arg;

    for (size_t i = 0; i < wf_countof(rooms); i++) {
        weft_output out = { .max = rooms[i] };
        snprintf(command, sizeof(command), "head -c %zu /dev/zero", rooms[i]);
        weft_process_opts o = shell(command);
        assert_int_equal(weft_process_run(&o, "", 0, &out), 0);
        assert_int_equal(out.out_len, rooms[i]);
        assert_int_equal(((char *)out.out)[rooms[i]], 0);
        free(out.out);
        free(out.err);
        snprintf(command, sizeof(command), "head -c %zu /dev/zero >&2; exec yes >&2", rooms[i]);
        assert_int_equal(weft_process_run(&o, "", 0, &out), -EMSGSIZE);
        assert_null(out.out);
        assert_null(out.err);
        assert_int_equal(out.err_len, 0);
    }
    return 0;
}

static void an_output_that_is_too_long_ends_it(void **state)
{
    (void)state;
    run_body(run_bounded);
}

static int run_elsewhere(void *arg)
{
    weft_process_opts o = shell("cat; echo out; echo err >&2");
    weft_output out = { .max = 100 };
    int file = memfd_create("file", MFD_CLOEXEC);
    (void)arg;

    assert_true(file >= 0);
    o.out = file;
    o.err = WEFT_NULL;
    o.in = WEFT_NULL;
    assert_int_equal(weft_process_run(&o, "x", 1, &out), -EINVAL);
    assert_int_equal(weft_process_run(&o, NULL, 0, &out), 0);
    assert_null(out.out);
    assert_null(out.err);
    expect_file(file, "out\n");
    o.in = WEFT_PIPE;
    assert_int_equal(weft_process_run(&o, NULL, 0, &out), -EINVAL);
    o.argv = (char *[]){ "no-such-program", NULL };
    o.in = 0;
    assert_int_equal(weft_process_run(&o, NULL, 0, &out), -ENOENT);
    close(file);
    return 0;
}

static void outputs_may_go_elsewhere(void **state)
{
    (void)state;
    run_body(run_elsewhere);
}

// --- being ended ---------------------------------------------------------------------

static int run_sleeper(void *arg)
{
    weft_process_opts o = shell("exec sleep 1000");
    weft_output out = { .max = 100 };
    (void)arg;
    return weft_process_run(&o, "", 0, &out);
}

// Whatever ends the scope: a deadline, or a cancel.
static int cut_short(void *arg)
{
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&s, weft_after(WEFT_MS(20)));
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_scope_spawn(&s, run_sleeper, NULL), 0);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    weft_task *t = spawn(run_sleeper, NULL);
    wait_parked(t, "weft_select");
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    return 0;
}

static void a_scope_that_is_cut_short_ends_its_children(void **state)
{
    (void)state;
    run_body(cut_short);
}

static int wait_and_close(void *arg)
{
    weft_process *p = start_shell("exec sleep 1000");
    (void)arg;

    int err = weft_process_wait(p, NULL);
    assert_int_equal(weft_process_close(p), 0);
    return err;
}

static int leave_waiter(void *arg)
{
    (void)arg;
    wait_parked(spawn(wait_and_close, NULL), "weft_poll");
    return 0;
}

static void the_end_of_the_runtime_ends_them(void **state)
{
    (void)state;
    run_body(leave_waiter);
}

// close_gently gives it the time to say goodbye, in a task that is `cancelled` too.
static int close_gently(void *cancelled)
{
    weft_process_opts o = shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    char text[16];

    o.out = WEFT_PIPE;
    o.err = WEFT_NULL;
    o.kill_grace = WEFT_NEVER;
    weft_process *p = start(&o);
    assert_int_equal(weft_read(weft_process_pipe(p, 1), text, sizeof(text)), 6);
    int out = fcntl(weft_process_pipe(p, 1), F_DUPFD_CLOEXEC, 3);
    if (cancelled)
        weft_task_cancel(weft_self());
    assert_int_equal(weft_process_close(p), 0);
    weft_shield_begin(WEFT_NEVER);
    assert_int_equal(weft_read(out, text, sizeof(text)), 4);
    weft_shield_end();
    assert_memory_equal(text, "bye\n", 4);
    weft_close(out);
    return 0;
}

static int close_stubborn(void *arg)
{
    weft_process_opts o = shell("trap '' TERM INT; echo ready; while :; do sleep 0.01; done");
    char text[16];
    (void)arg;

    o.out = WEFT_PIPE;
    o.kill_signal = SIGINT;
    o.kill_grace = WEFT_MS(30);
    weft_process *p = start(&o);
    assert_int_equal(weft_read(weft_process_pipe(p, 1), text, sizeof(text)), 6);
    assert_int_equal(weft_process_close(p), 0);
    return 0;
}

static void to_close_is_to_ask_and_then_to_kill(void **state)
{
    (void)state;
    run_body(close_gently);
    assert_int_equal(run_tasks(close_gently, "cancelled"), 0);
    run_body(close_stubborn);
}

static int start_family(weft_process **p, bool new_group, char *script)
{
    weft_process_opts o = shell(script);
    char text[16];
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    o.out = ends[1];
    o.new_group = new_group;
    *p = start(&o);
    close(ends[1]);
    assert_int_equal(weft_read(ends[0], text, sizeof(text)), 6);
    return ends[0];
}

// The grandchild, too, has the pipe.
static int close_family(void *arg)
{
    weft_process *p;
    char byte;

    int out = start_family(&p, true, arg ? arg : "sleep 1000 & echo ready; wait");
    assert_int_equal(getpgid(weft_process_pid(p)), weft_process_pid(p));
    assert_int_equal(weft_process_close(p), 0);
    assert_int_equal(weft_read(out, &byte, 1), 0);
    weft_close(out);
    return 0;
}

static void a_group_ends_with_its_leader(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(close_family, "sleep 1000 & echo ready; wait"), 0);
    assert_int_equal(run_tasks(close_family, "sleep 1000 & echo ready"), 0); // the leader has ended by itself
}

static int send_signals(void *arg)
{
    weft_process *p = start_shell("exec sleep 1000");
    weft_scope s;
    (void)arg;

    assert_int_equal(weft_process_signal(p, 0), 0);
    assert_int_equal(weft_process_signal(p, 99), -EINVAL);
    assert_int_equal(weft_process_signal(p, SIGSTOP), 0); // is not an end
    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_scope_deadline(&s, weft_after(WEFT_MS(20)));
    assert_int_equal(weft_process_wait(p, NULL), -ETIMEDOUT);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    assert_int_equal(weft_process_signal(p, SIGKILL), 0);
    assert_int_equal(end_of(p), SIGKILL);
    assert_int_equal(weft_process_signal(p, SIGKILL), -ESRCH);
    assert_int_equal(weft_process_close(p), 0);
    return 0;
}

static void signals_reach_it_until_it_has_been_waited_for(void **state)
{
    (void)state;
    run_body(send_signals);
}

static int wait_for(void *arg)
{
    int status, err = weft_process_wait(arg, &status);
    return err < 0 ? err : status;
}

static int wait_together(void *arg)
{
    weft_process_opts o = shell("read x; exit 7");
    weft_task *t[5];
    (void)arg;

    o.in = WEFT_PIPE;
    weft_process *p = start(&o);
    for (size_t i = 0; i < wf_countof(t); i++)
        t[i] = spawn(wait_for, p);
    wait_parked(t[0], "weft_poll");
    weft_task_cancel(t[0]);
    assert_int_equal(join(t[0]), -ECANCELED);
    assert_int_equal(weft_write_all(weft_process_pipe(p, 0), "\n", 1, NULL), 0);
    for (size_t i = 1; i < wf_countof(t); i++)
        assert_int_equal(join(t[i]), 7 << 8);
    assert_int_equal(weft_process_close(p), 0);
    return 0;
}

static void many_may_wait(void **state)
{
    (void)state;
    run_body(wait_together);
}

// --- other parts of the program ------------------------------------------------------

static int wait_for_any(void *arg)
{
    int status;
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(-1, &status, 0)), weft_process_pid(arg));
    return status;
}

// No task waits for this one, so the thief is the first.
static int be_robbed_first(void *arg)
{
    weft_process *p = start_shell("exit 3");
    (void)arg;

    assert_int_equal(weft_blocking(wait_for_any, p), 3 << 8);
    assert_int_equal(weft_process_signal(p, SIGKILL), -ESRCH);
    assert_int_equal(weft_process_wait(p, NULL), -ECHILD);
    assert_int_equal(weft_process_wait(p, NULL), -ECHILD);
    assert_int_equal(weft_process_close(p), -ECHILD);
    p = start_shell("exit 3");
    assert_int_equal(weft_blocking(wait_for_any, p), 3 << 8);
    assert_int_equal(weft_process_close(p), -ECHILD);
    return 0;
}

static void a_status_that_others_have_taken_is_an_error(void **state)
{
    (void)state;
    run_body(be_robbed_first);
}

static int be_ignored(void *arg)
{
    weft_process *p = start_shell("exit 3");
    (void)arg;

    assert_int_equal(weft_process_wait(p, NULL), -ECHILD);
    assert_int_equal(weft_process_close(p), -ECHILD);
    p = start_shell("exec sleep 1000");
    assert_int_equal(weft_process_close(p), -ECHILD);
    return 0;
}

static void ignore_children(void *arg)
{
    (void)arg;
    signal(SIGCHLD, SIG_IGN);
    assert_int_equal(run_tasks(be_ignored, NULL), 0);
}

static void so_it_is_if_sigchld_is_ignored(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, ignore_children, NULL);
    child_expect_exit(&c, 0);
}

// --- many, and few descriptors -------------------------------------------------------

enum { MANY = 1000 };

static int start_one(void *arg)
{
    weft_process **p = arg;
    weft_process_opts o = WEFT_PROCESS_OPTS_INIT;

    o.argv = (char *[]){ "sleep", "1000", NULL };
    o.kill_signal = SIGKILL;
    return weft_process_spawn(p, &o);
}

static int end_one(void *arg)
{
    weft_process *p = arg;

    assert_int_equal(weft_process_signal(p, SIGTERM), 0);
    assert_int_equal(end_of(p), SIGTERM);
    return weft_process_close(p);
}

static void start_many(weft_process **p, unsigned n)
{
    weft_scope s;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(weft_scope_spawn(&s, start_one, &p[i]), 0);
    assert_int_equal(weft_scope_close(&s), 0);
}

static int have_many(void *arg)
{
    unsigned n = *(unsigned *)arg;
    weft_process **p = calloc(n, sizeof(*p));
    weft_scope s;

    assert_non_null(p);
    start_many(p, n);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(weft_scope_spawn(&s, end_one, p[i]), 0);
    assert_int_equal(weft_scope_close(&s), 0);
    free(p);
    return 0;
}

static void set_descriptors(rlim_t n)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = n < limit.rlim_max ? n : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

// Half of them have no pidfd.
static void have_many_with_few(void *arg)
{
    set_descriptors(60);
    assert_int_equal(run_tasks(have_many, arg), 0);
}

static void many_children_live_at_once(void **state)
{
    unsigned n = wf_test_rounds(MANY), few = 80;
    struct child c;
    (void)state;

    assert_int_equal(run_tasks(have_many, &n), 0);
    child_run(&c, have_many_with_few, &few);
    child_expect_exit(&c, 0);
}

// --- without pidfd -------------------------------------------------------------------

static int use_all(void *arg)
{
    see_statuses(arg);
    send_signals(arg);
    run_much(arg);
    close_stubborn(arg);
    close_family(arg);
    be_robbed_first(arg);
    weft_task *t = spawn(run_sleeper, NULL);
    wait_parked(t, "weft_select");
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    t = spawn(wait_and_close, NULL);
    wait_parked(t, "sleep");
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    return 0;
}

static void use_all_without(void *arg)
{
    refuse_call(SYS_pidfd_open, *(int *)arg);
    assert_int_equal(run_tasks(use_all, NULL), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void without_pidfd_it_is_looked_for(void **state)
{
    static int errors[] = { ENOSYS, EPERM };
    struct child c;
    (void)state;

    skip_without_filters();
    for (size_t i = 0; i < wf_countof(errors); i++) {
        child_run(&c, use_all_without, &errors[i]);
        child_expect_exit(&c, 0);
    }
}

// --- what may not be signalled -------------------------------------------------------

// keep_running has a process that ends when its input does, and that this program may not
// signal.
static int keep_running(void *arg)
{
    weft_process_opts o = shell("read line");
    (void)arg;

    o.in = WEFT_PIPE;
    weft_process *p = start(&o);
    refuse_call(SYS_pidfd_send_signal, EPERM);
    refuse_call(SYS_kill, EPERM);
    int in = dup(weft_process_pipe(p, 0)), status;
    pid_t pid = weft_process_pid(p);
    assert_int_equal(weft_process_signal(p, SIGTERM), -EPERM);
    assert_int_equal(weft_process_close(p), -EPERM);
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0); // it goes on, and was not waited for
    assert_int_equal(close(in), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return 0;
}

static void run_keep_running(void *arg)
{
    (void)arg;
    assert_int_equal(run_tasks(keep_running, NULL), 0);
}

static void what_may_not_be_ended_goes_on(void **state)
{
    struct child c;
    (void)state;

    skip_without_filters();
    child_run(&c, run_keep_running, NULL);
    child_expect_exit(&c, 0);
}

// --- what is refused -----------------------------------------------------------------

#ifdef WF_FAULTS
static int run_once(void)
{
    weft_process_opts o = shell("cat; echo err >&2");
    weft_output out = { .max = 1000 };
    int err = weft_process_run(&o, "in", 2, &out);

    if (err == 0) {
        assert_string_equal(out.out, "in");
        assert_string_equal(out.err, "err\n");
    }
    free(out.out);
    free(out.err);
    return err;
}

// Each in turn: what fails is an error, or done without.
static int fail_each(void *arg)
{
    long sites;
    unsigned refused = 0;
    (void)arg;

    assert_int_equal(run_once(), 0);
    wf_mem_fail_at(LONG_MAX, false);
    assert_int_equal(run_once(), 0);
    sites = wf_mem_count();
    assert_true(sites > 8);
    for (long n = 1; n <= sites; n++) {
        wf_mem_fail_at(n, false);
        int err = run_once();
        wf_mem_fail_at(0, false);
        assert_true(err == 0 || err == -ENOMEM || err == -EMFILE || err == -EAGAIN);
        refused += err != 0;
    }
    assert_true(refused >= 7); // memory for it, three pipes, actions, the process, two outputs
    return 0;
}

static int fail_copy(void *arg)
{
    weft_process_opts o = shell("true");
    weft_process *p;
    (void)arg;

    o.out = STDERR_FILENO;
    wf_mem_fail_at(2, false);
    int err = weft_process_spawn(&p, &o);
    wf_mem_fail_at(0, false);
    assert_int_equal(err, -EMFILE);
    return 0;
}

static int close_it(void *arg)
{
    return weft_process_close(arg);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

// No other task has a stack of this size, so there is none in a pool.
static int close_without_a_stack(void *arg)
{
    weft_process *p = start_shell("trap '' TERM; while :; do sleep 0.01; done");
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;
    int err;
    (void)arg;

    o.stack_size = 16 << 10;
    do {
        assert_int_equal(join(spawn(nothing, NULL)), 0); // so there is a header
        wf_mem_fail_at(1, true);
        err = weft_spawn_with(&t, &o, close_it, p);
    } while (err == -ENOMEM);
    assert_int_equal(err, 0);
    err = join(t);
    wf_mem_fail_at(0, false);
    assert_int_equal(err, 0);
    return 0;
}

static void a_task_without_a_stack_can_end_its_process(void **state)
{
    (void)state;
    run_body(close_without_a_stack);
}

static void each_refusal_leaves_nothing_behind(void **state)
{
    (void)state;
    run_body(fail_each);
    run_body(fail_copy);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        process_test(the_status_is_that_of_waitpid),
        process_test(what_cannot_start_is_an_error),
        process_test(arguments_environment_and_directory_are_the_options),
        process_test(a_program_has_three_descriptors),
        process_test(descriptors_may_be_swapped_or_closed),
        process_test(signals_are_as_a_fresh_program_expects),
        process_test(pipes_close_with_the_process),
        process_test(both_outputs_are_read_while_it_is_fed),
        process_test(a_program_need_not_read_its_input),
        process_test(an_output_that_is_too_long_ends_it),
        process_test(outputs_may_go_elsewhere),
        process_test(a_scope_that_is_cut_short_ends_its_children),
        process_test(the_end_of_the_runtime_ends_them),
        process_test(to_close_is_to_ask_and_then_to_kill),
        process_test(a_group_ends_with_its_leader),
        process_test(signals_reach_it_until_it_has_been_waited_for),
        process_test(many_may_wait),
        process_test(a_status_that_others_have_taken_is_an_error),
        process_test(so_it_is_if_sigchld_is_ignored),
        process_test(many_children_live_at_once),
        process_test(without_pidfd_it_is_looked_for),
        process_test(what_may_not_be_ended_goes_on),
#ifdef WF_FAULTS
        process_test(each_refusal_leaves_nothing_behind),
        process_test(a_task_without_a_stack_can_end_its_process),
#endif
    };
    return wf_test_run(tests);
}
