// Addresses, to and from text.
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <weft/error.h>

#include "runtime/net/addr.h"
#include "tests/support/harness.h"

static void check_round(const char *text, int family, const char *again)
{
    char buf[128];
    struct wf_addrs all;

    assert_int_equal(wf_addr_parse(&all, text, false), 0);
    assert_int_equal(all.count, 1);
    assert_int_equal(all.at[0].sa.sa_family, family);
    assert_int_equal(wf_addr_format(&all.at[0], buf, sizeof(buf)), strlen(again));
    assert_string_equal(buf, again);
}

static void numeric_addresses_go_there_and_back(void **state)
{
    (void)state;
    check_round("127.0.0.1:7000", AF_INET, "127.0.0.1:7000");
    check_round("0.0.0.0:0", AF_INET, "0.0.0.0:0");
    check_round("255.255.255.255:65535", AF_INET, "255.255.255.255:65535");
    check_round("1.2.3.4:080", AF_INET, "1.2.3.4:80");
    check_round("[::1]:0", AF_INET6, "[::1]:0");
    check_round("[::]:8080", AF_INET6, "[::]:8080");
    check_round("[2001:db8::ff00:42:8329]:1", AF_INET6, "[2001:db8::ff00:42:8329]:1");
    check_round("[2001:0DB8:0:0:0:0:0:1]:1", AF_INET6, "[2001:db8::1]:1");
    check_round("[::ffff:10.1.2.3]:4", AF_INET6, "10.1.2.3:4"); // as a dual-stack socket sees an IPv4 peer
    check_round("[fe80::1%lo]:9", AF_INET6, "[fe80::1%lo]:9");
    check_round("[fe80::1%1]:9", AF_INET6, "[fe80::1%lo]:9");
    check_round("[fe80::1%4000000000]:9", AF_INET6, "[fe80::1%4000000000]:9");
}

static const struct {
    const char *text;
    int err;
} bad[] = {
    { NULL, WEFT_ADDR_FORM },
    { "", WEFT_ADDR_FORM },
    { ":", WEFT_ADDR_NO_PORT },
    { "::", WEFT_ADDR_NO_PORT },
    { "1.2.3.4", WEFT_ADDR_NO_PORT },
    { "1.2.3.4:", WEFT_ADDR_NO_PORT },
    { "localhost", WEFT_ADDR_NO_PORT },
    { "[::1]", WEFT_ADDR_NO_PORT },
    { "[::1]:", WEFT_ADDR_NO_PORT },
    { "1.2.3.4:65536", WEFT_ADDR_PORT },
    { "1.2.3.4:99999999999999999999", WEFT_ADDR_PORT },
    { "1.2.3.4:-1", WEFT_ADDR_PORT },
    { "1.2.3.4:+1", WEFT_ADDR_PORT },
    { "1.2.3.4: 1", WEFT_ADDR_PORT },
    { "1.2.3.4:1 ", WEFT_ADDR_PORT },
    { "1.2.3.4:0x1", WEFT_ADDR_PORT },
    { "127.0.0.1:9pfs", WEFT_ADDR_PORT },
    { "127.0.0.1:http ", WEFT_ADDR_PORT },
    { "127.0.0.1:ht:tp", WEFT_ADDR_FORM },
    { "1.2.3:http", WEFT_ADDR_FORM },
    { "[1.2.3.4]:http", WEFT_ADDR_FORM },
    { "[fe80::1%no-such-if]:http", -ENODEV },
    { "[::1]:99999", WEFT_ADDR_PORT },
    { ":99999", WEFT_ADDR_PORT },
    { ".:80", WEFT_ADDR_FORM },
    { "a..:80", WEFT_ADDR_FORM },
    { "1.2.3.4.:80", WEFT_ADDR_FORM },
    { "host.12:80", WEFT_ADDR_FORM },
    { "a]b:80", WEFT_ADDR_FORM },
    { "1.2.3:1", WEFT_ADDR_FORM },
    { "1.2.3.256:1", WEFT_ADDR_FORM },
    { "::1:80", WEFT_ADDR_FORM },
    { "[::1:80", WEFT_ADDR_FORM },
    { "::1]:80", WEFT_ADDR_FORM },
    { "[]:80", WEFT_ADDR_FORM },
    { "[1.2.3.4]:80", WEFT_ADDR_FORM },
    { "[::1]80", WEFT_ADDR_FORM },
    { "[::1]x:80", WEFT_ADDR_FORM },
    { "[::1%lo:80", WEFT_ADDR_FORM },
    { "[:::1]:80", WEFT_ADDR_FORM },
    { "[", WEFT_ADDR_FORM },
    { "[:1", WEFT_ADDR_FORM },
    { "[%lo]:1", WEFT_ADDR_FORM },
    { "[fe80::1%no-such-if]:1", -ENODEV },
    { "0123456789012345678901234567890123456789012345678901234567890123456789:1", WEFT_ADDR_FORM },
};

static void what_is_no_address_is_refused_by_name(void **state)
{
    char longest[300];
    struct wf_addrs all;
    (void)state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        int err = wf_addr_parse(&all, bad[i].text, false);
        if (err != bad[i].err)
            fail_msg("'%s' is %d, not %d", bad[i].text, err, bad[i].err);
    }
    memset(longest, 'x', sizeof(longest));
    strcpy(longest + sizeof(longest) - 4, ":80");
    assert_int_equal(wf_addr_parse(&all, longest, false), WEFT_ADDR_FORM);
    assert_int_equal(wf_addr_parse_with(&all, "1.2.3.4", false, htons(80)), WEFT_ADDR_NO_PORT);
}

static void names_are_told_from_numbers(void **state)
{
    static const struct {
        const char *text, *host, *service;
        int port;
    } names[] = {
        { "localhost:80", "localhost", NULL, 80 },
        { "example.org:0443", "example.org", NULL, 443 },
        { "4chan.example:443", "4chan.example", NULL, 443 },
        { "x1:0", "x1", NULL, 0 },
        { "1x:0", "1x", NULL, 0 },
        { "example.org.:1", "example.org.", NULL, 1 },
        { "example.org:https", "example.org", "https", 0 },
        { "127.0.0.1:http", NULL, "http", 0 },
        { "[::1]:iscsi-target", NULL, "iscsi-target", 0 },
        { "[fe80::1%lo]:z39.50", NULL, "z39.50", 0 },
        { ":http", NULL, "http", 0 },
    };
    struct wf_addrs all;
    (void)state;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        in_port_t port = htons((uint16_t)names[i].port);
        int err = wf_addr_parse(&all, names[i].text, true);
        assert_int_equal(err, names[i].service ? WF_ADDR_SERVICE : WF_ADDR_HOST);
        if (names[i].service) {
            assert_string_equal(all.service, names[i].service);
            port = htons(4711);
            err = wf_addr_parse_with(&all, names[i].text, true, port);
        }
        assert_int_equal(err, names[i].host ? WF_ADDR_HOST : 0);
        if (names[i].host)
            assert_string_equal(all.host, names[i].host);
        assert_int_equal(names[i].host ? all.port : all.at[0].in.sin_port, port);
    }
}

static void hosts_are_read_without_a_port(void **state)
{
    char longest[WF_HOST_MAX + 1];
    struct wf_addr a;
    (void)state;

    assert_int_equal(wf_addr_parse_host(&a, "10.1.2.3", htons(1)), 0);
    assert_int_equal(a.sa.sa_family, AF_INET);
    assert_int_equal(wf_addr_parse_host(&a, "fe80::1%lo", htons(1)), 0);
    assert_int_equal(a.in6.sin6_scope_id, if_nametoindex("lo"));
    assert_int_equal(wf_addr_parse_host(&a, "fe80::1%no-such-if", 0), -ENODEV);
    assert_int_equal(wf_addr_parse_host(&a, "example.org", 0), WF_ADDR_HOST);
    assert_int_equal(wf_addr_parse_host(&a, "", 0), WEFT_ADDR_FORM);
    assert_int_equal(wf_addr_parse_host(&a, "1.2.3", 0), WEFT_ADDR_FORM);
    assert_int_equal(wf_addr_parse_host(&a, "[::1]", 0), WEFT_ADDR_FORM);
    memset(longest, 'x', sizeof(longest));
    longest[WF_HOST_MAX] = 0;
    assert_int_equal(wf_addr_parse_host(&a, longest, 0), WEFT_ADDR_FORM);
    longest[WF_HOST_MAX - 1] = 0;
    assert_int_equal(wf_addr_parse_host(&a, longest, 0), WF_ADDR_HOST);
}

static void each_error_has_a_text_of_its_own(void **state)
{
    static const int own[] = { WEFT_ADDR_FORM, WEFT_ADDR_NO_PORT, WEFT_ADDR_PORT,  WEFT_BAD_CONFIG,  WEFT_EAI_AGAIN,
                               WEFT_EAI_FAIL,  WEFT_EAI_NONAME,   WEFT_EAI_NODATA, WEFT_EAI_SERVICE, WEFT_EAI_FAMILY };
    enum { OWN = sizeof(own) / sizeof(*own) };
    (void)state;

    for (int i = 0; i < OWN; i++) {
        assert_true(own[i] < -4096);
        assert_string_equal(weft_strerror(own[i]), weft_strerror(-own[i]));
        assert_string_not_equal(weft_strerror(own[i]), "unknown error");
        for (int j = 0; j < i; j++)
            assert_string_not_equal(weft_strerror(own[i]), weft_strerror(own[j]));
    }
    assert_string_equal(weft_strerror(WEFT_ADDR_FORM + 1), "unknown error");
    assert_string_equal(weft_strerror(WEFT_BAD_CONFIG - 1), "unknown error");
    assert_string_equal(weft_strerror(INT_MIN), "unknown error");
    assert_string_equal(weft_strerror(-EINVAL), "Invalid argument");
}

static void a_port_alone_stands_for_both_families(void **state)
{
    const char *const to_bind[] = { "[::]:80", "0.0.0.0:80" }, *const to_dial[] = { "[::1]:80", "127.0.0.1:80" };
    struct wf_addrs all;
    char buf[64];
    (void)state;

    for (int dial = 0; dial < 2; dial++) {
        assert_int_equal(wf_addr_parse(&all, ":80", dial), 0);
        assert_int_equal(all.count, 2);
        for (int i = 0; i < 2; i++) {
            assert_true(wf_addr_format(&all.at[i], buf, sizeof(buf)) > 0);
            assert_string_equal(buf, dial ? to_dial[i] : to_bind[i]);
        }
    }
}

static void text_that_does_not_fit_is_refused(void **state)
{
    struct wf_addrs all;
    struct wf_addr path;
    char buf[32];
    (void)state;

    assert_int_equal(wf_addr_parse(&all, "1.2.3.4:56", false), 0);
    assert_int_equal(wf_addr_format(&all.at[0], buf, 11), 10);
    for (size_t n = 0; n < 11; n++) {
        memset(buf, 'x', sizeof(buf));
        assert_int_equal(wf_addr_format(&all.at[0], buf, n), -ENOSPC);
        assert_int_equal(buf[n], 'x');
    }
    assert_int_equal(wf_addr_parse_unix(&path, "/tmp/path"), 0);
    assert_int_equal(wf_addr_format(&path, buf, 10), 9);
    for (size_t n = 0; n < 10; n++) {
        memset(buf, 'x', sizeof(buf));
        assert_int_equal(wf_addr_format(&path, buf, n), -ENOSPC);
        assert_int_equal(buf[n], 'x');
    }
}

static void unix_addresses_go_there_and_back(void **state)
{
    char longest[109], buf[128];
    struct wf_addr a;
    (void)state;

    assert_int_equal(wf_addr_parse_unix(&a, "/run/x"), 0);
    assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + 7);
    assert_int_equal(wf_addr_format(&a, buf, sizeof(buf)), 6);
    assert_string_equal(buf, "/run/x");

    assert_int_equal(wf_addr_parse_unix(&a, "@name"), 0);
    assert_int_equal(a.len, offsetof(struct sockaddr_un, sun_path) + 5); // no 0 at its end: it would belong to it
    assert_int_equal(a.un.sun_path[0], 0);
    assert_int_equal(wf_addr_format(&a, buf, sizeof(buf)), 5);
    assert_string_equal(buf, "@name");

    memset(longest, 'p', sizeof(longest));
    longest[108] = 0;
    assert_int_equal(wf_addr_parse_unix(&a, longest), -ENAMETOOLONG);
    longest[107] = 0;
    assert_int_equal(wf_addr_parse_unix(&a, longest), 0);
    assert_int_equal(wf_addr_parse_unix(&a, ""), WEFT_ADDR_FORM);
    assert_int_equal(wf_addr_parse_unix(&a, "@"), WEFT_ADDR_FORM);
    assert_int_equal(wf_addr_parse_unix(&a, NULL), WEFT_ADDR_FORM);
}

static void what_the_kernel_says_of_unix_sockets_is_formatted(void **state)
{
    struct wf_addr a = { .un.sun_family = AF_UNIX };
    char buf[128];
    (void)state;

    a.len = sizeof(sa_family_t); // unnamed
    assert_int_equal(wf_addr_format(&a, buf, sizeof(buf)), 0);
    assert_string_equal(buf, "");

    memcpy(a.un.sun_path, "\0a\0b", 4); // abstract, with a 0 in it
    a.len = sizeof(sa_family_t) + 4;
    assert_int_equal(wf_addr_format(&a, buf, sizeof(buf)), 4);
    assert_string_equal(buf, "@a@b");

    memset(a.un.sun_path, 'p', sizeof(a.un.sun_path)); // as long as can be: the kernel counts a 0 that is not there
    a.len = sizeof(a.un) + 1;
    assert_int_equal(wf_addr_format(&a, buf, sizeof(buf)), sizeof(a.un.sun_path));
    assert_int_equal(strlen(buf), sizeof(a.un.sun_path));

    a.sa.sa_family = AF_NETLINK;
    assert_int_equal(wf_addr_format(&a, buf, sizeof(buf)), -EAFNOSUPPORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numeric_addresses_go_there_and_back),
        cmocka_unit_test(what_is_no_address_is_refused_by_name),
        cmocka_unit_test(names_are_told_from_numbers),
        cmocka_unit_test(hosts_are_read_without_a_port),
        cmocka_unit_test(each_error_has_a_text_of_its_own),
        cmocka_unit_test(a_port_alone_stands_for_both_families),
        cmocka_unit_test(text_that_does_not_fit_is_refused),
        cmocka_unit_test(unix_addresses_go_there_and_back),
        cmocka_unit_test(what_the_kernel_says_of_unix_sockets_is_formatted),
    };
    return wf_test_run(tests);
}
