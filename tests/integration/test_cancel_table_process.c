// The cancellation table: processes. See docs/cancellation.md and
// tests/support/cancel_table.h.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/cancel_table.h"
#include "tests/support/tasks.h"

enum { CODE = 7 };

static weft_process *process;
static int feed[2]; // what the program of the run row reads, and what it is written to

static weft_process_opts shell(void)
{
    static char *argv[] = { "sh", "-c", "read x; echo $x; exit 7", NULL };
    weft_process_opts o = WEFT_PROCESS_OPTS_INIT;

    o.argv = argv;
    o.err = WEFT_NULL;
    return o;
}

// --- spawn ---------------------------------------------------------------------------

static void spawn_set_up(struct cancel_case *c)
{
    (void)c;
    process = NULL;
    cancel_pool_occupy();
}

static int spawn_call(struct cancel_case *c)
{
    weft_process_opts o = shell();
    (void)c;

    o.in = o.out = WEFT_PIPE;
    return weft_process_spawn(&process, &o);
}

static void spawn_complete(struct cancel_case *c)
{
    (void)c;
    cancel_pool_free();
}

// There is a process if, and only if, the call says so.
static void spawn_left(struct cancel_case *c, int result)
{
    (void)c;
    cancel_pool_join();
    assert_true((process != NULL) == (result == 0));
    assert_int_equal(weft_process_close(process), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

// --- wait ----------------------------------------------------------------------------

static void wait_set_up(struct cancel_case *c)
{
    (void)c;
    assert_int_equal(spawn_call(c), 0);
}

static int wait_call(struct cancel_case *c)
{
    int status = -1, err = weft_process_wait(process, &status);
    (void)c;

    assert_int_equal(status, err ? -1 : CODE << 8);
    return err;
}

static void wait_complete(struct cancel_case *c)
{
    (void)c;
    assert_int_equal(weft_write_all(weft_process_pipe(process, 0), "x\n", 2, NULL), 0);
    if (cancel_comes_first(c))
        assert_int_equal(weft_process_wait(process, NULL), 0);
}

// The process has gone on, whatever has become of the wait.
static void wait_left(struct cancel_case *c, int result)
{
    (void)result;
    assert_int_equal(wait_call(c), 0);
    assert_int_equal(weft_process_close(process), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

// --- run -----------------------------------------------------------------------------

static void run_set_up(struct cancel_case *c)
{
    (void)c;
    assert_int_equal(pipe2(feed, O_CLOEXEC), 0);
}

static int run_call(struct cancel_case *c)
{
    weft_process_opts o = shell();
    weft_output out = { .max = 100 };
    (void)c;

    o.in = feed[0];
    int err = weft_process_run(&o, NULL, 0, &out);
    if (err == 0) {
        assert_int_equal(out.status, CODE << 8);
        assert_string_equal(out.out, "x\n");
    } else {
        assert_null(out.out);
    }
    free(out.out);
    free(out.err);
    return err;
}

static void run_complete(struct cancel_case *c)
{
    (void)c;
    assert_int_equal(weft_write_all(feed[1], "x\n", 2, NULL), 0);
}

// It is ended when the call has returned.
static void run_left(struct cancel_case *c, int result)
{
    (void)c, (void)result;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    weft_close(feed[0]);
    weft_close(feed[1]);
}

// clang-format off
static const struct cancel_row rows[] = {
    { "weft_process_spawn", .what = "weft_process_spawn", .set_up = spawn_set_up, .call = spawn_call,
      .complete = spawn_complete, .left = spawn_left },
    { "weft_process_wait", .what = "weft_poll", .set_up = wait_set_up, .call = wait_call,
      .complete = wait_complete, .left = wait_left },
    { "weft_process_run", .what = "weft_select", .set_up = run_set_up, .call = run_call,
      .complete = run_complete, .left = run_left },
};
// clang-format on

static void a_call_that_is_cut_short_leaves_no_process_behind(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_is_cut_short_leaves_no_process_behind),
    };
    return wf_test_run(tests);
}
