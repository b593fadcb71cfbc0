// The echo server of examples/, as its users run it: in a separate process, with ten
// thousand clients, signals, bad arguments. The clients are plain threads with blocking
// sockets. None of weft runs in this process.
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/support/peer.h"

// --- the server ----------------------------------------------------------------------

struct process {
    pid_t pid;
    FILE *out; // its stdout, or both
    char addr[64];
};

// start runs examples/echo_server, which was built beside the tests. `descriptors`: its
// limit, 0: as it is. `both`: its stderr is read, too.
static void start(struct process *p, rlim_t descriptors, bool both, const char *const *args)
{
    char path[512], *argv[12] = { path };
    int out[2];

    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 64);
    assert_true(len > 0);
    path[len] = 0;
    strcpy(strrchr(path, '/'), "/../examples/echo_server");
    for (int i = 0; args[i]; i++)
        argv[i + 1] = (char *)args[i];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // it does not outlive a test that fails
        dup2(out[1], STDOUT_FILENO);
        if (both)
            dup2(out[1], STDERR_FILENO);
        if (descriptors)
            setrlimit(RLIMIT_NOFILE, &(struct rlimit){ descriptors, descriptors });
        execv(path, argv);
        _exit(127);
    }
    close(out[1]);
    p->out = fdopen(out[0], "r");
    assert_non_null(p->out);
}

static void start_serving(struct process *p, rlim_t descriptors, const char *grace)
{
    char line[128];

    start(p, descriptors, false, (const char *const[]){ "--listen", "127.0.0.1:0", "--grace", grace, NULL });
    assert_non_null(fgets(line, sizeof(line), p->out));
    assert_int_equal(sscanf(line, "listening on %63s", p->addr), 1);
}

// finish waits for the server's end.  Returns: its exit code.
static int finish(struct process *p)
{
    int status;

    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    if (WIFSIGNALED(status))
        fail_msg("the server died of signal %d", WTERMSIG(status));
    fclose(p->out);
    return WEXITSTATUS(status);
}

// --- ten thousand clients ------------------------------------------------------------

enum { CONNECTIONS = 10000, THREADS = 4, MESSAGE = 256, ROUNDS = 5 };

static atomic_bool stopping; // the server was told to: connections may end

struct crowd {
    const char *addr;
    unsigned first, count; // the connections, numbered over all threads
    int *fd;
    pthread_barrier_t *connected;
    pthread_barrier_t *served; // the rounds are over; from now on the load goes on until the server ends it
};

static void say(const struct crowd *c, unsigned i, uint64_t round)
{
    uint8_t buf[MESSAGE];

    peer_fill(buf, sizeof(buf), c->first + i, round * MESSAGE);
    for (size_t at = 0; at < sizeof(buf);) {
        ssize_t put = send(c->fd[i], buf + at, sizeof(buf) - at, MSG_NOSIGNAL);
        if (put < 0 && atomic_load(&stopping))
            return;
        assert_true(put > 0);
        at += (size_t)put;
    }
}

// hear reads the answer. Returns: false if the connection has ended.
static bool hear(const struct crowd *c, unsigned i, uint64_t round)
{
    uint8_t buf[MESSAGE];

    for (size_t at = 0; at < sizeof(buf);) {
        ssize_t got = recv(c->fd[i], buf + at, sizeof(buf) - at, 0);
        if (got <= 0 && atomic_load(&stopping))
            return false;
        assert_true(got > 0);
        peer_check(buf + at, (size_t)got, c->first + i, round * MESSAGE + at);
        at += (size_t)got;
    }
    return true;
}

static unsigned do_round(struct crowd *c, uint64_t round)
{
    unsigned alive = 0;

    for (unsigned i = 0; i < c->count; i++)
        say(c, i, round);
    for (unsigned i = 0; i < c->count; i++)
        alive += hear(c, i, round);
    return alive;
}

static void *run_crowd(void *arg)
{
    struct crowd *c = arg;
    uint64_t round = 0;

    for (unsigned i = 0; i < c->count; i++)
        c->fd[i] = peer_connect(c->addr);
    pthread_barrier_wait(c->connected);
    while (round < ROUNDS)
        assert_int_equal(do_round(c, round++), c->count);
    pthread_barrier_wait(c->served);
    while (do_round(c, round) == c->count)
        round++;
    for (unsigned i = 0; i < c->count; i++)
        close(c->fd[i]);
    return NULL;
}

// raise_limit asks for as many descriptors as there may be. Returns: how many clients
// fit.
static unsigned raise_limit(void)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t room = limit.rlim_max - 100;
    unsigned wanted = wf_test_rounds(CONNECTIONS);
    return room < wanted ? (unsigned)room : wanted;
}

static void ten_thousand_clients_are_served_until_sigterm(void **state)
{
    struct process server;
    struct crowd crowds[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t connected, served;
    unsigned each = raise_limit() / THREADS;
    (void)state;

    print_message("%u connections\n", each * THREADS);
    assert_int_equal(pthread_barrier_init(&connected, NULL, THREADS + 1), 0);
    assert_int_equal(pthread_barrier_init(&served, NULL, THREADS + 1), 0);
    start_serving(&server, 0, "1");
    for (unsigned i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){ server.addr, i * each, each, calloc(each, sizeof(int)), &connected, &served };
        threads[i] = peer_start(run_crowd, &crowds[i]);
    }
    pthread_barrier_wait(&connected);
    pthread_barrier_wait(&served);
    atomic_store(&stopping, true);
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    assert_int_equal(finish(&server), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        peer_join(threads[i]);
        free(crowds[i].fd);
    }
    pthread_barrier_destroy(&connected);
    pthread_barrier_destroy(&served);
}

// --- the end -------------------------------------------------------------------------

static void check_echo(int fd)
{
    char buf[5];

    peer_write(fd, "hello", 5);
    peer_read(fd, buf, 5);
    assert_memory_equal(buf, "hello", 5);
}

static void connections_may_finish_within_the_grace(void **state)
{
    struct sockaddr_in at;
    struct process server;
    (void)state;

    for (int sig = 0; sig < 2; sig++) {
        start_serving(&server, 0, "3600"); // an hour: this test ends before
        int fd = peer_connect(server.addr);
        check_echo(fd);
        assert_int_equal(kill(server.pid, sig ? SIGINT : SIGTERM), 0);
        at = peer_addr(server.addr);
        for (int refused = 0; !refused;) { // it accepts no connection any more
            int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            refused = connect(late, (struct sockaddr *)&at, sizeof(at)) < 0;
            close(late);
        }
        check_echo(fd);
        close(fd);
        assert_int_equal(finish(&server), 0);
    }
}

static void a_second_signal_ends_the_grace(void **state)
{
    struct process server;
    struct sockaddr_in at;
    char c;
    (void)state;

    start_serving(&server, 0, "3600");
    int fd = peer_connect(server.addr);
    check_echo(fd);
    at = peer_addr(server.addr);
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    for (int refused = 0; !refused;) { // the first signal was read
        int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        refused = connect(late, (struct sockaddr *)&at, sizeof(at)) < 0;
        close(late);
    }
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    assert_int_equal(finish(&server), 0);
    assert_true(read(fd, &c, 1) <= 0);
    close(fd);
}

// --- too few descriptors -------------------------------------------------------------

static void clients_beyond_its_descriptors_wait_their_turn(void **state)
{
    enum { LIMIT = 40, CLIENTS = 100 };
    struct process server;
    int fd[CLIENTS];
    (void)state;

    start_serving(&server, LIMIT, "0");
    for (int i = 0; i < CLIENTS; i++)
        fd[i] = peer_connect(server.addr);
    for (int i = 0; i < CLIENTS; i++) { // in order, as they were accepted in order
        check_echo(fd[i]);
        close(fd[i]);
    }
    int late = peer_connect(server.addr);
    check_echo(late);
    close(late);
    assert_int_equal(kill(server.pid, SIGTERM), 0);
    assert_int_equal(finish(&server), 0);
}

// --- bad arguments -------------------------------------------------------------------

static void check_refusal(const char *const *args, int code, const char *says)
{
    struct process server;
    char text[1024];

    start(&server, 0, true, args);
    text[fread(text, 1, sizeof(text) - 1, server.out)] = 0;
    assert_int_equal(finish(&server), code);
    if (!strstr(text, says))
        fail_msg("it says '%s', not '%s'", text, says);
}

static void bad_arguments_are_named(void **state)
{
    struct process first;
    (void)state;

    check_refusal((const char *const[]){ "--grace", "soon", NULL }, 2, "--grace: 'soon'");
    check_refusal((const char *const[]){ "--grace", "-1", NULL }, 2, "--grace: '-1'");
    check_refusal((const char *const[]){ "--workers", "257", NULL }, 2, "--workers: '257'");
    check_refusal((const char *const[]){ "--workers", "", NULL }, 2, "--workers: ''");
    check_refusal((const char *const[]){ "--listen", "here", NULL }, 2, "'here'");
    check_refusal((const char *const[]){ "--listen", NULL }, 2, "requires an argument");
    check_refusal((const char *const[]){ "--nonsense", NULL }, 2, "unrecognized option");
    check_refusal((const char *const[]){ "left", "over", NULL }, 2, "'left'");
    check_refusal((const char *const[]){ "--help", NULL }, 0, "--listen=ADDR");

    start_serving(&first, 0, "0");
    check_refusal((const char *const[]){ "--listen", first.addr, NULL }, 1, "Address already in use");
    assert_int_equal(kill(first.pid, SIGINT), 0);
    assert_int_equal(finish(&first), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_clients_are_served_until_sigterm),
        cmocka_unit_test(connections_may_finish_within_the_grace),
        cmocka_unit_test(a_second_signal_ends_the_grace),
        cmocka_unit_test(clients_beyond_its_descriptors_wait_their_turn),
        cmocka_unit_test(bad_arguments_are_named),
    };
    return wf_test_run(tests);
}
