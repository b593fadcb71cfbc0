// The inspect socket: it answers while all workers are stuck, and no client costs anything
// but the next one's time.
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "tests/support/child.h"
#include "tests/support/tasks.h"

enum { ROOM = 1 << 22 };

static char name[64];

// runtime makes one that listens at `name`.
static weft_rt *runtime(void)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    weft_rt *rt = NULL;

    cfg.inspect = name;
    assert_int_equal(weft_rt_new(&rt, &cfg), 0);
    wf_test_watch(rt);
    return rt;
}

static void use_abstract_name(void)
{
    snprintf(name, sizeof(name), "@weft-test-%d", getpid());
}

static socklen_t address(struct sockaddr_un *sa)
{
    *sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(sa->sun_path, name, strlen(name));
    if (name[0] == '@')
        sa->sun_path[0] = 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + (name[0] != '@'));
}

// dial connects, and takes the greeting.
static int dial(void)
{
    struct sockaddr_un sa;
    char greeting[16] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, address(&sa)), 0);
    assert_int_equal(recv(fd, greeting, 15, MSG_WAITALL), 15);
    assert_string_equal(greeting, "weft-inspect 1\n");
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

// answer returns all that comes: the caller frees it.
static char *answer(int fd)
{
    char *text = malloc(ROOM);
    size_t all = 0;
    ssize_t n;

    assert_non_null(text);
    while ((n = recv(fd, text + all, ROOM - 1 - all, 0)) > 0)
        all += (size_t)n;
    text[all] = 0;
    close(fd);
    return text;
}

static void expect(const char *command, const char *begins, const char *has)
{
    int fd = dial();

    say(fd, command);
    char *text = answer(fd);
    if (strncmp(text, begins, strlen(begins)) != 0 || !strstr(text, has))
        fail_msg("%s got: %.200s", command, text);
    free(text);
}

// await asks until the answer says so: the workers may not have got a processor.
static void await(const char *command, const char *has)
{
    for (bool said = false; !said;) {
        int fd = dial();
        say(fd, command);
        char *text = answer(fd);
        said = strstr(text, has);
        free(text);
    }
}

// --- what it answers -------------------------------------------------------------------

static _Atomic bool let_go;

static int hog(void *arg)
{
    (void)arg;
    while (!wf_load_relaxed(&let_go))
        ;
    return 0;
}

static void it_answers_while_all_workers_are_stuck(void **state)
{
    (void)state;
    use_abstract_name();
    wf_store_relaxed(&let_go, false);
    weft_rt *rt = runtime();
    weft_metrics m = WEFT_METRICS_INIT;
    assert_int_equal(weft_rt_metrics(rt, &m), 0);
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    o.name = "hog";
    for (uint64_t i = 0; i < m.workers; i++)
        assert_int_equal(weft_rt_spawn_with(rt, NULL, &o, hog, NULL), 0);
    expect("dump\n", "ok\nweft: ", "'hog'");
    expect("metrics\n", "ok\n# HELP weft_", "weft_tasks{state=\"running\"}");
    expect("trace 0\n", "ok\n{\"displayTimeUnit\"", "\n]}\n");
    expect("top 1\n", "ok\nweft: process ", "WAIT FOR");
    wf_store_relaxed(&let_go, true);
    free_runtime(rt);
}

static int yield_until_let_go(void *arg)
{
    (void)arg;
    while (!wf_load_relaxed(&let_go))
        weft_yield();
    return 0;
}

// The recorder is on while a trace is asked for, in a program that runs, and off again.
static void a_running_program_is_recorded(void **state)
{
    (void)state;
    use_abstract_name();
    wf_store_relaxed(&let_go, false);
    weft_rt *rt = runtime();
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    o.name = "yielder";
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_rt_spawn_with(rt, NULL, &o, yield_until_let_go, NULL), 0);
    for (int i = 0; i < 3; i++) {
        await("trace 20\n", "\"name\":\"yielder\",\"args\":{\"task\":");
        await("top 20\n", "'yielder'");
    }
    wf_store_relaxed(&let_go, true);
    free_runtime(rt);
}

// --- hostile clients -------------------------------------------------------------------

static void rubbish_is_refused(void **state)
{
    static const char *const rubbish[] = { "\n",           "dumps\n",      "dump \n",   "trace\n",     "trace \n",
                                           "trace -1\n",   "trace 1x\n",   "top\n",     "top 600001\n", "trace 0 0\n",
                                           "trace 99999999999999999999\n", "\xff\xfe\n" };
    (void)state;
    use_abstract_name();
    weft_rt *rt = runtime();
    for (size_t i = 0; i < sizeof(rubbish) / sizeof(*rubbish); i++)
        expect(rubbish[i], "error there is no such command", "\n");
    free_runtime(rt);
}

// A client that sends too much, or closes in the midst of everything, is left at once.
static void clients_that_close_are_left(void **state)
{
    char much[4096];
    (void)state;
    use_abstract_name();
    weft_rt *rt = runtime();
    memset(much, 'x', sizeof(much));
    int fd = dial();
    assert_true(send(fd, much, sizeof(much), MSG_NOSIGNAL) > 0);
    assert_true(recv(fd, much, sizeof(much), 0) <= 0);
    close(fd);
    close(dial());
    static const char *const begun[] = { "du", "dump\n", "metrics\n", "trace 600000\n", "top 600000\n", "trace 0\n" };
    for (size_t i = 0; i < sizeof(begun) / sizeof(*begun); i++) {
        fd = dial();
        say(fd, begun[i]);
        close(fd);
    }
    expect("metrics\n", "ok\n", "weft_");
    free_runtime(rt);
}

// The runtime stops while clients wait, do not read, and do not speak.
static void the_end_waits_for_no_client(void **state)
{
    static const char *const commands[] = { "", "trace 600000\n", "top 600000\n", "dump\n" };
    (void)state;
    use_abstract_name();
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        weft_rt *rt = runtime();
        int fd = dial(), small = 1;
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        say(fd, commands[i]);
        free_runtime(rt);
        close(fd);
    }
}

// --- the socket's file -----------------------------------------------------------------

static char folder[] = "/tmp/weft-inspect-XXXXXX";

static bool is_there(void)
{
    struct stat st;
    return lstat(name, &st) == 0;
}

static void run_nothing(void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    weft_rt *rt;

    cfg.inspect = arg;
    assert_int_equal(weft_rt_new(&rt, &cfg), 0);
    weft_rt_free(rt);
}

static void leave_a_file(void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    weft_rt *rt;

    cfg.inspect = arg;
    assert_int_equal(weft_rt_new(&rt, &cfg), 0);
    _exit(0);
}

static void a_file_is_replaced_only_if_it_is_deserted(void **state)
{
    struct child c;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(name, sizeof(name), "%s/socket", folder);
    child_run(&c, leave_a_file, name);
    child_expect_exit(&c, 0);
    assert_true(is_there());
    weft_rt *rt = runtime();
    expect("metrics\n", "ok\n", "weft_");
    child_run(&c, run_nothing, name); // another one listens there: it goes on without
    child_expect_exit(&c, 0);
    child_expect_said(&c, "nothing listens at");
    expect("metrics\n", "ok\n", "weft_");
    free_runtime(rt);
    assert_false(is_there());
    FILE *file = fopen(name, "w"); // no socket: it stays
    assert_non_null(file);
    fclose(file);
    child_run(&c, run_nothing, name);
    child_expect_exit(&c, 0);
    child_expect_said(&c, "nothing listens at");
    assert_true(is_there());
    assert_int_equal(unlink(name), 0);
    rt = runtime();
    assert_int_equal(unlink(name), 0);
    file = fopen(name, "w"); // another one's by now: it stays
    fclose(file);
    free_runtime(rt);
    assert_true(is_there());
    unlink(name);
    rmdir(folder);
}

static void what_cannot_be_a_name_is_reported(void **state)
{
    static char longest[200], nowhere[] = "/nowhere/at/all";
    struct child c;
    (void)state;
    memset(longest, 'x', sizeof(longest) - 1);
    child_run(&c, run_nothing, longest);
    child_expect_exit(&c, 0);
    child_expect_said(&c, "nothing listens at");
    child_run(&c, run_nothing, nowhere);
    child_expect_exit(&c, 0);
    child_expect_said(&c, "nothing listens at");
}

static void ask_by_environment(void *arg)
{
    weft_rt *rt;
    (void)arg;
    assert_int_equal(setenv("WEFT_INSPECT", "@weft-%p-test", 1), 0);
    assert_int_equal(weft_rt_new(&rt, NULL), 0);
    snprintf(name, sizeof(name), "@weft-%d-test", getpid());
    expect("metrics\n", "ok\n", "weft_");
    weft_rt_free(rt);
}

static void the_environment_names_it_too(void **state)
{
    struct child c;
    (void)state;
    child_run(&c, ask_by_environment, NULL);
    child_expect_exit(&c, 0);
    assert_string_equal(c.said, "");
}

static void a_child_of_fork_only_lets_go(void **state)
{
    int status;
    (void)state;
    use_abstract_name();
    weft_rt *rt = runtime();
    pid_t pid = fork();
    if (pid == 0) {
        weft_rt_free(rt);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    expect("metrics\n", "ok\n", "weft_");
    free_runtime(rt);
}

// --- faults ----------------------------------------------------------------------------

#ifdef WF_FAULTS
static void each_refusal_of_a_start_is_reported(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    weft_rt *rt;
    int err = -1;
    (void)state;
    use_abstract_name();
    cfg.inspect = name;
    cfg.trace_events = 64;
    for (long n = 1; err; n++) {
        wf_mem_fail_at(n, false);
        err = weft_rt_new(&rt, &cfg);
        wf_mem_fail_at(0, false);
        assert_true(err == 0 || err == -ENOMEM || err == -EAGAIN || err == -EMFILE);
    }
    expect("metrics\n", "ok\n", "weft_");
    weft_rt_free(rt);
}

static void an_answer_without_room_is_an_error(void **state)
{
    (void)state;
    use_abstract_name();
    weft_rt *rt = runtime();
    wf_mem_fail_at(1, true);
    int fd = dial();
    say(fd, "metrics\n");
    char *text = answer(fd);
    wf_mem_fail_at(0, false);
    assert_int_equal(strncmp(text, "error there is no room", 22), 0);
    free(text);
    wf_mem_fail_at(2, true); // the recorder's rings
    fd = dial();
    say(fd, "trace 0\n");
    text = answer(fd);
    wf_mem_fail_at(0, false);
    assert_int_equal(strncmp(text, "error it cannot be done", 23), 0);
    free(text);
    free_runtime(rt);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_answers_while_all_workers_are_stuck),
        cmocka_unit_test(a_running_program_is_recorded),
        cmocka_unit_test(rubbish_is_refused),
        cmocka_unit_test(clients_that_close_are_left),
        cmocka_unit_test(the_end_waits_for_no_client),
        cmocka_unit_test(a_file_is_replaced_only_if_it_is_deserted),
        cmocka_unit_test(what_cannot_be_a_name_is_reported),
        cmocka_unit_test(the_environment_names_it_too),
        cmocka_unit_test(a_child_of_fork_only_lets_go),
#ifdef WF_FAULTS
        cmocka_unit_test(each_refusal_of_a_start_is_reported),
        cmocka_unit_test(an_answer_without_room_is_an_error),
#endif
    };
    return wf_test_run(tests);
}
