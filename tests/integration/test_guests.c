// Facilities of the C library and the kernel, used by tasks as docs/guests.md says.
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/compiler.h"
#include "tests/support/status.h"
#include "tests/support/tasks.h"

enum { TASKS = 8 };

// Of each task; fewer where all is slow.
enum { BLOCKS = 500, LINES = 400, LOCKS = 2000, LEAPS = 300 };

// on_many runs TASKS tasks of a body that returns how often it has done its work, and
// returns the sum.
static int on_many(weft_fn *fn)
{
    weft_task *tasks[TASKS];
    int sum = 0;

    for (intptr_t i = 0; i < TASKS; i++)
        tasks[i] = spawn(fn, (void *)i);
    for (int i = 0; i < TASKS; i++)
        sum += join(tasks[i]);
    return sum;
}

// all_of is what on_many returns if each task has done all its rounds.
static int all_of(unsigned rounds)
{
    return TASKS * (int)wf_test_rounds(rounds);
}

// park parks in one of several ways, so that the task may go on on another thread.
static void park(struct wf_test_rand *r)
{
    if (wf_test_below(r, 8) == 0)
        assert_int_equal(weft_sleep(WEFT_US(wf_test_below(r, 100))), 0);
    else
        assert_int_equal(weft_yield(), 0);
}

// --- malloc --------------------------------------------------------------------------

struct block {
    unsigned char *bytes;
    unsigned size;
    unsigned char mark;
};

static weft_chan *blocks[TASKS]; // of each task: from the one before it

static void fill_block(struct block *b, struct wf_test_rand *r)
{
    b->mark = (unsigned char)wf_test_below(r, 256);
    b->bytes = malloc(b->size = 1 + wf_test_below(r, 10000));
    assert_non_null(b->bytes);
    memset(b->bytes, b->mark, b->size);
}

static void expect_block(const struct block *b)
{
    for (unsigned i = 0; i < b->size; i++)
        assert_int_equal(b->bytes[i], b->mark);
}

// grow_block resizes it, perhaps on another thread than it was allocated on.
static void grow_block(struct block *b)
{
    unsigned char *bytes = realloc(b->bytes, b->size + 5000);

    assert_non_null(bytes);
    memset(bytes + b->size, b->mark, 5000);
    b->bytes = bytes;
    b->size += 5000;
}

// allocate hands each block on to the next task, which frees it.
static int allocate(void *arg)
{
    struct wf_test_rand r = wf_test_rand((uint64_t)(uintptr_t)arg);
    intptr_t self = (intptr_t)arg;
    int freed = 0;

    for (unsigned i = wf_test_rounds(BLOCKS); i > 0; i--) {
        struct block b;
        fill_block(&b, &r);
        park(&r);
        expect_block(&b);
        grow_block(&b);
        assert_int_equal(weft_chan_send(blocks[(self + 1) % TASKS], &b), 0);
        assert_int_equal(weft_chan_recv(blocks[self], &b), 0);
        expect_block(&b);
        free(b.bytes);
        freed++;
    }
    return freed;
}

static int allocate_in_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(weft_chan_new(&blocks[i], sizeof(struct block), 1), 0);
    int freed = on_many(allocate);
    for (int i = 0; i < TASKS; i++)
        weft_chan_unref(blocks[i]);
    return freed;
}

static void what_one_task_allocates_another_one_frees(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(allocate_in_many, NULL), all_of(BLOCKS));
}

// --- stdio ---------------------------------------------------------------------------

static FILE *report;

// word_of is a word of 1 to 200 letters, which the two numbers determine.
static void word_of(int task, int line, char word[201])
{
    int n = 1 + (task * 31 + line * 17) % 200;

    memset(word, 'a' + (task + line) % 26, (size_t)n);
    word[n] = 0;
}

static int print_lines(void *arg)
{
    struct wf_test_rand r = wf_test_rand((uint64_t)(uintptr_t)arg);
    int task = (int)(intptr_t)arg, lines = (int)wf_test_rounds(LINES);
    char word[201];

    for (int line = 0; line < lines; line++) {
        word_of(task, line, word);
        assert_true(fprintf(report, "%d %d %s\n", task, line, word) > 0);
        park(&r);
    }
    return lines;
}

static void expect_line(const char *text, int next[TASKS])
{
    int task, line;
    char word[201], wanted[201];

    assert_int_equal(sscanf(text, "%d %d %200s\n", &task, &line, word), 3);
    assert_in_range(task, 0, TASKS - 1);
    assert_int_equal(line, next[task]++); // each task's own are in order, none is lost or there twice
    word_of(task, line, wanted);
    assert_string_equal(word, wanted);
}

static int print_in_many(void *arg)
{
    char text[512];
    int next[TASKS] = { 0 }, lines = 0;
    (void)arg;

    report = tmpfile();
    assert_non_null(report);
    assert_int_equal(on_many(print_lines), all_of(LINES));
    rewind(report);
    for (; fgets(text, sizeof(text), report); lines++)
        expect_line(text, next);
    fclose(report);
    return lines;
}

static void lines_that_many_tasks_print_are_whole(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(print_in_many, NULL), all_of(LINES));
}

// --- programs ------------------------------------------------------------------------

struct pipe_of {
    FILE *file;
    char line[64];
};

static int open_it(void *arg)
{
    struct pipe_of *p = arg;
    p->file = popen("echo one; sleep 0.01; echo two", "re");
    return p->file ? 0 : -errno;
}

static int read_it(void *arg)
{
    struct pipe_of *p = arg;
    return fgets(p->line, sizeof(p->line), p->file) ? 1 : 0;
}

static int close_it(void *arg)
{
    struct pipe_of *p = arg;
    return pclose(p->file);
}

// read_a_program: each job may be on another thread of the pool.
static int read_a_program(void *arg)
{
    struct pipe_of p;
    (void)arg;

    assert_int_equal(weft_blocking(open_it, &p), 0);
    assert_int_equal(weft_blocking(read_it, &p), 1);
    assert_string_equal(p.line, "one\n");
    assert_int_equal(weft_blocking(read_it, &p), 1);
    assert_string_equal(p.line, "two\n");
    assert_int_equal(weft_blocking(read_it, &p), 0);
    assert_int_equal(weft_blocking(close_it, &p), 0);
    return 1;
}

static int run_a_command(void *arg)
{
    return system(arg);
}

static int see_a_command_end(void *arg)
{
    (void)arg;
    int status = weft_blocking(run_a_command, "exit 3");
    return WIFEXITED(status) && WEXITSTATUS(status) == 3;
}

static int start_programs(void *fn)
{
    return on_many(*(weft_fn **)fn);
}

static void programs_are_read_and_awaited_on_the_pool(void **state)
{
    weft_fn *ways[] = { read_a_program, see_a_command_end };
    (void)state;

    for (size_t i = 0; i < wf_countof(ways); i++)
        assert_int_equal(run_tasks(start_programs, &ways[i]), TASKS);
}

// --- locks of threads ----------------------------------------------------------------

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int counted; // under the lock

static int count_under_lock(void *arg)
{
    int rounds = (int)wf_test_rounds(LOCKS);
    struct wf_test_rand r = wf_test_rand((uint64_t)(uintptr_t)arg);

    for (int i = 0; i < rounds; i++) {
        assert_int_equal(pthread_mutex_lock(&lock), 0);
        int seen = *(volatile int *)&counted;
        for (unsigned n = wf_test_below(&r, 200); n > 0; n--)
            __asm__ volatile("");
        counted = seen + 1;
        assert_int_equal(pthread_mutex_unlock(&lock), 0);
        if (i % 8 == 0)
            park(&r);
    }
    return rounds;
}

static int count_in_many(void *arg)
{
    (void)arg;
    counted = 0;
    return on_many(count_under_lock);
}

static void a_mutex_of_threads_excludes_tasks_between_two_parks(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(count_in_many, NULL), all_of(LOCKS));
    assert_int_equal(counted, all_of(LOCKS));
}

// --- names ---------------------------------------------------------------------------

struct look_up {
    const char *host;
    struct addrinfo *found;
};

static int look_up_job(void *arg)
{
    struct look_up *l = arg;
    struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
    return getaddrinfo(l->host, "80", &hints, &l->found);
}

static void expect_loopback(const struct look_up *l)
{
    const struct sockaddr_in *a = (const void *)l->found->ai_addr;

    assert_int_equal(a->sin_family, AF_INET);
    assert_int_equal(ntohl(a->sin_addr.s_addr) >> 24, 127);
    assert_int_equal(ntohs(a->sin_port), 80);
}

static int look_up_names(void *arg)
{
    int found = 0;
    (void)arg;

    for (int i = 0; i < 10; i++) {
        struct look_up l = { .host = i % 2 ? "localhost" : "127.0.0.1" };
        int err = weft_blocking(look_up_job, &l);
        if (err == 0) {
            expect_loopback(&l);
            freeaddrinfo(l.found);
        }
        found += err == 0 || i % 2; // a machine may lack the name, but not the number
    }
    return found;
}

static int look_up_in_many(void *arg)
{
    (void)arg;
    return on_many(look_up_names);
}

static void names_are_looked_up_on_the_pool(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(look_up_in_many, NULL), TASKS * 10);
}

// --- setjmp --------------------------------------------------------------------------

enum { DEEP = 5 };

struct leap {
    jmp_buf home;
    struct wf_test_rand *r;
    int value;  // for setjmp to return; 0: return in an orderly way
    bool parks; // before it leaps, in each frame
};

// go_down leaps out of several frames.
WF_NOINLINE static void go_down(struct leap *l, int depth)
{
    volatile char frame[256];

    for (size_t i = 0; i < sizeof(frame); i++)
        frame[i] = (char)depth;
    if (l->parks)
        park(l->r);
    for (size_t i = 0; i < sizeof(frame); i++)
        assert_int_equal(frame[i], depth);
    if (depth > 0)
        go_down(l, depth - 1);
    else if (l->value)
        longjmp(l->home, l->value);
}

// leap: setjmp's environment holds on the thread that the task has moved to, too, since
// the stack is the task's.
WF_NOINLINE static int leap(struct leap *l)
{
    volatile int said = -1; // volatile: it changes between setjmp and longjmp

    int value = setjmp(l->home);
    if (value == 0) {
        said = 0;
        go_down(l, DEEP);
    }
    assert_int_equal(said, 0);
    return value;
}

static int leap_often(void *arg)
{
    struct wf_test_rand r = wf_test_rand((uint64_t)(uintptr_t)arg);
    struct leap l = { .r = &r };
    int leaps = 0, rounds = (int)wf_test_rounds(LEAPS);

    for (int i = 0; i < rounds; i++) {
        l.value = i % 3;
        l.parks = i % 2;
        leaps += leap(&l) == l.value;
        park(&r); // what follows a leap is as before
    }
    return leaps;
}

static int leap_in_many(void *arg)
{
    (void)arg;
    return on_many(leap_often);
}

static void longjmp_works_within_a_task_across_parks_too(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(leap_in_many, NULL), all_of(LEAPS));
}

// --- what the kernel keeps for each thread -------------------------------------------

enum { PATH = 1024 };

// where_am_i is the calling thread's working directory.
static void where_am_i(char path[PATH])
{
    ssize_t n = readlink("/proc/thread-self/cwd", path, PATH - 1);

    assert_true(n > 0);
    path[n] = 0;
}

// go_elsewhere changes its own thread, as setns would: from then on the thread has a
// working directory of its own.
static void *go_elsewhere(void *arg)
{
    weft_future *done = arg;
    char path[PATH];

    if (unshare(CLONE_FS) < 0) { // a sandbox may forbid it
        weft_future_complete(done, -errno);
        return NULL;
    }
    assert_int_equal(chdir("/proc/sys"), 0);
    where_am_i(path);
    weft_future_complete(done, strcmp(path, "/proc/sys") == 0);
    return NULL;
}

// expect_home runs in tasks and in jobs.
static int expect_home(void *home)
{
    char path[PATH];

    where_am_i(path);
    assert_string_equal(path, home);
    return 0;
}

static int send_a_thread(void *arg)
{
    weft_future done = WEFT_FUTURE_INIT;
    char home[PATH];
    pthread_t thread;
    intptr_t said;
    (void)arg;

    where_am_i(home);
    assert_int_equal(pthread_create(&thread, NULL, go_elsewhere, &done), 0);
    assert_int_equal(weft_await(&done, &said), 0);
    assert_int_equal(pthread_join(thread, NULL), 0); // it has ended, or is about to
    for (int i = 0; i < 4 * TASKS; i++)
        assert_int_equal(join(spawn(expect_home, home)), 0);
    assert_int_equal(weft_blocking(expect_home, home), 0);
    return (int)said;
}

static void state_of_a_thread_is_changed_on_a_thread_of_ones_own(void **state)
{
    (void)state;
    int said = run_tasks(send_a_thread, NULL);
    if (said == -EPERM || said == -ENOSYS)
        wf_test_skip("unshare(2) is refused, by a container's filter or an emulator");
    assert_int_equal(said, 1);
}

// --- what it keeps for the process ---------------------------------------------------

static int read_umask(void *arg)
{
    (void)arg;
    return (int)status_number("Umask");
}

static int change_umask(void *arg)
{
    int before = (int)umask(031);
    (void)arg;

    for (int i = 0; i < 4 * TASKS; i++)
        assert_int_equal(join(spawn(read_umask, NULL)), 031);
    assert_int_equal(weft_blocking(read_umask, NULL), 031);
    umask((mode_t)before);
    return 0;
}

static void what_belongs_to_the_process_is_the_same_for_all(void **state)
{
    (void)state;
    int before = read_umask(NULL);
    if (before < 0)
        wf_test_skip("the kernel, or an emulator, does not tell the umask");
    assert_int_equal(run_tasks(change_umask, NULL), 0);
    assert_int_equal(read_umask(NULL), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_task_allocates_another_one_frees),
        cmocka_unit_test(lines_that_many_tasks_print_are_whole),
        cmocka_unit_test(programs_are_read_and_awaited_on_the_pool),
        cmocka_unit_test(a_mutex_of_threads_excludes_tasks_between_two_parks),
        cmocka_unit_test(names_are_looked_up_on_the_pool),
        cmocka_unit_test(longjmp_works_within_a_task_across_parks_too),
        cmocka_unit_test(state_of_a_thread_is_changed_on_a_thread_of_ones_own),
        cmocka_unit_test(what_belongs_to_the_process_is_the_same_for_all),
    };
    return wf_test_run(tests);
}
