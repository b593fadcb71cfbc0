// Look-ups of names, with a name server in the test.
#include <stdio.h>
#include <sys/resource.h>
#include <weft/test.h>

#include "tests/support/child.h"
#include "tests/support/dns.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

__attribute__((weak)) extern void wf_mem_fail_at(long n, bool and_all_later); // in builds with fault injection
__attribute__((weak)) extern long wf_mem_count(void);

static const char *text_of(const weft_addr *a)
{
    static char at[8][128];
    static unsigned next;
    char *buf = at[next++ % 8], host[64];
    const struct sockaddr_in6 *six = (const void *)&a->sa;
    const struct sockaddr_in *four = (const void *)&a->sa;

    if (a->sa.sa_family == AF_INET6) {
        assert_int_equal(a->len, sizeof(*six));
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
        snprintf(buf, sizeof(at[0]), "[%s]:%d", host, ntohs(six->sin6_port));
    } else {
        assert_int_equal(a->len, sizeof(*four));
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
        snprintf(buf, sizeof(at[0]), "%s:%d", host, ntohs(four->sin_port));
    }
    return buf;
}

// --- what there is to find -----------------------------------------------------------

struct found {
    const char *host, *service;
    int family;
    const char *addr[3]; // in this order
};

static const struct found finds[] = {
    { "four.test", "80", AF_UNSPEC, { "127.0.0.2:80" } },
    { "six.test", "80", AF_UNSPEC, { "[::1]:80" } },
    { "both.test", "80", AF_UNSPEC, { "[::1]:80", "127.0.0.1:80" } },
    { "both.test", "80", AF_INET, { "127.0.0.1:80" } },
    { "both.test", "80", AF_INET6, { "[::1]:80" } },
    { "BOTH.test.", NULL, AF_UNSPEC, { "[::1]:0", "127.0.0.1:0" } },
    { "nowhere.test", "1", AF_UNSPEC, { "127.0.0.1:1", "[2001:db8::1]:1" } }, // no route to the other
    { "void.test", "1", AF_UNSPEC, { "[2001:db8::1]:1", "[2001:db8::2]:1" } },
    { "fails6.test", "http", AF_UNSPEC, { "127.0.0.1:80" } },
    { "localhost", "http", AF_UNSPEC, { "[::1]:80", "127.0.0.1:80" } },
    { "nine", "test-tcp", AF_UNSPEC, { "127.0.0.9:7001" } },
    { "nine", "test-udp", AF_INET, { "127.0.0.9:7002" } },
    { "127.0.0.1", "test-both", AF_UNSPEC, { "127.0.0.1:7003" } },
    { "127.0.0.1", "65535", AF_INET, { "127.0.0.1:65535" } },
    { "::1", "00080", AF_UNSPEC, { "[::1]:80" } },
    { "fe80::1%lo", "80", AF_INET6, { "[fe80::1]:80" } },
    { NULL, "80", AF_UNSPEC, { "[::1]:80", "127.0.0.1:80" } },
    { NULL, "http", AF_INET, { "127.0.0.1:80" } },
    { NULL, "0", AF_INET6, { "[::1]:0" } },
};

static void check_found(const struct found *f)
{
    weft_addrs *a = NULL;
    int n = 0;

    while (n < 3 && f->addr[n])
        n++;
    int got = weft_resolve(&a, f->host, f->service, f->family);
    if (got != n)
        fail_msg("%s, %s: %d (%s)", f->host, f->service, got, got < 0 ? weft_strerror(got) : "");
    assert_int_equal(a->n, n);
    for (int i = 0; i < n; i++)
        assert_string_equal(text_of(&a->addr[i]), f->addr[i]);
    weft_addrs_free(a);
}

static int find_all(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < wf_countof(finds); i++)
        check_found(&finds[i]);
    weft_addrs_free(NULL);
    return 0;
}

static void names_and_numbers_are_resolved(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(find_all, NULL), 0);
}

static void names_are_resolved_in_test_runs(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(weft_test_seeds(NULL, wf_test_seed(), 20, find_all, NULL), 0);
}

static int find_nothing(void *arg)
{
    static const struct {
        const char *host, *service;
        int family, err;
    } rows[] = {
        { "none.test", "80", AF_UNSPEC, WEFT_EAI_NONAME },
        { "none.test", "80", AF_INET, WEFT_EAI_NONAME },
        { "empty.test", "80", AF_UNSPEC, WEFT_EAI_NODATA },
        { "four.test", "80", AF_INET6, WEFT_EAI_NODATA },
        { "fails6.test", "80", AF_INET6, WEFT_EAI_AGAIN },
        { "fails.test", "80", AF_UNSPEC, WEFT_EAI_AGAIN },
        { "refused.test", "80", AF_UNSPEC, WEFT_EAI_AGAIN }, // as the C library sees it: another server may not refuse
        { "both.test", "no-such-service", AF_UNSPEC, WEFT_EAI_SERVICE },
        { "both.test", "65536", AF_UNSPEC, WEFT_EAI_SERVICE },
        { "both.test", "", AF_UNSPEC, WEFT_EAI_SERVICE },
        { "both.test", "80", AF_UNIX, WEFT_EAI_FAMILY },
        { NULL, NULL, AF_UNSPEC, WEFT_EAI_NONAME },
        { "", "80", AF_UNSPEC, WEFT_EAI_NONAME },
        { "1.2.3", "80", AF_UNSPEC, WEFT_EAI_NONAME },
        { "[::1]", "80", AF_UNSPEC, WEFT_EAI_NONAME },
        { "1:2", "80", AF_UNSPEC, WEFT_EAI_NONAME },
        { "two words", "80", AF_UNSPEC, WEFT_EAI_NONAME },
        { "127.0.0.1", "80", AF_INET6, WEFT_EAI_NODATA },
        { "::1", "80", AF_INET, WEFT_EAI_NODATA },
        { "fe80::1%no-such-if", "80", AF_UNSPEC, -ENODEV },
    };
    char longest[300];
    weft_addrs *a;
    (void)arg;

    for (size_t i = 0; i < wf_countof(rows); i++) {
        int err = weft_resolve(&a, rows[i].host, rows[i].service, rows[i].family);
        if (err != rows[i].err)
            fail_msg("%s, %s is %d (%s), not %d", rows[i].host, rows[i].service, err, weft_strerror(err), rows[i].err);
    }
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = 0;
    assert_int_equal(weft_resolve(&a, longest, "80", AF_UNSPEC), WEFT_EAI_NONAME);
    longest[255] = 0; // has room, and no name is that long
    assert_int_equal(weft_resolve(&a, longest, "80", AF_UNSPEC), WEFT_EAI_NONAME);
    return 0;
}

static void what_is_not_found_is_an_error_of_its_own(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(find_nothing, NULL), 0);
}

static int find_many(void *arg)
{
    bool seen[256] = { false };
    weft_addrs *a;
    (void)arg;

    assert_int_equal(weft_resolve(&a, "many.test", "80", AF_INET), 200); // more than fit in a datagram
    for (int i = 0; i < a->n; i++) {
        const struct sockaddr_in *in = (const void *)&a->addr[i].sa;
        seen[ntohl(in->sin_addr.s_addr) & 255] = true;
    }
    for (int i = 1; i <= 200; i++)
        assert_true(seen[i]);
    weft_addrs_free(a);
    return 0;
}

static void an_answer_that_is_cut_comes_by_tcp(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(find_many, NULL), 0);
}

// --- the hosts file ------------------------------------------------------------------

static int find_in_hosts(void *arg)
{
    static const struct found rows[] = {
        { "localhost", "80", AF_UNSPEC, { "127.0.0.1:80" } },
        { "app.localhost", "80", AF_UNSPEC, { "127.0.0.1:80" } },
        { "lone4.test", "80", AF_UNSPEC, { "127.0.0.1:80" } },
        { "lone6.test", "80", AF_UNSPEC, { "[::1]:80" } },
    };
    (void)arg;

    for (size_t i = 0; i < wf_countof(rows); i++) {
        check_found(&rows[i]);
        if (dns_asked(rows[i].host, DNS_A) + dns_asked(rows[i].host, DNS_AAAA) > 0)
            fail_msg("the name server was asked for %s", rows[i].host);
    }
    return 0;
}

static void what_the_hosts_file_has_is_not_asked_for(void **state)
{
    (void)state;
    dns_needed();
    dns_patience(1); // were it asked for, that would fail soon
    dns_one_family();
    dns_hold();
    assert_int_equal(run_tasks(find_in_hosts, NULL), 0);
    dns_release();
    dns_both_families();
    dns_patience(30);
}

// --- sharing -------------------------------------------------------------------------

enum { CROWD = 10000 };

static int resolve_held(void *name)
{
    weft_addrs *a;
    int n = weft_resolve(&a, name, "80", AF_UNSPEC);

    if (n > 0)
        weft_addrs_free(a);
    return n;
}

// count_parked is how many tasks wait for a look-up.
static unsigned count_parked(void)
{
    enum { ROOM = 4 << 20 };
    char *text = malloc(ROOM), *at;
    int dump = memfd_create("dump", MFD_CLOEXEC);
    unsigned n = 0;

    assert_true(text && dump >= 0);
    weft_rt_dump(weft_rt_current(), dump);
    ssize_t got = pread(dump, text, ROOM - 1, 0);
    assert_true(got >= 0 && got < ROOM - 1);
    text[got] = 0;
    for (at = text; (at = strstr(at, "waits for weft_resolve")); at++)
        n++;
    for (at = text; (at = strstr(at, "  and ")); at++) { // of tasks that wait at the same place a dump shows the first
        unsigned more = 0;
        char *end = strchr(at, '\n'), *call = strstr(at, "parked, wait for weft_resolve");
        if (call && call < end && sscanf(at, "  and %u more tasks", &more) == 1)
            n += more;
    }
    close(dump);
    free(text);
    return n;
}

static void await_parked(unsigned n)
{
    while (count_parked() < n)
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
}

static void await_asked(const char *name, enum dns_kind kind, unsigned n)
{
    while (dns_asked(name, kind) < n)
        assert_int_equal(weft_sleep(WEFT_US(200)), 0);
}

static int ask_in_a_crowd(void *arg)
{
    weft_task **crowd = calloc(CROWD, sizeof(weft_task *));
    unsigned before4 = dns_asked("held.test", DNS_A), before6 = dns_asked("held.test", DNS_AAAA);
    (void)arg;

    assert_non_null(crowd);
    dns_hold();
    for (int i = 0; i < CROWD; i++)
        crowd[i] = spawn(resolve_held, "held.test");
    await_parked(CROWD);
    await_asked("held.test", DNS_A, before4 + 1);
    dns_release();
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(join(crowd[i]), 2);
    assert_int_equal(dns_asked("held.test", DNS_A), before4 + 1);
    assert_int_equal(dns_asked("held.test", DNS_AAAA), before6 + 1);
    free(crowd);
    return 0;
}

static void equal_look_ups_are_one(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(ask_in_a_crowd, NULL), 0);
}

// Some leave, the others get the answer.
static int leave_a_crowd(void *arg)
{
    enum { SOME = 100 };
    weft_task *some[SOME];
    (void)arg;

    dns_hold();
    for (int i = 0; i < SOME; i++)
        some[i] = spawn(resolve_held, "held.test");
    await_parked(SOME);
    for (int i = 0; i < SOME; i += 2)
        weft_task_cancel(some[i]);
    for (int i = 0; i < SOME; i += 2)
        assert_int_equal(join(some[i]), -ECANCELED);
    dns_release();
    for (int i = 1; i < SOME; i += 2)
        assert_int_equal(join(some[i]), 2);
    return 0;
}

static void who_leaves_a_look_up_takes_it_from_no_other(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(leave_a_crowd, NULL), 0);
}

// --- leaving -------------------------------------------------------------------------

// A look-up that all have left is still there for the next.
static int come_back(void *arg)
{
    unsigned before = dns_asked("held.test", DNS_A);
    weft_addrs *a;
    (void)arg;

    dns_hold();
    for (int i = 0; i < 3 || dns_asked("held.test", DNS_A) == before; i++) { // one that has not begun is withdrawn
        weft_scope s;
        weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&s, weft_after(i == 0 ? WEFT_MS(500) : WEFT_MS(1))); // the first one is to begin
        assert_int_equal(weft_resolve(&a, "held.test", "80", AF_UNSPEC), -ETIMEDOUT);
        assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
    }
    weft_task *last = spawn(resolve_held, "held.test");
    wait_parked(last, "weft_resolve");
    dns_release();
    assert_int_equal(join(last), 2);
    assert_int_equal(dns_asked("held.test", DNS_A), before + 1);
    return 0;
}

static void a_deadline_ends_the_call_and_not_the_look_up(void **state)
{
    (void)state;
    dns_needed();
    assert_int_equal(run_tasks(come_back, NULL), 0);
}

static int leave_it_to_itself(void *arg)
{
    unsigned before = dns_asked("held.test", DNS_A);
    weft_task *t = spawn(resolve_held, "held.test");
    (void)arg;

    await_asked("held.test", DNS_A, before + 1);
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    return 0;
}

static void the_end_of_a_runtime_does_not_wait_for_a_look_up(void **state)
{
    (void)state;
    dns_needed();
    for (int i = 0; i < 3; i++) {
        dns_hold();
        assert_int_equal(run_tasks(leave_it_to_itself, NULL), 0); // it returns, though nobody has answered,
        assert_int_equal(run_tasks(find_all, NULL), 0);           // and the next one is not concerned
        dns_release();
    }
}

static void leave_and_exit(void *arg)
{
    (void)arg;
    assert_int_equal(weft_run(NULL, leave_it_to_itself, NULL), 0);
    exit(0);
}

static void a_program_ends_although_a_look_up_does_not(void **state)
{
    struct child c;
    (void)state;

    dns_needed();
    dns_hold();
    child_run(&c, leave_and_exit, NULL); // the server is the parent's
    child_expect_exit(&c, 0);
    dns_release();
}

// One that has not begun is withdrawn: more than the lane has threads are asked for.
static int fill_the_lane(void *arg)
{
    enum { MORE = 80 };
    weft_task *tasks[MORE];
    static char names[MORE][32];
    weft_addrs *a;
    (void)arg;

    dns_hold();
    for (int i = 0; i < MORE; i++) {
        snprintf(names[i], sizeof(names[i]), "held.test%.*s", i % 2, ".");
        tasks[i] = spawn(resolve_held, names[i]);
    }
    await_parked(MORE);
    for (int i = 0; i < MORE; i++)
        weft_task_cancel(tasks[i]);
    for (int i = 0; i < MORE; i++)
        assert_int_equal(join(tasks[i]), -ECANCELED);
    dns_release();
    assert_int_equal(weft_resolve(&a, "four.test", "80", AF_INET), 1);
    weft_addrs_free(a);
    return 0;
}

static void the_lane_is_free_again(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;

    dns_needed();
    cfg.blocking_max = 1; // so has the lane of names
    assert_int_equal(weft_run(&cfg, fill_the_lane, NULL), 0);
}

// --- the lanes -----------------------------------------------------------------------

static int answer(void *arg)
{
    return *(int *)arg;
}

static int block_names(void *arg)
{
    int n = 42;
    char byte;
    (void)arg;

    dns_hold();
    weft_task *t = spawn(resolve_held, "held.test"); // which occupies the lane's only thread
    await_parked(1);
    assert_int_equal(weft_blocking(answer, &n), 42);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_int_equal(weft_read(fd, &byte, 1), 1);
    weft_close(fd);
    dns_release();
    assert_int_equal(join(t), 2);
    return 0;
}

static void a_slow_name_server_delays_no_files_and_no_jobs(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;

    dns_needed();
    cfg.blocking_max = 1;
    assert_int_equal(weft_run(&cfg, block_names, NULL), 0);
}

// --- no answer -----------------------------------------------------------------------

static int ask_in_vain(void *arg)
{
    (void)arg;
    dns_hold();
    assert_int_equal(resolve_held("held.test"), WEFT_EAI_AGAIN);
    return 0;
}

static void without_an_answer_it_gives_up(void **state)
{
    (void)state;
    dns_needed();
    dns_patience(1);
    assert_int_equal(run_tasks(ask_in_vain, NULL), 0);
    dns_patience(30);
    dns_release();
}

// --- without descriptors -------------------------------------------------------------

static void let_open(bool may)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = may ? limit.rlim_max : 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int find_without_descriptors(void *arg)
{
    static const int families[] = { AF_UNSPEC, AF_INET, AF_INET6 };
    weft_addrs *a;
    (void)arg;

    for (size_t i = 0; i < wf_countof(families); i++) {
        let_open(false);
        int host = weft_resolve(&a, "localhost", "80", families[i]);
        int service = weft_resolve(&a, "127.0.0.1", "http", families[i]);
        int none = weft_resolve(&a, "none.test", "80", families[i]);
        let_open(true);
        assert_int_equal(host, -EMFILE); // and not that there is no such host:
        assert_int_equal(service, -EMFILE);
        assert_int_equal(none, -EMFILE); // nothing is known of this one either
    }
    return 0;
}

static void find_in_child(void *arg)
{
    (void)arg;
    assert_int_equal(weft_run(NULL, find_without_descriptors, NULL), 0);
}

// In a process of its own: the C library may have loaded what it needs in this one.
static void without_descriptors_nothing_is_known_of_a_name(void **state)
{
    struct child c;
    (void)state;

    dns_needed();
    child_run(&c, find_in_child, NULL);
    child_expect_exit(&c, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(without_descriptors_nothing_is_known_of_a_name), // the first one, as it says
        left_test(names_and_numbers_are_resolved),
        left_test(names_are_resolved_in_test_runs),
        left_test(what_is_not_found_is_an_error_of_its_own),
        left_test(an_answer_that_is_cut_comes_by_tcp),
        left_test(what_the_hosts_file_has_is_not_asked_for),
        left_test(equal_look_ups_are_one),
        left_test(who_leaves_a_look_up_takes_it_from_no_other),
        left_test(a_deadline_ends_the_call_and_not_the_look_up),
        left_test(the_end_of_a_runtime_does_not_wait_for_a_look_up),
        left_test(a_program_ends_although_a_look_up_does_not),
        left_test(the_lane_is_free_again),
        left_test(a_slow_name_server_delays_no_files_and_no_jobs),
        left_test(without_an_answer_it_gives_up),
    };
    dns_begin();
    int failed = wf_test_run(tests);
    dns_end();
    return failed;
}
