// Metrics: they agree with what a program did, and Prometheus can read their text.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/tasks.h"

static weft_metrics read_metrics(void)
{
    weft_metrics m = WEFT_METRICS_INIT;
    assert_int_equal(weft_rt_metrics(weft_rt_current(), &m), 0);
    return m;
}

// await_metrics waits until `is_so` is true of the metrics.
static weft_metrics await_metrics(bool (*is_so)(const weft_metrics *, uint64_t), uint64_t arg)
{
    weft_metrics m = read_metrics();

    for (; !is_so(&m, arg); m = read_metrics())
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
    return m;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int wait_for(void *future)
{
    return weft_await(future, NULL);
}

static int wait_for_ever(void *arg)
{
    (void)arg;
    return weft_sleep_until(WEFT_NEVER);
}

// --- counts --------------------------------------------------------------------------

static bool lives(const weft_metrics *m, uint64_t tasks)
{
    return m->spawned - m->ended == tasks;
}

static int spawn_and_count(void *arg)
{
    enum { TASKS = 1000 };
    (void)arg;
    weft_metrics before = await_metrics(lives, 1);

    for (int i = 0; i < TASKS; i++)
        assert_int_equal(weft_spawn(NULL, nothing, NULL), 0);
    weft_metrics after = await_metrics(lives, 1);
    assert_int_equal(after.spawned - before.spawned, TASKS);
    assert_int_equal(after.ended - before.ended, TASKS);
    assert_int_equal(after.running, 1);
    assert_int_equal(after.ready + after.parked + after.unbegun + after.queued + after.injected, 0);
    return 0;
}

static void what_was_spawned_and_has_ended_is_counted_exactly(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(spawn_and_count, NULL), 0);
}

static bool parks(const weft_metrics *m, uint64_t tasks)
{
    return m->parked == tasks && m->ready == 0;
}

static int park_and_count(void *arg)
{
    enum { TASKS = 300 };
    weft_future f;
    weft_scope s;
    (void)arg;

    weft_future_init(&f);
    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(weft_scope_spawn(&s, wait_for, &f), 0);
    weft_metrics m = await_metrics(parks, TASKS);
    assert_int_equal(m.running, 1);
    assert_int_equal(m.spawned - m.ended, TASKS + 1);
    assert_true(m.stacks >= TASKS + 1);
    assert_true(m.stack_bytes >= m.stacks << 14);
    assert_true(m.stacks_stored <= m.stacks);
    weft_future_complete(&f, 0);
    assert_int_equal(weft_scope_close(&s), 0);
    return 0;
}

static void tasks_are_counted_by_state(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(park_and_count, NULL), 0);
}

static int spawn_and_look_at_once(void *arg)
{
    enum { TASKS = 100 };
    weft_scope s;
    (void)arg;

    weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(weft_scope_spawn(&s, nothing, NULL), 0);
    weft_metrics m = read_metrics(); // the only worker runs this task
    assert_int_equal(m.ready, TASKS);
    assert_int_equal(m.unbegun, TASKS);
    assert_int_equal(m.queued + m.injected, TASKS);
    assert_int_equal(m.workers, 1);
    assert_int_equal(weft_scope_close(&s), 0);
    return 0;
}

static void what_is_queued_is_counted(void **state)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    (void)state;

    cfg.workers = 1;
    assert_int_equal(weft_run(&cfg, spawn_and_look_at_once, NULL), 0);
}

// --- timers, descriptors, the pool ---------------------------------------------------

static int read_one(void *fd)
{
    char c;
    return (int)weft_read(*(int *)fd, &c, 1);
}

static int wait_for_all_kinds(void *arg)
{
    weft_metrics before = read_metrics();
    weft_scope s;
    int ends[2];
    (void)arg;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    weft_scope_deadline(&s, weft_after(WEFT_S(3600)));
    assert_int_equal(weft_scope_spawn(&s, wait_for_ever, NULL), 0);
    assert_int_equal(weft_scope_spawn(&s, read_one, &ends[0]), 0);
    weft_metrics m = await_metrics(parks, 2);
    assert_int_equal(m.timers - before.timers, 1); // its own sleeps are over when it looks
    assert_int_equal(m.descriptors - before.descriptors, 1);
    weft_scope_cancel(&s);
    assert_int_equal(weft_scope_close(&s), -ECANCELED);
    assert_int_equal(weft_close(ends[0]), 0);
    assert_int_equal(weft_close(ends[1]), 0);
    m = read_metrics();
    assert_int_equal(m.timers, before.timers);
    assert_int_equal(m.descriptors, before.descriptors);
    return 0;
}

static void timers_and_descriptors_are_counted_while_they_are_there(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(wait_for_all_kinds, NULL), 0);
}

static int use_the_pool(void *arg)
{
    enum { JOBS = 10 };
    (void)arg;
    weft_metrics before = read_metrics();

    for (int i = 0; i < JOBS; i++)
        assert_int_equal(weft_blocking(nothing, NULL), 0);
    weft_metrics after = read_metrics();
    assert_int_equal(after.user.jobs - before.user.jobs, JOBS);
    assert_int_equal(after.file.jobs, before.file.jobs);
    assert_int_equal(after.user.queued, 0);
    assert_in_range(after.user.threads, 1, JOBS);
    assert_int_equal(after.user.limit, 512);
    assert_int_equal(after.file.limit, 64);
    return 0;
}

static void jobs_are_counted_by_lane(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(use_the_pool, NULL), 0);
}

// long_turns is how many turns took more than a microsecond; it checks the sum of all.
static uint64_t long_turns(const weft_metrics *m)
{
    const weft_histogram *h = &m->turn_length;
    uint64_t sum = h->bucket[0];

    for (int i = 1; i < WEFT_HISTOGRAM_BUCKETS; i++)
        sum += h->bucket[i];
    assert_int_equal(sum, h->count);
    return sum - h->bucket[0];
}

static void compute_for(weft_time duration)
{
    for (weft_time end = weft_after(duration); weft_now() < end;)
        continue;
}

static bool has_samples(const weft_metrics *m, uint64_t samples)
{
    return m->turn_length.count >= samples && m->queue_wait.count >= samples;
}

static int yield_until_sampled(void *arg)
{
    (void)arg;
    for (weft_metrics m = read_metrics(); !has_samples(&m, 10); m = read_metrics())
        for (int i = 0; i < 10000; i++)
            assert_int_equal(weft_yield(), 0);
    weft_metrics m = read_metrics();
    for (; long_turns(&m) == 0; m = read_metrics()) {
        compute_for(WEFT_US(50));
        assert_int_equal(weft_yield(), 0);
    }
    assert_true(m.turn_length.sum > 0);
    assert_true(m.turns >= 10000);
    return 0;
}

static void turns_and_waits_in_queues_are_sampled(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(yield_until_sampled, NULL), 0);
}

// --- the struct ----------------------------------------------------------------------

static int ask_with_sizes(void *arg)
{
    weft_metrics m = { .size = 0 };
    (void)arg;

    assert_int_equal(weft_rt_metrics(weft_rt_current(), &m), -EINVAL);
    m.size = sizeof(m) + 1;
    assert_int_equal(weft_rt_metrics(weft_rt_current(), &m), -EINVAL);
    m.size = sizeof(m);
    assert_int_equal(weft_rt_metrics(weft_rt_current(), &m), 0);
    assert_int_equal(m.size, sizeof(m));
    return 0;
}

static void a_size_that_the_struct_never_had_is_refused(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(ask_with_sizes, NULL), 0);
}

// --- the text ------------------------------------------------------------------------

// What a strict reader of the format knows while it reads.
struct reader {
    char family[96], type[16]; // of the last "# TYPE" line
    char seen[64][96];         // families that have had one
    unsigned families, samples;
    double below;  // the last bucket of the histogram that is being read,
    double bound;  // and its bound
    bool infinite; // the +Inf bucket was there
};

static bool is_name(const char *s, size_t n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:";
    return n > 0 && strspn(s, letters) > 0 &&
           strspn(s, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:") == n;
}

static void read_type(struct reader *r, const char *line)
{
    assert_int_equal(sscanf(line, "# TYPE %95s %15s", r->family, r->type), 2);
    assert_true(is_name(r->family, strlen(r->family)));
    assert_true(!strcmp(r->type, "counter") || !strcmp(r->type, "gauge") || !strcmp(r->type, "histogram"));
    assert_true(r->families < 64);
    for (unsigned i = 0; i < r->families; i++)
        assert_string_not_equal(r->seen[i], r->family); // a family comes once
    strcpy(r->seen[r->families++], r->family);
    size_t n = strlen(r->family);
    assert_true(strcmp(r->type, "counter") != 0 || (n > 6 && !strcmp(r->family + n - 6, "_total")));
    r->below = 0;
    r->bound = -1;
    r->infinite = false;
}

// read_bucket reads a bucket's bound; the buckets grow, and so do their counts.
static void read_bucket(struct reader *r, const char *label, double value)
{
    assert_int_equal(strncmp(label, "{le=\"", 5), 0);
    assert_false(r->infinite);
    r->infinite = strncmp(label + 5, "+Inf\"}", 6) == 0;
    if (!r->infinite) {
        double bound = strtod(label + 5, NULL);
        assert_true(bound > r->bound);
        r->bound = bound;
    }
    assert_true(value >= r->below);
    r->below = value;
}

// read_sample reads "name{label="value"} number".
static void read_sample(struct reader *r, const char *line)
{
    size_t family = strlen(r->family), name = strcspn(line, "{ ");
    const char *label = line + name, *suffix = line + family;
    char *end;

    assert_true(is_name(line, name));
    assert_int_equal(strncmp(line, r->family, family), 0);
    const char *number = *label == '{' ? strchr(label, '}') + 1 : label;
    assert_int_equal(*number, ' ');
    double value = strtod(number + 1, &end);
    assert_true(end > number + 1 && *end == '\0' && value >= 0);
    if (strcmp(r->type, "histogram") != 0)
        assert_int_equal(name, family);
    else if (strncmp(suffix, "_bucket", 7) == 0)
        read_bucket(r, label, value);
    else
        assert_true(!strncmp(suffix, "_sum ", 5) ||
                    (!strncmp(suffix, "_count ", 7) && r->infinite && value == r->below));
    r->samples++;
}

static void read_line(struct reader *r, const char *line)
{
    if (strncmp(line, "# HELP ", 7) == 0)
        assert_true(strlen(line) > 7);
    else if (strncmp(line, "# TYPE ", 7) == 0)
        read_type(r, line);
    else
        read_sample(r, line);
}

static int write_and_read(void *arg)
{
    static char text[32768];
    struct reader r = { .families = 0 };
    (void)arg;
    int fd = memfd_create("metrics", MFD_CLOEXEC);

    assert_int_equal(weft_rt_metrics_write(weft_rt_current(), fd), 0);
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    assert_in_range(n, 1000, sizeof(text) - 2);
    assert_int_equal(text[n - 1], '\n');
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        read_line(&r, line);
    assert_true(r.families > 20 && r.samples > r.families);
    close(fd);
    return 0;
}

static void the_text_is_what_prometheus_reads(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(write_and_read, NULL), 0);
}

static int write_to_nowhere(void *arg)
{
    (void)arg;
    assert_int_equal(weft_rt_metrics_write(weft_rt_current(), -1), -EBADF);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_int_equal(weft_rt_metrics_write(weft_rt_current(), full), -ENOSPC);
    close(full);
    return 0;
}

static void an_error_of_write_is_returned(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(write_to_nowhere, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_spawned_and_has_ended_is_counted_exactly),
        cmocka_unit_test(tasks_are_counted_by_state),
        cmocka_unit_test(what_is_queued_is_counted),
        cmocka_unit_test(timers_and_descriptors_are_counted_while_they_are_there),
        cmocka_unit_test(jobs_are_counted_by_lane),
        cmocka_unit_test(turns_and_waits_in_queues_are_sampled),
        cmocka_unit_test(a_size_that_the_struct_never_had_is_refused),
        cmocka_unit_test(the_text_is_what_prometheus_reads),
        cmocka_unit_test(an_error_of_write_is_returned),
    };
    return wf_test_run(tests);
}
