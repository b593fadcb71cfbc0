// The cancellation table: calls that look up a name. See docs/cancellation.md and
// tests/support/cancel_table.h.
#include "tests/support/cancel_table.h"
#include "tests/support/dns.h"
#include "tests/support/tasks.h"

static int listener;

static void set_up(struct cancel_case *c)
{
    (void)c;
    dns_hold();
    listener = weft_tcp_listen("127.0.0.1:7003");
    assert_true(listener >= 0);
}

static int resolve_call(struct cancel_case *c)
{
    weft_addrs *a;
    (void)c;

    int n = weft_resolve(&a, "held.test", "80", AF_UNSPEC);
    if (n >= 0)
        weft_addrs_free(a);
    return n;
}

// arg: what makes a socket of a name.
typedef int make_fn(const char *addr);

static int make_call(struct cancel_case *c)
{
    make_fn *const *make = c->row->arg;
    return (*make)(*make == weft_tcp_dial ? "held.test:7003" : "held.test:7001");
}

static void complete(struct cancel_case *c)
{
    (void)c;
    dns_release();
}

static void left(struct cancel_case *c, int result)
{
    weft_addrs *a;

    if (c->row->arg && result >= 0)
        assert_int_equal(weft_close(result), 0);
    assert_int_equal(weft_close(listener), 0);
    // the next one gets its answer, and with that the lane's only thread has done with those before
    assert_int_equal(weft_resolve(&a, "held.test", "80", AF_UNSPEC), 2);
    weft_addrs_free(a);
}

static make_fn *const tcp_dial = weft_tcp_dial, *const tcp_listen = weft_tcp_listen, *const udp_bind = weft_udp_bind,
                      *const udp_dial = weft_udp_dial;

// clang-format off
#define MAKE(make) .arg = &make, .set_up = set_up, .call = make_call, .complete = complete, .left = left

static const struct cancel_row rows[] = {
    { "weft_resolve", .what = "weft_resolve", .set_up = set_up, .call = resolve_call, .complete = complete,
      .left = left },
    { "weft_tcp_dial: name", .what = "weft_select", MAKE(tcp_dial) },
    { "weft_tcp_listen", .what = "weft_tcp_listen", MAKE(tcp_listen) },
    { "weft_udp_bind", .what = "weft_udp_bind", MAKE(udp_bind) },
    { "weft_udp_dial: name", .what = "weft_udp_dial", MAKE(udp_dial) },
};
// clang-format on

static void a_call_with_a_name_that_is_cut_short_leaves_nothing(void **state)
{
    (void)state;
    dns_needed();
    CANCEL_TABLE_RUN(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_with_a_name_that_is_cut_short_leaves_nothing),
    };
    dns_begin();
    int failed = wf_test_run(tests);
    dns_end();
    return failed;
}
