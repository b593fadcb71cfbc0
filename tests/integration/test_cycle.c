// A deadlock is found, and told of with what each task waits for; nothing else is.
#include <pthread.h>

#include "base/atomic.h"
#include "tests/support/child.h"
#include "tests/support/left.h"
#include "tests/support/tasks.h"

static weft_task *spawn_named(const char *name, weft_fn *fn, void *arg)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;

    opts.name = name;
    assert_int_equal(weft_spawn_with(&t, &opts, fn, arg), 0);
    return t;
}

static bool dump_says(const char *words)
{
    enum { ROOM = 1 << 18 };
    char *text = malloc(ROOM);
    int fd = memfd_create("dump", MFD_CLOEXEC);

    assert_non_null(text);
    weft_rt_dump(weft_rt_current(), fd);
    ssize_t n = pread(fd, text, ROOM - 1, 0);
    assert_true(n > 0);
    text[n] = 0;
    bool said = strstr(text, words);
    close(fd);
    free(text);
    return said;
}

// expect_dump waits until the dump says so.
static void expect_dump(const char *words)
{
    while (!dump_says(words))
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
}

// --- two locks -----------------------------------------------------------------------

struct locks {
    weft_mutex mutex[2];
    weft_latch both; // each has the first one
    bool timed;      // a deadline ends it
};

struct order {
    struct locks *locks;
    int first;
};

__attribute__((noinline)) static int lock_second(struct order *o)
{
    int err = weft_mutex_lock(&o->locks->mutex[1 - o->first]);

    if (!err)
        weft_mutex_unlock(&o->locks->mutex[1 - o->first]);
    return err;
}

static int lock_second_in_time(struct order *o)
{
    weft_scope s;

    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_scope_deadline(&s, weft_after(WEFT_S(3600)));
    int err = lock_second(o);
    weft_scope_cancel(&s);
    (void)weft_scope_close(&s);
    return err;
}

static int lock_both(void *arg)
{
    struct order *o = arg;

    assert_int_equal(weft_mutex_lock(&o->locks->mutex[o->first]), 0);
    weft_latch_count_down(&o->locks->both, 1);
    assert_int_equal(weft_latch_wait(&o->locks->both), 0);
    int err = o->locks->timed ? lock_second_in_time(o) : lock_second(o);
    weft_mutex_unlock(&o->locks->mutex[o->first]);
    return err;
}

// embrace has two tasks lock each other out, and cancels them when `fn` has returned.
static int embrace(bool timed, void (*fn)(weft_task *a, weft_task *b, struct locks *))
{
    struct locks locks = { .mutex = { WEFT_MUTEX_INIT, WEFT_MUTEX_INIT }, .both = WEFT_LATCH_INIT(2), .timed = timed };
    struct order order[2] = { { &locks, 0 }, { &locks, 1 } };
    weft_task *a = spawn_named("a", lock_both, &order[0]), *b = spawn_named("b", lock_both, &order[1]);

    fn(a, b, &locks);
    weft_task_cancel(a);
    assert_int_equal(join(a), -ECANCELED);
    return join(b);
}

static void expect_embrace(weft_task *a, weft_task *b, struct locks *locks)
{
    unsigned long long id[2] = { weft_task_id(a), weft_task_id(b) };
    char words[256];

    for (int i = 0; i < 2; i++) {
        snprintf(words, sizeof(words), " waits for mutex %#llx, held by task %llu '%c'",
                 (unsigned long long)(uintptr_t)&locks->mutex[1 - i], id[1 - i], "ba"[i]);
        expect_dump(words);
    }
    expect_dump("\nweft: deadlock: task ");
    expect_dump(",\n    which waits for mutex ");
}

static int see_two_locks(void *arg)
{
    (void)arg;
    return embrace(false, expect_embrace);
}

static void two_that_lock_each_other_out_are_in_the_dump(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(see_two_locks, NULL), 0);
}

static void expect_none(weft_task *a, weft_task *b, struct locks *locks)
{
    (void)locks;
    (void)a;
    (void)b;
    expect_dump("'a': parked, waits for mutex");
    expect_dump("'b': parked, waits for mutex");
    assert_false(dump_says("deadlock"));
}

static int see_timed_locks(void *arg)
{
    (void)arg;
    return embrace(true, expect_none);
}

static void two_that_a_deadline_frees_are_not(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(see_timed_locks, NULL), 0);
}

// --- joins and scopes ----------------------------------------------------------------

static int join_it(void *arg)
{
    weft_task **other = arg;
    int err = weft_join(*other, NULL);

    if (err)
        weft_detach(*other);
    return err;
}

// await_all waits until this task is the only one.
static void await_all(void)
{
    weft_metrics m = WEFT_METRICS_INIT;

    for (;;) {
        assert_int_equal(weft_rt_metrics(weft_rt_current(), &m), 0);
        if (m.spawned - m.ended == 1)
            return;
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    }
}

static int see_joins(void *arg)
{
    weft_task *t[3];
    (void)arg;

    for (int i = 0; i < 3; i++) // none of them runs before all are there: there is one worker
        t[i] = spawn_named("ring", join_it, &t[(i + 1) % 3]);
    expect_dump("'ring' waits for the end of task ");
    expect_dump("    which waits for the end of task ");
    weft_task_cancel(t[0]);
    await_all();
    return 0;
}

static void three_that_join_each_other_are_in_the_dump(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;

    cfg.workers = 1;
    assert_int_equal(weft_run(&cfg, see_joins, NULL), 0);
}

static int join_opener(void *opener)
{
    int err = weft_join(opener, NULL);
    assert_int_equal(err, -ECANCELED);
    return err;
}

static int close_over_joiner(void *arg)
{
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    assert_int_equal(weft_scope_spawn(&s, join_opener, weft_self()), 0);
    return weft_scope_close(&s);
}

static int see_scope(void *arg)
{
    weft_task *t = spawn_named("opener", close_over_joiner, arg);

    expect_dump("which waits for ");
    expect_dump(" 'opener'");
    weft_task_cancel(t);
    while (!weft_task_done(t)) // the child has the handle until then
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    assert_int_equal(join(t), -ECANCELED);
    return 0;
}

static void a_child_that_joins_its_opener_is_in_the_dump(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(see_scope, NULL), 0);
}

// --- in an ordinary run --------------------------------------------------------------

// read_report reads what was written to stderr, which is a memfd.
static ssize_t read_report(char *text, size_t room)
{
    ssize_t n = pread(STDERR_FILENO, text, room - 1, 0);

    assert_true(n >= 0);
    text[n] = 0;
    return n;
}

// sleep_on waits for the report, and then until one more would have come.
static void sleep_on(weft_task *a, weft_task *b, struct locks *locks)
{
    char text[4096] = "";
    (void)a;
    (void)b;
    (void)locks;

    while (!strstr(text, "weft: deadlock")) {
        assert_int_equal(weft_sleep(WEFT_MS(100)), 0);
        read_report(text, sizeof(text));
    }
    assert_int_equal(weft_sleep(WEFT_MS(2500)), 0);
}

static int hang_for_long(void *arg)
{
    (void)arg;
    return embrace(false, sleep_on);
}

static void hang_in_child(void *arg)
{
    char text[4096];
    int out = dup(STDERR_FILENO), report = memfd_create("report", MFD_CLOEXEC);
    (void)arg;

    assert_int_equal(dup2(report, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(weft_run(NULL, hang_for_long, NULL), 0);
    ssize_t n = read_report(text, sizeof(text));
    assert_int_equal(write(out, text, (size_t)n), n);
}

static void a_deadlock_is_reported_once_without_being_asked(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, hang_in_child, NULL);
    child_expect_exit(&c, 0);
    const char *at = strstr(c.said, "weft: deadlock: task ");
    if (!at || strstr(at + 1, "weft: deadlock"))
        fail_msg("it said: %s", c.said);
    child_expect_said(&c, " waits for mutex 0x");
    child_expect_said(&c, ",\n    which waits for mutex 0x");
#ifndef WF_ARCH_UCONTEXT
    child_expect_said(&c, "\n    lock_second+0x");
#endif
}

// --- what must not be taken for one -------------------------------------------------------------

enum { STORMERS = 12, LOCKS = 3 };

struct storm {
    weft_mutex mutex[LOCKS];
    _Atomic bool enough;
    weft_rt *rt;
    int fd;
};

// storm_on takes the locks in one order, so there is never a deadlock; but each is passed
// on all the time.
static int storm_on(void *arg)
{
    struct storm *s = arg;

    for (unsigned i = 0; !wf_load_relaxed(&s->enough); i++) { // relaxed: a flag
        for (unsigned l = i % 2; l < LOCKS; l++)
            assert_int_equal(weft_mutex_lock(&s->mutex[l]), 0);
        if (i % 3 == 0)
            assert_int_equal(weft_yield(), 0);
        for (unsigned l = i % 2; l < LOCKS; l++)
            weft_mutex_unlock(&s->mutex[l]);
    }
    return 0;
}

// turn_around takes them in turns, the next one when the last one is let go: the holders
// form circles again and again, at no one moment.
static int turn_around(void *arg)
{
    struct storm *s = arg;

    for (unsigned i = 0; !wf_load_relaxed(&s->enough); i++) { // relaxed: a flag
        assert_int_equal(weft_mutex_lock(&s->mutex[i % LOCKS]), 0);
        if (i % 5 == 0)
            assert_int_equal(weft_yield(), 0);
        weft_mutex_unlock(&s->mutex[i % LOCKS]);
    }
    return 0;
}

static void *dump_often(void *arg)
{
    enum { ROOM = 1 << 16 };
    struct storm *s = arg;
    char *text = malloc(ROOM);

    assert_non_null(text);
    for (unsigned i = 0; i < wf_test_rounds(1000); i++) {
        assert_int_equal(ftruncate(s->fd, 0), 0);
        assert_int_equal(lseek(s->fd, 0, SEEK_SET), 0);
        weft_rt_dump(s->rt, s->fd);
        ssize_t n = pread(s->fd, text, ROOM - 1, 0);
        assert_true(n > 0);
        text[n] = 0;
        if (strstr(text, "deadlock"))
            fail_msg("there is none: %s", text);
    }
    wf_store_relaxed(&s->enough, true); // relaxed: a flag
    free(text);
    return NULL;
}

static int storm(void *arg)
{
    struct storm s = { .mutex = { WEFT_MUTEX_INIT, WEFT_MUTEX_INIT, WEFT_MUTEX_INIT }, .rt = weft_rt_current() };
    weft_task *t[STORMERS];
    pthread_t thread;
    (void)arg;

    s.fd = memfd_create("dump", MFD_CLOEXEC);
    for (int i = 0; i < STORMERS; i++)
        t[i] = spawn(i % 2 ? storm_on : turn_around, &s);
    assert_int_equal(pthread_create(&thread, NULL, dump_often, &s), 0);
    for (int i = 0; i < STORMERS; i++)
        assert_int_equal(join(t[i]), 0);
    pthread_join(thread, NULL);
    close(s.fd);
    return 0;
}

static void a_storm_of_locks_is_no_deadlock(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;

    cfg.workers = 4;
    assert_int_equal(weft_run(&cfg, storm, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_that_lock_each_other_out_are_in_the_dump),
        cmocka_unit_test(two_that_a_deadline_frees_are_not),
        cmocka_unit_test(three_that_join_each_other_are_in_the_dump),
        cmocka_unit_test(a_child_that_joins_its_opener_is_in_the_dump),
        cmocka_unit_test(a_deadlock_is_reported_once_without_being_asked),
        cmocka_unit_test(a_storm_of_locks_is_no_deadlock),
    };
    return wf_test_run(tests);
}
