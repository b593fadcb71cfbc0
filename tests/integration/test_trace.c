// The flight recorder's trace: whole, in order, and with what tasks did.
#include <errno.h>
#include <fcntl.h>

#include "base/mem.h"
#include "tests/support/tasks.h"

enum { ROOM = 4 << 20, TRACKS = 64 };

// trace returns the trace of the calling task's runtime: the caller frees it.
static char *trace(void)
{
    char *text = malloc(ROOM);
    int fd = memfd_create("trace", MFD_CLOEXEC);

    assert_non_null(text);
    assert_int_equal(weft_rt_trace_write(weft_rt_current(), fd), 0);
    ssize_t n = pread(fd, text, ROOM - 1, 0);
    assert_in_range(n, 1, ROOM - 2);
    text[n] = 0;
    close(fd);
    return text;
}

static int run_recorded(weft_fn *fn, void *arg)
{
    weft_config cfg = WEFT_CONFIG_INIT;

    cfg.trace_events = 1 << 12;
    return weft_run(&cfg, fn, arg);
}

static weft_task *spawn_named(const char *name, weft_fn *fn, void *arg)
{
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    weft_task *t = NULL;

    o.name = name;
    assert_int_equal(weft_spawn_with(&t, &o, fn, arg), 0);
    return t;
}

// await_in_dump waits until the dump says so.
static void await_in_dump(const char *words)
{
    char *text = malloc(ROOM);

    assert_non_null(text);
    for (text[0] = 0; !strstr(text, words);) {
        int fd = memfd_create("dump", MFD_CLOEXEC);
        assert_int_equal(weft_sleep(WEFT_US(100)), 0);
        weft_rt_dump(weft_rt_current(), fd);
        ssize_t n = pread(fd, text, ROOM - 1, 0);
        assert_true(n >= 0);
        text[n] = 0;
        close(fd);
    }
    free(text);
}

// has tells whether one line of the trace has both.
static bool has(const char *text, const char *a, const char *b)
{
    for (const char *line = text; (line = strchr(line, '\n')); line++) {
        const char *end = strchr(line + 1, '\n');
        const char *one = strstr(line, a), *other = strstr(line, b);
        if (one && other && end && one < end && other < end)
            return true;
    }
    return false;
}

// --- its shape -------------------------------------------------------------------------

// number reads what follows `key` in the line, in thousandths if it has a point.
static long long number(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    assert_non_null(at);
    at += strlen(key);
    long long whole = strtoll(at, (char **)(uintptr_t)&at, 10);
    return *at == '.' ? whole * 1000 + strtoll(at + 1, NULL, 10) : whole;
}

struct shape {
    long long end[TRACKS]; // of the last slice
    long long flows, begun, slices, counts;
    long long flow_at; // when the last arrow began
};

static void look_at_slice(struct shape *s, const char *line)
{
    long long track = number(line, "\"tid\":"), from = number(line, "\"ts\":"), took = number(line, "\"dur\":");

    assert_in_range(track, 1, TRACKS - 1);
    assert_true(took >= 0);
    assert_true(from >= s->end[track]);
    s->end[track] = from + took;
    s->slices++;
}

// look_at_line requires that slices of a track follow each other, and that an arrow's end
// comes after its beginning.
static void look_at_line(struct shape *s, const char *line)
{
    if (strncmp(line, "{\"ph\":\"X\"", 9) == 0) {
        look_at_slice(s, line);
    } else if (strncmp(line, "{\"ph\":\"s\"", 9) == 0) {
        assert_int_equal(number(line, "\"id\":"), ++s->begun);
        s->flow_at = number(line, "\"ts\":");
    } else if (strncmp(line, "{\"ph\":\"f\"", 9) == 0) {
        assert_int_equal(number(line, "\"id\":"), ++s->flows);
        assert_true(number(line, "\"ts\":") > s->flow_at);
    }
    s->counts += strncmp(line, "{\"ph\":\"C\"", 9) == 0;
}

static struct shape shape_of(char *text)
{
    struct shape s = { .counts = 0 };
    char *rest;

    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        look_at_line(&s, line);
    assert_int_equal(s.flows, s.begun);
    return s;
}

static int yield_and_sleep(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++)
        weft_yield();
    return weft_sleep(WEFT_US(100));
}

static int make_a_crowd(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_scope_open(&s, WEFT_SCOPE_COLLECT);
    for (int i = 0; i < 50; i++)
        assert_int_equal(weft_scope_spawn(&s, yield_and_sleep, NULL), 0);
    assert_int_equal(weft_scope_close(&s), 0);
    char *text = trace();
    assert_int_equal(strncmp(text, "{\"displayTimeUnit\"", 18), 0);
    assert_string_equal(strrchr(text, ']'), "]}\n");
    struct shape seen = shape_of(text);
    assert_true(seen.slices > 100 && seen.flows > 50 && seen.counts > 0);
    free(text);
    return 0;
}

static void slices_follow_each_other_and_arrows_have_two_ends(void **state)
{
    (void)state;
    assert_int_equal(run_recorded(make_a_crowd, NULL), 0);
}

// --- what it says ----------------------------------------------------------------------

static int lock_and_unlock(void *mutex)
{
    assert_int_equal(weft_mutex_lock(mutex), 0);
    weft_mutex_unlock(mutex);
    return 0;
}

static int wait_in_different_ways(void *arg)
{
    weft_mutex m = WEFT_MUTEX_INIT;
    (void)arg;
    assert_int_equal(weft_mutex_lock(&m), 0);
    weft_task *t = spawn_named("waiter", lock_and_unlock, &m);
    await_in_dump("'waiter': parked, waits for mutex");
    weft_mutex_unlock(&m);
    assert_int_equal(join(t), 0);
    assert_int_equal(join(spawn_named("a \"b\"\\\n\xe4", yield_and_sleep, NULL)), 0);
    assert_int_equal(join(spawn_named("a name of more than twenty-three bytes", yield_and_sleep, NULL)), 0);
    char *text = trace();
    assert_true(has(text, "\"name\":\"waiter\"", "\"left\":\"parked\",\"waits for\":\"mutex\""));
    assert_true(has(text, "\"name\":\"waiter\"", "\"left\":\"ended\""));
    assert_true(has(text, "\"name\":\"waiter\"", "\"waited_us\":"));
    assert_true(has(text, "\"name\":\"a \\u0022b\\u0022\\u005c\\u000a\\u00e4\"", "\"left\":\"yielded\""));
    assert_true(has(text, "\"name\":\"a name of more than twe\"", "\"waits for\":\"sleep\""));
    assert_true(has(text, "\"name\":\"spawn\"", "\"args\":{\"task\":")); // the first task, from outside
    assert_true(has(text, "\"left\":\"runs on\"", "\"cat\":\"turn\""));
    free(text);
    return 0;
}

static void it_says_how_turns_end_and_what_tasks_wait_for(void **state)
{
    (void)state;
    assert_int_equal(run_recorded(wait_in_different_ways, NULL), 0);
}

static int wait_for(void *future)
{
    return weft_await(future, NULL);
}

// A long-lived task, whose birth has been overwritten.
static int outlive_the_ring(void *arg)
{
    weft_future f;
    (void)arg;
    weft_future_init(&f);
    weft_task *t = spawn_named("survivor", wait_for, &f);
    await_in_dump("'survivor': parked, waits for");
    for (int i = 0; i < 1 << 15; i++)
        weft_yield();
    weft_future_complete(&f, 0);
    assert_int_equal(join(t), 0);
    t = spawn_named("parked now", yield_and_sleep, NULL);
    assert_int_equal(join(t), 0);
    char *text = trace();
    shape_of(text);
    free(text);
    return 0;
}

static void a_ring_that_was_overwritten_is_a_trace(void **state)
{
    (void)state;
    assert_int_equal(run_recorded(outlive_the_ring, NULL), 0);
}

// --- errors ----------------------------------------------------------------------------

static int write_without_a_recorder(void *arg)
{
    (void)arg;
    return weft_rt_trace_write(weft_rt_current(), STDERR_FILENO);
}

static void without_a_recorder_there_is_no_trace(void **state)
{
    (void)state;
    assert_int_equal(weft_run(NULL, write_without_a_recorder, NULL), -ENODATA);
}

static int write_to_nowhere(void *arg)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    (void)arg;
    assert_int_equal(weft_rt_trace_write(weft_rt_current(), -1), -EBADF);
    assert_int_equal(weft_rt_trace_write(weft_rt_current(), full), -ENOSPC);
    close(full);
#ifdef WF_FAULTS
    wf_mem_fail_at(1, true);
    int err = weft_rt_trace_write(weft_rt_current(), STDERR_FILENO);
    wf_mem_fail_at(0, false);
    assert_int_equal(err, -ENOMEM);
#endif
    return 0;
}

static void errors_of_writing_are_reported(void **state)
{
    (void)state;
    assert_int_equal(run_recorded(write_to_nowhere, NULL), 0);
}

static int see_that_it_is_on(void *arg)
{
    char *text = trace();
    (void)arg;
    free(text);
    return 0;
}

static void the_environment_switches_it_on(void **state)
{
    (void)state;
    assert_int_equal(setenv("WEFT_TRACE_EVENTS", "64", 1), 0);
    assert_int_equal(weft_run(NULL, see_that_it_is_on, NULL), 0);
    assert_int_equal(unsetenv("WEFT_TRACE_EVENTS"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_follow_each_other_and_arrows_have_two_ends),
        cmocka_unit_test(it_says_how_turns_end_and_what_tasks_wait_for),
        cmocka_unit_test(a_ring_that_was_overwritten_is_a_trace),
        cmocka_unit_test(without_a_recorder_there_is_no_trace),
        cmocka_unit_test(errors_of_writing_are_reported),
        cmocka_unit_test(the_environment_switches_it_on),
    };
    return wf_test_run(tests);
}
