// Scopes in virtual time, under many seeds: each call ends at the exact nanosecond, in
// every order of the tasks.
#include <errno.h>

#include "tests/support/left.h"
#include "tests/support/seeds.h"

#include "base/atomic.h"

enum { SEEDS = 2000, CHILDREN = 6 };

// lot draws a duration of whole seconds.
static weft_time lot(unsigned most)
{
    return WEFT_S(weft_test_below(most));
}

// A child that sleeps and then returns something, or is cancelled.
struct child {
    weft_time sleep;
    int result;
    weft_time ended;
};

static int sleep_and_give(void *arg)
{
    struct child *c = arg;
    int err = weft_sleep(c->sleep);

    c->ended = weft_now();
    return err < 0 ? err : c->result;
}

static void make_children(struct child *children, bool fail)
{
    for (int i = 0; i < CHILDREN; i++) {
        bool good = weft_test_below(2) == 0 || !fail;
        // No two at the same time, or which of them is the first would be for the seed
        // to say.
        children[i] = (struct child){ lot(10) + WEFT_MS(i), good ? 1 + i : -1 - i, 0 };
    }
}

// first finds the child that ends first among those that fail, or succeed. Returns:
// NULL if none does.
static const struct child *first(const struct child *children, bool fails)
{
    const struct child *found = NULL;

    for (int i = 0; i < CHILDREN; i++)
        if ((children[i].result < 0) == fails && (!found || children[i].sleep < found->sleep))
            found = &children[i];
    return found;
}

static weft_time last(const struct child *children)
{
    weft_time longest = 0;

    for (int i = 0; i < CHILDREN; i++)
        longest = children[i].sleep > longest ? children[i].sleep : longest;
    return longest;
}

// play opens a scope for the children. *took: how long it was open.
static int play(struct child *children, int policy, weft_time deadline, weft_time *took)
{
    weft_time from = weft_now();
    weft_scope s;

    weft_scope_open(&s, policy);
    if (deadline != WEFT_NEVER)
        weft_scope_deadline(&s, from + deadline);
    for (int i = 0; i < CHILDREN; i++)
        assert_int_equal(weft_scope_spawn(&s, sleep_and_give, &children[i]), 0);
    int result = weft_scope_close(&s);
    *took = weft_now() - from;
    for (int i = 0; i < CHILDREN; i++)
        assert_true(children[i].ended - from <= *took && children[i].ended - from <= children[i].sleep);
    return result;
}

static int the_first_failure(void *arg)
{
    struct child children[CHILDREN];
    weft_time took;
    (void)arg;

    make_children(children, true);
    int result = play(children, WEFT_SCOPE_FAIL_FAST, WEFT_NEVER, &took);
    const struct child *loser = first(children, true);
    assert_int_equal(result, loser ? loser->result : 0);
    assert_int_equal(took, loser ? loser->sleep : last(children)); // the others ended at once
    return 0;
}

static int the_first_success(void *arg)
{
    struct child children[CHILDREN];
    weft_time took;
    (void)arg;

    make_children(children, true);
    int result = play(children, WEFT_SCOPE_RACE, WEFT_NEVER, &took);
    const struct child *winner = first(children, false);
    assert_int_equal(result, winner ? winner->result : first(children, true)->result);
    assert_int_equal(took, winner ? winner->sleep : last(children));
    return 0;
}

static int all_of_them(void *arg)
{
    struct child children[CHILDREN];
    weft_time took;
    (void)arg;

    make_children(children, true);
    int result = play(children, WEFT_SCOPE_COLLECT, WEFT_NEVER, &took);
    const struct child *loser = first(children, true);
    assert_int_equal(result, loser ? loser->result : 0);
    assert_int_equal(took, last(children));
    return 0;
}

static int before_the_deadline(void *arg)
{
    weft_time took, deadline = lot(12) + WEFT_US(1); // never with a child's end
    struct child children[CHILDREN];
    (void)arg;

    make_children(children, false);
    int result = play(children, WEFT_SCOPE_FAIL_FAST, deadline, &took);
    bool in_time = last(children) < deadline;
    assert_int_equal(result, in_time ? 0 : -ETIMEDOUT);
    assert_int_equal(took, in_time ? last(children) : deadline);
    return 0;
}

static void a_failure_ends_the_scope_at_once(void **state)
{
    (void)state;
    run_seeds(SEEDS, the_first_failure, NULL);
}

static void a_race_ends_with_its_winner(void **state)
{
    (void)state;
    run_seeds(SEEDS, the_first_success, NULL);
}

static void collect_waits_for_the_last(void **state)
{
    (void)state;
    run_seeds(SEEDS, all_of_them, NULL);
}

static void a_deadline_ends_the_scope_on_time(void **state)
{
    (void)state;
    run_seeds(SEEDS, before_the_deadline, NULL);
}

// --- a deadline that moves -----------------------------------------------------------

// A scope whose deadline its children move; `due` says when it is. They move it at
// whole milliseconds, and it lies between two of these, so the two never coincide.
struct moving {
    weft_scope scope;
    weft_time due;
    weft_time last; // the end of the child that ends last
};

static void move(struct moving *m)
{
    weft_time now = weft_now(), when = now + lot(12) - WEFT_S(2) + WEFT_US(500);

    if (weft_test_below(6) == 0)
        when = WEFT_NEVER;
    m->due = when < now ? now : when;
    weft_scope_deadline(&m->scope, when);
    assert_int_equal(weft_cancelled(), m->due == now);
}

static int move_and_sleep(void *arg)
{
    struct moving *m = arg;
    int err = 0;

    for (unsigned i = weft_test_below(5); i > 0 && !err; i--) {
        err = weft_sleep(WEFT_MS(weft_test_below(6000)));
        if (!err && !weft_cancelled()) // by another one's move, at the same millisecond
            move(m);
        err = weft_cancelled() ? weft_yield() : err;
    }
    if (err == -ETIMEDOUT)
        assert_int_equal(weft_now(), m->due);
    m->last = weft_now();
    return err;
}

static int move_together(void *arg)
{
    struct moving m = { .due = WEFT_NEVER };
    (void)arg;

    weft_scope_open(&m.scope, WEFT_SCOPE_FAIL_FAST);
    if (weft_test_below(2))
        move(&m);
    for (int i = 0; i < CHILDREN; i++)
        assert_int_equal(weft_scope_spawn(&m.scope, move_and_sleep, &m), 0);
    int result = weft_scope_close(&m.scope);
    assert_int_equal(result, m.due <= weft_now() ? -ETIMEDOUT : 0);
    assert_int_equal(weft_now(), m.last);
    return weft_yield();
}

static void children_move_the_deadline(void **state)
{
    (void)state;
    run_seeds(SEEDS, move_together, NULL);
}

// --- a call with a time-out ----------------------------------------------------------

struct slow {
    weft_time sleep;
    int result;
    bool shielded; // sleeps on
    int error;     // what the sleep said
};

static int be_slow(void *arg)
{
    struct slow *s = arg;

    if (s->shielded)
        weft_shield_begin(WEFT_NEVER);
    s->error = weft_sleep(s->sleep);
    if (s->shielded)
        weft_shield_end();
    return s->error < 0 && s->result >= 0 ? s->error : s->result;
}

static int time_a_call(void *arg)
{
    struct slow s = { lot(8), weft_test_below(3) ? 7 : -EIO, weft_test_below(3) == 0, 0 };
    weft_time most = lot(8) + WEFT_MS(1), from = weft_now();
    (void)arg;

    int result = weft_timeout(most, be_slow, &s);
    bool late = s.sleep > most;
    assert_int_equal(s.error, late && !s.shielded ? -ETIMEDOUT : 0);
    if (late && (s.result < 0 || !s.shielded))
        assert_int_equal(result, -ETIMEDOUT); // whatever fn made of it
    else
        assert_int_equal(result, s.result); // a success is one, however late
    assert_int_equal(weft_now() - from, late && !s.shielded ? most : s.sleep);
    assert_false(weft_cancelled());
    return 0;
}

static void a_call_ends_when_its_time_is_over(void **state)
{
    (void)state;
    run_seeds(SEEDS, time_a_call, NULL);
}

static int time_inside(void *arg)
{
    struct slow s = { WEFT_S(10), 0, false, 0 };

    assert_int_equal(weft_timeout(*(weft_time *)arg, be_slow, &s), -ETIMEDOUT);
    return weft_yield();
}

static int time_in_time(void *arg)
{
    weft_time inner = lot(8), outer = lot(8) + WEFT_MS(1), from = weft_now();
    struct slow s = { WEFT_S(1), 3, false, 0 };
    (void)arg;

    assert_int_equal(weft_timeout(outer, time_inside, &inner), inner < outer ? 0 : -ETIMEDOUT);
    assert_int_equal(weft_now() - from, inner < outer ? inner : outer);
    assert_int_equal(weft_timeout(WEFT_NEVER, be_slow, &s), 3);
    assert_int_equal(weft_timeout(0, be_slow, &s), -ETIMEDOUT);
    assert_int_equal(weft_timeout(-1, be_slow, &s), -ETIMEDOUT);
    weft_task_cancel(weft_self());
    assert_int_equal(weft_timeout(WEFT_S(1), be_slow, &s), -ECANCELED);
    assert_int_equal(weft_timeout(0, be_slow, &s), -ETIMEDOUT); // the innermost decides
    return 0;
}

static void calls_with_time_outs_nest(void **state)
{
    (void)state;
    run_seeds(SEEDS, time_in_time, NULL);
}

// --- nested --------------------------------------------------------------------------

// nest opens scopes inside each other, with random deadlines, and sleeps in the
// innermost one. What each call inside returns, and when, follows from the deadlines
// alone.
static void nest(unsigned depth, weft_time nearest)
{
    weft_time own = weft_now() + lot(20) + WEFT_MS(1 + depth), inside = own < nearest ? own : nearest;
    weft_scope s;

    weft_scope_open(&s, (int)weft_test_below(3));
    weft_scope_deadline(&s, own);
    if (depth > 0)
        nest(depth - 1, inside);
    weft_time now = weft_now();
    assert_int_equal(weft_sleep(WEFT_NEVER), -ETIMEDOUT);
    assert_int_equal(weft_now(), inside > now ? inside : now);
    assert_int_equal(weft_scope_close(&s), -ETIMEDOUT);
}

static int nested(void *arg)
{
    (void)arg;
    nest(5, WEFT_NEVER);
    assert_int_equal(weft_yield(), 0);
    return 0;
}

static void the_nearest_deadline_wins(void **state)
{
    (void)state;
    run_seeds(SEEDS, nested, NULL);
}

// --- shields -------------------------------------------------------------------------

struct patient {
    weft_time grace, began, ended;
};

static int clean_up(void *arg)
{
    struct patient *p = arg;

    p->began = weft_now();
    weft_shield_begin(p->grace);
    int err = weft_sleep(WEFT_S(30));
    p->ended = weft_now();
    weft_shield_end();
    assert_int_equal(weft_yield(), -ECANCELED);
    return err;
}

static int cancel_a_patient(void *arg)
{
    struct patient p = { .grace = lot(60) + WEFT_MS(1) };
    weft_time wait = lot(29) + WEFT_MS(2);
    weft_task *t = spawn(clean_up, &p);
    (void)arg;

    assert_int_equal(weft_sleep(wait), 0);
    weft_task_cancel(t);
    int result = join(t);
    weft_time slept = p.ended - p.began;
    if (p.grace >= WEFT_S(30)) {
        assert_int_equal(result, 0);
        assert_int_equal(slept, WEFT_S(30));
    } else {
        assert_int_equal(result, -ECANCELED);
        assert_int_equal(slept, p.grace > wait ? p.grace : wait);
    }
    return 0;
}

static void a_grace_ends_on_time(void **state)
{
    (void)state;
    run_seeds(SEEDS, cancel_a_patient, NULL);
}

// --- whatever happens ----------------------------------------------------------------

struct storm {
    unsigned depth;
    unsigned *alive;
};

static int storm(void *arg)
{
    struct storm *self = arg, below = { self->depth - 1, self->alive };
    unsigned children = self->depth == 0 ? 0 : weft_test_below(4);
    weft_scope s;

    ++*self->alive;
    weft_scope_open(&s, (int)weft_test_below(3));
    if (weft_test_below(3) == 0)
        weft_scope_deadline(&s, weft_after(lot(10)));
    for (unsigned i = 0; i < children; i++)
        assert_int_equal(weft_scope_spawn(&s, storm, &below), 0);
    bool shield = weft_test_below(4) == 0;
    if (shield)
        weft_shield_begin(lot(6));
    int err = weft_test_below(2) ? weft_sleep(lot(10)) : weft_yield();
    if (shield)
        weft_shield_end();
    if (weft_test_below(5) == 0)
        weft_scope_cancel(&s);
    int closed = weft_scope_close(&s);
    --*self->alive;
    return weft_test_below(3) == 0 ? -EIO : err < 0 ? err : closed;
}

static int one_storm(void *arg)
{
    unsigned alive = 0;
    struct storm top = { 4, &alive };
    weft_task *t = spawn(storm, &top);
    (void)arg;

    if (weft_test_below(2)) {
        assert_int_equal(weft_sleep(lot(5)), 0);
        weft_task_cancel(t);
    }
    join(t);
    assert_int_equal(alive, 0);
    return 0;
}

static void nobody_outlives_his_scope(void **state)
{
    (void)state;
    run_seeds(SEEDS, one_storm, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(a_failure_ends_the_scope_at_once),  left_test(a_race_ends_with_its_winner),
        left_test(collect_waits_for_the_last),        left_test(a_deadline_ends_the_scope_on_time),
        left_test(the_nearest_deadline_wins),         left_test(a_grace_ends_on_time),
        left_test(nobody_outlives_his_scope),         left_test(children_move_the_deadline),
        left_test(a_call_ends_when_its_time_is_over), left_test(calls_with_time_outs_nest),
    };
    return wf_test_run(tests);
}
