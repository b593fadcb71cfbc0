// The buffer of a channel, and how channels use memory: they allocate it where the
// header says so, and free it.
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/mem.h"
#include "runtime/chan/buffer.h"
#include "tests/support/chans.h"

// --- the chain -----------------------------------------------------------------------

static struct wf_buffer buffer;

// Numbers come with a neighbour: gcc warns of the copy of 16 bytes that it sees, and
// that is not made.
static void put(uint64_t n)
{
    uint64_t from[2] = { n, 0 };

    while (!wf_buffer_put(&buffer, from)) {
        struct wf_block *block = wf_buffer_block(&buffer);
        assert_non_null(block);
        wf_free(wf_buffer_grow(&buffer, block));
    }
}

static uint64_t get(void)
{
    uint64_t to[2] = { UINT64_MAX, 0 };
    wf_free(wf_buffer_get(&buffer, to));
    return to[0];
}

// blocks counts the blocks that the buffer has, the spare one among them.
static unsigned blocks(void)
{
    unsigned n = buffer.spare != NULL;
    for (struct wf_block *at = buffer.first; at; at = at->next)
        n++;
    return n;
}

static void a_chain_takes_blocks_as_it_grows_and_gives_them_back(void **state)
{
    (void)state;
    assert_int_equal(wf_buffer_init(&buffer, sizeof(uint64_t), SIZE_MAX), 0);
    assert_int_equal(blocks(), 0);
    for (int round = 0; round < 3; round++) {
        for (uint64_t n = 0; n < 100000; n++)
            put(n);
        assert_in_range(blocks(), 100000 * 8 / 4096, 100000 * 8 / 4096 + 10);
        for (uint64_t n = 0; n < 100000; n++)
            assert_int_equal(get(), n);
        assert_in_range(blocks(), 1, 2); // drained: one, and one for later
    }
    wf_buffer_fini(&buffer);
}

static void a_chain_with_little_in_it_stays_in_one_block(void **state)
{
    (void)state;
    assert_int_equal(wf_buffer_init(&buffer, sizeof(uint64_t), SIZE_MAX), 0);
    for (uint64_t n = 0; n < 10000; n++) {
        put(n);
        assert_int_equal(get(), n);
        assert_int_equal(blocks(), 1);
    }
    for (uint64_t n = 0; n < 100; n++)
        put(n);
    for (uint64_t n = 0; n < 10000; n++) { // behind and before each other all the time
        put(100 + n);
        assert_int_equal(get(), n);
        assert_in_range(blocks(), 1, 3);
    }
    wf_buffer_fini(&buffer);
}

// --- channels ------------------------------------------------------------------------

static void a_channel_is_made_whole_or_not_at_all(void **state)
{
    static const size_t capacities[] = { 0, 1, 100, WEFT_UNBOUNDED };
    (void)state;

    for (size_t i = 0; i < wf_countof(capacities); i++) {
        weft_chan *c = NULL;
        long n = 1;
        for (int err = -ENOMEM; err == -ENOMEM; n++) {
            wf_mem_fail_at(n, true);
            err = weft_chan_new(&c, 8, capacities[i]);
            wf_mem_fail_at(0, false);
            assert_true(err == 0 || (err == -ENOMEM && !c));
        }
        assert_true(n >= 2);
        weft_chan_unref(c);
    }
}

static void without_memory_an_unbounded_channel_keeps_what_it_has(void **state)
{
    weft_chan *c = new_numbers(WEFT_UNBOUNDED);
    int sent = 0, err;
    (void)state;

    wf_mem_fail_at(1, true);
    assert_int_equal(try_send(c, 0), -ENOMEM);
    wf_mem_fail_at(0, false);
    assert_int_equal(try_send(c, sent++), 0);
    wf_mem_fail_at(1, true);
    while ((err = try_send(c, sent)) == 0)
        sent++;
    wf_mem_fail_at(0, false);
    assert_int_equal(err, -ENOMEM);
    assert_true(sent > 100);
    assert_int_equal(weft_chan_len(c), sent);
    for (int n = 0; n < sent; n++)
        assert_int_equal(try_recv(c), n);
    assert_int_equal(try_recv(c), -EAGAIN);
    weft_chan_unref(c);
}

static int allocate_nothing(void *arg)
{
    weft_chan *a = new_numbers(2), *b = new_numbers(0);
    weft_future f = WEFT_FUTURE_INIT;
    int n = 1, got = 0;
    weft_case cases[] = { weft_on_recv(a, &got), weft_on_send(b, &n), weft_on_future(&f), weft_on_time(WEFT_NEVER) };
    struct end e = { b, 0 };
    (void)arg;

    weft_task *t = spawn(recv_end, &e); // made before, not begun
    wait_parked(t, "weft_chan_recv");
    wf_mem_fail_at(LONG_MAX, false);
    assert_int_equal(weft_chan_send(a, &n), 0);
    assert_int_equal(weft_chan_recv(a, &got), 0);
    assert_int_equal(weft_select(cases, 4), 1);
    cases[3] = weft_on_time(weft_after(WEFT_US(10)));
    assert_int_equal(weft_select(cases, 4), 3);
    weft_chan_close(a);
    assert_int_equal(weft_select(cases, 4), 0);
    assert_int_equal(wf_mem_count(), 0);
    wf_mem_fail_at(0, false);
    assert_int_equal(join(t), 1);
    weft_chan_unref(a);
    weft_chan_unref(b);
    return 0;
}

static void neither_messages_nor_waits_allocate(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;
    cfg.workers = 1;
    assert_int_equal(weft_run(&cfg, allocate_nothing, NULL), 0);
}

// A select that must have a block, and cannot.
static int select_without_memory(void *arg)
{
    weft_chan *c = new_numbers(WEFT_UNBOUNDED);
    int n = 1;
    weft_case cases[] = { weft_on_send(c, &n), weft_on_time(0) };
    (void)arg;

    wf_mem_fail_at(1, true);
    int i = weft_select(cases, 2);
    wf_mem_fail_at(0, false);
    assert_int_equal(i, 0);
    assert_int_equal(cases[0].result, -ENOMEM);
    assert_int_equal(weft_chan_len(c), 0);
    assert_int_equal(weft_select(cases, 2), 0);
    assert_int_equal(cases[0].result, 0);
    assert_int_equal(weft_chan_len(c), 1);
    weft_chan_unref(c);
    return 0;
}

static void a_select_reports_want_of_memory(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;
    cfg.workers = 1;
    assert_int_equal(weft_run(&cfg, select_without_memory, NULL), 0);
}

// Of a descriptor that cannot be registered, or cannot have an epoll set of its own,
// the error is what happens. The last select is refused nothing, and waits until its
// time has come.
static int wait_in_vain(void *arg)
{
    long refused = 0;
    (void)arg;

    for (int i = 0; i == 0; refused++) {
        int fd[2];
        char c;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
        assert_int_equal(write(fd[1], "x", 1), 1); // which is not what it waits for
        weft_case cases[] = { weft_on_fd(fd[0], POLLRDHUP), weft_on_time(weft_after(WEFT_S(1))) };
        wf_mem_fail_at(refused + 1, false);
        i = weft_select(cases, 2);
        wf_mem_fail_at(0, false);
        assert_true(i == 1 || (i == 0 && (cases[0].result == -ENOMEM || cases[0].result == -EMFILE)));
        assert_int_equal(weft_read(fd[0], &c, 1), 1);
        assert_int_equal(weft_close(fd[0]) | weft_close(fd[1]), 0);
    }
    assert_true(refused > 4); // registering it, making the set, filling it, registering that
    return 0;
}

static void a_select_reports_what_a_descriptor_cannot_have(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;
    cfg.workers = 1;
    assert_int_equal(weft_run(&cfg, wait_in_vain, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_takes_blocks_as_it_grows_and_gives_them_back),
        cmocka_unit_test(a_chain_with_little_in_it_stays_in_one_block),
        cmocka_unit_test(a_channel_is_made_whole_or_not_at_all),
        cmocka_unit_test(without_memory_an_unbounded_channel_keeps_what_it_has),
        cmocka_unit_test(neither_messages_nor_waits_allocate),
        cmocka_unit_test(a_select_reports_want_of_memory),
        cmocka_unit_test(a_select_reports_what_a_descriptor_cannot_have),
    };
    return wf_test_run(tests);
}
