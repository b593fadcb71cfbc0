#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rand.h"
#include "tests/support/harness.h"
#include "timerwheel/timerwheel.h"

#define TICK ((int64_t)1 << WF_WHEEL_TICK_BITS)
#define LEVEL(n) (TICK << (WF_WHEEL_SLOT_BITS * (n))) // how long a slot of level n lasts, ns
#define ALL UINT32_MAX                                // `most`, where it does not matter

static struct wf_wheel wheel;
static struct wf_list expired;

static void begin(int64_t now)
{
    wf_wheel_init(&wheel, now);
    wf_list_init(&expired);
}

static struct wf_wheel_node *take(void)
{
    struct wf_list *link = expired.next;
    if (wf_list_empty(&expired))
        return NULL;
    wf_list_remove(link);
    return wf_container_of(link, struct wf_wheel_node, link);
}

// advance_to moves the wheel and returns how many timers expired, which it drops.
static uint64_t advance_to(int64_t now)
{
    uint64_t n = 0;
    assert_true(wf_wheel_advance(&wheel, now, ALL, &expired));
    assert_true(wheel.now >= now / TICK);
    wf_wheel_check(&wheel);
    for (struct wf_wheel_node *node; (node = take()); n++) {
        assert_false(node->armed);
        assert_true(node->deadline <= now);
    }
    return n;
}

static void an_empty_wheel_has_nothing_to_do(void **state)
{
    (void)state;
    begin(12345678);
    assert_int_equal(wf_wheel_next(&wheel), INT64_MAX);
    assert_int_equal(advance_to(INT64_MAX), 0);
    assert_int_equal(wf_wheel_next(&wheel), INT64_MAX);
}

static void a_timer_fires_within_a_tick_of_its_deadline_and_never_before(void **state)
{
    static const int64_t offsets[] = {
        1, TICK - 1, TICK, TICK + 1, 5 * TICK + 77, LEVEL(1), LEVEL(2) + 1, LEVEL(5) - 1
    };
    (void)state;

    for (size_t i = 0; i < wf_countof(offsets); i++) {
        struct wf_wheel_node node;
        int64_t deadline = 987654321 + offsets[i];
        begin(987654321);
        wf_wheel_insert(&wheel, &node, deadline);
        assert_int_equal(advance_to(deadline - 1), 0);
        assert_true(node.armed);
        assert_int_equal(advance_to(deadline + TICK - 1), 1);
        assert_false(node.armed);
    }
}

static void a_deadline_on_a_tick_is_met_exactly(void **state)
{
    struct wf_wheel_node node;
    (void)state;
    begin(0);
    wf_wheel_insert(&wheel, &node, 100 * TICK);
    assert_int_equal(advance_to(100 * TICK - 1), 0);
    assert_int_equal(advance_to(100 * TICK), 1);
}

static void a_deadline_in_the_past_expires_at_the_next_advance_even_to_the_same_time(void **state)
{
    static const int64_t past[] = { INT64_MIN, -1, 0, 1, LEVEL(3), LEVEL(3) + 7 * TICK };
    struct wf_wheel_node nodes[wf_countof(past)];
    int64_t now = LEVEL(3) + 7 * TICK + 5;
    (void)state;

    begin(now);
    for (size_t i = 0; i < wf_countof(past); i++) {
        wf_wheel_insert(&wheel, &nodes[i], past[i]);
        wf_wheel_check(&wheel);
        assert_true(wf_wheel_next(&wheel) <= now);
    }
    assert_int_equal(advance_to(now), wf_countof(past));
}

static void next_is_the_tick_of_the_expiry_in_level_0(void **state)
{
    struct wf_wheel_node nodes[3];
    (void)state;
    begin(0);
    wf_wheel_insert(&wheel, &nodes[0], 40 * TICK);
    wf_wheel_insert(&wheel, &nodes[1], 9 * TICK + 1);
    wf_wheel_insert(&wheel, &nodes[2], LEVEL(2));
    assert_int_equal(nodes[1].level, 0);
    assert_int_equal(wf_wheel_next(&wheel), 10 * TICK);
    assert_int_equal(advance_to(10 * TICK), 1);
    assert_int_equal(wf_wheel_next(&wheel), 40 * TICK);
    wf_wheel_remove(&wheel, &nodes[0]);
    wf_wheel_remove(&wheel, &nodes[2]);
    assert_int_equal(wf_wheel_next(&wheel), INT64_MAX);
}

static void a_lone_sleeper_costs_one_wake_up_however_far_its_deadline(void **state)
{
    (void)state;
    for (unsigned level = 0; level < WF_WHEEL_LEVELS; level++) {
        struct wf_wheel_node node;
        int64_t deadline = 17 * LEVEL(level) + 12345;
        begin(3 * TICK);
        wf_wheel_insert(&wheel, &node, deadline);
        int64_t next = wf_wheel_next(&wheel);
        assert_true(next >= deadline && next < deadline + TICK);
        assert_int_equal(advance_to(next), 1);
    }
}

static void two_in_an_upper_slot_are_announced_when_the_slot_comes_up(void **state)
{
    struct wf_wheel_node nodes[2];
    (void)state;
    begin(0);
    wf_wheel_insert(&wheel, &nodes[0], 5 * LEVEL(2) + 300 * TICK);
    wf_wheel_insert(&wheel, &nodes[1], 5 * LEVEL(2) + 200 * TICK);
    assert_int_equal(wf_wheel_next(&wheel), 5 * LEVEL(2));
    assert_int_equal(advance_to(5 * LEVEL(2)), 0);
    assert_int_equal(nodes[0].level, 1);
    assert_int_equal(wf_wheel_next(&wheel), 5 * LEVEL(2) + 200 * TICK);
}

static void every_slot_of_every_level_finds_its_way_down(void **state)
{
    static struct wf_wheel_node nodes[WF_WHEEL_LEVELS][WF_WHEEL_SLOTS];
    (void)state;

    begin(0);
    for (int level = WF_WHEEL_LEVELS - 1; level >= 0; level--)
        for (int slot = 1; slot < WF_WHEEL_SLOTS; slot++) {
            struct wf_wheel_node *node = &nodes[level][slot];
            wf_wheel_insert(&wheel, node, slot * LEVEL(level));
            assert_int_equal(node->level, level);
            assert_int_equal(node->slot, slot);
        }
    wf_wheel_check(&wheel);
    for (int level = 0; level < WF_WHEEL_LEVELS; level++)
        for (int slot = 1; slot < WF_WHEEL_SLOTS; slot++) {
            assert_int_equal(wf_wheel_next(&wheel), nodes[level][slot].deadline);
            assert_int_equal(advance_to(nodes[level][slot].deadline), 1);
        }
}

static void a_huge_step_brings_all_in_order_of_deadline(void **state)
{
    enum { N = 1000 };
    static struct wf_wheel_node nodes[N];
    struct wf_test_rand r = wf_test_rand(1);
    int64_t last = 0;
    (void)state;

    begin(0);
    for (int i = 0; i < N; i++)
        wf_wheel_insert(&wheel, &nodes[i], (int64_t)(wf_rand(&r.state) >> (2 + wf_test_below(&r, 60))));
    assert_true(wf_wheel_advance(&wheel, INT64_MAX, ALL, &expired));
    assert_int_equal(wf_list_check(&expired), N);
    for (struct wf_wheel_node *node; (node = take());) {
        assert_true(node->deadline > last - TICK);
        last = node->deadline;
    }
}

static void what_lies_beyond_the_reach_is_parked_and_put_back(void **state)
{
    struct wf_wheel_node far, never, near;
    int64_t deadline = 100 * LEVEL(7) + 5;
    (void)state;

    begin(2 * LEVEL(7));
    wf_wheel_insert(&wheel, &far, deadline);
    wf_wheel_insert(&wheel, &never, WF_NEVER);
    wf_wheel_insert(&wheel, &near, 70 * LEVEL(7)); // beyond 2^48 ticks, but in reach
    wf_wheel_check(&wheel);
    assert_int_equal(far.slot, (2 + 63) % 64);
    assert_int_equal(wf_wheel_next(&wheel), 65 * LEVEL(7));
    assert_int_equal(advance_to(65 * LEVEL(7)), 0);
    assert_int_equal(far.slot, 100 % 64);
    assert_int_equal(wf_wheel_next(&wheel), 70 * LEVEL(7));
    assert_int_equal(advance_to(70 * LEVEL(7)), 1);
    assert_int_equal(advance_to(deadline - 1), 0);
    assert_int_equal(advance_to(deadline + TICK - 1), 1);
    assert_int_equal(wf_wheel_next(&wheel), INT64_MAX);
    assert_int_equal(advance_to(INT64_MAX), 0);
    assert_true(never.armed);
    wf_wheel_remove(&wheel, &never);
    wf_wheel_check(&wheel);
}

static void a_lone_parked_timer_is_announced_no_later_than_its_slot(void **state)
{
    struct wf_wheel_node node;
    (void)state;
    begin(0);
    wf_wheel_insert(&wheel, &node, 90 * LEVEL(7));
    assert_int_equal(wf_wheel_next(&wheel), 63 * LEVEL(7));
    assert_int_equal(advance_to(63 * LEVEL(7)), 0);
    assert_int_equal(wf_wheel_next(&wheel), 90 * LEVEL(7));
}

static void a_clock_that_reads_an_earlier_time_changes_nothing(void **state)
{
    struct wf_wheel_node node, past;
    (void)state;
    begin(1000 * TICK);
    wf_wheel_insert(&wheel, &node, 1002 * TICK);
    wf_wheel_insert(&wheel, &past, 990 * TICK);
    assert_int_equal(advance_to(500 * TICK), 0);
    assert_int_equal(advance_to(1000 * TICK), 1);
    assert_int_equal(wf_wheel_next(&wheel), 1002 * TICK);
    assert_int_equal(advance_to(1002 * TICK), 1);
}

static void advancing_one_at_a_time_gives_the_same_as_at_once(void **state)
{
    enum { N = 300 };
    static struct wf_wheel_node nodes[N], others[N];
    struct wf_test_rand r = wf_test_rand(2);
    int64_t now = 0;
    (void)state;

    for (unsigned round = 0; round < wf_test_rounds(30); round++) {
        struct wf_wheel at_once;
        struct wf_list from_other;
        begin(now);
        wf_wheel_init(&at_once, now);
        wf_list_init(&from_other);
        for (int i = 0; i < N; i++) {
            int64_t deadline = wf_after(now, (int64_t)(wf_rand(&r.state) >> (16 + wf_test_below(&r, 48))));
            wf_wheel_insert(&wheel, &nodes[i], deadline);
            wf_wheel_insert(&at_once, &others[i], deadline);
        }
        now = wf_after(now, LEVEL(wf_test_below(&r, 5)) * 30);
        assert_true(wf_wheel_advance(&at_once, now, ALL, &from_other));
        while (!wf_wheel_advance(&wheel, now, 1, &expired))
            wf_wheel_check(&wheel);
        assert_int_equal(wheel.now, at_once.now);
        assert_int_equal(wf_list_check(&expired), wf_list_check(&from_other));
        for (struct wf_list *at = from_other.next; at != &from_other; at = at->next) {
            struct wf_wheel_node *other = wf_container_of(at, struct wf_wheel_node, link);
            assert_ptr_equal(take(), &nodes[other - others]);
        }
    }
}

// Between two calls of one advance, timers come and go, in the very slot that is being
// emptied too.
static void a_stopped_advance_leaves_a_wheel_that_can_be_used(void **state)
{
    struct wf_wheel_node nodes[6], past, soon, far;
    int64_t turn = 7 * LEVEL(2);
    (void)state;

    begin(0);
    for (int i = 0; i < 6; i++)
        wf_wheel_insert(&wheel, &nodes[i], turn + (5 - i) * 100 * TICK);
    assert_false(wf_wheel_advance(&wheel, turn + LEVEL(2), 2, &expired));
    wf_wheel_check(&wheel);
    assert_true(wf_list_empty(&expired)); // two were cascaded
    assert_int_equal(wf_wheel_next(&wheel), turn);

    wf_wheel_remove(&wheel, &nodes[0]);
    wf_wheel_remove(&wheel, &nodes[4]);
    wf_wheel_insert(&wheel, &past, 1);
    wf_wheel_insert(&wheel, &soon, turn + 250 * TICK);
    wf_wheel_insert(&wheel, &far, turn + 3 * LEVEL(2));
    wf_wheel_check(&wheel);

    struct wf_wheel_node *order[] = { &past, &nodes[5], &nodes[3], &soon, &nodes[2], &nodes[1] };
    while (!wf_wheel_advance(&wheel, turn + LEVEL(2) - 1, 1, &expired))
        wf_wheel_check(&wheel);
    for (size_t i = 0; i < wf_countof(order); i++)
        assert_ptr_equal(take(), order[i]);
    assert_null(take());
    assert_int_equal(wheel.count, 1);
}

static void the_last_timer_of_a_slot_that_is_half_emptied_is_not_taken_for_the_next(void **state)
{
    struct wf_wheel_node early, late;
    (void)state;

    begin(0);
    wf_wheel_insert(&wheel, &early, LEVEL(1) + 3 * TICK);
    wf_wheel_insert(&wheel, &late, LEVEL(1) + 5 * TICK);
    assert_false(wf_wheel_advance(&wheel, LEVEL(1), 1, &expired));
    assert_int_equal(early.level, 0);
    assert_int_equal(late.level, 1);
    assert_int_equal(wf_wheel_next(&wheel), LEVEL(1));
    assert_int_equal(advance_to(LEVEL(1)), 0);
    assert_int_equal(wf_wheel_next(&wheel), LEVEL(1) + 3 * TICK);
}

// --- to the nanosecond ---------------------------------------------------------------

static void the_earliest_deadline_is_told_to_the_nanosecond(void **state)
{
    static const int64_t deadlines[] = {
        LEVEL(6) + 9, LEVEL(3) + 5, LEVEL(3) + 4, 5 * TICK + 2, 5 * TICK + 1, 77, 76, 3
    };
    struct wf_wheel_node nodes[wf_countof(deadlines)];
    (void)state;

    begin(0);
    assert_true(wf_wheel_first(&wheel) == INT64_MAX);
    for (size_t i = 0; i < wf_countof(deadlines); i++) {
        wf_wheel_insert(&wheel, &nodes[i], deadlines[i]);
        assert_true(wf_wheel_first(&wheel) == deadlines[i]);
    }
    for (size_t i = wf_countof(deadlines); i-- > 1;) {
        wf_wheel_remove(&wheel, &nodes[i]);
        assert_true(wf_wheel_first(&wheel) == deadlines[i - 1]);
    }
}

static void who_is_due_before_the_tick_is_taken_out_alone(void **state)
{
    struct wf_wheel_node a, b, c, d;
    (void)state;

    begin(0);
    wf_wheel_insert(&wheel, &a, 3 * TICK + 5);
    wf_wheel_insert(&wheel, &b, 3 * TICK + 7);
    wf_wheel_insert(&wheel, &c, 3 * TICK + 5);
    wf_wheel_insert(&wheel, &d, 4 * TICK + 5);
    assert_int_equal(advance_to(3 * TICK + 5), 0);
    wf_wheel_early(&wheel, 3 * TICK + 4, ALL, &expired);
    assert_null(take());
    wf_wheel_early(&wheel, 3 * TICK + 5, 1, &expired);
    assert_ptr_equal(take(), &a);
    assert_null(take());
    wf_wheel_early(&wheel, 3 * TICK + 6, ALL, &expired);
    assert_ptr_equal(take(), &c);
    assert_false(c.armed);
    assert_null(take());
    wf_wheel_check(&wheel);
    assert_int_equal(advance_to(4 * TICK), 1); // b, by its tick
    wf_wheel_early(&wheel, 4 * TICK + 4, ALL, &expired);
    assert_null(take());
    assert_int_equal(advance_to(5 * TICK), 1);
    wf_wheel_early(&wheel, 9 * TICK, ALL, &expired); // of an empty wheel
    assert_null(take());
}

static int by_deadline(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

// From deadline to deadline: each expires exactly then.
static void a_clock_can_jump_from_deadline_to_deadline(void **state)
{
    enum { N = 200 };
    static struct wf_wheel_node nodes[N];
    int64_t sorted[N], now = 12345;
    struct wf_test_rand r = wf_test_rand(4);
    (void)state;

    for (unsigned round = 0; round < wf_test_rounds(50); round++) {
        begin(now);
        for (int i = 0; i < N; i++) {
            sorted[i] = wf_after(now, 1 + (int64_t)(wf_rand(&r.state) >> (2 + wf_test_below(&r, 60))));
            wf_wheel_insert(&wheel, &nodes[i], sorted[i]);
        }
        qsort(sorted, N, sizeof(sorted[0]), by_deadline);
        for (int i = 0; i < N;) {
            int64_t at = wf_wheel_first(&wheel);
            assert_true(at == sorted[i]);
            assert_true(wf_wheel_advance(&wheel, at, ALL, &expired));
            wf_wheel_early(&wheel, at, ALL, &expired);
            wf_wheel_check(&wheel);
            for (struct wf_wheel_node *node; (node = take()); i++)
                assert_true(node->deadline == at);
        }
        assert_int_equal(wheel.count, 0);
    }
}

static void most_bounds_what_one_call_touches(void **state)
{
    enum { N = 100 };
    static struct wf_wheel_node nodes[N];
    unsigned calls = 0, out = 0;
    (void)state;

    begin(0);
    for (int i = 0; i < N; i++)
        wf_wheel_insert(&wheel, &nodes[i], LEVEL(1) + 5 * TICK); // N to cascade, then N to take out
    for (bool done = false; !done; calls++) {
        done = wf_wheel_advance(&wheel, LEVEL(2), 10, &expired);
        unsigned n = 0;
        while (take())
            n++;
        assert_true(n <= 10);
        out += n;
    }
    assert_int_equal(out, N);
    assert_int_equal(calls, 2 * N / 10);
}

static void a_timer_cascades_at_most_once_a_level(void **state)
{
    enum { N = 500 };
    static struct wf_wheel_node nodes[N];
    struct wf_test_rand r = wf_test_rand(3);
    uint64_t allowed = 0, touched = 0;
    uint8_t level[N];
    (void)state;

    begin((int64_t)(wf_rand(&r.state) >> 3));
    for (int i = 0; i < N; i++) {
        int64_t distance = (int64_t)(wf_rand(&r.state) >> (4 + wf_test_below(&r, 46)));
        wf_wheel_insert(&wheel, &nodes[i], (wheel.now << WF_WHEEL_TICK_BITS) + distance);
        level[i] = nodes[i].level;
        allowed += nodes[i].level + 1u;
    }
    for (bool done = false; !done; touched++) {
        done = wf_wheel_advance(&wheel, INT64_MAX, 1, &expired);
        for (int i = 0; i < N; i++) {
            assert_true(!nodes[i].armed || nodes[i].level <= level[i]);
            level[i] = nodes[i].level;
        }
    }
    assert_int_equal(wf_list_check(&expired), N);
    assert_true(touched <= allowed + 1);
}

static void following_next_makes_progress_and_misses_nothing(void **state)
{
    enum { N = 400 };
    static struct wf_wheel_node nodes[N];
    struct wf_test_rand r = wf_test_rand(4);
    uint64_t allowed = 0, steps = 0;
    (void)state;

    begin(0);
    for (int i = 0; i < N; i++) {
        wf_wheel_insert(&wheel, &nodes[i], (int64_t)(wf_rand(&r.state) >> (2 + wf_test_below(&r, 50))));
        allowed += nodes[i].level + 1u;
    }
    while (wheel.count > 0) {
        int64_t next = wf_wheel_next(&wheel);
        assert_int_equal(advance_to(next - 1), 0); // a moment before which nothing expires
        uint64_t levels = 0, after = 0;
        for (int i = 0; i < N; i++)
            levels += nodes[i].armed ? nodes[i].level + 1u : 0;
        advance_to(next);
        for (int i = 0; i < N; i++)
            after += nodes[i].armed ? nodes[i].level + 1u : 0;
        assert_true(after < levels); // and at which something does happen
        steps++;
    }
    assert_true(steps <= allowed);
}

// A walk of a slot can prefetch later nodes, whether some in between were removed or
// not.
static void a_timer_knows_one_that_comes_later_in_its_slot(void **state)
{
    enum { N = 4 * WF_WHEEL_AHEAD };
    struct wf_wheel_node nodes[N];
    (void)state;

    begin(0);
    for (int i = 0; i < N; i++) {
        wf_wheel_insert(&wheel, &nodes[i], LEVEL(2));
        wf_wheel_check(&wheel);
    }
    for (int i = 0; i < N - WF_WHEEL_AHEAD; i++)
        assert_ptr_equal(nodes[i].ahead, &nodes[i + WF_WHEEL_AHEAD]);
    for (int i = N - WF_WHEEL_AHEAD; i < N; i++)
        assert_null(nodes[i].ahead);
    for (int i = 0; i < N; i++) { // the one that is to be told next among them
        wf_wheel_remove(&wheel, &nodes[i]);
        wf_wheel_check(&wheel);
    }
}

static void a_million_timers_are_cancelled_at_once(void **state)
{
    enum { N = 1000000 };
    struct wf_wheel_node *nodes = calloc(N, sizeof(*nodes));
    struct wf_test_rand r = wf_test_rand(5);
    (void)state;

    assert_non_null(nodes);
    begin(0);
    for (int i = 0; i < N; i++)
        wf_wheel_insert(&wheel, &nodes[i], (int64_t)(wf_rand(&r.state) >> (1 + wf_test_below(&r, 50))));
    wf_wheel_check(&wheel);
    assert_int_equal(wheel.count, N);
    for (int i = 0; i < N; i++)
        wf_wheel_remove(&wheel, &nodes[(i * INT64_C(7919)) % N]);
    wf_wheel_check(&wheel);
    assert_int_equal(wheel.count, 0);
    assert_int_equal(wf_wheel_next(&wheel), INT64_MAX);
    assert_int_equal(advance_to(INT64_MAX), 0);
    free(nodes);
}

// --- the wheel against a list that is searched ---

enum { TIMERS = 200 };

struct model {
    struct wf_wheel_node nodes[TIMERS];
    int64_t deadline[TIMERS];
    bool armed[TIMERS];
    int64_t now;
};

// round_up is the contract in other words than the wheel's own: the first tick at or
// after the deadline.
static uint64_t round_up(int64_t deadline)
{
    return deadline <= 0 ? 0 : ((uint64_t)deadline + TICK - 1) / TICK;
}

static bool due(int64_t deadline, int64_t now)
{
    return round_up(deadline) <= (uint64_t)now / TICK;
}

static int64_t any_distance(struct wf_test_rand *r)
{
    int64_t distance = (int64_t)(wf_rand(&r->state) >> (1 + wf_test_below(r, 63)));
    if (wf_test_below(r, 4) == 0)
        distance = (distance / TICK) * TICK; // on a tick
    if (wf_test_below(r, 4) == 0)
        distance = LEVEL(wf_test_below(r, 8)) * wf_test_below(r, 64) + wf_test_below(r, 3) - 1; // about a slot's edge
    return distance;
}

static void model_insert(struct model *m, unsigned i, struct wf_test_rand *r)
{
    int64_t distance = any_distance(r);
    m->deadline[i] = wf_after(m->now, wf_test_below(r, 8) ? distance : -distance);
    m->armed[i] = true;
    memset(&m->nodes[i], 0xa5, sizeof(m->nodes[i]));
    wf_wheel_insert(&wheel, &m->nodes[i], m->deadline[i]);
}

static void model_remove(struct model *m, unsigned i)
{
    wf_wheel_remove(&wheel, &m->nodes[i]);
    m->armed[i] = false;
}

static void model_expire(struct model *m, int64_t to)
{
    uint64_t last = 0;
    for (struct wf_wheel_node *node; (node = take());) {
        unsigned i = (unsigned)(node - m->nodes);
        assert_true(m->armed[i]);
        assert_true(due(m->deadline[i], to));
        assert_true(round_up(m->deadline[i]) >= last || due(m->deadline[i], m->now)); // in order, but for the late
        if (round_up(m->deadline[i]) > last)
            last = round_up(m->deadline[i]);
        m->armed[i] = false;
    }
}

static void model_toggle(struct model *m, unsigned i, struct wf_test_rand *r)
{
    if (m->armed[i])
        model_remove(m, i);
    else
        model_insert(m, i, r);
}

// Now and then it advances by a few timers at a time, with others coming and going in
// between.
static void model_advance(struct model *m, int64_t to, struct wf_test_rand *r)
{
    unsigned most = wf_test_below(r, 3) ? ALL : 1 + wf_test_below(r, 5);

    while (!wf_wheel_advance(&wheel, to, most, &expired)) {
        model_expire(m, to);
        m->now = wheel.now * TICK > m->now ? wheel.now * TICK : m->now;
        if (wf_test_below(r, 2))
            model_toggle(m, wf_test_below(r, TIMERS), r);
        wf_wheel_check(&wheel);
    }
    model_expire(m, to);
    m->now = to;
    for (unsigned i = 0; i < TIMERS; i++)
        assert_true(!m->armed[i] || !due(m->deadline[i], to));
}

static int64_t later(int64_t now, int64_t by)
{
    return by > 0 ? wf_after(now, by) : now;
}

static void model_step(struct model *m, struct wf_test_rand *r)
{
    unsigned i = wf_test_below(r, TIMERS);

    switch (wf_test_below(r, 8)) {
    case 0:
        model_advance(m, later(m->now, wf_test_below(r, 2) ? (int64_t)wf_test_below(r, 3 * TICK) : any_distance(r)), r);
        break;
    case 1:
        if (wheel.count > 0 && wf_wheel_next(&wheel) > m->now)
            model_advance(m, wf_wheel_next(&wheel), r);
        break;
    default:
        model_toggle(m, i, r);
    }
}

static void model_check(const struct model *m)
{
    int64_t next = wf_wheel_next(&wheel);
    uint64_t n = 0;

    wf_wheel_check(&wheel);
    for (unsigned i = 0; i < TIMERS; i++) {
        n += m->armed[i];
        assert_int_equal(m->nodes[i].armed, m->armed[i]);
        if (m->armed[i])
            assert_true(next <= m->now || !due(m->deadline[i], next - 1));
    }
    assert_int_equal(n, wheel.count);
}

static void it_agrees_with_a_list_that_is_searched(void **state)
{
    (void)state;
    for (unsigned round = 0; round < wf_test_rounds(60); round++) {
        static struct model m;
        struct wf_test_rand r = wf_test_rand(100 + round);

        memset(&m, 0, sizeof(m));
        m.now = (int64_t)(wf_rand(&r.state) >> (1 + wf_test_below(&r, 63)));
        begin(m.now);
        for (unsigned step = 0; step < 1000; step++) {
            model_step(&m, &r);
            model_check(&m);
        }
        model_advance(&m, INT64_MAX, &r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_wheel_has_nothing_to_do),
        cmocka_unit_test(a_timer_fires_within_a_tick_of_its_deadline_and_never_before),
        cmocka_unit_test(a_deadline_on_a_tick_is_met_exactly),
        cmocka_unit_test(a_deadline_in_the_past_expires_at_the_next_advance_even_to_the_same_time),
        cmocka_unit_test(next_is_the_tick_of_the_expiry_in_level_0),
        cmocka_unit_test(a_lone_sleeper_costs_one_wake_up_however_far_its_deadline),
        cmocka_unit_test(two_in_an_upper_slot_are_announced_when_the_slot_comes_up),
        cmocka_unit_test(every_slot_of_every_level_finds_its_way_down),
        cmocka_unit_test(a_huge_step_brings_all_in_order_of_deadline),
        cmocka_unit_test(what_lies_beyond_the_reach_is_parked_and_put_back),
        cmocka_unit_test(a_lone_parked_timer_is_announced_no_later_than_its_slot),
        cmocka_unit_test(a_clock_that_reads_an_earlier_time_changes_nothing),
        cmocka_unit_test(advancing_one_at_a_time_gives_the_same_as_at_once),
        cmocka_unit_test(a_stopped_advance_leaves_a_wheel_that_can_be_used),
        cmocka_unit_test(the_last_timer_of_a_slot_that_is_half_emptied_is_not_taken_for_the_next),
        cmocka_unit_test(the_earliest_deadline_is_told_to_the_nanosecond),
        cmocka_unit_test(who_is_due_before_the_tick_is_taken_out_alone),
        cmocka_unit_test(a_clock_can_jump_from_deadline_to_deadline),
        cmocka_unit_test(most_bounds_what_one_call_touches),
        cmocka_unit_test(a_timer_cascades_at_most_once_a_level),
        cmocka_unit_test(following_next_makes_progress_and_misses_nothing),
        cmocka_unit_test(a_timer_knows_one_that_comes_later_in_its_slot),
        cmocka_unit_test(a_million_timers_are_cancelled_at_once),
        cmocka_unit_test(it_agrees_with_a_list_that_is_searched),
    };
    return wf_test_run(tests);
}
