// A call stays with the file that it began with: a job that waits in the blocking pool,
// a call of several steps, a call that retries. If the number is closed and reused
// during the call, it returns an error, and no byte goes to the wrong file.
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/support/lanes.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"
#include "tests/support/wrap.h"

// ThreadSanitizer reports closing a descriptor, while another thread has just been in a
// system call on it, as a race. This file tests that weft_close may do so.
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:^sys_close$\n";
}

enum { NUMBER = 700 }; // no other descriptor gets the number by chance

static void put_at_number(int fd)
{
    assert_int_equal(dup2(fd, NUMBER), NUMBER);
    close(fd);
}

static int open_with(const char *text)
{
    int fd = memfd_create("file", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
    return fd;
}

static off_t size_of(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return st.st_size;
}

// --- ways to close -------------------------------------------------------------------

static void *close_in_thread(void *arg)
{
    assert_int_equal(weft_close(NUMBER), 0);
    return arg;
}

static void by_thread(void)
{
    peer_join(peer_start(close_in_thread, NULL));
}

static void by_task(void)
{
    assert_int_equal(weft_close(NUMBER), 0);
}

static void by_close(void)
{
    assert_int_equal(close(NUMBER), 0);
}

static void (*const closers[])(void) = { by_thread, by_task, by_close };
enum { OF_WEFT = 2, CLOSERS = 3 };

// --- a job that waits in the queue ---------------------------------------------------

static sem_t go_on;

static int hold_thread(void *arg)
{
    (void)arg;
    while (sem_wait(&go_on) < 0)
        ;
    return 0;
}

static int hold_pool(void *arg)
{
    return in_file_lane(hold_thread, arg);
}

static int write_secret(void *arg)
{
    (void)arg;
    return (int)weft_write(NUMBER, "secret", 6);
}

static int write_all_secret(void *arg)
{
    size_t done = 77;
    (void)arg;
    int err = weft_write_all(NUMBER, "secret", 6, &done);
    assert_int_equal(done, 0);
    return err;
}

static int read_text(void *arg)
{
    char buf[4];
    (void)arg;
    return (int)weft_read(NUMBER, buf, sizeof(buf));
}

static weft_fn *const uses[] = { write_secret, write_all_secret, read_text };
static const char *const calls[] = { "weft_write", "weft_write", "weft_read" };
enum { USES = 3 };

static int close_under_queue(void *arg)
{
    (void)arg;
    for (int i = 0; i < USES * CLOSERS; i++) {
        int use = i % USES, closer = i / USES;
        int old = open_with("old"), next = open_with("next one");

        assert_int_equal(dup2(old, NUMBER), NUMBER); // `old` keeps the file
        weft_task *holder = spawn(hold_pool, NULL);
        wait_parked(holder, IN_FILE_LANE);
        weft_task *t = spawn(uses[use], NULL);
        wait_parked(t, calls[use]);
        closers[closer]();
        if (closer < OF_WEFT)
            assert_int_equal(join(t), -EBADF); // at once, not only when its turn comes
        assert_int_equal(dup2(next, NUMBER), NUMBER);
        sem_post(&go_on);
        if (closer >= OF_WEFT)
            assert_int_equal(join(t), -EBADF);
        assert_int_equal(join(holder), 0);
        assert_int_equal(size_of(NUMBER), 8);
        assert_int_equal(lseek(NUMBER, 0, SEEK_CUR), 0);
        assert_int_equal(size_of(old), 3);
        assert_int_equal(lseek(old, 0, SEEK_CUR), 0);
        close(old);
        close(next);
        assert_int_equal(weft_close(NUMBER), 0);
    }
    return 0;
}

static int with_one_thread(weft_fn *body)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    cfg.blocking_max = 1;
    return weft_run(&cfg, tasks_watched, &(struct tasks_body){ body, NULL });
}

static void a_job_that_waits_is_for_the_file_not_for_the_number(void **state)
{
    (void)state;
    sem_init(&go_on, 0, 0);
    assert_int_equal(with_one_thread(close_under_queue), 0);
}

// --- a job that has begun ------------------------------------------------------------

static _Atomic bool stop_here, stopped;

// A write to the file stops before it begins.
WRAP(ssize_t, writev, int fd, const struct iovec *v, int n)
{
    if (fd == NUMBER && atomic_exchange(&stop_here, false)) {
        atomic_store(&stopped, true);
        hold_thread(NULL);
    }
    return REAL(writev)(fd, v, n);
}

static int close_under_job(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2 * OF_WEFT; i++) {
        int old = open_with("old"), next = open_with("next one");

        assert_int_equal(dup2(old, NUMBER), NUMBER);
        atomic_store(&stop_here, true);
        atomic_store(&stopped, false);
        weft_task *t = spawn(write_secret, NULL);
        while (!atomic_load(&stopped))
            weft_sleep(WEFT_US(100));
        closers[i % OF_WEFT](); // does not wait
        assert_false(weft_task_done(t));
        assert_int_equal(fcntl(old, F_DUPFD_CLOEXEC, NUMBER), NUMBER + 1); // the number is not free yet
        close(NUMBER + 1);
        assert_int_equal(weft_close(NUMBER), -EBADF); // but weft_close has been called
        assert_int_equal(weft_write(NUMBER, "more", 4), -EBADF);
        if (i >= OF_WEFT)
            assert_int_equal(dup2(next, NUMBER), NUMBER); // by force
        sem_post(&go_on);
        if (i < OF_WEFT) {
            assert_int_equal(join(t), -EBADF);
            assert_int_equal(fcntl(NUMBER, F_GETFD), -1);
            assert_int_equal(size_of(next), 8);
        } else {
            (void)join(t);
            assert_int_equal(close(NUMBER), 0); // it was left alone
        }
        assert_int_equal(size_of(old), 3);
        close(old);
        close(next);
    }
    return 0;
}

static void a_job_that_has_begun_keeps_the_number(void **state)
{
    (void)state;
    sem_init(&go_on, 0, 0);
    assert_int_equal(run_tasks(close_under_job, NULL), 0);
}

// Record locks belong to the process: closing any descriptor of the file drops them. So
// weft makes none.
static int lock_and_write(void *arg)
{
    char name[] = "/tmp/weft-lock-XXXXXX";
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = mkstemp(name), status;
    (void)arg;

    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
    assert_int_equal(weft_write(fd, "x", 1), 1);
    pid_t child = fork();
    if (child == 0) {
        lock.l_type = F_WRLCK;
        _exit(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    unlink(name);
    return weft_close(fd);
}

static void a_file_s_record_locks_stay(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(lock_and_write, NULL), 0);
}

// --- calls of many steps -------------------------------------------------------------

enum { MUCH = 8 << 20, BUDGET = 128 };

// A call of many steps, and how many cheap ones the task makes before it: at some
// number its turn ends right after the first step.
struct steps {
    int before;
    weft_fn *call;
    size_t done;
    char *room;
};

static int write_much(void *arg)
{
    struct steps *s = arg;
    return weft_write_all(NUMBER, s->room, MUCH, &s->done);
}

static int read_ten(void *arg)
{
    struct steps *s = arg;
    return weft_read_full(NUMBER, s->room, 10, &s->done);
}

static int wait_for_ten(void *arg)
{
    struct steps *s = arg;
    ssize_t got = weft_recv(NUMBER, s->room, 10, MSG_WAITALL);
    s->done = got > 0 ? (size_t)got : 0;
    return got < 10 ? -EBADF : 0;
}

static weft_fn *const step_calls[] = { write_much, read_ten, wait_for_ten };
enum { STEP_CALLS = 3 };

static int spend_and_call(void *arg)
{
    struct steps *s = arg;
    char c;
    int fd[2];

    peer_pair(PEER_UNIX, fd);
    for (int i = 0; i < s->before; i++)
        assert_int_equal(weft_recv(fd[0], &c, 1, MSG_DONTWAIT), -EAGAIN);
    close(fd[0]);
    close(fd[1]);
    return s->call(s);
}

// await_step returns when the call has made its first step.
static void await_step(const struct steps *s, int peer)
{
    for (int left = 1, is = 0; s->call == write_much ? is == 0 : left != 0;) {
        weft_yield();
        assert_int_equal(ioctl(peer, FIONREAD, &is), 0);
        assert_int_equal(ioctl(NUMBER, FIONREAD, &left), 0);
    }
}

static void succeed(struct steps *s, enum peer_kind kind, void (*closes)(void))
{
    int fd[2], next[2];
    char c;

    peer_pair(kind, fd);
    peer_pair(kind, next);
    put_at_number(fd[0]);
    if (s->call != write_much)
        peer_write(fd[1], "abc", 3);
    weft_task *t = spawn(spend_and_call, s);
    await_step(s, fd[1]);
    closes();
    while (fcntl(NUMBER, F_GETFD) >= 0)
        weft_yield(); // a step was being made just then
    put_at_number(next[0]);
    peer_write(next[1], "0123456789", 10);
    assert_int_equal(join(t), -EBADF);
    assert_true(s->call == write_much ? s->done > 0 && s->done < MUCH : s->done == 3);
    assert_int_equal(recv(next[1], &c, 1, MSG_DONTWAIT), -1);
    peer_read(NUMBER, s->room, 10); // all is there
    assert_int_equal(weft_close(NUMBER), 0);
    close(fd[1]);
    close(next[1]);
}

static int succeed_at_each_place(void *arg)
{
    for (int i = 0; i < STEP_CALLS * BUDGET; i++) {
        struct steps s = { .before = i / STEP_CALLS, .call = step_calls[i % STEP_CALLS], .room = arg };
        succeed(&s, i / STEP_CALLS % 2 ? PEER_UNIX : PEER_TCP, closers[i / STEP_CALLS / 2 % OF_WEFT]);
    }
    return 0;
}

static void a_call_of_many_steps_ends_with_its_file(void **state)
{
    char *room = calloc(1, MUCH);
    (void)state;
    assert_non_null(room);
    assert_int_equal(run_tasks(succeed_at_each_place, room), 0);
    free(room);
}

// It may begin with a number that has a past.
static int begin_with_the_next(void *arg)
{
    struct steps s = { .room = arg };
    int fd[2];

    for (int i = 0; i < 2 * STEP_CALLS; i++) {
        s.call = step_calls[i / 2];
        peer_pair(i % 2 ? PEER_UNIX : PEER_TCP, fd);
        put_at_number(fd[0]);
        weft_task *t = spawn(read_text, NULL);
        wait_parked(t, "weft_read");
        peer_write(fd[1], "abc", 3); // leaves the cell set
        assert_int_equal(join(t), 3);
        if (s.call == write_much)
            peer_stuff(NUMBER, 0);
        close(fd[1]);
        peer_pair(i % 2 ? PEER_TCP : PEER_UNIX, fd);
        put_at_number(fd[0]);
        if (s.call != write_much)
            peer_write(fd[1], "abc", 3);
        t = spawn(s.call, &s);
        await_step(&s, fd[1]);
        if (s.call == write_much) {
            static char sink[65536];
            for (size_t at = 0; at < MUCH;) {
                ssize_t got = weft_recv(fd[1], sink, sizeof(sink), 0);
                assert_true(got > 0);
                at += (size_t)got;
            }
        } else {
            peer_write(fd[1], "defghij", 7);
        }
        assert_int_equal(join(t), 0);
        assert_int_equal(weft_close(NUMBER), 0);
        weft_close(fd[1]);
    }
    return 0;
}

static void a_call_of_many_steps_may_begin_with_the_next_file(void **state)
{
    char *room = calloc(1, MUCH);
    (void)state;
    assert_non_null(room);
    assert_int_equal(run_tasks(begin_with_the_next, room), 0);
    free(room);
}

// --- a Unix listener without room ----------------------------------------------------

static struct sockaddr_un busy = { .sun_family = AF_UNIX };
static socklen_t busy_len;

static int unix_listen(const char *name)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un un = { .sun_family = AF_UNIX };

    snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "%s-%d", name, getpid());
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(un.sun_path + 1));
    assert_int_equal(bind(fd, (struct sockaddr *)&un, len), 0);
    assert_int_equal(listen(fd, 0), 0);
    busy = un;
    busy_len = len;
    return fd;
}

static int knock(void *arg)
{
    (void)arg;
    return weft_connect(NUMBER, (struct sockaddr *)&busy, busy_len);
}

static int close_while_knocking(void *arg)
{
    int listener = unix_listen("weft-knock");
    (void)arg;

    for (int i = 0; i < CLOSERS; i++) {
        int filler = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        while (connect(filler, (struct sockaddr *)&busy, busy_len) == 0) {
            close(filler); // stays in the queue
            filler = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        }
        put_at_number(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        weft_task *t = spawn(knock, NULL);
        wait_parked(t, "weft_connect");
        closers[i]();
        put_at_number(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        struct pollfd waiting = { .fd = listener, .events = POLLIN };
        while (poll(&waiting, 1, 0) > 0)
            close(accept4(listener, NULL, NULL, SOCK_CLOEXEC)); // there is room
        assert_int_equal(join(t), -EBADF);
        struct sockaddr_un peer;
        socklen_t len = sizeof(peer);
        assert_int_equal(getpeername(NUMBER, (struct sockaddr *)&peer, &len), -1); // a stranger is not connected
        assert_int_equal(weft_close(NUMBER), 0);
        close(filler);
    }
    return close(listener);
}

static void a_connect_that_tries_again_ends_with_its_socket(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(close_while_knocking, NULL), 0);
}

// --- a thread that closes while a task begins to wait --------------------------------

struct race {
    sem_t ready;
    unsigned pause;
};

static void *close_at_random(void *arg)
{
    struct race *r = arg;

    while (sem_wait(&r->ready) < 0)
        ;
    for (volatile unsigned i = 0; i < r->pause; i++)
        ;
    assert_int_equal(weft_close(NUMBER), 0);
    return NULL;
}

static int begin_to_wait(void *arg)
{
    unsigned rounds = wf_test_rounds(2000);
    struct wf_test_rand rand = wf_test_rand(1);
    (void)arg;

    for (unsigned i = 0; i < rounds; i++) {
        struct race r = { .pause = wf_test_below(&rand, 4000) };
        int fd[2];
        char c;

        peer_pair(PEER_UNIX, fd);
        put_at_number(fd[0]);
        sem_init(&r.ready, 0, 0);
        pthread_t closer = peer_start(close_at_random, &r);
        sem_post(&r.ready);
        assert_int_equal(weft_read(NUMBER, &c, 1), -EBADF);
        peer_join(closer);
        close(fd[1]);
    }
    return 0;
}

static void a_thread_s_close_ends_a_wait_that_begins(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(begin_to_wait, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_that_waits_is_for_the_file_not_for_the_number),
        cmocka_unit_test(a_job_that_has_begun_keeps_the_number),
        cmocka_unit_test(a_file_s_record_locks_stay),
        cmocka_unit_test(a_call_of_many_steps_ends_with_its_file),
        cmocka_unit_test(a_call_of_many_steps_may_begin_with_the_next_file),
        cmocka_unit_test(a_connect_that_tries_again_ends_with_its_socket),
        cmocka_unit_test(a_thread_s_close_ends_a_wait_that_begins),
    };
    return wf_test_run(tests);
}
