// weft-bench: the micro benchmarks. One line a result: name, value and unit, with tabs between; or JSON.
#include <argp.h>
#include <cjson/cJSON.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/micro.h"

static const struct micro_bench benches[] = {
    { "switch", 5, micro_switch, { { "", "ns/switch" } } },
    { "switch_bare", 5, micro_switch_bare, { { "", "ns/switch" } } },
    { "yield_1", 5, micro_yield_1, { { "", "ns/yield" } } },
    { "yield_1000", 5, micro_yield_1000, { { "", "ns/yield" } } },
    { "spawn_join_seq", 5, micro_spawn_join_seq, { { "", "ns/task" } } },
    { "spawn_join_batch", 5, micro_spawn_join_batch, { { "", "ns/task" } } },
    { "spawn_outside", 5, micro_spawn_outside, { { "", "ns/task" } } },
    { "chained_spawn", 5, micro_chained_spawn, { { "", "ns/task" } } },
    { "pingpong_1", 5, micro_pingpong_1, { { "", "ns/roundtrip" } } },
    { "pingpong_1000", 5, micro_pingpong_1000, { { "", "ns/roundtrip" } } },
    { "skynet", 5, micro_skynet, { { "", "ms" }, { ".rss", "MiB" } } },
    { "fib32", 5, micro_fib32, { { "", "ms" }, { ".rss", "MiB" } } },
    { "mpsc_1p", 5, micro_mpsc_1p, { { "", "Mmsg/s" } } },
    { "mpsc_8p", 5, micro_mpsc_8p, { { "", "Mmsg/s" } } },
    { "mpmc_8x8", 5, micro_mpmc_8x8, { { "", "Mmsg/s" } } },
    { "mutex_1", 5, micro_mutex_1, { { "", "ns/lock" } } },
    { "mutex_8", 5, micro_mutex_8, { { "", "ns/lock" } } },
    { "scope_100k", 5, micro_scope_100k, { { "", "ns/child" } } },
    { "select_2", 5, micro_select_2, { { "", "ns" } } },
    { "select_64", 5, micro_select_64, { { "", "ns" } } },
    { "sleep_1m", 3, micro_sleep_1m, { { ".wall", "ms" }, { ".cpu", "ms" }, { ".rss", "MiB" } } },
    { "timer_cancel", 5, micro_timer_cancel, { { "", "ns/timer" } } },
    { "timer_cancel_all", 5, micro_timer_cancel_all, { { "", "ns/timer" } } },
    { "timer_bare", 5, micro_timer_bare, { { "", "ns/timer" } } },
    { "timer_late", 1, micro_timer_late, { { ".p50", "us" }, { ".p99", "us" } } },
    { "idle_task", 1, micro_idle_task, { { "", "bytes/task" } } },
    { "wake_idle", 1, micro_wake_idle, { { ".p50", "us" }, { ".p99", "us" } } },
    { "wake_busy", 1, micro_wake_busy, { { ".p50", "us" }, { ".p99", "us" } } },
};
enum { BENCHES = sizeof benches / sizeof benches[0], LINE_NAME_MAX = 64 };

struct options {
    unsigned workers;
    int reps;
    bool list;
    bool chosen[BENCHES][MICRO_LINES_MAX];
    cJSON *json; // the array of results; NULL: as text
};

// --- names -----------------------------------------------------------------------------------------------------------

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

enum match { BY_BENCH, BY_LINE, BY_PREFIX, MATCHES };

static bool matches(enum match how, const char *wanted, int bench, int line)
{
    char name[LINE_NAME_MAX];
    switch (how) {
    case BY_BENCH:
        return strcmp(wanted, benches[bench].name) == 0;
    case BY_LINE:
        return strcmp(wanted, line_name(name, bench, line)) == 0;
    default:
        return strncmp(wanted, line_name(name, bench, line), strlen(wanted)) == 0;
    }
}

// choose selects all lines that match `wanted` (NULL: all lines). Returns: whether there are any.
static bool choose(struct options *o, enum match how, const char *wanted)
{
    bool any = false;
    for (int b = 0; b < BENCHES; b++) {
        for (int l = 0; benches[b].lines[l].suffix; l++) {
            if (!wanted || matches(how, wanted, b, l))
                any = o->chosen[b][l] = true;
        }
    }
    return any;
}

// A name is a benchmark's ("skynet": all its lines), or a line's ("skynet.rss"), or else the beginning of several
// ("timer"); so "yield_1" is not "yield_1000" too.
static bool choose_name(struct options *o, const char *wanted)
{
    for (enum match how = BY_BENCH; how < MATCHES; how++) {
        if (choose(o, how, wanted))
            return true;
    }
    return false;
}

// --- running ---------------------------------------------------------------------------------------------------------

// measure runs one benchmark in a process of its own; its results come back in `m`, which is shared with it.
// Returns: whether it ended well.
static bool measure(const struct micro_bench *bench, struct micro *m)
{
    int status;
    fflush(NULL);
    const pid_t child = fork();

    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); // who stops weft-bench stops what it runs
        bench->run(m);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0) {
        fprintf(stderr, "weft-bench: %s: fork: %s\n", bench->name, strerror(errno));
        return false;
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "weft-bench: %s: ended by signal %d, %s\n", bench->name, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        fprintf(stderr, "weft-bench: %s: exit status %d\n", bench->name, WEXITSTATUS(status));
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

    *m = (struct micro){ .workers = o->workers, .reps = o->reps ? o->reps : benches[bench].reps };
    if (!measure(&benches[bench], m))
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

// --- the command line ------------------------------------------------------------------------------------------------

enum { KEY_JSON = 256, KEY_LIST, KEY_REPS };

static const struct argp_option argp_options[] = {
    { "workers", 'w', "N", 0, "Worker threads (default: the CPUs this process may use)", 0 },
    { "reps", KEY_REPS, "N", 0, "Repetitions that each median is taken of, after one to warm up", 0 },
    { "json", KEY_JSON, NULL, 0, "Print one JSON array of {name, value, unit}", 0 },
    { "list", KEY_LIST, NULL, 0, "Print the names, and stop", 0 },
    { 0 },
};

static int number(const char *text, int max, struct argp_state *state, const char *what)
{
    char *end;
    errno = 0;
    const long n = strtol(text, &end, 10);
    if (errno || end == text || *end || n < 1 || n > max)
        argp_error(state, "%s: '%s' is not a number from 1 to %d", what, text, max);
    return (int)n;
}

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
    case 'w':
        o->workers = (unsigned)number(arg, 256, state, "--workers");
        return 0;
    case KEY_REPS:
        o->reps = number(arg, 1000, state, "--reps");
        return 0;
    case KEY_LIST:
        o->list = true;
        return 0;
    case KEY_JSON:
        if (!o->json)
            o->json = cJSON_CreateArray();
        return o->json ? 0 : ENOMEM;
    case ARGP_KEY_ARG:
        if (!choose_name(o, arg))
            unknown_name(arg);
        return 0;
    case ARGP_KEY_NO_ARGS:
        choose(o, BY_PREFIX, NULL);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
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
