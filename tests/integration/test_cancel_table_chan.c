// The cancellation table: channels, broadcasts, watches, select. See
// docs/cancellation.md and tests/support/cancel_table.h.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "tests/support/cancel_table.h"
#include "tests/support/tasks.h"

enum { FILLER = 10, MESSAGE = 42, NEXT = 43 };

static const size_t rendezvous = 0, bounded = 2, unbounded = WEFT_UNBOUNDED;

static size_t capacity(const struct cancel_case *c)
{
    return *(const size_t *)c->row->arg;
}

static long try_take(weft_chan *ch)
{
    long got = 0;
    int err = weft_chan_try_recv(ch, &got);
    assert_true(err == 0 || err == -EAGAIN);
    return err ? 0 : got;
}

static bool try_give(weft_chan *ch, long message)
{
    int err = weft_chan_try_send(ch, &message);
    assert_true(err == 0 || err == -EAGAIN);
    return err == 0;
}

// fill makes senders wait. Returns: how many messages that took.
static long fill(weft_chan *ch)
{
    long n = 0;

    while (try_give(ch, FILLER + n))
        n++;
    return n;
}

// --- receive -------------------------------------------------------------------------

static weft_chan *chan;
static long got;   // by the subject
static bool given; // a message, by complete
static weft_task *follower;

static int receive_one(void *arg)
{
    long *to = arg;
    return weft_chan_recv(chan, to);
}

static int send_one(void *arg)
{
    const long *from = arg;
    return weft_chan_send(chan, from);
}

static void recv_set_up(struct cancel_case *c)
{
    got = 0;
    assert_int_equal(weft_chan_new(&chan, sizeof(long), capacity(c)), 0);
}

static int recv_call(struct cancel_case *c)
{
    (void)c;
    return receive_one(&got);
}

static void recv_complete(struct cancel_case *c)
{
    (void)c;
    given = try_give(chan, MESSAGE);
}

// check_works sends one message through, and gives the channel up.
static void check_works(void)
{
    long message = NEXT, back = 0;
    weft_task *t = spawn(send_one, &message);

    assert_int_equal(receive_one(&back), 0);
    assert_int_equal(back, NEXT);
    assert_int_equal(join(t), 0);
    assert_int_equal(try_take(chan), 0);
    assert_int_equal(weft_chan_len(chan), 0);
    weft_chan_unref(chan);
}

// The message is the subject's, or still in the channel. A rendezvous took it only if
// the subject was there.
static void recv_left(struct cancel_case *c, int result)
{
    assert_int_equal(got, result < 0 ? 0 : MESSAGE);
    if (capacity(c) == 0)
        assert_int_equal(given, result >= 0);
    else
        assert_int_equal(try_take(chan), result < 0 ? MESSAGE : 0);
    check_works();
}

static long got_behind; // by the follower

static void recv_follow(struct cancel_case *c)
{
    (void)c;
    got_behind = 0;
    follower = spawn(receive_one, &got_behind);
    cancel_await_parked(follower, "weft_chan_recv");
}

// The message is the subject's or the follower's; otherwise the follower gets the next
// one.
static void recv_behind_left(struct cancel_case *c, int result)
{
    long next = NEXT;
    (void)c;

    assert_true(given);
    assert_int_equal(got, result < 0 ? 0 : MESSAGE);
    if (result >= 0)
        assert_int_equal(send_one(&next), 0);
    assert_int_equal(join(follower), 0);
    assert_int_equal(got_behind, result < 0 ? MESSAGE : NEXT);
    check_works();
}

// --- send ----------------------------------------------------------------------------

static const long message = MESSAGE, next_message = NEXT;
static long fillers, taken; // messages before the subject's; the one that complete took

static void send_set_up(struct cancel_case *c)
{
    assert_int_equal(weft_chan_new(&chan, sizeof(long), capacity(c)), 0);
    fillers = fill(chan);
}

static int send_call(struct cancel_case *c)
{
    (void)c;
    return send_one((void *)&message);
}

static void send_complete(struct cancel_case *c)
{
    (void)c;
    taken = try_take(chan);
}

// check_fillers takes what was sent before the subject's message, except the one that
// complete took.
static void check_fillers(void)
{
    assert_int_equal(taken, FILLER);
    for (long i = 1; i < fillers; i++)
        assert_int_equal(try_take(chan), FILLER + i);
}

static void send_left(struct cancel_case *c, int result)
{
    if (capacity(c) > 0) {
        check_fillers();
        taken = try_take(chan);
    }
    assert_int_equal(taken, result < 0 ? 0 : MESSAGE);
    check_works();
}

static void send_follow(struct cancel_case *c)
{
    (void)c;
    follower = spawn(send_one, (void *)&next_message);
    cancel_await_parked(follower, "weft_chan_send");
}

// The room was the subject's or the follower's; otherwise the follower gets the next.
static void send_behind_left(struct cancel_case *c, int result)
{
    (void)c;
    check_fillers();
    if (result >= 0)
        assert_int_equal(try_take(chan), MESSAGE);
    assert_int_equal(join(follower), 0);
    assert_int_equal(try_take(chan), NEXT);
    check_works();
}

// --- broadcast, watch ----------------------------------------------------------------

static weft_broadcast *broadcast;
static weft_receiver *receiver;

static void broadcast_set_up(struct cancel_case *c)
{
    (void)c;
    got = 0;
    assert_int_equal(weft_broadcast_new(&broadcast, sizeof(long), 4), 0);
    assert_int_equal(weft_broadcast_subscribe(broadcast, &receiver), 0);
}

static int broadcast_call(struct cancel_case *c)
{
    uint64_t lost = 77;
    (void)c;

    int err = weft_broadcast_recv(receiver, &got, &lost);
    assert_int_equal(lost, 77);
    return err;
}

static void broadcast_complete(struct cancel_case *c)
{
    (void)c;
    assert_int_equal(weft_broadcast_send(broadcast, &message), 1);
}

// The receiver's place is behind the message, or still before it.
static void broadcast_left(struct cancel_case *c, int result)
{
    assert_int_equal(got, result < 0 ? 0 : MESSAGE);
    assert_int_equal(weft_broadcast_send(broadcast, &next_message), 1);
    if (result < 0) {
        assert_int_equal(broadcast_call(c), 0);
        assert_int_equal(got, MESSAGE);
    }
    assert_int_equal(broadcast_call(c), 0);
    assert_int_equal(got, NEXT);
    assert_int_equal(weft_broadcast_try_recv(receiver, &got, NULL), -EAGAIN);
    weft_broadcast_unsubscribe(receiver);
    weft_broadcast_unref(broadcast);
}

static weft_watch *watch;
static uint64_t version;

static void watch_set_up(struct cancel_case *c)
{
    long initial = FILLER;
    (void)c;

    assert_int_equal(weft_watch_new(&watch, sizeof(long), &initial), 0);
    weft_watch_get(watch, &got, &version);
}

static int watch_call(struct cancel_case *c)
{
    (void)c;
    return weft_watch_wait(watch, &got, &version);
}

static void watch_complete(struct cancel_case *c)
{
    (void)c;
    assert_int_equal(weft_watch_set(watch, &message), 0);
}

static void watch_left(struct cancel_case *c, int result)
{
    assert_int_equal(got, result < 0 ? FILLER : MESSAGE);
    assert_int_equal(version, result < 0 ? 1 : 2);
    if (result < 0)
        assert_int_equal(watch_call(c), 0);
    assert_int_equal(got, MESSAGE);
    assert_int_equal(version, 2);
    weft_watch_unref(watch);
}

// --- select --------------------------------------------------------------------------

// One object of each kind. Which cases can happen is the row's: `complete` lets those
// happen, and no other.
enum { RECV, SEND, FUTURE, FD, TIME, KINDS };

static weft_chan *in, *out;
static weft_future future;
static int fd[2];
static bool in_given;
static long out_fillers, out_taken;
static weft_time deadline;

static bool has(const struct cancel_case *c, int kind)
{
    return *(const int *)c->row->arg & 1 << kind;
}

static bool is_rendezvous(const struct cancel_case *c)
{
    return has(c, KINDS);
}

static void select_set_up(struct cancel_case *c)
{
    got = 0;
    assert_int_equal(weft_chan_new(&in, sizeof(long), is_rendezvous(c) ? 0 : 1), 0);
    assert_int_equal(weft_chan_new(&out, sizeof(long), is_rendezvous(c) ? 0 : 1), 0);
    out_fillers = fill(out);
    weft_future_init(&future);
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    deadline = has(c, TIME) ? cancel_when(c) : weft_after(WEFT_S(3600));
}

static int select_call(struct cancel_case *c)
{
    weft_case cases[KINDS + 1] = {
        weft_on_recv(in, &got),    weft_on_send(out, &message), weft_on_future(&future),
        weft_on_fd(fd[0], POLLIN), weft_on_time(deadline),      weft_on_recv(NULL, NULL),
    };
    (void)c;

    int i = weft_select(cases, KINDS + 1);
    assert_true(i < KINDS);
    if (i >= 0)
        assert_int_equal(cases[i].result, i == FD ? POLLIN : 0);
    if (i == FUTURE)
        assert_int_equal(cases[i].value, MESSAGE);
    return i;
}

static void select_complete(struct cancel_case *c)
{
    in_given = has(c, RECV) && try_give(in, MESSAGE);
    out_taken = has(c, SEND) ? try_take(out) : 0;
    if (has(c, FUTURE))
        weft_future_complete(&future, MESSAGE);
    if (has(c, FD))
        assert_int_equal(write(fd[1], "x", 1), 1);
}

// check_in: the message was received, or not given at all, or is still there.
static void check_in(bool received)
{
    assert_int_equal(got, received ? MESSAGE : 0);
    assert_true(in_given || !received);
    assert_int_equal(try_take(in), in_given && !received ? MESSAGE : 0);
}

// check_out: what has been taken, and is still there, is what was sent.
static void check_out(bool sent)
{
    long all = out_taken;

    for (long more; (more = try_take(out)) != 0;)
        all += more;
    assert_int_equal(all, (out_fillers > 0 ? FILLER : 0) + (sent ? MESSAGE : 0));
}

// What `result` says has happened, and nothing else.
static void select_left(struct cancel_case *c, int result)
{
    char byte;

    assert_true(result < 0 || has(c, result));
    check_in(result == RECV);
    check_out(result == SEND);
    assert_int_equal(weft_future_done(&future), has(c, FUTURE));
    if (has(c, FD))
        assert_int_equal(weft_read(fd[0], &byte, 1), 1);
    assert_true(result != TIME || weft_now() >= deadline);
    assert_int_equal(weft_close(fd[0]) | weft_close(fd[1]), 0);
    weft_chan_unref(in);
    weft_chan_unref(out);
}

static const int on_recv = 1 << RECV, on_send = 1 << SEND, on_future = 1 << FUTURE, on_fd = 1 << FD,
                 on_time = 1 << TIME, on_recv_now = 1 << RECV | 1 << KINDS, on_send_now = 1 << SEND | 1 << KINDS,
                 on_any = (1 << TIME) - 1, on_any_now = on_any | 1 << KINDS;

// --- the table -----------------------------------------------------------------------

// clang-format off
#define CHAN_RECV .what = "weft_chan_recv", .set_up = recv_set_up, .call = recv_call, .complete = recv_complete, \
                  .at_once = true
#define CHAN_SEND .what = "weft_chan_send", .set_up = send_set_up, .call = send_call, .complete = send_complete, \
                  .at_once = true
#define SELECT .what = "weft_select", .set_up = select_set_up, .call = select_call, .complete = select_complete, \
               .left = select_left

static const struct cancel_row rows[] = {
    { "weft_chan_recv: rendezvous", .arg = &rendezvous, CHAN_RECV, .left = recv_left },
    { "weft_chan_recv: bounded", .arg = &bounded, CHAN_RECV, .left = recv_left },
    { "weft_chan_recv: unbounded", .arg = &unbounded, CHAN_RECV, .left = recv_left },
    { "weft_chan_recv: with another behind", .arg = &bounded, CHAN_RECV, .follow = recv_follow,
      .left = recv_behind_left },
    { "weft_chan_send: rendezvous", .arg = &rendezvous, CHAN_SEND, .left = send_left },
    { "weft_chan_send: bounded", .arg = &bounded, CHAN_SEND, .left = send_left },
    { "weft_chan_send: with another behind", .arg = &bounded, CHAN_SEND, .follow = send_follow,
      .left = send_behind_left },
    { "weft_broadcast_recv", .what = "broadcast", .set_up = broadcast_set_up, .call = broadcast_call,
      .complete = broadcast_complete, .left = broadcast_left, .at_once = true },
    { "weft_watch_wait", .what = "watch", .set_up = watch_set_up, .call = watch_call, .complete = watch_complete,
      .left = watch_left, .at_once = true },
    { "weft_select: receive", .arg = &on_recv, SELECT, .at_once = true },
    { "weft_select: receive at a rendezvous", .arg = &on_recv_now, SELECT, .at_once = true },
    { "weft_select: send", .arg = &on_send, SELECT, .at_once = true },
    { "weft_select: send at a rendezvous", .arg = &on_send_now, SELECT, .at_once = true },
    { "weft_select: future", .arg = &on_future, SELECT, .at_once = true },
    { "weft_select: descriptor", .arg = &on_fd, SELECT },
    { "weft_select: time", .arg = &on_time, SELECT },
    { "weft_select: any", .arg = &on_any, SELECT, .at_once = true },
    { "weft_select: any, at a rendezvous", .arg = &on_any_now, SELECT, .at_once = true },
};
// clang-format on

static void a_message_is_received_once_whoever_is_cancelled(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN(rows);
}

static void so_it_is_in_any_order(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN_SEEDS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_received_once_whoever_is_cancelled),
        cmocka_unit_test(so_it_is_in_any_order),
    };
    return wf_test_run(tests);
}
