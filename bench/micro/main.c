// weft-bench: the micro benchmarks. One line a result: name, value and unit, with tabs
// between; or JSON.
#include <cjson/cJSON.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/args.h"
#include "bench/micro/micro.h"

enum { M = MICRO_MILLION, MESSAGES = 4 * M, LOCKS = 100000, CHILDREN = 100000, SELECTS = 512 * 1024, JOBS = 128000 };

// clang-format off
#define LINE(unit) { { "", unit } }
#define WITH_RSS(unit) { { "", unit }, { ".rss", "MiB" } }
#define TAILS { { ".p50", "us" }, { ".p99", "us" } }
// clang-format on
#define BODY(name, times, of, ops) .body = micro_##name, .n = times, .parties = of, .each = ops

static const struct micro_bench benches[] = {
    { "switch", 5, LINE("ns/switch"), BODY(yield_crowd, M, 2, 2 * M), .workers = 1 },
    { "switch_bare", 5, LINE("ns/switch"), .run = micro_switch_bare },
    { "yield_1", 5, LINE("ns/yield"), BODY(yield, M, 1, M) },
    { "yield_1000", 5, LINE("ns/yield"), BODY(yield_crowd, M / 1000, 1000, M) },
    { "spawn_join_seq", 5, LINE("ns/task"), BODY(spawn_join, M, 1, M) },
    { "spawn_join_batch", 5, LINE("ns/task"), BODY(spawn_crowd, 1, M, M) },
    { "spawn_outside", 5, LINE("ns/task"), .run = micro_spawn_outside },
    { "chained_spawn", 5, LINE("ns/task"), BODY(spawn_chain, M, 1, M) },
    { "pingpong_1", 5, LINE("ns/roundtrip"), BODY(pingpong, M / 2, 1, M / 2) },
    { "pingpong_1000", 5, LINE("ns/roundtrip"), BODY(pingpong, 1000, 1000, M) },
    { "skynet", 5, WITH_RSS("ms"), BODY(skynet, M, 1, 1) },
    { "fib32", 5, WITH_RSS("ms"), BODY(fib, 1, 32, 1) },
    { "mpsc_1p", 5, LINE("Mmsg/s"), BODY(transfer_1, MESSAGES, 1, MESSAGES) },
    { "mpsc_8p", 5, LINE("Mmsg/s"), BODY(transfer_1, MESSAGES, 8, MESSAGES) },
    { "mpmc_8x8", 5, LINE("Mmsg/s"), BODY(transfer_8, MESSAGES, 8, MESSAGES) },
    { "mutex_1", 5, LINE("ns/lock"), BODY(lock, LOCKS, 1, LOCKS) },
    { "mutex_8", 5, LINE("ns/lock"), BODY(lock, LOCKS, 8, 8 * LOCKS) },
    { "scope_100k", 5, LINE("ns/child"), BODY(scope, 1, CHILDREN, CHILDREN) },
    { "select_2", 5, LINE("ns"), BODY(select, SELECTS, 2, SELECTS) },
    { "select_64", 5, LINE("ns"), BODY(select, SELECTS, MICRO_CASES_MAX, SELECTS) },
    { "sleep_1m", 3, { { ".wall", "ms" }, { ".cpu", "ms" }, { ".rss", "MiB" } }, .task = micro_sleep_1m },
    { "timer_cancel", 5, LINE("ns/timer"), BODY(deadline, M, 1, M) },
    { "timer_cancel_all", 5, LINE("ns/timer"), .once = micro_timer_cancel_all },
    { "timer_bare", 5, LINE("ns/timer"), BODY(timer_bare, M, 1, M) },
    { "timer_late", 1, TAILS, .task = micro_timer_late },
    { "idle_task", 1, LINE("bytes/task"), .task = micro_idle_task },
    { "wake_idle", 1, TAILS, .run = micro_wake_idle },
    { "wake_busy", 1, TAILS, .run = micro_wake_busy },
    { "blocking_1", 5, LINE("ns/job"), BODY(blocking, JOBS / 8, 1, JOBS / 8) },
    { "blocking_64", 5, LINE("ns/job"), BODY(blocking, JOBS / 64, 64, JOBS) },
    { "pread_64", 5, LINE("ns/read"), BODY(pread, JOBS / 64, 64, JOBS) },
    { "pread_pool_64", 5, LINE("ns/read"), BODY(pread_pool, JOBS / 64, 64, JOBS) },
};
enum { BENCHES = sizeof benches / sizeof benches[0], LINE_NAME_MAX = 64 };

struct options {
    unsigned workers;
    unsigned reps;
    bool list;
    bool chosen[BENCHES][MICRO_LINES_MAX];
    cJSON *json; // the array of results; NULL: as text
};

// --- names ---------------------------------------------------------------------------

static const char *line_name(char buf[LINE_NAME_MAX], int bench, int line)
{
    snprintf(buf, LINE_NAME_MAX, "%s%s", benches[bench].name, benches[bench].lines[line].suffix);
    return buf;
}

static void list_names(FILE *to)
{
    char name[LINE_NAME_MAX];
    for (int b = 0; b < BENCHES; b++) {
        for (int l = 0; benches[b].lines[l].suffix; l++)
            fprintf(to, "%s\n", line_name(name, b, l));
    }
}

// choose selects each line whose name is `wanted`, or begins so, or whose benchmark is
// named so; NULL: all lines.
// Returns: whether there are any.
static bool choose(struct options *o, const char *wanted, bool beginning)
{
    char name[LINE_NAME_MAX];
    bool any = false;
    for (int b = 0; b < BENCHES; b++) {
        for (int l = 0; benches[b].lines[l].suffix; l++) {
            line_name(name, b, l);
            if (!wanted || strcmp(wanted, benches[b].name) == 0 || strcmp(wanted, name) == 0 ||
                (beginning && strncmp(wanted, name, strlen(wanted)) == 0))
                any = o->chosen[b][l] = true;
        }
    }
    return any;
}

// A name is a benchmark's ("skynet": all its lines), or a line's ("skynet.rss"), or
// else the beginning of several ("timer"); so "yield_1" is not "yield_1000" too.
static bool choose_name(struct options *o, const char *wanted)
{
    return choose(o, wanted, false) || choose(o, wanted, true);
}

// --- running -------------------------------------------------------------------------

// measure runs one benchmark in a process of its own; its results come back in `m`,
// which is shared with it.
// Returns: whether it ended well.
static bool measure(struct micro *m)
{
    int status;
    const char *name = m->bench->name;
    fflush(NULL);
    const pid_t child = fork();

    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // a signal that stops weft-bench stops what it runs
        micro_run(m);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        fprintf(stderr, "weft-bench: %s: fork: %s\n", name, strerror(errno));
        return false;
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "weft-bench: %s: ended by signal %d, %s\n", name, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        fprintf(stderr, "weft-bench: %s: exit status %d\n", name, WEXITSTATUS(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool report(const struct options *o, const char *name, double value, const char *unit)
{
    if (!o->json)
        return printf("%s\t%.2f\t%s\n", name, value, unit) > 0;

    cJSON *result = cJSON_CreateObject();
    return cJSON_AddStringToObject(result, "name", name) && cJSON_AddNumberToObject(result, "value", value) &&
           cJSON_AddStringToObject(result, "unit", unit) && cJSON_AddItemToArray(o->json, result);
}

static bool run_bench(const struct options *o, int bench, struct micro *m)
{
    char name[LINE_NAME_MAX];
    bool ok = true, any = false;

    for (int l = 0; l < MICRO_LINES_MAX; l++)
        any |= o->chosen[bench][l];
    if (!any)
        return true;

    *m = (struct micro){ &benches[bench], o->workers, o->reps ? o->reps : benches[bench].reps, { 0 } };
    if (!measure(m))
        return false;
    for (int l = 0; benches[bench].lines[l].suffix; l++) {
        if (o->chosen[bench][l])
            ok &= report(o, line_name(name, bench, l), m->value[l], benches[bench].lines[l].unit);
    }
    return ok;
}

static bool print_json(cJSON *json)
{
    char *text = cJSON_Print(json);
    const bool ok = text && puts(text) >= 0;
    free(text);
    cJSON_Delete(json);
    return ok;
}

// Returns: the exit status: 1 if any benchmark failed; the others run all the same.
static int run(const struct options *o)
{
    struct micro *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bool ok = true;

    if (m == MAP_FAILED) {
        perror("weft-bench: mmap");
        return 1;
    }
    for (int b = 0; b < BENCHES; b++)
        ok &= run_bench(o, b, m);
    munmap(m, sizeof *m);
    if (o->json)
        ok &= print_json(o->json);
    return fflush(stdout) == 0 && ok ? 0 : 1;
}

// --- the command line ----------------------------------------------------------------

enum { KEY_JSON = 256, KEY_LIST, KEY_REPS };

static const struct argp_option argp_options[] = {
    { "workers", 'w', "N", 0, "Worker threads (default: the CPUs this process may use)", 0 },
    { "reps", KEY_REPS, "N", 0, "Repetitions that each median is taken of, after one to warm up", 0 },
    { "json", KEY_JSON, NULL, 0, "Print one JSON array of {name, value, unit}", 0 },
    { "list", KEY_LIST, NULL, 0, "Print the names, and stop", 0 },
    { 0 },
};

static const struct arg fields[] = {
    { 'w', ARG_COUNT, offsetof(struct options, workers), 1, 256 },
    { KEY_REPS, ARG_COUNT, offsetof(struct options, reps), 1, 1000 },
    { KEY_LIST, ARG_FLAG, offsetof(struct options, list), 0, 0 },
    { 0 },
};

static void unknown_name(const char *name)
{
    fprintf(stderr, "weft-bench: no benchmark is named '%s', and no name begins so. There are:\n", name);
    list_names(stderr);
    exit(2);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;
    switch (key) {
    case KEY_JSON:
        if (!o->json)
            o->json = cJSON_CreateArray();
        return o->json ? 0 : ENOMEM;
    case ARGP_KEY_ARG:
        if (!choose_name(o, arg))
            unknown_name(arg);
        return 0;
    case ARGP_KEY_NO_ARGS:
        choose(o, NULL, false);
        return 0;
    default:
        return args_store(argp_options, fields, key, arg, state);
    }
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = argp_options,
        .parser = parse,
        .args_doc = "[NAME...]",
        .doc = "Measures weft's parts, one by one. A NAME is a benchmark (skynet), one of its lines (skynet.rss), or "
               "the beginning of several (timer); without one, all run.",
    };
    static struct options o;
    cpu_set_t usable;

    o.workers = sched_getaffinity(0, sizeof usable, &usable) == 0 ? (unsigned)CPU_COUNT(&usable) : 1;
    argp_err_exit_status = 2;
    if (argp_parse(&argp, argc, argv, 0, NULL, &o) != 0)
        return 2;
    if (!o.list)
        return run(&o);
    list_names(stdout);
    return 0;
}
