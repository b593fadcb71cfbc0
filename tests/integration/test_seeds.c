// Test runs by seed: the same seed gives the same schedule, another seed another one;
// and the bugs that this finds.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/seeds.h"

// --- a program with a bit of everything ----------------------------------------------

enum { WORKERS = 6, ROUNDS = 8, LOG_MAX = 1024 };

struct program {
    uint32_t log[LOG_MAX]; // what happened, in order
    unsigned logged;
    weft_future turn[WORKERS]; // each is completed by the worker before, once
    int next;
};

static void note(struct program *p, uint32_t what)
{
    assert_true(p->logged < LOG_MAX);
    p->log[p->logged++] = what;
}

static int until_cut(void *arg)
{
    (void)arg;
    return weft_sleep_until(WEFT_NEVER);
}

static int work(void *arg)
{
    struct program *p = arg;
    int me = p->next++;
    uint32_t head = (uint32_t)me << 16;

    note(p, head);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        if (weft_test_below(2))
            assert_int_equal(weft_sleep(WEFT_MS(weft_test_below(4))), 0);
        else
            assert_int_equal(weft_yield(), 0);
        note(p, head | i);
    }
    weft_future_complete(&p->turn[(me + 1) % WORKERS], me);
    assert_int_equal(weft_await(&p->turn[me], NULL), 0);
    note(p, head | 0xff);
    weft_task *t = spawn(until_cut, NULL);
    weft_task_cancel(t);
    assert_int_equal(join(t), -ECANCELED);
    note(p, head | 0xffff);
    return 0;
}

static int everything(void *arg)
{
    struct program *p = arg;
    weft_scope s;

    *p = (struct program){ .logged = 0 };
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(weft_scope_spawn(&s, work, p), 0);
    assert_int_equal(weft_scope_close(&s), 0);
    return 0;
}

static uint64_t run_everything(uint64_t seed, struct program *p)
{
    assert_int_equal(run_seed(seed, everything, p), 0);
    assert_int_equal(p->logged, WORKERS * (ROUNDS + 3));
    assert_true(weft_test_seed() == seed);
    return weft_test_trace();
}

static bool same_log(const struct program *a, const struct program *b)
{
    return a->logged == b->logged && memcmp(a->log, b->log, a->logged * sizeof(a->log[0])) == 0;
}

static void the_same_seed_takes_the_same_course(void **state)
{
    static struct program a, b;
    (void)state;

    for (uint64_t seed = 1; seed <= wf_test_rounds(50); seed++) {
        uint64_t trace = run_everything(seed, &a);
        assert_true(run_everything(seed, &b) == trace);
        assert_true(same_log(&a, &b));
    }
}

static void another_seed_takes_another_course(void **state)
{
    enum { SEEDS = 100 };
    static struct program p[SEEDS];
    uint64_t trace[SEEDS];
    (void)state;

    for (int i = 0; i < SEEDS; i++) {
        trace[i] = run_everything(wf_test_seed() + (uint64_t)i + 1, &p[i]);
        for (int k = 0; k < i; k++) {
            assert_true(trace[k] != trace[i]);
            assert_false(same_log(&p[k], &p[i]));
        }
    }
}

struct recorded {
    uint64_t traces[8];
    unsigned runs;
};

static int record_everything(void *arg)
{
    static struct program p;
    struct recorded *r = arg;

    int result = everything(&p);
    r->traces[r->runs++] = weft_test_trace();
    return result;
}

static void a_seed_does_not_mind_which_came_before(void **state)
{
    struct recorded all = { .runs = 0 }, one;
    (void)state;

    assert_int_equal(weft_test_seeds(NULL, 5, 8, record_everything, &all), 0);
    assert_int_equal(all.runs, 8);
    for (unsigned i = 0; i < 8; i++) {
        one.runs = 0;
        assert_int_equal(weft_test_seeds(NULL, 5 + i, 1, record_everything, &one), 0);
        assert_true(one.traces[0] == all.traces[i]);
    }
}

enum { THREADS = 4, SEEDS_EACH = 20 };

static void *run_everything_often(void *traces)
{
    struct program *p = malloc(sizeof(*p));

    assert_non_null(p);
    for (uint64_t i = 0; i < SEEDS_EACH; i++)
        ((uint64_t *)traces)[i] = run_everything(i + 1, p);
    free(p);
    return NULL;
}

static void threads_run_tests_beside_each_other(void **state)
{
    uint64_t traces[THREADS][SEEDS_EACH];
    pthread_t threads[THREADS];
    (void)state;

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_everything_often, traces[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 1; i < THREADS; i++)
        assert_memory_equal(traces[i], traces[0], sizeof(traces[0]));
}

// --- what is left when the first task ends -------------------------------------------

enum { LEFT = 1000, LEFT_SEEDS = 10 };

struct leftover {
    unsigned ended;
    uint64_t order; // of the ends
};

static int be_left(void *arg)
{
    struct leftover *l = arg;

    int err = weft_sleep_until(WEFT_NEVER);
    l->ended++;
    l->order = l->order * 31 + weft_task_id(weft_self());
    return err;
}

static int leave_many(void *arg)
{
    struct leftover *l = (struct leftover *)arg + weft_test_seed();
    weft_task *kept;

    for (int i = 0; i < LEFT; i++)
        assert_int_equal(weft_spawn(i % 2 ? &kept : NULL, be_left, l), 0);
    return weft_sleep(weft_test_below(2)); // so that they have begun, or some have not
}

// The same holds if the headers come from other runs, and are in any order.
static void what_is_left_is_cancelled_in_the_same_order(void **state)
{
    struct leftover together[LEFT_SEEDS + 1] = { { 0, 0 } }, alone[LEFT_SEEDS + 1] = { { 0, 0 } };
    (void)state;

    assert_int_equal(weft_test_seeds(NULL, 1, LEFT_SEEDS, leave_many, together), 0);
    for (uint64_t seed = LEFT_SEEDS; seed > 0; seed--) {
        assert_int_equal(weft_test_seeds(NULL, seed, 1, leave_many, alone), 0);
        assert_int_equal(together[seed].ended, LEFT);
        assert_true(together[seed].order == alone[seed].order);
    }
}

static int leave_a_few(void *arg)
{
    weft_task *t;
    (void)arg;

    assert_int_equal(weft_task_id(weft_self()), 1);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(weft_spawn(&t, until_cut, NULL), 0); // the handle is never given back
        assert_int_equal(weft_task_id(t), 2 + i);
    }
    return weft_sleep(1);
}

static void a_run_leaves_nothing_behind(void **state)
{
    (void)state;
    run_seeds(20000, leave_a_few, NULL);
    for (unsigned i = 0; i < wf_test_rounds(300); i++)
        assert_int_equal(run_seed(i + 1, leave_a_few, NULL), 0);
}

// --- any order can be ----------------------------------------------------------------

struct order {
    int ended[4], n;
};

static int end_now(void *arg)
{
    struct order *o = ((struct order **)arg)[0];
    o->ended[o->n++] = (int)((intptr_t *)arg)[1];
    return 0;
}

static unsigned orders_seen;

static int end_in_any_order(void *arg)
{
    struct order o = { .n = 0 };
    weft_task *tasks[4];
    struct {
        struct order *o;
        intptr_t number;
    } args[4];
    int rank = 0;
    (void)arg;

    for (intptr_t i = 0; i < 4; i++) {
        args[i].o = &o;
        args[i].number = i;
        tasks[i] = spawn(end_now, &args[i]);
    }
    for (int i = 0; i < 4; i++)
        join(tasks[i]);
    for (int i = 0; i < 4; i++) { // the number of the permutation
        int smaller = 0;
        for (int k = i + 1; k < 4; k++)
            smaller += o.ended[k] < o.ended[i];
        rank = rank * (4 - i) + smaller;
    }
    orders_seen |= 1u << rank;
    return 0;
}

static void every_order_of_four_tasks_comes_up(void **state)
{
    (void)state;
    orders_seen = 0;
    assert_int_equal(weft_test_seeds(NULL, wf_test_seed(), 2000, end_in_any_order, NULL), 0);
    assert_int_equal(orders_seen, (1u << 24) - 1);
}

enum { CROWD = 3000 };

static int count_up(void *arg)
{
    ++*(int *)arg;
    return weft_yield();
}

static int crowd(void *arg)
{
    static weft_task *tasks[CROWD];
    int count = 0;
    (void)arg;

    for (int i = 0; i < CROWD; i++)
        tasks[i] = spawn(count_up, &count);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(join(tasks[i]), 0);
    assert_int_equal(count, CROWD);
    return 0;
}

static void there_is_room_for_any_number(void **state)
{
    uint64_t trace;
    (void)state;

    assert_int_equal(run_seed(77, crowd, NULL), 0);
    trace = weft_test_trace();
    assert_int_equal(run_seed(77, crowd, NULL), 0);
    assert_true(weft_test_trace() == trace);
}

// --- planted mistakes ----------------------------------------------------------------

struct counter {
    int value;
    weft_future open; // completed
    weft_task *tasks[5];
    int steps[5]; // of walk
    int next;
};

static int add_with_a_yield_between(void *arg)
{
    struct counter *c = arg;
    int seen = c->value;

    weft_yield();
    c->value = seen + 1;
    return 0;
}

static int add_with_a_call_between(void *arg)
{
    struct counter *c = arg;
    int seen = c->value;

    weft_await(&c->open, NULL); // need not park, but may let others go first
    c->value = seen + 1;
    return 0;
}

static int add_soundly(void *arg)
{
    struct counter *c = arg;

    weft_await(&c->open, NULL);
    c->value++;
    weft_yield();
    return 0;
}

static int add_twice(void *arg)
{
    struct counter c = { .value = 0, .open = WEFT_FUTURE_INIT };

    weft_future_complete(&c.open, 0);
    for (int i = 0; i < 2; i++)
        c.tasks[i] = spawn(*(weft_fn **)arg, &c);
    for (int i = 0; i < 2; i++)
        join(c.tasks[i]);
    return c.value == 2 ? 0 : -EIO;
}

enum { WALKERS = 5, STEPS = 20 };

// walk notes if the others have ended while one has hardly begun.
static int walk(void *arg)
{
    struct counter *c = arg;
    int me = c->next++, ended = 0, behind = 0;

    while (++c->steps[me] < STEPS)
        weft_yield();
    for (int i = 0; i < WALKERS; i++) {
        ended += c->steps[i] == STEPS;
        behind += c->steps[i] <= 1;
    }
    c->value |= ended == WALKERS - 1 && behind == 1;
    return 0;
}

static int leave_one_behind(void *arg)
{
    struct counter c = { .value = 0 };
    (void)arg;

    for (int i = 0; i < WALKERS; i++)
        c.tasks[i] = spawn(walk, &c);
    for (int i = 0; i < WALKERS; i++)
        join(c.tasks[i]);
    return c.value ? -EIO : 0;
}

static void find(weft_fn *fn, void *arg, unsigned within)
{
    int result = weft_test_seeds(NULL, wf_test_seed(), within, fn, arg);

    assert_int_equal(result, -EIO);
    assert_int_equal(run_seed(weft_test_seed(), fn, arg), -EIO); // and by its seed it comes again
}

// --- locks in the wrong order --------------------------------------------------------

struct locks {
    weft_mutex first, second;
};

static int lock_in_order(void *arg)
{
    struct locks *l = arg;
    int err = weft_mutex_lock(&l->first);

    if (err)
        return err;
    err = weft_mutex_lock(&l->second);
    if (!err)
        weft_mutex_unlock(&l->second);
    weft_mutex_unlock(&l->first);
    return err;
}

static int lock_in_disorder(void *arg)
{
    struct locks *l = arg;
    int err = weft_mutex_lock(&l->second);

    if (err)
        return err;
    err = weft_mutex_lock(&l->first);
    if (!err)
        weft_mutex_unlock(&l->first);
    weft_mutex_unlock(&l->second);
    return err;
}

static int lock_both_ways(void *arg)
{
    struct locks l = { WEFT_MUTEX_INIT, WEFT_MUTEX_INIT };
    weft_scope s;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    assert_int_equal(weft_scope_spawn(&s, lock_in_order, &l), 0);
    assert_int_equal(weft_scope_spawn(&s, *(weft_fn **)arg, &l), 0);
    return weft_scope_close(&s);
}

// None of the calls has to wait, unless another task comes between: which it does.
static void locks_in_the_wrong_order_are_found(void *arg)
{
    weft_fn *wrong = lock_in_disorder, *right = lock_in_order;
    (void)arg;

    assert_int_equal(weft_test_seeds(NULL, wf_test_seed(), 300, lock_both_ways, (void *)&wrong), -EDEADLK);
    assert_int_equal(weft_test_seeds(NULL, wf_test_seed(), 300, lock_both_ways, (void *)&right), 0);
}

static void a_deadlock_is_found_and_says_who_waits_for_what(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, locks_in_the_wrong_order_are_found, NULL);
    child_expect_exit(&c, 0);
    child_expect_said(&c, "weft: deadlock: all tasks are parked");
    child_expect_said(&c, "  task 1: parked, waits for scope ");
    child_expect_said(&c, "  task 2: parked, waits for mutex ");
    child_expect_said(&c, "  task 3: parked, waits for mutex ");
}

static void a_lost_update_is_found(void **state)
{
    weft_fn *yields = add_with_a_yield_between, *calls = add_with_a_call_between, *sound = add_soundly;
    (void)state;

    find(add_twice, (void *)&yields, 100);
    find(add_twice, (void *)&calls, 300);
    run_seeds(2000, add_twice, (void *)&sound);
}

static void a_task_that_is_far_behind_is_found(void **state)
{
    (void)state;
    find(leave_one_behind, NULL, 20000);
}

// --- the failing seed is named -------------------------------------------------------

static int fail_at_103(void *arg)
{
    (void)arg;
    return weft_test_seed() == 103 ? -EPIPE : 7;
}

static void run_to_103(void *arg)
{
    (void)arg;
    assert_int_equal(weft_test_seeds(NULL, 100, 10, fail_at_103, NULL), -EPIPE);
    assert_int_equal(weft_test_seed(), 103);
    assert_int_equal(weft_test_seeds(NULL, 104, 10, fail_at_103, NULL), 0);
    assert_int_equal(weft_test_run(NULL, fail_at_103, NULL), 7);
}

static int fail_always(void *arg)
{
    (void)arg;
    return -EDOM;
}

static void run_unnamed(void *arg)
{
    weft_test_config cfg = WEFT_TEST_CONFIG_INIT;
    (void)arg;

    cfg.seed = 55;
    assert_int_equal(weft_test_run(&cfg, fail_always, NULL), -EDOM);
    assert_int_equal(weft_test_seed(), 55);
    fprintf(stderr, "so far\n");
    assert_int_equal(weft_test_run(NULL, fail_always, NULL), -EDOM);
    fprintf(stderr, "it was 0x%llx\n", (unsigned long long)weft_test_seed());
}

static void the_first_seed_that_fails_is_named(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, run_to_103, NULL);
    child_expect_exit(&c, 0);
    child_expect_said(&c,
                      "weft: a test run returned -32 (Broken pipe) under seed 0x67; WEFT_SEED=0x67 runs it again\n");
}

static void a_seed_that_the_caller_chose_is_not(void **state)
{
    unsigned long long named, was;
    struct child c;
    (void)state;

    child_run(&c, run_unnamed, NULL);
    child_expect_exit(&c, 0);
    assert_int_equal(strncmp(c.said, "so far\n", 7), 0);
    const char *line = strstr(c.said, "WEFT_SEED="), *it_was = strstr(c.said, "it was ");
    assert_non_null(line);
    assert_non_null(it_was);
    assert_int_equal(sscanf(line, "WEFT_SEED=%llx", &named), 1);
    assert_int_equal(sscanf(it_was, "it was %llx", &was), 1);
    assert_true(named == was);
}

static void run_environment(void *arg)
{
    (void)arg;
    setenv("WEFT_SEED", "0x67", 1);
    assert_int_equal(weft_test_run(NULL, fail_at_103, NULL), -EPIPE);
    assert_int_equal(weft_test_seeds(NULL, 1, 1, fail_at_103, NULL), -EPIPE);
    assert_int_equal(weft_test_seed(), 103);
    setenv("WEFT_SEED", "102", 1);
    assert_int_equal(weft_test_seeds(NULL, 100, 10, fail_at_103, NULL), 0);
    assert_int_equal(weft_test_seed(), 102);
}

static void the_environment_chooses_one_seed(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, run_environment, NULL);
    child_expect_exit(&c, 0);
}

static int abort_at_40(void *arg)
{
    (void)arg;
    weft_yield();
    if (weft_test_seed() == 40)
        abort();
    return 0;
}

static void run_to_abort(void *arg)
{
    (void)arg;
    (void)weft_test_seeds(NULL, 1, 100, abort_at_40, NULL);
}

static volatile sig_atomic_t abort_handled;

static void handle_abort(int sig)
{
    (void)sig;
    static const char said[] = "and the program's own handler ran\n";
    abort_handled = write(STDERR_FILENO, said, sizeof(said) - 1) > 0;
}

static void run_to_abort_with_handler(void *arg)
{
    signal(SIGABRT, handle_abort);
    run_to_abort(arg);
}

static void a_run_that_aborts_is_named(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, run_to_abort, NULL);
    child_expect_signal(&c, SIGABRT);
    child_expect_said(&c, "weft: the program aborts under seed 0x28; WEFT_SEED=0x28 runs it again\n");
    child_run(&c, run_to_abort_with_handler, NULL);
    child_expect_signal(&c, SIGABRT);
    child_expect_said(&c, "under seed 0x28;");
    child_expect_said(&c, "and the program's own handler ran\n");
}

static void the_program_gets_its_signals_back(void **state)
{
    struct sigaction before, after;
    sigset_t blocked, still;
    (void)state;

    sigaction(SIGABRT, NULL, &before);
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_int_equal(run_seed(1, leave_a_few, NULL), 0);
    sigaction(SIGABRT, NULL, &after);
    pthread_sigmask(SIG_SETMASK, NULL, &still);
    assert_ptr_equal(before.sa_handler, after.sa_handler);
    for (int sig = 1; sig < SIGRTMAX; sig++)
        assert_int_equal(sigismember(&blocked, sig), sigismember(&still, sig));
}

// --- the record ----------------------------------------------------------------------

struct record {
    uint64_t ids[LOG_MAX];
    weft_time when[LOG_MAX];
    unsigned n;
    bool named;
};

static void record_turn(void *arg, const weft_task *next)
{
    struct record *r = arg;

    if (r->n < LOG_MAX) {
        r->ids[r->n] = weft_task_id(next);
        r->when[r->n++] = weft_now();
    }
    r->named |= strcmp(weft_task_name(next), "sleeper") == 0;
}

static int sleep_twice(void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;
    (void)arg;

    opts.name = "sleeper";
    assert_int_equal(weft_spawn_with(&t, &opts, until_cut, NULL), 0);
    assert_int_equal(weft_sleep(WEFT_S(5)), 0);
    weft_task_cancel(t);
    return join(t);
}

static void each_turn_is_told(void **state)
{
    weft_test_config cfg = WEFT_TEST_CONFIG_INIT;
    (void)state;

    cfg.turn = record_turn;
    for (cfg.seed = 1; cfg.seed <= 20; cfg.seed++) {
        struct record r = { .n = 0 };
        unsigned of[3] = { 0 };
        cfg.turn_arg = &r;
        assert_int_equal(weft_test_run(&cfg, sleep_twice, NULL), -ECANCELED);
        assert_int_equal(r.ids[0], 1);
        assert_int_equal(r.when[0], WEFT_TEST_START);
        for (unsigned i = 0; i < r.n; i++) {
            assert_true(r.ids[i] == 1 || r.ids[i] == 2);
            assert_true(i == 0 || r.when[i - 1] <= r.when[i]);
            of[r.ids[i]]++;
        }
        assert_true(of[1] >= 3); // begins, wakes up, has joined
        assert_true(of[2] >= 2); // begins, is cancelled
        assert_int_equal(r.ids[r.n - 1], 1);
        assert_int_equal(r.when[r.n - 1], WEFT_TEST_START + WEFT_S(5));
        assert_true(r.named);
    }
}

// --- the test's own choices ----------------------------------------------------------

static int draw_numbers(void *arg)
{
    uint32_t *drawn = arg;

    for (int i = 0; i < 100; i++) {
        drawn[i] = weft_test_below(1000);
        assert_true(drawn[i] < 1000);
        if (i % 7 == 0)
            weft_yield();
    }
    assert_int_equal(weft_test_below(1), 0);
    return 0;
}

static void a_seed_fixes_the_numbers_that_are_drawn(void **state)
{
    uint32_t a[100], b[100], c[100];
    (void)state;

    assert_int_equal(run_seed(8, draw_numbers, a), 0);
    assert_int_equal(run_seed(8, draw_numbers, b), 0);
    assert_int_equal(run_seed(9, draw_numbers, c), 0);
    assert_memory_equal(a, b, sizeof(a));
    assert_true(memcmp(a, c, sizeof(a)) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        left_test(the_same_seed_takes_the_same_course),
        left_test(another_seed_takes_another_course),
        left_test(a_seed_does_not_mind_which_came_before),
        left_test(threads_run_tests_beside_each_other),
        left_test(what_is_left_is_cancelled_in_the_same_order),
        left_test(a_run_leaves_nothing_behind),
        left_test(every_order_of_four_tasks_comes_up),
        left_test(there_is_room_for_any_number),
        left_test(a_lost_update_is_found),
        left_test(a_task_that_is_far_behind_is_found),
        left_test(a_deadlock_is_found_and_says_who_waits_for_what),
        left_test(the_first_seed_that_fails_is_named),
        left_test(a_seed_that_the_caller_chose_is_not),
        left_test(the_environment_chooses_one_seed),
        left_test(a_run_that_aborts_is_named),
        left_test(the_program_gets_its_signals_back),
        left_test(each_turn_is_told),
        left_test(a_seed_fixes_the_numbers_that_are_drawn),
    };
    return wf_test_run(tests);
}
