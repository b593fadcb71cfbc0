// The adapter of libuv: loops with a timer, a TCP connection to a server of weft's, and work on threads of libuv's.
#include "examples/adapters/uv_adapter.h"

#include "tests/adapters/crowd.h"

enum { TASKS = 8, LOOPS = 25, PINGS = 10, ALL = TASKS * LOOPS * PINGS };

static int echo(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buf[64];
    ssize_t n;

    while ((n = weft_read(fd, buf, sizeof(buf))) > 0)
        weft_write_all(fd, buf, (size_t)n, NULL);
    return weft_close(fd);
}

static int accept_all(void *arg)
{
    int fd, listener = (int)(intptr_t)arg;

    while ((fd = weft_accept(listener, NULL, NULL)) >= 0)
        assert_int_equal(weft_spawn(NULL, echo, (void *)(intptr_t)fd), 0);
    return 0;
}

struct visit {
    struct sockaddr_in to;
    atomic_int echoed;
};

// What lives in a loop: each millisecond a byte is sent; when all are back, everything is closed.
struct guest {
    uv_loop_t loop;
    uv_timer_t timer;
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t writes[PINGS];
    uv_work_t work;
    int sent, echoed, worked;
    bool in_work; // written on a thread of libuv's
    char buf[64];
};

static void on_write(uv_write_t *write, int status)
{
    (void)write;
    assert_int_equal(status, 0);
}

static void on_tick(uv_timer_t *timer)
{
    struct guest *g = timer->data;
    uv_buf_t byte = uv_buf_init("p", 1);

    assert_int_equal(uv_write(&g->writes[g->sent], (uv_stream_t *)&g->tcp, &byte, 1, on_write), 0);
    if (++g->sent == PINGS)
        uv_close((uv_handle_t *)timer, NULL);
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    struct guest *g = handle->data;
    (void)wanted;
    *buf = uv_buf_init(g->buf, sizeof(g->buf));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct guest *g = stream->data;
    (void)buf;

    assert_true(n >= 0);
    g->echoed += (int)n;
    if (g->echoed == PINGS)
        uv_close((uv_handle_t *)stream, NULL);
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct guest *g = connect->data;

    assert_int_equal(status, 0);
    assert_int_equal(uv_read_start((uv_stream_t *)&g->tcp, on_room, on_read), 0);
    assert_int_equal(uv_timer_start(&g->timer, on_tick, 1, 1), 0);
}

static void on_work(uv_work_t *work)
{
    struct guest *g = work->data;
    g->in_work = true;
}

static void on_worked(uv_work_t *work, int status)
{
    struct guest *g = work->data;
    assert_int_equal(status, 0);
    g->worked += g->in_work;
}

static int run_guest(struct visit *visit)
{
    struct guest *g = calloc(1, sizeof(*g));

    assert_non_null(g);
    g->timer.data = g->tcp.data = g->connect.data = g->work.data = g;
    assert_int_equal(uv_loop_init(&g->loop), 0);
    assert_int_equal(uv_timer_init(&g->loop, &g->timer), 0);
    assert_int_equal(uv_tcp_init(&g->loop, &g->tcp), 0);
    assert_int_equal(uv_tcp_connect(&g->connect, &g->tcp, (struct sockaddr *)&visit->to, on_connect), 0);
    assert_int_equal(uv_queue_work(&g->loop, &g->work, on_work, on_worked), 0);
    int err = host_loop(&g->loop);
    if (err < 0)
        end_loop(&g->loop);
    else
        assert_int_equal(g->worked, 1);
    atomic_fetch_add(&visit->echoed, g->echoed);
    assert_int_equal(uv_loop_close(&g->loop), 0);
    free(g);
    return err;
}

static int host(void *arg)
{
    int err = 0;

    for (int i = 0; i < LOOPS && err == 0; i++)
        err = run_guest(arg);
    return err;
}

static int host_from_many_tasks(void *arg)
{
    struct visit visit = { .echoed = 0 };
    socklen_t size = sizeof(visit.to);
    (void)arg;

    int listener = weft_tcp_listen("127.0.0.1:0");
    assert_true(listener >= 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&visit.to, &size), 0);
    weft_task *server = spawn(accept_all, (void *)(intptr_t)listener);
    int err = crowd(TASKS, host, &visit);
    weft_close(listener);
    join(server);
    check_all("bytes echoed", err, &visit.echoed, ALL);
    return 0;
}

static void loops_come_and_go(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(host_from_many_tasks, NULL), 0);
}

static void cancel_scope(uv_timer_t *timer)
{
    weft_scope_cancel(timer->data);
}

// A loop that only waits is cut short by a deadline, one that has something to do by what it does.
static int cut_short(void *arg)
{
    uv_loop_t loop;
    uv_timer_t timer;
    uv_async_t async; // keeps the loop alive
    weft_scope limit;
    (void)arg;

    for (int i = 0; i < 20; i++) {
        bool busy = i % 2;
        assert_int_equal(uv_loop_init(&loop), 0);
        assert_int_equal(uv_async_init(&loop, &async, NULL), 0);
        assert_int_equal(uv_timer_init(&loop, &timer), 0);
        timer.data = &limit;
        if (busy)
            weft_scope_open(&limit, WEFT_SCOPE_COLLECT);
        else
            soon(&limit);
        assert_int_equal(uv_timer_start(&timer, cancel_scope, busy ? 1 : 3600000, 0), 0);
        assert_int_equal(host_loop(&loop), busy ? -ECANCELED : -ETIMEDOUT);
        end_loop(&loop); // inside the scope, where nothing else may park
        weft_scope_close(&limit);
        assert_int_equal(uv_loop_close(&loop), 0);
    }
    return 0;
}

static void a_loop_is_cut_short_and_ended(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cut_short, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_come_and_go),
        cmocka_unit_test(a_loop_is_cut_short_and_ended),
    };
    return wf_test_run(tests);
}
