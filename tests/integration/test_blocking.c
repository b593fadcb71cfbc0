// The blocking pool: calls that block a thread block no worker.
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>

#include "tests/support/lanes.h"
#include "tests/support/peer.h"
#include "tests/support/tasks.h"

// A gate: jobs that have come wait at it, on their threads, until it is opened.
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    unsigned waiting; // L
    unsigned passed;  // L
    bool open;        // L
};

static void gate_init(struct gate *g)
{
    *g = (struct gate){ 0 };
    assert_int_equal(pthread_mutex_init(&g->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&g->moved, NULL), 0);
}

static void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->moved);
    pthread_mutex_unlock(&g->lock);
}

static int wait_at_gate(void *arg)
{
    struct gate *g = arg;

    pthread_mutex_lock(&g->lock);
    g->waiting++;
    while (!g->open)
        pthread_cond_wait(&g->moved, &g->lock);
    g->waiting--;
    g->passed++;
    pthread_mutex_unlock(&g->lock);
    return 42;
}

static unsigned gate_read(struct gate *g, const unsigned *field)
{
    pthread_mutex_lock(&g->lock);
    unsigned value = *field;
    pthread_mutex_unlock(&g->lock);
    return value;
}

static int block_at_gate(void *arg)
{
    return weft_blocking(wait_at_gate, arg);
}

static int block_file_lane(void *arg)
{
    return in_file_lane(wait_at_gate, arg);
}

static int block_name_lane(void *arg)
{
    return in_name_lane(wait_at_gate, arg);
}

static void wait_until_waiting(struct gate *g, unsigned n)
{
    while (gate_read(g, &g->waiting) < n)
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
}

// run_pool runs a body in a runtime with the given number of blocking threads.
static int run_pool(unsigned max, weft_fn *fn, void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;

    cfg.blocking_max = max;
    return weft_run(&cfg, tasks_watched, &(struct tasks_body){ fn, arg });
}

// --- running -------------------------------------------------------------------------

static int look_around(void *arg)
{
    assert_null(weft_self());
    assert_null(weft_rt_current());
    errno = ERANGE; // belongs to the thread only
    return *(int *)arg;
}

static int results(void *arg)
{
    (void)arg;
    for (int i = -5; i <= 5; i++)
        assert_int_equal(weft_blocking(look_around, &i), i);
    return 0;
}

static void the_result_is_the_functions(void **state)
{
    (void)state;
    assert_int_equal(run_pool(0, results, NULL), 0);
    assert_int_equal(run_pool(1, results, NULL), 0);
}

enum { JOBS = 20 };

static int all_at_once(void *arg)
{
    weft_task *tasks[JOBS];
    struct gate g;
    (void)arg;

    gate_init(&g);
    for (int i = 0; i < JOBS; i++)
        tasks[i] = spawn(block_at_gate, &g);
    wait_until_waiting(&g, JOBS); // each has a thread, and this task goes on
    gate_open(&g);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(join(tasks[i]), 42);
    return 0;
}

static void jobs_that_block_do_not_block_each_other(void **state)
{
    (void)state;
    assert_int_equal(run_pool(0, all_at_once, NULL), 0);
}

static int more_than_threads(void *arg)
{
    weft_task *tasks[JOBS];
    struct gate g;
    (void)arg;

    gate_init(&g);
    for (int i = 0; i < JOBS; i++)
        tasks[i] = spawn(block_at_gate, &g);
    for (int i = 0; i < JOBS; i++)
        wait_parked(tasks[i], "weft_blocking");
    wait_until_waiting(&g, 3);
    assert_int_equal(gate_read(&g, &g.waiting), 3);
    gate_open(&g);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(join(tasks[i]), 42);
    assert_int_equal(gate_read(&g, &g.passed), JOBS);
    return 0;
}

static void jobs_queue_when_all_threads_are_busy(void **state)
{
    (void)state;
    assert_int_equal(run_pool(3, more_than_threads, NULL), 0);
}

static int add_one(void *arg)
{
    return (int)atomic_fetch_add((atomic_int *)arg, 1);
}

static int add_often(void *arg)
{
    for (unsigned i = 0; i < wf_test_rounds(200); i++)
        assert_true(weft_blocking(add_one, arg) >= 0);
    return 0;
}

static int many_short_jobs(void *arg)
{
    weft_task *tasks[JOBS];
    atomic_int sum = 0;
    (void)arg;

    for (int i = 0; i < JOBS; i++)
        tasks[i] = spawn(add_often, &sum);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(join(tasks[i]), 0);
    assert_int_equal(atomic_load(&sum), JOBS * wf_test_rounds(200));
    return 0;
}

static void each_job_runs_once(void **state)
{
    (void)state;
    assert_int_equal(run_pool(0, many_short_jobs, NULL), 0);
    assert_int_equal(run_pool(2, many_short_jobs, NULL), 0);
}

// --- cancelling ----------------------------------------------------------------------

static int never(void *arg)
{
    (void)arg;
    fail_msg("a cancelled job ran");
    return 0;
}

static int block_never(void *arg)
{
    if (arg)
        weft_task_cancel(weft_self());
    return weft_blocking(never, NULL);
}

static int cancel_queued(void *arg)
{
    weft_task *queued[JOBS];
    struct gate g;
    (void)arg;

    gate_init(&g);
    assert_int_equal(join(spawn(block_never, &g)), -ECANCELED); // before it asks
    weft_task *busy = spawn(block_at_gate, &g);
    wait_until_waiting(&g, 1);
    for (int i = 0; i < JOBS; i++) {
        queued[i] = spawn(block_never, NULL);
        wait_parked(queued[i], "weft_blocking");
    }
    for (int i = 0; i < JOBS; i++)
        weft_task_cancel(queued[i * 7 % JOBS]);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(join(queued[i]), -ECANCELED);
    gate_open(&g);
    assert_int_equal(join(busy), 42);
    return 0;
}

static void a_job_cancelled_in_the_queue_never_runs(void **state)
{
    (void)state;
    assert_int_equal(run_pool(1, cancel_queued, NULL), 0);
}

static int cancel_begun(void *arg)
{
    struct gate g;
    (void)arg;

    gate_init(&g);
    weft_task *t = spawn(block_at_gate, &g);
    wait_until_waiting(&g, 1);
    weft_task_cancel(t);
    for (int i = 0; i < 20; i++)
        assert_int_equal(weft_yield(), 0);
    assert_false(weft_task_done(t)); // it waits: the job has its memory
    gate_open(&g);
    assert_int_equal(join(t), 42);
    return 0;
}

static void a_job_that_has_begun_is_waited_for(void **state)
{
    (void)state;
    assert_int_equal(run_pool(0, cancel_begun, NULL), 0);
}

static int add_for_ever(void *arg)
{
    int result;
    while ((result = weft_blocking(add_one, arg)) >= 0)
        ;
    return result;
}

static atomic_int runs; // outlives the tasks that the end of the runtime cancels

static int leave_them_running(void *arg)
{
    (void)arg;
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(weft_spawn(NULL, add_for_ever, &runs), 0);
    while (atomic_load(&runs) < 100)
        assert_int_equal(weft_yield(), 0);
    return 0;
}

static void the_runtime_stops_in_the_midst_of_jobs(void **state)
{
    (void)state;
    for (unsigned i = 0; i < wf_test_rounds(20); i++) {
        atomic_store(&runs, 0);
        assert_int_equal(run_pool(1 + i % 4, leave_them_running, NULL), 0);
        assert_true(atomic_load(&runs) >= 100);
    }
}

// --- files ---------------------------------------------------------------------------

struct file {
    int fd;
    struct gate gate;
};

static int read_file(void *arg)
{
    char buf[8];
    return (int)weft_read(((struct file *)arg)->fd, buf, sizeof(buf));
}

// With its lane's only thread busy, a read of a file waits in the queue: so files are read
// there, and a cancel reaches them.
static int files_use_the_pool(void *arg)
{
    struct file f = { .fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC) };
    (void)arg;

    gate_init(&f.gate);
    weft_task *busy = spawn(block_file_lane, &f.gate);
    wait_until_waiting(&f.gate, 1);
    weft_task *cancelled = spawn(read_file, &f), *reader = spawn(read_file, &f);
    wait_parked(cancelled, "weft_read");
    wait_parked(reader, "weft_read");
    weft_task_cancel(cancelled);
    assert_int_equal(join(cancelled), -ECANCELED);
    gate_open(&f.gate);
    assert_int_equal(join(busy), 42);
    assert_int_equal(join(reader), 8);
    assert_int_equal(lseek(f.fd, 0, SEEK_CUR), 8); // the cancelled one read nothing
    return weft_close(f.fd);
}

static void files_are_read_on_the_pool(void **state)
{
    (void)state;
    assert_int_equal(run_pool(1, files_use_the_pool, NULL), 0);
}

// --- lanes ---------------------------------------------------------------------------

enum { FILE_MAX = 64 };

// fill_lane begins `n` jobs that block their threads, and more than there are threads
// for.
static void fill_lane(weft_task **tasks, unsigned n, weft_fn *fn, struct gate *g, unsigned threads)
{
    gate_init(g);
    for (unsigned i = 0; i < n; i++)
        tasks[i] = spawn(fn, g);
    wait_until_waiting(g, threads);
}

static void empty_lane(weft_task **tasks, unsigned n, struct gate *g)
{
    gate_open(g);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(join(tasks[i]), 42);
    assert_int_equal(gate_read(g, &g->passed), n);
}

// Each lane in turn is full, with jobs queued besides: the two others run theirs.
static int fill_each_lane(void *arg)
{
    weft_fn *const lanes[] = { block_at_gate, block_file_lane, block_name_lane };
    weft_task *tasks[JOBS];
    struct gate full, open;
    (void)arg;

    for (int l = 0; l < 3; l++) {
        fill_lane(tasks, JOBS, lanes[l], &full, 2);
        gate_init(&open);
        gate_open(&open);
        for (int i = 0; i < 3 * JOBS; i++)
            if (i % 3 != l)
                assert_int_equal(join(spawn(lanes[i % 3], &open)), 42);
        assert_int_equal(gate_read(&full, &full.waiting), 2);
        empty_lane(tasks, JOBS, &full);
    }
    return 0;
}

static void a_full_lane_delays_no_other(void **state)
{
    (void)state;
    assert_int_equal(run_pool(2, fill_each_lane, NULL), 0);
}

static int fill_weft_s_lanes(void *arg)
{
    weft_task *files[FILE_MAX + 10], *names[FILE_MAX + 10], *jobs[FILE_MAX + 10];
    struct gate of_files, of_names, of_jobs;
    (void)arg;

    fill_lane(files, FILE_MAX + 10, block_file_lane, &of_files, FILE_MAX);
    fill_lane(names, FILE_MAX + 10, block_name_lane, &of_names, FILE_MAX);
    fill_lane(jobs, FILE_MAX + 10, block_at_gate, &of_jobs, FILE_MAX + 10); // all of them
    assert_int_equal(gate_read(&of_files, &of_files.waiting), FILE_MAX);
    assert_int_equal(gate_read(&of_names, &of_names.waiting), FILE_MAX);
    empty_lane(jobs, FILE_MAX + 10, &of_jobs);
    empty_lane(names, FILE_MAX + 10, &of_names);
    empty_lane(files, FILE_MAX + 10, &of_files);
    return 0;
}

static void wefts_own_lanes_are_bounded_by_themselves(void **state)
{
    (void)state;
    assert_int_equal(run_pool(0, fill_weft_s_lanes, NULL), 0);
}

// --- what a job may do ---------------------------------------------------------------

static int return_it(void *arg)
{
    return *(int *)arg;
}

static int sleep_and_return_it(void *arg)
{
    assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    return return_it(arg);
}

// What blocks its thread is for jobs, too, as long as it does not wait for the job
// itself.
static int use_runtimes(void *arg)
{
    weft_rt *own = arg, *other;
    weft_task *t;
    intptr_t value = 0;
    int n = 7;

    assert_int_equal(weft_run(NULL, sleep_and_return_it, &n), 7);
    assert_int_equal(weft_rt_block_on(own, sleep_and_return_it, &n), 7);
    assert_int_equal(weft_rt_new(&other, NULL), 0);
    assert_int_equal(weft_rt_block_on(other, sleep_and_return_it, &n), 7);
    assert_int_equal(weft_rt_spawn(other, &t, sleep_and_return_it, &n), 0);
    assert_int_equal(weft_future_wait_thread(weft_task_future(t), &value, WEFT_NEVER), 0);
    assert_int_equal(value, 7);
    assert_int_equal(weft_rt_stop(other, WEFT_NEVER), 0);
    weft_rt_free(other);
    return 1;
}

static int use_runtimes_in_a_job(void *arg)
{
    (void)arg;
    return weft_blocking(use_runtimes, weft_rt_current());
}

static void a_job_may_run_and_stop_other_runtimes(void **state)
{
    (void)state;
    assert_int_equal(run_pool(0, use_runtimes_in_a_job, NULL), 1);
}

// --- jobs that need jobs -------------------------------------------------------------

static int read_a_file(void *arg)
{
    char buf[8];
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    (void)arg;

    assert_true(fd >= 0);
    int n = (int)weft_read(fd, buf, sizeof(buf));
    assert_int_equal(weft_close(fd), 0);
    return n;
}

static int wait_for_a_task(void *rt)
{
    return weft_rt_block_on(rt, read_a_file, NULL);
}

// wait_for_a_future is the same by other words; the future is awaited for long, not
// without end.
static int wait_for_a_future(void *rt)
{
    weft_task *t;
    intptr_t value = -1;

    assert_int_equal(weft_rt_spawn(rt, &t, read_a_file, NULL), 0);
    assert_int_equal(weft_future_wait_thread(weft_task_future(t), &value, weft_after(WEFT_S(3600))), 0);
    weft_detach(t);
    return (int)value;
}

static int read_with_a_job(void *arg)
{
    (void)arg;
    return weft_blocking(wait_for_a_task, weft_rt_current());
}

// wait_for_jobs: a job that waits for a task that waits for a job that waits for a
// task.
static int wait_for_jobs(void *rt)
{
    return weft_rt_block_on(rt, read_with_a_job, NULL);
}

struct nest {
    weft_fn *fn;
    weft_rt *rt;
};

static int ask_for_a_nest(void *arg)
{
    struct nest *n = arg;
    return weft_blocking(n->fn, n->rt);
}

static int nest_jobs(void *arg)
{
    weft_fn *const ways[] = { wait_for_a_task, wait_for_a_future, wait_for_jobs };
    struct nest nests[JOBS];
    weft_task *tasks[JOBS];
    (void)arg;

    for (int i = 0; i < JOBS; i++) {
        nests[i] = (struct nest){ ways[i % 3], weft_rt_current() };
        tasks[i] = spawn(ask_for_a_nest, &nests[i]);
    }
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(join(tasks[i]), 8);
    return 0;
}

static void jobs_may_wait_for_tasks_that_need_jobs(void **state)
{
    (void)state;
    for (unsigned max = 1; max <= 3; max++)
        assert_int_equal(run_pool(max, nest_jobs, NULL), 0);
}

static int nest_and_fill(void *arg)
{
    assert_int_equal(nest_jobs(arg), 0);
    return more_than_threads(arg);
}

static void threads_that_took_the_place_of_others_leave_again(void **state)
{
    (void)state;
    assert_int_equal(run_pool(3, nest_and_fill, NULL), 0); // it looks that three jobs run at once, no more
}

// cancel_the_thread would end a thread that lets itself be cancelled, at one of these.
static int cancel_the_thread(void *arg)
{
    (void)arg;
    assert_int_equal(pthread_cancel(pthread_self()), 0);
    pthread_testcancel();
    close(dup(STDOUT_FILENO));
    return 3;
}

static int cancel_threads(void *arg)
{
    assert_int_equal(weft_blocking(cancel_the_thread, NULL), 3);
    assert_int_equal(cancel_the_thread(arg), 3);
    assert_int_equal(weft_sleep(WEFT_US(100)), 0);
    assert_int_equal(weft_blocking(cancel_the_thread, NULL), 3);
    return 4;
}

static void to_cancel_a_thread_of_wefts_has_no_effect(void **state)
{
    (void)state;
    assert_int_equal(run_pool(1, cancel_threads, NULL), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_result_is_the_functions),
        cmocka_unit_test(jobs_that_block_do_not_block_each_other),
        cmocka_unit_test(jobs_queue_when_all_threads_are_busy),
        cmocka_unit_test(each_job_runs_once),
        cmocka_unit_test(a_job_cancelled_in_the_queue_never_runs),
        cmocka_unit_test(a_job_that_has_begun_is_waited_for),
        cmocka_unit_test(the_runtime_stops_in_the_midst_of_jobs),
        cmocka_unit_test(files_are_read_on_the_pool),
        cmocka_unit_test(a_full_lane_delays_no_other),
        cmocka_unit_test(wefts_own_lanes_are_bounded_by_themselves),
        cmocka_unit_test(a_job_may_run_and_stop_other_runtimes),
        cmocka_unit_test(jobs_may_wait_for_tasks_that_need_jobs),
        cmocka_unit_test(threads_that_took_the_place_of_others_leave_again),
        cmocka_unit_test(to_cancel_a_thread_of_wefts_has_no_effect),
    };
    return wf_test_run(tests);
}
