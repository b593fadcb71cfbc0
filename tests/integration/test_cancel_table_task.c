// The cancellation table: waiting for tasks, futures, time and blocking calls. See
// docs/cancellation.md and tests/support/cancel_table.h.
#include <errno.h>

#include "tests/support/cancel_table.h"
#include "tests/support/tasks.h"

// The object of all rows here: a call that was not cancelled has seen 7.
enum { SEVEN = 7 };

static weft_future gate;
static weft_task *other;
static _Atomic int count;

static void close_gate(struct cancel_case *c)
{
    (void)c;
    weft_future_init(&gate);
    wf_store_release(&count, 0); // release: as all accesses to the count, so that no thread sees half of the writes
}

static void open_gate(struct cancel_case *c)
{
    (void)c;
    weft_future_complete(&gate, SEVEN);
}

static int counted(void)
{
    return wf_load_acquire(&count); // acquire: as above
}

static int pass_gate(void *arg)
{
    intptr_t value = 0;
    (void)arg;

    int err = weft_await(&gate, &value);
    return err ? err : (int)value;
}

// --- join, await ---------------------------------------------------------------------

static void join_set_up(struct cancel_case *c)
{
    close_gate(c);
    other = spawn(pass_gate, NULL);
}

static int join_call(struct cancel_case *c)
{
    int result = -1, err = weft_join(other, &result);
    (void)c;

    assert_int_equal(result, err ? -1 : SEVEN);
    return err;
}

static void join_complete(struct cancel_case *c)
{
    open_gate(c);
    if (cancel_comes_first(c))
        assert_int_equal(weft_await(weft_task_future(other), NULL), 0);
}

// The handle is the caller's unless it has been given back, and the task has gone on.
static void join_left(struct cancel_case *c, int result)
{
    (void)c;
    if (result < 0)
        assert_int_equal(join(other), SEVEN);
}

static int await_call(struct cancel_case *c)
{
    intptr_t value = -1;
    (void)c;

    int err = weft_await(&gate, &value);
    assert_int_equal(value, err ? -1 : SEVEN);
    return err;
}

static int await_until_call(struct cancel_case *c)
{
    intptr_t value = -1;
    (void)c;

    int err = weft_await_until(&gate, &value, weft_after(WEFT_S(3600)));
    assert_int_equal(value, err ? -1 : SEVEN);
    return err;
}

static void await_left(struct cancel_case *c, int result)
{
    (void)result;
    assert_int_equal(await_call(c), 0); // however often it was awaited
}

static int await_failing_call(struct cancel_case *c)
{
    (void)c;
    int err = weft_await(&gate, NULL);
    return err == -EIO ? 0 : err;
}

static void fail_gate(struct cancel_case *c)
{
    (void)c;
    weft_future_fail(&gate, -EIO);
}

static void await_failing_left(struct cancel_case *c, int result)
{
    (void)c, (void)result;
    assert_int_equal(weft_await(&gate, NULL), -EIO);
}

static int timeout_call(struct cancel_case *c)
{
    (void)c;
    return weft_timeout(WEFT_S(3600), pass_gate, NULL);
}

// --- yield ---------------------------------------------------------------------------

static void yield_set_up(struct cancel_case *c)
{
    wf_store_release(&count, 0); // release: as in close_gate
    (void)c;
}

static int yield_call(struct cancel_case *c)
{
    int err;

    wf_store_release(&c->begun, true); // release: to the driver
    while (!(err = weft_yield()) && !counted())
        ;
    return err;
}

static void yield_complete(struct cancel_case *c)
{
    (void)c;
    wf_store_release(&count, 1); // release: as in close_gate
}

static void yield_left(struct cancel_case *c, int result)
{
    (void)c, (void)result;
    assert_int_equal(weft_yield(), 0);
}

// --- time ----------------------------------------------------------------------------

static weft_time when;

static void sleep_set_up(struct cancel_case *c)
{
    when = cancel_when(c);
}

// check_time: a sleep that was not cancelled is over.
static int check_time(int err)
{
    assert_true(err < 0 || weft_now() >= when);
    return err;
}

static int sleep_call(struct cancel_case *c)
{
    (void)c;
    return check_time(weft_sleep(when == WEFT_NEVER ? WEFT_NEVER : when - weft_now()));
}

static int sleep_until_call(struct cancel_case *c)
{
    (void)c;
    return check_time(weft_sleep_until(when));
}

static void sleep_left(struct cancel_case *c, int result)
{
    (void)c, (void)result;
    assert_int_equal(weft_sleep(WEFT_US(1)), 0);
}

static weft_ticker ticker;
static weft_time due; // the ticker's first tick

static void ticker_set_up(struct cancel_case *c)
{
    weft_time first = cancel_when(c), now = weft_now();

    assert_int_equal(weft_ticker_init(&ticker, first > now ? first - now : 1, *(const int *)c->row->arg), 0);
    due = ticker.weft_due;
    if (cancel_comes_first(c))
        assert_int_equal(weft_sleep_until(due), 0);
}

static int ticker_call(struct cancel_case *c)
{
    (void)c;
    return weft_ticker_wait(&ticker);
}

// A cancelled wait has taken no tick: the next wait is for the same one.
static void ticker_left(struct cancel_case *c, int result)
{
    (void)c;
    if (result < 0)
        assert_int_equal(ticker.weft_due, due);
    else
        assert_true(weft_now() >= due && ticker.weft_due > due);
}

static const int burst = WEFT_TICK_BURST, delay = WEFT_TICK_DELAY, skip = WEFT_TICK_SKIP;

// --- blocking calls ------------------------------------------------------------------

static int add(void *arg)
{
    (void)arg;
    wf_fetch_add_acq_rel(&count, 1);
    return SEVEN;
}

static void queued_set_up(struct cancel_case *c)
{
    close_gate(c);
    cancel_pool_occupy();
}

static int queued_call(struct cancel_case *c)
{
    (void)c;
    return weft_blocking(add, NULL);
}

static void queued_complete(struct cancel_case *c)
{
    (void)c;
    cancel_pool_free();
}

// A job has run if, and only if, the call says so; the pool takes the next one.
static void queued_left(struct cancel_case *c, int result)
{
    (void)c;
    cancel_pool_join();
    assert_int_equal(counted(), result < 0 ? 0 : 1);
    assert_int_equal(weft_blocking(add, NULL), SEVEN);
    assert_int_equal(counted(), result < 0 ? 1 : 2);
}

static int add_and_wait(void *arg)
{
    struct cancel_case *c = arg;

    wf_fetch_add_acq_rel(&count, 1);
    wf_store_release(&c->begun, true); // release: to begun_follow
    return weft_future_wait_thread(&gate, NULL, WEFT_NEVER);
}

static int begun_call(struct cancel_case *c)
{
    return weft_blocking(add_and_wait, c);
}

// begun_follow waits until the job has begun, or has been withdrawn.
static void begun_follow(struct cancel_case *c)
{
    if (cancel_comes_first(c))
        return;
    while (!wf_load_acquire(&c->begun) && !wf_load_acquire(&c->ended)) // acquire: from add_and_wait, from the driver
        assert_int_equal(weft_sleep(WEFT_US(20)), 0);
}

// A job that has begun is waited for, so its result is there.
static void begun_left(struct cancel_case *c, int result)
{
    (void)c;
    assert_int_equal(counted(), result < 0 ? 0 : 1);
    assert_int_equal(weft_blocking(add, NULL), SEVEN);
}

// --- scopes --------------------------------------------------------------------------

static int pass_gate_shielded(void *arg)
{
    weft_shield_begin(WEFT_NEVER);
    int result = pass_gate(arg);
    weft_shield_end();
    wf_fetch_add_acq_rel(&count, 1);
    return result;
}

// children is how many a task can have: one that has no stack of its own has none.
static int children(const struct cancel_case *c)
{
    return c->mode == STARVED ? 0 : 3;
}

static int scope_call(struct cancel_case *c)
{
    weft_scope s;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_scope_spawn(&s, pass_gate_shielded, NULL), c->mode == STARVED ? -ENOMEM : 0);
    int result = weft_scope_close(&s);
    assert_int_equal(counted(), children(c));
    return result;
}

static void scope_left(struct cancel_case *c, int result)
{
    (void)result;
    assert_int_equal(counted(), children(c));
}

// --- the table -----------------------------------------------------------------------

// clang-format off
#define AWAIT .what = "future", .set_up = close_gate, .complete = open_gate, .left = await_left, \
              .at_once = true
#define SLEEP .what = "sleep", .set_up = sleep_set_up, .complete = cancel_nothing, .left = sleep_left
#define TICKER .what = "sleep", .set_up = ticker_set_up, .call = ticker_call, .complete = cancel_nothing, \
               .left = ticker_left

static const struct cancel_row rows[] = {
    { "weft_join", .what = "join task", .set_up = join_set_up, .call = join_call, .complete = join_complete,
      .left = join_left },
    { "weft_await", .call = await_call, AWAIT },
    { "weft_await_until", .call = await_until_call, AWAIT },
    { "weft_await: one that fails", .what = "future", .set_up = close_gate, .call = await_failing_call,
      .complete = fail_gate, .left = await_failing_left, .at_once = true },
    { "weft_timeout", .call = timeout_call, AWAIT },
    { "weft_yield", .set_up = yield_set_up, .call = yield_call, .complete = yield_complete, .left = yield_left },
    { "weft_sleep", .call = sleep_call, SLEEP },
    { "weft_sleep_until", .call = sleep_until_call, SLEEP },
    { "weft_ticker_wait: burst", .arg = &burst, TICKER },
    { "weft_ticker_wait: delay", .arg = &delay, TICKER },
    { "weft_ticker_wait: skip", .arg = &skip, TICKER },
    { "weft_scope_close", .what = "scope", .set_up = close_gate, .call = scope_call, .complete = open_gate,
      .left = scope_left, .waits = true },
};

static const struct cancel_row blocking[] = {
    { "weft_blocking: queued", .what = "weft_blocking", .set_up = queued_set_up, .call = queued_call,
      .complete = queued_complete, .left = queued_left },
    { "weft_blocking: begun", .what = "weft_blocking", .set_up = close_gate, .call = begun_call,
      .follow = begun_follow, .complete = open_gate, .left = begun_left, .waits = true },
};
// clang-format on

static void a_call_that_is_cut_short_has_had_no_effect(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN(rows);
}

static void a_job_that_has_not_begun_is_withdrawn(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN(blocking);
}

static void so_it_is_in_any_order(void **state)
{
    (void)state;
    CANCEL_TABLE_RUN_SEEDS(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_that_is_cut_short_has_had_no_effect),
        cmocka_unit_test(a_job_that_has_not_begun_is_withdrawn),
        cmocka_unit_test(so_it_is_in_any_order),
    };
    return wf_test_run(tests);
}
