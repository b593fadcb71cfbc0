// weft_relay: bytes in both directions, half-closes, idle time, broken connections, and
// the buffers and pipes that it holds. The peers are plain threads and blocking
// sockets.
#include <dirent.h>
#include <sys/syscall.h>

#include "base/mem.h"
#include "tests/support/child.h"
#include "tests/support/filter.h"
#include "tests/support/peer.h"
#include "tests/support/seeds.h"

static const char CALL[] = "weft_relay";

// A relay between two pairs of sockets: weft has `a` and `b`, the test their peers.
struct relay {
    int a, b;
    int left, right; // the peers of a and b
    weft_relay_opts opts;
    weft_relay_stats st;
    weft_task *task;
};

static int run_relay(void *arg)
{
    struct relay *r = arg;
    return weft_relay(r->a, r->b, &r->opts, &r->st);
}

// What the sockets are.
enum kind { TCP, TCP_NONBLOCK, UNIX, UNIX_NONBLOCK, OWN, KINDS };

// connect_own makes a pair of which weft has made [0].
static void connect_own(int fd[2])
{
    char at[64];
    int listener = weft_tcp_listen("127.0.0.1:0");

    assert_true(listener >= 0);
    assert_true(weft_local_addr(listener, at, sizeof(at)) > 0);
    fd[1] = peer_connect(at);
    fd[0] = weft_accept(listener, NULL, NULL);
    assert_true(fd[0] >= 0);
    assert_int_equal(weft_close(listener), 0);
}

static void make_pair(enum kind kind, int fd[2])
{
    if (kind == OWN) {
        connect_own(fd);
        return;
    }
    peer_pair(kind <= TCP_NONBLOCK ? PEER_TCP : PEER_UNIX, fd);
    if (kind == TCP_NONBLOCK || kind == UNIX_NONBLOCK)
        peer_nonblock(fd[0]);
}

static void open_relay(struct relay *r, enum kind kind)
{
    int fd[2];

    *r = (struct relay){ .opts = WEFT_RELAY_OPTS_INIT };
    make_pair(kind, fd);
    r->a = fd[0];
    r->left = fd[1];
    make_pair(kind, fd);
    r->b = fd[0];
    r->right = fd[1];
}

static void start_relay(struct relay *r)
{
    r->task = spawn(run_relay, r);
}

static void close_relay(struct relay *r)
{
    assert_int_equal(weft_close(r->a), 0);
    assert_int_equal(weft_close(r->b), 0);
    weft_close(r->left);
    weft_close(r->right);
}

// The test's own task must not block its worker, which may be the only one.
static void expect(int fd, const char *text)
{
    char buf[16];
    size_t n = strlen(text);

    assert_int_equal(weft_read_full(fd, buf, n, NULL), 0);
    assert_memory_equal(buf, text, n);
}

static void expect_end(int fd)
{
    char byte;
    assert_int_equal(weft_read(fd, &byte, 1), 0);
}

static int join_thread(void *thread)
{
    peer_join(*(pthread_t *)thread);
    return 0;
}

static void await_thread(pthread_t thread)
{
    assert_int_equal(weft_blocking(join_thread, &thread), 0);
}

// --- bytes both ways -----------------------------------------------------------------

struct way {
    int from, to;
    uint64_t seed;
    size_t n, piece;
};

static void *say(void *arg)
{
    const struct way *w = arg;
    uint8_t *buf = malloc(w->piece);

    for (size_t at = 0, n; at < w->n; at += n) {
        n = w->n - at < w->piece ? w->n - at : w->piece;
        peer_fill(buf, n, w->seed, at);
        peer_write(w->from, buf, n);
    }
    free(buf);
    assert_int_equal(shutdown(w->from, SHUT_WR), 0);
    return NULL;
}

static void *hear(void *arg)
{
    const struct way *w = arg;
    uint8_t *buf = malloc(w->piece);
    size_t at = 0;
    ssize_t got;

    while ((got = read(w->to, buf, w->piece)) > 0) {
        peer_check(buf, (size_t)got, w->seed, at);
        at += (size_t)got;
    }
    free(buf);
    assert_int_equal(got, 0);
    assert_int_equal(at, w->n);
    return NULL;
}

// relay_much: both ways at once, each side in its own pace.
static void relay_much(enum kind kind, size_t n, size_t piece)
{
    struct relay r;

    open_relay(&r, kind);
    int flags = fcntl(r.a, F_GETFL);
    struct way there = { r.left, r.right, 1, n, piece }, back = { r.right, r.left, 2, n / 2, piece / 3 + 1 };
    start_relay(&r);
    pthread_t threads[] = { peer_start(say, &there), peer_start(hear, &there), peer_start(say, &back),
                            peer_start(hear, &back) };
    assert_int_equal(join(r.task), 0);
    for (size_t i = 0; i < wf_countof(threads); i++)
        await_thread(threads[i]);
    assert_int_equal(r.st.a_to_b, n);
    assert_int_equal(r.st.b_to_a, n / 2);
    assert_int_equal(fcntl(r.a, F_GETFL), flags);
    close_relay(&r);
}

static int relay_all_kinds(void *arg)
{
    static const size_t pieces[] = { 1, 100, 5000, 1 << 16, 300000 };
    (void)arg;

    for (enum kind kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < wf_countof(pieces); i++)
            relay_much(kind, pieces[i] == 1 ? 2000 : 3000001, pieces[i]);
    return 0;
}

static void bytes_go_both_ways_on_every_kind_of_socket(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(relay_all_kinds, NULL), 0);
}

// --- half-closes ---------------------------------------------------------------------

// close_halves: one way ends, is passed on, and the other way still works.
static void close_halves(enum kind kind)
{
    struct relay r;

    open_relay(&r, kind);
    start_relay(&r);
    peer_write(r.left, "ask", 3);
    assert_int_equal(shutdown(r.left, SHUT_WR), 0);
    expect(r.right, "ask");
    expect_end(r.right);
    for (int i = 0; i < 3; i++) {
        wait_parked(r.task, CALL);
        peer_write(r.right, "tell", 4);
        expect(r.left, "tell");
    }
    assert_false(weft_task_done(r.task));
    assert_int_equal(shutdown(r.right, SHUT_WR), 0);
    expect_end(r.left);
    assert_int_equal(join(r.task), 0);
    assert_int_equal(r.st.a_to_b, 3);
    assert_int_equal(r.st.b_to_a, 12);
    close_relay(&r);
}

static int close_all_halves(void *arg)
{
    (void)arg;
    for (enum kind kind = 0; kind < KINDS; kind++)
        close_halves(kind);
    return 0;
}

static void a_half_close_is_passed_on(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(close_all_halves, NULL), 0);
}

static uint64_t count_turns(void)
{
    weft_metrics m = { .size = sizeof(m) };
    assert_int_equal(weft_rt_metrics(weft_rt_current(), &m), 0);
    return m.turns;
}

// wait_quietly: while the relay waits for half a second, tasks have next to no turns. (One
// that spins uses up its budget again and again, and yields.)
static void wait_quietly(const struct relay *r)
{
    wait_parked(r->task, CALL);
    uint64_t before = count_turns();
    assert_int_equal(weft_sleep(WEFT_MS(500)), 0);
    assert_in_range(count_turns() - before, 0, 50);
    assert_false(weft_task_done(r->task));
}

// Closed for reading on one side, and for writing on the other.
static void spin_not(enum kind kind, bool reads)
{
    struct relay r;

    open_relay(&r, kind);
    start_relay(&r);
    assert_int_equal(shutdown(r.left, SHUT_WR), 0);
    if (reads)
        assert_int_equal(shutdown(r.left, SHUT_RD), 0);
    expect_end(r.right);
    wait_quietly(&r);
    assert_int_equal(shutdown(r.right, SHUT_WR), 0);
    assert_int_equal(join(r.task), 0);
    close_relay(&r);
}

static int spin_on_none(void *arg)
{
    (void)arg;
    for (enum kind kind = 0; kind < KINDS; kind++)
        spin_not(kind, kind == OWN || kind == UNIX);
    return 0;
}

static void it_never_spins_while_half_is_closed(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(spin_on_none, NULL), 0);
}

// --- idle time -----------------------------------------------------------------------

static int be_idle(void *arg)
{
    struct relay r;
    (void)arg;

    open_relay(&r, OWN);
    r.opts.idle = WEFT_MS(300);
    start_relay(&r);
    weft_time start = weft_now();
    for (int i = 0; i < 10; i++) { // one way is silent, and yet nothing is idle
        peer_write(r.right, "x", 1);
        expect(r.left, "x");
        assert_int_equal(weft_sleep(WEFT_MS(50)), 0);
    }
    assert_int_equal(join(r.task), -ETIMEDOUT);
    assert_true(weft_now() - start >= WEFT_MS(50 * 9 + 300));
    assert_int_equal(r.st.a_to_b, 0);
    assert_int_equal(r.st.b_to_a, 10);
    close_relay(&r);
    return 0;
}

static void it_ends_when_neither_way_moves_for_the_idle_time(void **state)
{
    (void)state;
    run_seeds(5, be_idle, NULL); // in virtual time: on a busy machine a relay may be idle too long
}

// --- broken connections --------------------------------------------------------------

// reset closes as a peer's kernel does that is killed with bytes unread.
static void reset(int fd)
{
    struct linger now = { .l_onoff = 1 };

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    assert_int_equal(weft_close(fd), 0);
}

// A peer that is killed resets its connection.
static int reset_peers(void *arg)
{
    struct relay r;
    (void)arg;

    for (int i = 0; i < 6; i++) {
        open_relay(&r, i % 2 ? OWN : TCP);
        start_relay(&r);
        peer_write(r.left, "half", 4);
        expect(r.right, "half");
        if (i >= 4) // also when the other way has ended
            assert_int_equal(shutdown(r.right, SHUT_WR), 0);
        wait_parked(r.task, CALL);
        reset(i >= 2 ? r.left : r.right);
        *(i >= 2 ? &r.left : &r.right) = -1;
        assert_int_equal(join(r.task), -ECONNRESET);
        assert_int_equal(r.st.a_to_b, 4);
        close_relay(&r);
    }
    return 0;
}

static void a_reset_ends_it(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(reset_peers, NULL), 0);
}

// A side that has ended, and is reset later, while the other one is silent.
static int reset_ended(void *arg)
{
    struct relay r;
    (void)arg;

    open_relay(&r, OWN);
    start_relay(&r);
    assert_int_equal(shutdown(r.left, SHUT_WR), 0);
    expect_end(r.right);
    wait_parked(r.task, CALL);
    reset(r.left);
    r.left = -1;
    int err = join(r.task);
    assert_true(err == -EPIPE || err == -ECONNRESET); // what Linux says to a reset behind an end is the first
    close_relay(&r);
    return 0;
}

static void a_reset_behind_an_end_is_noticed(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(reset_ended, NULL), 0);
}

// A server that has answered, and hung up without reading the rest: its answer arrives,
// as a whole, and there is an error.
static void answer_early(enum kind kind)
{
    int little = 4096;
    struct relay r;
    char byte;

    open_relay(&r, kind);
    assert_int_equal(setsockopt(r.b, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
    peer_stuff(r.left, 7); // more than there is room for
    start_relay(&r);
    struct way back = { r.right, r.left, 2, 100000, 5000 };
    assert_int_equal(weft_read(r.right, &byte, 1), 1);
    pthread_t heard = peer_start(hear, &back);
    await_thread(peer_start(say, &back));
    assert_int_equal(weft_close(r.right), 0);
    r.right = -1;
    int err = join(r.task);
    assert_true(err == -EPIPE || err == -ECONNRESET);
    assert_int_equal(r.st.b_to_a, 100000);
    assert_int_equal(shutdown(r.a, SHUT_WR), 0); // the relay has not: it was not an orderly end
    await_thread(heard);
    close_relay(&r);
}

static int answer_all_early(void *arg)
{
    (void)arg;
    answer_early(UNIX);
    answer_early(UNIX_NONBLOCK);
    return 0;
}

static void an_early_answer_is_delivered(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(answer_all_early, NULL), 0);
}

// --- cut short -----------------------------------------------------------------------

// When it is cancelled, all that was written has arrived, and is counted.
static void cut(enum kind kind, bool by_close)
{
    struct relay r;
    uint8_t buf[4096];
    size_t arrived = 0;
    ssize_t got;

    open_relay(&r, kind);
    size_t there = peer_stuff(r.left, 3);
    start_relay(&r);
    wait_parked(r.task, CALL);
    if (by_close) {
        assert_int_equal(weft_close(r.a), 0);
        assert_int_equal(join(r.task), -EBADF);
    } else {
        weft_task_cancel(r.task);
        assert_int_equal(join(r.task), -ECANCELED);
        assert_int_equal(weft_close(r.a), 0);
    }
    assert_int_equal(weft_close(r.b), 0);
    while ((got = read(r.right, buf, sizeof(buf))) > 0) {
        peer_check(buf, (size_t)got, 3, arrived);
        arrived += (size_t)got;
    }
    assert_int_equal(r.st.a_to_b, arrived);
    assert_true(arrived <= there);
    weft_close(r.left);
    weft_close(r.right);
}

static int cut_all(void *arg)
{
    (void)arg;
    for (enum kind kind = 0; kind < KINDS; kind++)
        for (int i = 0; i < 2; i++)
            cut(kind, i);
    return 0;
}

static void what_was_written_is_counted_when_it_is_cut_short(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cut_all, NULL), 0);
}

// --- misuse --------------------------------------------------------------------------

static int relay_others(void *arg)
{
    weft_relay_opts wrong = { .size = 1 };
    int sockets[2], packets[2], fd[2];
    (void)arg;

    peer_pair(PEER_UNIX, sockets);
    peer_pair(PEER_PIPE, fd);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, packets), 0);
    assert_int_equal(weft_relay(sockets[0], fd[1], NULL, NULL), -ENOTSOCK);
    assert_int_equal(weft_relay(packets[0], sockets[0], NULL, NULL), -EPROTOTYPE);
    assert_int_equal(weft_relay(sockets[0], sockets[0], NULL, NULL), -EINVAL);
    assert_int_equal(weft_relay(sockets[0], sockets[1], &wrong, NULL), -EINVAL);
    assert_int_equal(weft_relay(sockets[0], -1, NULL, NULL), -EBADF);
    for (int i = 0; i < 2; i++)
        assert_int_equal(weft_close(sockets[i]) | weft_close(packets[i]) | weft_close(fd[i]), 0);
    return 0;
}

static void other_descriptors_are_refused(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(relay_others, NULL), 0);
}

// --- what it holds -------------------------------------------------------------------

static unsigned count_pipes(void)
{
    DIR *dir = opendir("/proc/self/fd");
    char text[64];
    unsigned n = 0;

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        ssize_t len = readlinkat(dirfd(dir), e->d_name, text, sizeof(text));
        n += len > 5 && memcmp(text, "pipe:", 5) == 0;
    }
    closedir(dir);
    return n;
}

// Relays that have moved much, and wait, hold no pipe: there are no more than the
// workers keep.
static int hold_nothing(void *arg)
{
    enum { RELAYS = 100, MUCH = 1 << 20, KEPT = 2 * 8 };
    struct relay *r = calloc(RELAYS, sizeof(*r));
    const char *workers = getenv("WEFT_WORKERS");
    unsigned before = count_pipes();
    (void)arg;

    for (int i = 0; i < RELAYS; i++) {
        open_relay(&r[i], OWN);
        start_relay(&r[i]);
        struct way there = { r[i].left, r[i].right, 5, MUCH, 1 << 17 };
        pthread_t heard = peer_start(hear, &there);
        await_thread(peer_start(say, &there));
        await_thread(heard);
        wait_parked(r[i].task, CALL);
    }
    assert_true(count_pipes() - before <= KEPT * (unsigned)(workers ? atoi(workers) : sysconf(_SC_NPROCESSORS_CONF)));
    for (int i = 0; i < RELAYS; i++) {
        assert_int_equal(shutdown(r[i].right, SHUT_WR), 0);
        assert_int_equal(join(r[i].task), 0);
        close_relay(&r[i]);
    }
    free(r);
    return 0;
}

static void an_idle_one_holds_no_pipe(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(hold_nothing, NULL), 0);
}

// --- shortages -----------------------------------------------------------------------

#ifdef WF_FAULTS
static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

// Once it has begun, it needs neither memory nor a pipe.
static int relay_in_shortage(void *arg)
{
    struct relay r;
    struct way there, back;
    (void)arg;

    for (int splices = 0; splices < 2; splices++) {
        open_relay(&r, OWN);
        there = (struct way){ r.left, r.right, 1, 1000001, 300000 };
        back = (struct way){ r.right, r.left, 2, 1000001, 5000 };
        start_relay(&r);
        wait_parked(r.task, CALL);
        assert_int_equal(weft_blocking(do_nothing, NULL), 0); // now there is a thread
        wf_mem_fail_at(splices ? 2 : 1, true);
        pthread_t threads[] = { peer_start(hear, &there), peer_start(say, &there), peer_start(hear, &back),
                                peer_start(say, &back) };
        for (size_t i = 0; i < wf_countof(threads); i++)
            await_thread(threads[i]);
        wf_mem_fail_at(0, false);
        assert_int_equal(join(r.task), 0);
        assert_int_equal(r.st.a_to_b, there.n);
        assert_int_equal(r.st.b_to_a, back.n);
        close_relay(&r);
    }
    return 0;
}

static void a_shortage_slows_it_down_only(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(relay_in_shortage, NULL), 0);
}
#else
static void a_shortage_slows_it_down_only(void **state)
{
    (void)state;
    wf_test_skip("the library is built without fault injection; test_relay.slots4 has it");
}
#endif

// --- refusals ------------------------------------------------------------------------

static const int errors[] = { EINVAL, ENOSYS, EXDEV, EOPNOTSUPP, EPERM };

static int relay_some(void *arg)
{
    (void)arg;
    relay_much(OWN, 3000001, 1 << 16);
    relay_much(UNIX_NONBLOCK, 3000001, 300000);
    return 0;
}

static void run_without_splice(void *arg)
{
    refuse_call(SYS_splice, *(const int *)arg);
    _exit(weft_run(NULL, relay_some, NULL) == 0 ? 0 : 1);
}

static void without_splice_it_uses_buffers(void **state)
{
    struct child c;
    (void)state;

    skip_without_filters();
    for (size_t e = 0; e < wf_countof(errors); e++) {
        child_run(&c, run_without_splice, (void *)&errors[e]);
        child_expect_exit(&c, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways_on_every_kind_of_socket),
        cmocka_unit_test(a_half_close_is_passed_on),
        cmocka_unit_test(it_never_spins_while_half_is_closed),
        cmocka_unit_test(it_ends_when_neither_way_moves_for_the_idle_time),
        cmocka_unit_test(a_reset_ends_it),
        cmocka_unit_test(a_reset_behind_an_end_is_noticed),
        cmocka_unit_test(an_early_answer_is_delivered),
        cmocka_unit_test(what_was_written_is_counted_when_it_is_cut_short),
        cmocka_unit_test(other_descriptors_are_refused),
        cmocka_unit_test(an_idle_one_holds_no_pipe),
        cmocka_unit_test(a_shortage_slows_it_down_only),
        cmocka_unit_test(without_splice_it_uses_buffers),
    };
    return wf_test_run(tests);
}
