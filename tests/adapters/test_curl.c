// The adapter of libcurl against nginx.
//
//   test_curl URL-OF-100000-BYTES URL-THAT-NEVER-ENDS
#include "examples/adapters/curl_adapter.h"

#include "tests/adapters/crowd.h"

enum { TASKS = 20, HANDLES = 4, SIDE_BY_SIDE = 5, ALL = TASKS * HANDLES * SIDE_BY_SIDE, BYTES = 100000 };

static const char *url, *endless;

struct transfer {
    CURL *easy;
    size_t bytes;
};

static size_t count(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    (void)data;

    t->bytes += size * n;
    return size * n;
}

static void begin(struct web *web, struct transfer *t, const char *from, bool alone)
{
    *t = (struct transfer){ .easy = curl_easy_init() };
    assert_non_null(t->easy);
    curl_easy_setopt(t->easy, CURLOPT_URL, from);
    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, (long)alone);
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, count);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    assert_int_equal(curl_multi_add_handle(web->multi, t->easy), CURLM_OK);
}

static void end(struct web *web, struct transfer *t)
{
    curl_multi_remove_handle(web->multi, t->easy);
    curl_easy_cleanup(t->easy);
}

// see_done returns how many transfers are over, and requires that they went well.
static int see_done(struct web *web)
{
    int left, n = 0;
    CURLMsg *msg;

    while ((msg = curl_multi_info_read(web->multi, &left))) {
        struct transfer *t;
        assert_int_equal(msg->msg, CURLMSG_DONE);
        if (msg->data.result != CURLE_OK)
            print_error("%s\n", curl_easy_strerror(msg->data.result));
        assert_int_equal(msg->data.result, CURLE_OK);
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &t);
        assert_int_equal(t->bytes, BYTES);
        n++;
    }
    return n;
}

static int fetch(struct web *web, bool alone, atomic_int *done)
{
    struct transfer transfers[SIDE_BY_SIDE];

    for (int i = 0; i < SIDE_BY_SIDE; i++)
        begin(web, &transfers[i], url, alone);
    int err = web_perform(web);
    atomic_fetch_add(done, see_done(web));
    for (int i = 0; i < SIDE_BY_SIDE; i++)
        end(web, &transfers[i]);
    return err;
}

// give_up is cut short in the middle of a transfer.
static void give_up(struct web *web)
{
    struct transfer transfer;
    weft_scope limit;

    begin(web, &transfer, endless, false);
    soon(&limit);
    int err = web_perform(web);
    weft_scope_close(&limit);
    assert_true(err == -ETIMEDOUT || err == -ECANCELED);
    end(web, &transfer);
}

static int client(void *arg)
{
    int err = 0;

    for (int i = 0; i < HANDLES && err == 0; i++) {
        struct web web;
        if ((err = web_open(&web)) < 0)
            return err;
        if (i % 2)
            give_up(&web);
        err = fetch(&web, i % 2, arg);
        web_close(&web);
    }
    return err;
}

static void transfers_on_connections_that_come_and_go(void **state)
{
    struct crowd crowd = { TASKS, client, "transfers", ALL };
    (void)state;
    assert_int_equal(run_tasks(check_crowd, &crowd), 0);
}

static int look_up(void *arg)
{
    struct transfer transfer;
    struct web web;
    int left;
    (void)arg;

    for (int i = 0; i < 20; i++) {
        assert_int_equal(web_open(&web), 0);
        begin(&web, &transfer, "http://localhost:1/", false);
        assert_int_equal(web_perform(&web), 0);
        CURLMsg *msg = curl_multi_info_read(web.multi, &left);
        assert_non_null(msg);
        assert_int_equal(msg->data.result, CURLE_COULDNT_CONNECT);
        end(&web, &transfer);
        web_close(&web);
    }
    return 0;
}

static void names_are_looked_up_on_a_thread_of_curls(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(look_up, NULL), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transfers_on_connections_that_come_and_go),
        cmocka_unit_test(names_are_looked_up_on_a_thread_of_curls),
    };
    assert_int_equal(argc, 3);
    url = argv[1];
    endless = argv[2];
    assert_int_equal(curl_global_init(CURL_GLOBAL_DEFAULT), CURLE_OK);
    int failed = wf_test_run(tests);
    curl_global_cleanup();
    return failed;
}
