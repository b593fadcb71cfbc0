// How much of a task's stack some large functions of the C library take. The test
// prints a table; each function must leave a part of the default 64 KiB. First calls
// count: they load modules, locales and time zones, and bind symbols (this program is
// linked lazily, unlike weft).
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <float.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <regex.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>

#include "base/compiler.h"
#include "tests/support/tasks.h"

extern char **environ;

enum {
    ROOMY = 1 << 20,      // the stack that it is measured on
    DEPTH = 512 << 10,    // so much of it is watched
    OWN = 256,            // but for measure's own frame
    MOST = (64 - 8) << 10 // of the default 64 KiB: 8 are for the task's own frames
};

static char text[16384];
static FILE *null; // unbuffered, as stderr: printf then has a buffer on the stack

// --- the suspects --------------------------------------------------------------------

static void nothing_at_all(void)
{
}

static void printf_long_double(void)
{
    assert_true(snprintf(text, sizeof(text), "%Lf", LDBL_MAX) > 300);
}

static void printf_many_digits(void)
{
    assert_int_equal(snprintf(text, sizeof(text), "%.*f", 5000, 1.0 / 3), 5002);
}

static void printf_unbuffered(void)
{
    assert_int_equal(fprintf(null, "%s %d\n", "hello", 42), 9);
}

static void scanf_double(void)
{
    double d;
    assert_int_equal(sscanf("1.2345678901234567890123456789e-300", "%lf", &d), 1);
}

static void look_up_host(void)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    if (getaddrinfo("localhost", "80", &hints, &found) == 0) // a machine may lack the name
        freeaddrinfo(found);
}

static void look_up_user(void)
{
    struct passwd user, *found;
    assert_int_equal(getpwuid_r(getuid(), &user, text, sizeof(text), &found), 0);
}

static void look_up_group(void)
{
    struct group group, *found;
    assert_int_equal(getgrnam_r("nogroup", &group, text, sizeof(text), &found), 0);
}

static void local_time(void)
{
    time_t now = 1700000000;
    struct tm tm;
    assert_non_null(localtime(&now)); // unlike localtime_r it looks at TZ each time
    assert_non_null(localtime_r(&now, &tm));
}

static void format_time(void)
{
    time_t now = 1700000000;
    struct tm tm;
    assert_non_null(gmtime_r(&now, &tm));
    assert_true(strftime(text, sizeof(text), "%c %x %X %Z", &tm) > 0);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, 8);
}

static void sort_large(void)
{
    enum { N = 64, SIZE = 4096 };
    char *all = malloc((size_t)N * SIZE);

    assert_non_null(all);
    for (int i = 0; i < N * SIZE; i++)
        all[i] = (char)(i * 2654435761u >> 13);
    qsort(all, N, SIZE, compare);
    free(all);
}

static void match(void)
{
    regex_t re;
    memset(text, 'a', 4000);
    text[4000] = 0;
    assert_int_equal(regcomp(&re, "^((a|b)*c?([[:alpha:]]+[0-9]*)*)+$", REG_EXTENDED), 0);
    assert_int_equal(regexec(&re, text, 0, NULL, 0), 0);
    regfree(&re);
}

static void match_files(void)
{
    glob_t found;
    int err = glob("/usr/*/*", 0, NULL, &found);
    assert_true(err == 0 || err == GLOB_NOMATCH);
    globfree(&found);
}

static int visit(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)path, (void)st, (void)kind, (void)at;
    return 0;
}

static void walk_files(void)
{
    assert_int_equal(nftw("/proc/self/task", visit, 8, FTW_PHYS), 0);
}

static void resolve_path(void)
{
    char *path = realpath("/proc/self/exe", NULL);
    assert_non_null(path);
    free(path);
}

static void log_a_line(void)
{
    syslog(LOG_DEBUG, "a line of weft's tests: %d", 42);
}

static void take_backtrace(void)
{
    void *frames[32];
    assert_true(backtrace(frames, 32) > 0);
}

static void load_library(void)
{
    void *library = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);
    if (library)
        dlclose(library);
}

static void start_program(void)
{
    char *argv[] = { "true", NULL };
    int status;
    pid_t pid;

    assert_int_equal(posix_spawnp(&pid, "true", NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void open_pipe(void)
{
    FILE *f = popen("exec true", "re");
    assert_non_null(f);
    assert_int_equal(pclose(f), 0);
}

// Nothing else calls it, so this binds it.
static void call_for_the_first_time(void)
{
    assert_int_equal(a64l(l64a(42)), 42);
}

struct suspect {
    const char *name;
    void (*fn)(void);
    size_t first, again; // bytes
};

static struct suspect suspects[] = {
    { .name = "nothing (what measuring adds)", .fn = nothing_at_all },
    { .name = "first call of a function (lazy binding)", .fn = call_for_the_first_time },
    { .name = "snprintf(\"%Lf\", LDBL_MAX)", .fn = printf_long_double },
    { .name = "snprintf(\"%.*f\", 5000, x)", .fn = printf_many_digits },
    { .name = "fprintf to an unbuffered stream", .fn = printf_unbuffered },
    { .name = "sscanf(\"%lf\")", .fn = scanf_double },
    { .name = "getaddrinfo(\"localhost\")", .fn = look_up_host },
    { .name = "getpwuid_r", .fn = look_up_user },
    { .name = "getgrnam_r", .fn = look_up_group },
    { .name = "localtime", .fn = local_time },
    { .name = "strftime", .fn = format_time },
    { .name = "qsort, elements of 4 KiB", .fn = sort_large },
    { .name = "regcomp, regexec", .fn = match },
    { .name = "glob", .fn = match_files },
    { .name = "nftw", .fn = walk_files },
    { .name = "realpath", .fn = resolve_path },
    { .name = "syslog", .fn = log_a_line },
    { .name = "backtrace", .fn = take_backtrace },
    { .name = "dlopen", .fn = load_library },
    { .name = "posix_spawnp", .fn = start_program },
    { .name = "popen", .fn = open_pipe },
};

// --- measuring -----------------------------------------------------------------------

// measure fills the stack below this frame with a pattern, calls, and looks how far
// down it was written to. Without calls of its own: each has a frame.
WF_NOINLINE static size_t measure(void (*fn)(void))
{
    volatile char *here = __builtin_frame_address(0), *low = here - DEPTH;

    for (volatile char *at = low; at < here - OWN; at++)
        *at = 0x5a;
    fn();
    volatile char *at = low;
    while (at < here - OWN && *at == 0x5a)
        at++;
    return (size_t)(here - at);
}

static int measure_each(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < wf_countof(suspects); i++) {
        suspects[i].first = measure(suspects[i].fn);
        suspects[i].again = measure(suspects[i].fn);
    }
    return 0;
}

static int call_each(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < wf_countof(suspects); i++)
        suspects[i].fn();
    return 0;
}

static int on_a_stack_of(size_t size, weft_fn *fn)
{
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;

    opts.stack_size = size;
    assert_int_equal(weft_spawn_with(&t, &opts, fn, NULL), 0);
    return join(t);
}

static int measure_and_call(void *arg)
{
    (void)arg;
    assert_int_equal(on_a_stack_of(ROOMY, measure_each), 0);
    assert_int_equal(on_a_stack_of(0, call_each), 0);
    return 0;
}

static void what_the_c_library_takes_fits_into_the_default_stack(void **state)
{
    (void)state;
#if defined(WF_ASAN) || defined(WF_TSAN) || defined(WF_VALGRIND)
    wf_test_skip("the tool has frames of its own");
#endif
    setenv("TZ", "Europe/Berlin", 1); // a file
    null = fopen("/dev/null", "we");
    assert_non_null(null);
    setvbuf(null, NULL, _IONBF, 0);
    assert_int_equal(run_tasks(measure_and_call, NULL), 0);
    fclose(null);

    print_message("%-42s %8s %8s\n", "KiB of stack", "first", "again");
    for (size_t i = 0; i < wf_countof(suspects); i++) {
        const struct suspect *s = &suspects[i];
        print_message("%-42s %8.1f %8.1f\n", s->name, (double)s->first / 1024, (double)s->again / 1024);
    }
    for (size_t i = 0; i < wf_countof(suspects); i++)
        if (suspects[i].first > MOST || suspects[i].again > MOST)
            fail_msg("%s takes %zu bytes of stack", suspects[i].name, suspects[i].first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_c_library_takes_fits_into_the_default_stack),
    };
    return wf_test_run(tests);
}
