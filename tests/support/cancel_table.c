#include "tests/support/cancel_table.h"

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <weft/test.h>

#include "tests/support/left.h"
#include "tests/support/lanes.h"
#include "tests/support/tasks.h"

enum { ROUNDS = 50, ROUNDS_IF_SLOW = 5, SEEDS = 100, SPIN_MAX = 2000, SLEEP_MAX_US = 200, EITHER_WAY_US = 100 };

static const char *const mode_names[CANCEL_MODES] = {
    "not started", "parked",   "completed",        "racing with completion",
    "shielded",    "deadline", "parent cancelled", "starved",
};

// What the subject does, and tells.
struct subject {
    struct cancel_case *c;
    weft_task *task;
    weft_future spawned;   // PARENT: `task` is there
    weft_future cancelled; // SHIELDED: so it is
    int result;
    int after;    // SHIELDED: what the call after the shield said
    int of_scope; // DEADLINE, PARENT: what closing the scope said
};

static unsigned completed, cut; // outcomes of races
static const char *now_row, *now_mode;

// --- the subject ---------------------------------------------------------------------

static void call(struct subject *s)
{
    s->result = s->c->row->call(s->c);
    wf_store_release(&s->c->ended, true); // release: to a reader of `ended`
}

static int subject(void *arg)
{
    struct subject *s = arg;

    if (s->c->mode == NOT_STARTED)
        weft_task_cancel(weft_self());
    call(s);
    return 0;
}

static int subject_shielded(void *arg)
{
    struct subject *s = arg;

    weft_shield_begin(WEFT_NEVER);
    call(s);
    assert_int_equal(weft_await(&s->cancelled, NULL), 0);
    weft_shield_end();
    s->after = weft_yield();
    return 0;
}

// Only a library with fault injection has it (base/mem.h).
__attribute__((weak)) extern void wf_mem_fail_at(long n, bool and_all_later);

static int subject_starved(void *arg)
{
    struct subject *s = arg;

    wf_mem_fail_at(0, false);
    assert_true(weft_cancelled());
    weft_shield_begin(WEFT_NEVER); // which does not help
    call(s);
    weft_shield_end();
    assert_true(weft_cancelled());
    return weft_yield();
}

static int subject_with_deadline(void *arg)
{
    struct subject *s = arg;
    weft_scope scope;

    weft_scope_open(&scope, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&scope, weft_after(WEFT_MS(1)));
    call(s);
    while (weft_sleep(WEFT_NEVER) != -ETIMEDOUT)
        ;
    s->of_scope = weft_scope_close(&scope);
    return weft_yield();
}

// A parent whose child is the subject.
static int parent(void *arg)
{
    struct subject *s = arg;
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    weft_scope scope;

    weft_scope_open(&scope, WEFT_SCOPE_FAIL_FAST);
    o.scope = &scope;
    assert_int_equal(weft_spawn_with(&s->task, &o, subject, s), 0);
    weft_future_complete(&s->spawned, 0);
    s->of_scope = weft_scope_close(&scope);
    return weft_yield();
}

// --- waiting for it ------------------------------------------------------------------

// shows tells whether the dump has a line on `t`: parked in `what`, and as a task that
// is to look whether it is cancelled, if `marked`.
static bool shows(weft_task *t, const char *what, bool marked)
{
    enum { ROOM = 1 << 16 }; // few tasks are alive
    char begin[128], *text = malloc(ROOM);
    int dump = memfd_create("dump", MFD_CLOEXEC);

    assert_true(text && dump >= 0);
    weft_rt_dump(weft_rt_current(), dump);
    ssize_t n = pread(dump, text, ROOM - 1, 0);
    assert_true(n >= 0 && n < ROOM - 1);
    text[n] = 0;
    close(dump);
    int length = snprintf(begin, sizeof(begin), "task %llu: parked, waits for %s", (unsigned long long)weft_task_id(t),
                          what);
    char *line = strstr(text, begin);
    if (line && !strchr(" ,", line[length]))
        line = NULL;
    if (line)
        *strchrnul(line, '\n') = 0;
    bool found = line && (!marked || strstr(line, "(cancelled)"));
    free(text);
    return found;
}

void cancel_await_parked(weft_task *t, const char *what)
{
    while (!weft_task_done(t) && !shows(t, what, false))
        assert_int_equal(weft_sleep(WEFT_US(50)), 0);
}

// await_shown waits until the subject is parked in its call, or has left it, as a wait
// for time may on a slow machine.
static void await_shown(struct subject *s, bool marked)
{
    // acquire: from call
    while (!wf_load_acquire(&s->c->ended) && !shows(s->task, s->c->row->what, marked))
        assert_int_equal(weft_sleep(WEFT_US(50)), 0);
}

static void await_flag(_Atomic bool *flag)
{
    while (!wf_load_acquire(flag)) // acquire: from the store in the other task
        assert_int_equal(weft_yield(), 0);
}

static void await_parked(struct subject *s)
{
    if (s->c->row->what)
        await_shown(s, false);
    else
        await_flag(&s->c->begun);
    if (s->c->row->follow)
        s->c->row->follow(s->c);
}

// await_still_parked waits until the subject has met a cancel, and goes on waiting.
static void await_still_parked(struct subject *s)
{
    if (s->c->row->what)
        await_shown(s, true);
}

// --- the modes -----------------------------------------------------------------------

static void start(struct subject *s, weft_fn *fn)
{
    s->task = spawn(fn, s);
}

static void complete(struct subject *s)
{
    s->c->row->complete(s->c);
}

// end_cut is the end of a subject that was cancelled with `err`, and then of the case.
static void end_cut(struct subject *s, int err)
{
    const struct cancel_row *row = s->c->row;

    if (row->waits) {
        await_still_parked(s);
        complete(s);
        assert_int_equal(join(s->task), 0);
        assert_true(s->result >= 0 || s->result == err);
        return;
    }
    assert_int_equal(join(s->task), 0);
    assert_int_equal(s->result, err);
    if (row->freed)
        row->freed(s->c);
    complete(s);
}

static void not_started(struct subject *s)
{
    if (s->c->row->follow)
        s->c->row->follow(s->c);
    complete(s);
    start(s, subject);
    assert_int_equal(join(s->task), 0);
    assert_int_equal(s->result, -ECANCELED);
}

static void parked(struct subject *s)
{
    start(s, subject);
    await_parked(s);
    weft_task_cancel(s->task);
    end_cut(s, -ECANCELED);
}

static void completed_first(struct subject *s)
{
    start(s, subject);
    await_parked(s);
    complete(s);
    weft_task_cancel(s->task);
    assert_int_equal(join(s->task), 0);
    assert_true(s->result >= 0);
}

static void shielded(struct subject *s)
{
    weft_future_init(&s->cancelled);
    start(s, subject_shielded);
    await_parked(s);
    weft_task_cancel(s->task);
    weft_future_complete(&s->cancelled, 0);
    await_still_parked(s);
    complete(s);
    assert_int_equal(join(s->task), 0);
    assert_true(s->result >= 0);
    assert_int_equal(s->after, -ECANCELED);
}

static void with_deadline(struct subject *s)
{
    start(s, subject_with_deadline);
    await_parked(s);
    end_cut(s, -ETIMEDOUT);
    assert_int_equal(s->of_scope, -ETIMEDOUT);
}

static void parent_cancelled(struct subject *s)
{
    weft_future_init(&s->spawned);
    weft_task *p = spawn(parent, s);
    assert_int_equal(weft_await(&s->spawned, NULL), 0);
    await_parked(s);
    weft_task_cancel(p);
    end_cut(s, -ECANCELED);
    assert_int_equal(join(p), -ECANCELED);
    assert_int_equal(s->of_scope, -ECANCELED);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

// starved: no other task has a stack of this size, so there is none in a pool.
static void starved(struct subject *s)
{
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    int err;

    o.stack_size = 16 << 10;
    if (s->c->row->follow)
        s->c->row->follow(s->c);
    complete(s);
    do {
        wf_mem_fail_at(0, false);
        assert_int_equal(join(spawn(nothing, NULL)), 0); // so there is a header
        wf_mem_fail_at(1, true);
        err = weft_spawn_with(&s->task, &o, subject_starved, s);
    } while (err == -ENOMEM);
    assert_int_equal(err, 0);
    assert_int_equal(join(s->task), -ENOMEM);
    assert_int_equal(s->result, -ENOMEM);
}

// --- the race ------------------------------------------------------------------------

// A pause of one of the two, before it cancels or completes. On one worker, a yield or
// a sleep decides the order; to a call on a descriptor, only a sleep leaves time to
// hear of it from the kernel before the cancel.
struct pause {
    enum { SPIN, YIELD, SLEEP, PAUSES } kind;
    unsigned spin;
    weft_time sleep;
};

static struct pause draw_pause(struct wf_test_rand *r)
{
    struct pause p = { .kind = wf_test_below(r, PAUSES) };

    p.spin = wf_test_below(r, SPIN_MAX);
    p.sleep = WEFT_US(wf_test_below(r, SLEEP_MAX_US));
    return p;
}

static void pause_for(const struct pause *p)
{
    if (p->kind == YIELD)
        assert_int_equal(weft_yield(), 0);
    else if (p->kind == SLEEP)
        assert_int_equal(weft_sleep(p->sleep), 0);
    for (volatile unsigned i = 0; i < p->spin; i++)
        ;
}

struct canceller {
    struct subject *s;
    _Atomic bool ready, go;
    struct pause pause;
    weft_time early; // for a call that ends by itself: how much earlier it is cancelled
};

static int cancel_some_time(void *arg)
{
    struct canceller *k = arg;

    wf_store_release(&k->ready, true); // release: to race
    await_flag(&k->go);
    if (k->s->c->when)
        assert_int_equal(weft_sleep_until(k->s->c->when - k->early), 0);
    else
        pause_for(&k->pause);
    weft_task_cancel(k->s->task);
    return 0;
}

static void race(struct subject *s, struct wf_test_rand *r)
{
    struct canceller k = { .s = s, .pause = draw_pause(r) };
    struct pause pause = draw_pause(r);

    k.early = WEFT_US((int)wf_test_below(r, 2 * EITHER_WAY_US) - EITHER_WAY_US);
    start(s, subject);
    if (wf_test_below(r, 4) > 0 || s->c->row->follow)
        await_parked(s);
    weft_task *t = spawn(cancel_some_time, &k);
    await_flag(&k.ready);
    wf_store_release(&k.go, true); // release: to cancel_some_time
    pause_for(&pause);
    complete(s);
    assert_int_equal(join(t), 0);
    assert_int_equal(join(s->task), 0);
    if (s->result < 0)
        assert_int_equal(s->result, -ECANCELED);
    completed += s->result >= 0;
    cut += s->result < 0;
}

// --- all of it -----------------------------------------------------------------------

typedef void mode_fn(struct subject *s);

// count_fds leaves out files of /proc: a worker keeps one, and opens it when its thread
// begins, which may be later than the first case.
static unsigned count_fds(void)
{
    unsigned n = 0;
    struct dirent *entry;
    DIR *dir = opendir("/proc/self/fd");

    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char target[16] = "";
        n += readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1) > 0 && strncmp(target, "/proc/", 6) != 0;
    }
    closedir(dir);
    return n;
}

static void run_case(const struct cancel_row *row, enum cancel_mode mode, struct wf_test_rand *r)
{
    static mode_fn *const modes[CANCEL_MODES] = {
        not_started, parked, completed_first, NULL, shielded, with_deadline, parent_cancelled, starved,
    };
    struct cancel_case c = { .row = row, .mode = mode };
    struct subject s = { .c = &c };
    unsigned fds = count_fds();

    row->set_up(&c);
    if (mode == RACING)
        race(&s, r);
    else
        modes[mode](&s);
    row->left(&c, s.result);
    if (count_fds() != fds)
        fail_msg("a descriptor is left behind, or has been closed");
}

static unsigned rounds(const struct cancel_row *row, enum cancel_mode mode)
{
    if (mode == STARVED)
        return wf_mem_fail_at != NULL;
    if (row->never_parks)
        return mode == NOT_STARTED;
    if (mode == COMPLETED)
        return row->at_once;
    return mode == RACING ? wf_test_rounds(row->slow ? ROUNDS_IF_SLOW : ROUNDS) : 1;
}

struct table {
    const struct cancel_row *rows;
    size_t n;
    uint64_t seed; // of the races; 0: the run's own, on a runtime with virtual time
};

// run_row puts a row through all modes; a run in virtual time is short, because there
// are many of them.
static void run_row(const struct cancel_row *row, struct wf_test_rand *r, bool is_short)
{
    now_row = row->name;
    for (enum cancel_mode mode = NOT_STARTED; mode < CANCEL_MODES; mode++) {
        now_mode = mode_names[mode];
        unsigned left = rounds(row, mode);
        for (unsigned round = is_short && left > 1 ? 1 : left; round > 0; round--)
            run_case(row, mode, r);
    }
}

static int run_table(void *arg)
{
    const struct table *t = arg;

    wf_test_watch(weft_rt_current());
    for (size_t i = 0; i < t->n; i++) {
        struct wf_test_rand r = { t->seed ? t->seed + i : weft_test_seed() + i };
        run_row(&t->rows[i], &r, !t->seed);
    }
    wf_test_unwatch(weft_rt_current());
    return 0;
}

// tell says which case it is that an assertion, or the watchdog, has ended.
static void tell(int sig)
{
    (void)sig;
    dprintf(STDERR_FILENO, "in the case of %s, %s\n", now_row, now_mode);
}

typedef int run_fn(struct table *t);

static void run_told(run_fn *run, struct table *t)
{
    struct sigaction told = { .sa_handler = tell, .sa_flags = (int)SA_RESETHAND }, before;

    completed = cut = 0;
    assert_int_equal(sigaction(SIGABRT, &told, &before), 0);
    assert_int_equal(run(t), 0);
    assert_int_equal(sigaction(SIGABRT, &before, NULL), 0);
    printf("races: %u completed, %u cut short\n", completed, cut);
    assert_true(completed > 0);
    assert_true(cut > 0);
}

static int run_on_workers(struct table *t)
{
    weft_config one_blocking = WEFT_CONFIG_INIT;

    one_blocking.blocking_max = 1;
    return weft_run(&one_blocking, run_table, t);
}

void cancel_table_run(const struct cancel_row *rows, size_t n)
{
    run_told(run_on_workers, &(struct table){ rows, n, wf_test_seed() | 1 });
}

static int run_on_seeds(struct table *t)
{
    return weft_test_seeds(NULL, wf_test_seed() | 1, wf_test_rounds(SEEDS), run_table, t);
}

void cancel_table_run_seeds(const struct cancel_row *rows, size_t n)
{
    run_told(run_on_seeds, &(struct table){ rows, n, 0 });
}

// --- for the rows --------------------------------------------------------------------

weft_time cancel_when(struct cancel_case *c)
{
    if (c->mode == RACING || c->mode == SHIELDED)
        return c->when = weft_after(WEFT_MS(2));
    return cancel_comes_first(c) ? weft_now() - 1 : WEFT_NEVER;
}

void cancel_nothing(struct cancel_case *c)
{
    (void)c;
}

static struct {
    weft_task *occupant;
    weft_future busy;
    sem_t enough; // not a future: a job that waits for that does not count as one that has a thread
} pool;

static int wait_for_enough(void *arg)
{
    (void)arg;
    weft_future_complete(&pool.busy, 0);
    return sem_wait(&pool.enough);
}

static int occupy(void *arg)
{
    (void)arg;
    return weft_blocking(wait_for_enough, NULL);
}

static int occupy_files(void *arg)
{
    (void)arg;
    return in_file_lane(wait_for_enough, NULL);
}

static void begin_to_occupy(weft_fn *fn)
{
    weft_future_init(&pool.busy);
    assert_int_equal(sem_init(&pool.enough, 0, 0), 0);
    pool.occupant = spawn(fn, NULL);
    assert_int_equal(weft_await(&pool.busy, NULL), 0);
}

void cancel_pool_occupy(void)
{
    begin_to_occupy(occupy);
}

void cancel_files_occupy(void)
{
    begin_to_occupy(occupy_files);
}

void cancel_pool_free(void)
{
    assert_int_equal(sem_post(&pool.enough), 0);
}

void cancel_pool_join(void)
{
    assert_int_equal(join(pool.occupant), 0);
}
