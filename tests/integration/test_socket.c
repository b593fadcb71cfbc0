// Features of sockets besides streams of bytes: messages, flags, urgent data, and
// passed descriptors.
#include "tests/support/own.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"

struct call {
    int fd;
    size_t n;
    ssize_t result;
    char buf[64];
};

static int read_some(void *arg)
{
    struct call *c = arg;
    c->result = weft_read(c->fd, c->buf, c->n);
    return 0;
}

// --- reads that end early ------------------------------------------------------------

// The kernel ends a read at urgent data, so it is short though more bytes lie behind.
static int read_past_urgent_data(void *arg)
{
    struct call c = { .n = sizeof(c.buf) };
    char rest[8];
    int fd[2];
    (void)arg;

    peer_tcp_pair(fd);
    c.fd = fd[0];
    weft_task *reader = spawn(read_some, &c);
    wait_parked(reader, "weft_read");
    assert_int_equal(send(fd[1], "abc!", 4, MSG_OOB), 4); // "!" is urgent
    peer_write(fd[1], "def", 3);
    assert_int_equal(join(reader), 0);
    assert_int_equal(c.result, 3);
    assert_int_equal(weft_recv(fd[0], rest, 1, MSG_OOB), 1);
    assert_int_equal(rest[0], '!');
    assert_int_equal(weft_read_full(fd[0], c.buf + 3, 3, NULL), 0);
    assert_memory_equal(c.buf, "abcdef", 6);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void bytes_behind_urgent_data_are_read(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(read_past_urgent_data, NULL), 0);
}

static void send_descriptor(int fd, int passed, const char *text)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec v = { (char *)text, strlen(text) };
    struct msghdr msg = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &passed, sizeof(passed));
    assert_int_equal(sendmsg(fd, &msg, 0), v.iov_len);
}

// A read of a Unix socket ends at a descriptor that is passed, so it is short, too.
static int read_past_a_descriptor(void *arg)
{
    struct call c = { .n = sizeof(c.buf) };
    int fd[2];
    (void)arg;

    peer_pair(PEER_UNIX, fd);
    c.fd = fd[0];
    weft_task *reader = spawn(read_some, &c);
    wait_parked(reader, "weft_read");
    send_descriptor(fd[1], fd[1], "abc");
    peer_write(fd[1], "def", 3);
    assert_int_equal(join(reader), 0);
    assert_int_equal(c.result, 3);
    assert_int_equal(weft_read_full(fd[0], c.buf + 3, 3, NULL), 0);
    assert_memory_equal(c.buf, "abcdef", 6);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void bytes_behind_a_passed_descriptor_are_read(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(read_past_a_descriptor, NULL), 0);
}

// --- messages and flags --------------------------------------------------------------

static int datagrams(void *arg)
{
    char buf[64];
    int fd[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fd), 0);
    if (arg)
        take_for_own(fd[0]);
    struct call c = { .fd = fd[0], .n = sizeof(c.buf) };
    weft_task *reader = spawn(read_some, &c);
    wait_parked(reader, "weft_read");
    for (int i = 1; i <= 4; i++)
        assert_int_equal(send(fd[1], "12345", (size_t)i, 0), i);
    assert_int_equal(join(reader), 0);
    assert_int_equal(c.result, 1);
    assert_int_equal(weft_read(fd[0], buf, 0), 0); // takes none
    for (int i = 2; i <= 4; i++)                   // each read is short, and none says that this was all
        assert_int_equal(weft_recv(fd[0], buf, sizeof(buf), 0), i);
    assert_int_equal(weft_write(fd[1], "", 0), 0); // an empty one
    assert_int_equal(weft_recv(fd[0], buf, sizeof(buf), 0), 0);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void a_short_datagram_is_not_the_last(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(datagrams, NULL), 0);
    assert_int_equal(run_tasks(datagrams, (void *)"own"), 0);
}

static int flags(void *arg)
{
    char buf[64];
    int fd[2];
    (void)arg;

    peer_tcp_pair(fd);
    assert_int_equal(weft_recv(fd[0], buf, sizeof(buf), MSG_DONTWAIT), -EAGAIN);
#ifndef WF_EMULATED // which forgets the error of this one
    assert_int_equal(weft_recvmsg(fd[0], &(struct msghdr){ 0 }, MSG_ERRQUEUE), -EAGAIN);
#endif
    peer_write(fd[1], "hello", 5);
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_recv(fd[0], buf, sizeof(buf), MSG_PEEK), 5);
    assert_int_equal(weft_recv(fd[0], buf, 2, 0), 2);
    assert_int_equal(weft_recv(fd[0], buf, sizeof(buf), MSG_DONTWAIT), 3);
    peer_stuff(fd[0], 0);
    while (weft_send(fd[0], buf, sizeof(buf), MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(weft_send(fd[0], buf, sizeof(buf), MSG_DONTWAIT), -EAGAIN);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void the_flags_mean_what_they_mean(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(flags, NULL), 0);
}

static int recv_all(void *arg)
{
    struct call *c = arg;
    c->result = weft_recv(c->fd, c->buf, c->n, MSG_WAITALL);
    return 0;
}

static int wait_for_all(void *arg)
{
    int fd[2];
    (void)arg;

    peer_tcp_pair(fd);
    struct call c = { .fd = fd[0], .n = 6 };
    weft_task *reader = spawn(recv_all, &c);
    for (int i = 0; i < 3; i++) {
        wait_parked(reader, "weft_recv");
        peer_write(fd[1], "ab", 2);
    }
    assert_int_equal(join(reader), 0);
    assert_int_equal(c.result, 6);
    assert_memory_equal(c.buf, "ababab", 6);

    reader = spawn(recv_all, &c);
    peer_write(fd[1], "abc", 3);
    close(fd[1]);
    assert_int_equal(join(reader), 0);
    assert_int_equal(c.result, 3); // as much as there was
    return weft_close(fd[0]);
}

static void waitall_waits_for_all(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(wait_for_all, NULL), 0);
}

static int pass_descriptor(void *arg)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    char buf[8];
    struct iovec v = { buf, sizeof(buf) };
    struct msghdr msg = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
    int *fd = arg, passed;

    assert_int_equal(weft_recvmsg(fd[0], &msg, MSG_CMSG_CLOEXEC), 2);
    assert_int_equal(CMSG_FIRSTHDR(&msg)->cmsg_type, SCM_RIGHTS);
    memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(passed));
    assert_int_equal(weft_write(passed, "hi", 2), 2);
    assert_int_equal(weft_read(fd[0], buf, sizeof(buf)), 2); // `passed` is the other end
    return weft_close(passed);
}

static int messages(void *arg)
{
    int fd[2];
    (void)arg;

    peer_pair(PEER_UNIX, fd);
    weft_task *receiver = spawn(pass_descriptor, fd);
    wait_parked(receiver, "weft_recvmsg");
    send_descriptor(fd[1], fd[1], "ab");
    assert_int_equal(join(receiver), 0);
    return weft_close(fd[0]) | weft_close(fd[1]);
}

static void a_message_may_carry_a_descriptor(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(messages, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_behind_urgent_data_are_read),
        cmocka_unit_test(bytes_behind_a_passed_descriptor_are_read),
        cmocka_unit_test(a_short_datagram_is_not_the_last),
        cmocka_unit_test(the_flags_mean_what_they_mean),
        cmocka_unit_test(waitall_waits_for_all),
        cmocka_unit_test(a_message_may_carry_a_descriptor),
    };
    return wf_test_run(tests);
}
