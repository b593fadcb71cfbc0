// Beside tasks that are always ready: when do new tasks, descriptors, timers, and tasks
// behind a CPU-bound one get their turn? The tests count turns of the neighbours, not
// time, because the scheduler guarantees a number of turns.
#include <fcntl.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "tests/support/monitor_paused.h"
#include "tests/support/chans.h"

enum {
    SPAWNED = 100,
    TURNS_EACH = 2000, // of the neighbours, for each task that is to begin: it begins after 16 or so
    // A look around comes after 1024 turns at most, and may leave out the poll once or
    // twice; thrice that.
    TURNS_TO_EVENT = 3 * 3 * 1024,
};

struct neighbours {
    weft_chan *there, *back;
    _Atomic unsigned turns; // A: of both
    _Atomic bool over;      // A
};

static void open_neighbours(struct neighbours *n, size_t capacity)
{
    n->there = new_numbers(capacity);
    n->back = new_numbers(capacity);
    wf_store_relaxed(&n->turns, 0u); // relaxed: no other task knows them
    wf_store_relaxed(&n->over, false);
}

static void close_neighbours(struct neighbours *n)
{
    weft_chan_unref(n->there);
    weft_chan_unref(n->back);
}

static int serve(void *arg)
{
    struct neighbours *n = arg;
    int ball;

    while ((ball = recv_number(n->there)) >= 0) {
        wf_fetch_add_relaxed(&n->turns, 1u); // relaxed: a counter
        assert_int_equal(send_number(n->back, ball), 0);
    }
    return 0;
}

static int call(void *arg)
{
    struct neighbours *n = arg;

    while (!wf_load_acquire(&n->over)) {
        assert_int_equal(send_number(n->there, 1), 0);
        wf_fetch_add_relaxed(&n->turns, 1u); // relaxed: a counter
        assert_int_equal(recv_number(n->back), 1);
    }
    weft_chan_close(n->there);
    return 0;
}

// A neighbour that yields, as `call` counts.
static int yield_on(void *arg)
{
    struct neighbours *n = arg;

    while (!wf_load_acquire(&n->over)) {
        wf_fetch_add_relaxed(&n->turns, 1u); // relaxed: a counter
        weft_yield();
    }
    return 0;
}

// --- tasks just spawned --------------------------------------------------------------

struct newcomer {
    struct neighbours *n;
    _Atomic unsigned begun; // A
    unsigned last;          // the neighbours' turns when the last one began
};

static int come(void *arg)
{
    struct newcomer *c = arg;

    if (wf_fetch_add_acq_rel(&c->begun, 1u) + 1 == SPAWNED) { // acq_rel: `last` has one writer
        c->last = wf_load_relaxed(&c->n->turns);              // relaxed: a counter
        wf_store_release(&c->n->over, true);
    }
    return 0;
}

static int spawn_beside_a_pair(void *arg)
{
    struct neighbours n;
    struct newcomer c = { .n = &n };
    weft_task *pair[2], *t[SPAWNED];

    open_neighbours(&n, *(size_t *)arg);
    pair[0] = spawn(serve, &n);
    pair[1] = spawn(call, &n);
    weft_yield();
    unsigned from = wf_load_relaxed(&n.turns); // relaxed: a counter
    for (int i = 0; i < SPAWNED; i++)
        t[i] = spawn(come, &c);
    for (int i = 0; i < SPAWNED; i++)
        assert_int_equal(join(t[i]), 0);
    assert_true(c.last - from < SPAWNED * TURNS_EACH);
    assert_int_equal(join(pair[1]), 0);
    assert_int_equal(join(pair[0]), 0);
    close_neighbours(&n);
    return 0;
}

static int run_on(unsigned workers, weft_fn *fn, void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;

    cfg.workers = workers;
    return weft_run(&cfg, tasks_watched, &(struct tasks_body){ fn, arg });
}

// A pair that wakes each other runs from the next slot all the time.
static void spawned_tasks_begin_beside_a_pair_that_chats(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity <= 1; capacity++)
        assert_int_equal(run_on(1, spawn_beside_a_pair, &capacity), 0);
}

// --- descriptors ---------------------------------------------------------------------

struct reader {
    struct neighbours *n;
    int fd;
    unsigned seen; // the neighbours' turns when the byte was read
};

static int read_one(void *arg)
{
    struct reader *r = arg;
    char byte;

    assert_int_equal(weft_read(r->fd, &byte, 1), 1);
    r->seen = wf_load_relaxed(&r->n->turns); // relaxed: a counter
    wf_store_release(&r->n->over, true);
    return 0;
}

// write_to writes when the pair is at it, and waits until the byte is read. Returns:
// after how many turns of the pair.
static unsigned write_to(struct reader *r, int to)
{
    weft_task *t = spawn(read_one, r);

    wait_parked(t, "weft_read");
    while (wf_load_relaxed(&r->n->turns) < 100000) // relaxed: a counter
        weft_yield();
    unsigned from = wf_load_relaxed(&r->n->turns); // relaxed: as above
    assert_int_equal(write(to, "x", 1), 1);
    assert_int_equal(join(t), 0);
    return r->seen - from;
}

static int read_beside(void *arg)
{
    weft_fn *neighbour = *(weft_fn **)arg;
    struct neighbours n;
    struct reader r = { .n = &n };
    weft_task *t[2];
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    r.fd = ends[0];
    open_neighbours(&n, 0);
    t[0] = spawn(neighbour == call ? serve : neighbour, &n);
    t[1] = spawn(neighbour, &n);
    assert_true(write_to(&r, ends[1]) < TURNS_TO_EVENT);
    assert_int_equal(join(t[1]), 0);
    assert_int_equal(join(t[0]), 0);
    close_neighbours(&n);
    weft_close(ends[0]);
    weft_close(ends[1]);
    return 0;
}

static void a_descriptor_is_served_beside_tasks_that_are_always_ready(void **state)
{
    weft_fn *neighbours[] = { call, yield_on };
    (void)state;

    for (size_t i = 0; i < wf_countof(neighbours); i++)
        assert_int_equal(run_on(1, read_beside, &neighbours[i]), 0);
}

// --- behind a task that computes -----------------------------------------------------

enum { BEHIND = 5 };

struct hog {
    _Atomic unsigned begun; // A: tasks behind it
    _Atomic bool over;      // A
    weft_task *behind[BEHIND];
};

static int begin(void *arg)
{
    struct hog *h = arg;

    wf_fetch_add_acq_rel(&h->begun, 1u); // acq_rel: nothing hangs on it but the count
    return 0;
}

// compute computes until all that stand behind it on its worker have begun: on another
// one.
static int compute(void *arg)
{
    struct hog *h = arg;

    for (int i = 0; i < BEHIND; i++)
        h->behind[i] = spawn(begin, h);
    while (wf_load_acquire(&h->begun) < BEHIND)
        ;
    wf_store_release(&h->over, true);
    for (int i = 0; i < BEHIND; i++)
        assert_int_equal(join(h->behind[i]), 0);
    return 0;
}

static int yield_until(void *arg)
{
    struct hog *h = arg;

    while (!wf_load_acquire(&h->over))
        weft_yield();
    return 0;
}

static int compute_beside_one_that_yields(void *arg)
{
    struct hog h = { 0 };
    (void)arg;

    weft_task *yields = spawn(yield_until, &h);
    weft_task *computes = spawn(compute, &h);
    assert_int_equal(join(computes), 0);
    assert_int_equal(join(yields), 0);
    return 0;
}

static void tasks_behind_one_that_computes_go_to_a_worker_that_is_busy(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(run_on(2, compute_beside_one_that_yields, NULL), 0);
}

// A burst of tasks, fewer than wake a second worker by their number.
enum { BURST = 12, ALONE = 8 };

struct burst {
    weft_future begin;
    _Atomic unsigned turns;   // A
    _Atomic unsigned workers; // A: those that have run one, a bit each
};

// take_long computes for longer than others should wait. The first few end by
// themselves; the others do not until a second worker has come. No thread watches the
// workers: only the first one itself can have called it, when it looked around, for the
// time that what waits there would take.
static int take_long(void *arg)
{
    struct burst *b = arg;

    assert_int_equal(weft_await(&b->begin, NULL), 0);
    weft_time end = weft_after(WEFT_MS(1));
    wf_fetch_or_acq_rel(&b->workers,
                        1u << this_worker()); // acq_rel: only a set of bits
    bool alone = wf_fetch_add_acq_rel(&b->turns, 1u) < ALONE;
    while (weft_now() < end || (!alone && wf_load_acquire(&b->workers) != 3))
        ;
    return 0;
}

static int wake_a_burst(void *arg)
{
    struct burst b = { .turns = 0 };
    weft_task *tasks[BURST];
    (void)arg;

    weft_future_init(&b.begin);
    for (int i = 0; i < BURST; i++)
        tasks[i] = spawn(take_long, &b);
    assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    stop_reactor_thread();
    assert_true(weft_future_complete(&b.begin, 0));
    for (int i = 0; i < BURST; i++)
        assert_int_equal(join(tasks[i]), 0);
    return 0;
}

static void a_burst_of_long_turns_is_shared(void **state)
{
    (void)state;
    if (getenv("WEFT_SCATTER"))
        wf_test_skip("each wake takes a task to another worker in any case");
    for (int i = 0; i < 20; i++)
        assert_int_equal(run_on(2, wake_a_burst, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spawned_tasks_begin_beside_a_pair_that_chats),
        cmocka_unit_test(a_descriptor_is_served_beside_tasks_that_are_always_ready),
        cmocka_unit_test(tasks_behind_one_that_computes_go_to_a_worker_that_is_busy),
        cmocka_unit_test(a_burst_of_long_turns_is_shared),
    };
    return wf_test_run(tests);
}
