// Files when the system refuses, or the process is killed: at each system call of a call
// in turn.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>

#include "base/mem.h"
#include "tests/support/child.h"
#include "tests/support/folder.h"
#include "tests/support/tasks.h"
#include "tests/support/wrap.h"

// is_ours leaves descriptors of the runtime's and of the sanitizers' alone.
static bool is_ours(int fd)
{
    char link[32], path[sizeof(folder)];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path));
    return n > 0 && strncmp(path, folder, strlen(folder)) == 0;
}

// --- what fails ----------------------------------------------------------------------

enum { OPEN = 1, READ = 2, WRITE = 4, SYNC = 8, OWNER = 16, NAME = 32, ANY = 63, KILL = -1 };

// The n-th call of these kinds, from 1, fails with `error`, or does not return (KILL);
// 0: none.
static struct {
    atomic_int at, passed;
    int kinds, error;
} fault;

static void fail_at(int at, int kinds, int error)
{
    fault.kinds = kinds;
    fault.error = error;
    atomic_store(&fault.passed, 0);
    atomic_store(&fault.at, at);
}

// fails tells whether this call does: by fault.error.
static bool fails(int kind)
{
    if (!atomic_load(&fault.at) || !(fault.kinds & kind))
        return false;
    if (atomic_fetch_add(&fault.passed, 1) + 1 != atomic_load(&fault.at))
        return false;
    if (fault.error == KILL)
        kill(getpid(), SIGKILL);
    return true;
}

static bool has_failed(void)
{
    return atomic_load(&fault.passed) >= atomic_load(&fault.at);
}

WRAP(int, openat, int at, const char *path, int flags, mode_t mode)
{
    return fails(OPEN) ? -fault.error : REAL(openat)(at, path, flags, mode);
}

WRAP(ssize_t, read, int fd, void *buf, size_t n)
{
    return is_ours(fd) && fails(READ) ? -fault.error : REAL(read)(fd, buf, n);
}

WRAP(ssize_t, write, int fd, const void *buf, size_t n)
{
    return is_ours(fd) && fails(WRITE) ? -fault.error : REAL(write)(fd, buf, n);
}

WRAP(int, fsync, int fd)
{
    return fails(SYNC) ? -fault.error : REAL(fsync)(fd);
}

WRAP(int, fchmod, int fd, mode_t mode)
{
    return fails(OWNER) ? -fault.error : REAL(fchmod)(fd, mode);
}

WRAP(int, fchown, int fd, uid_t owner, gid_t group)
{
    return fails(OWNER) ? -fault.error : REAL(fchown)(fd, owner, group);
}

WRAP(int, linkat, int from_at, const char *from, int to_at, const char *to, int flags)
{
    return fails(NAME) ? -fault.error : REAL(linkat)(from_at, from, to_at, to, flags);
}

WRAP(int, renameat, int from_at, const char *from, int to_at, const char *to)
{
    return fails(NAME) ? -fault.error : REAL(renameat)(from_at, from, to_at, to);
}

// --- a folder for each test ----------------------------------------------------------

static int enter(void **state)
{
    (void)state;
    return folder_enter("/tmp");
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
    close(fd);
}

// clean_up removes what lies beside the file. Returns: how much it was.
static unsigned clean_up(void)
{
    DIR *d = opendir(".");
    unsigned n = 0;

    for (struct dirent *e; (e = readdir(d));)
        if (strncmp(e->d_name, ".weft-", 6) == 0) {
            assert_int_equal(unlink(e->d_name), 0);
            n++;
        }
    closedir(d);
    return n;
}

static bool is_content(const char *want)
{
    char here[64] = "";
    int fd = open("file", O_RDONLY | O_CLOEXEC);
    ssize_t n = pread(fd, here, sizeof(here) - 1, 0);
    close(fd);
    return n == (ssize_t)strlen(want) && strcmp(here, want) == 0;
}

// --- replacing, when a call fails ----------------------------------------------------

static int write_new(void *arg)
{
    (void)arg;
    return weft_file_write("file", "new", 3);
}

// fail_each has each call of these kinds fail in turn.  Returns: how many there are.
static int fail_each(int kinds, int error, bool may_fail)
{
    int at = 0;

    do {
        put("file", "old");
        fail_at(++at, kinds, error);
        int result = write_new(NULL);
        bool failed = has_failed();
        fail_at(0, 0, 0);
        assert_int_equal(clean_up(), 0);
        if (result == 0)
            assert_true(is_content("new"));
        else
            assert_true(failed && may_fail && result == -error && (is_content("old") || is_content("new")));
        if (!failed)
            return at - 1;
    } while (true);
}

static int replace_with_faults(void *arg)
{
    int all = fail_each(ANY, EIO, true);
    (void)arg;

    assert_true(all >= 9); // folder, file, owner, mode, bytes, disk, name, rename, disk
    assert_int_equal(fail_each(ANY, ENOSPC, true), all);
    assert_true(fail_each(OPEN | WRITE | SYNC, EINTR, false) >= 5);
    assert_int_equal(fail_each(OWNER, EPERM, true), 2);
    return 0;
}

static void a_call_that_fails_leaves_the_old_file_or_the_new_one(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(replace_with_faults, NULL), 0);
}

static int replace_in_other_ways(void *arg)
{
    (void)arg;
    put("file", "old");
    fail_at(2, OPEN, EOPNOTSUPP); // no file without a name
    assert_int_equal(write_new(NULL), 0);
    assert_true(has_failed() && is_content("new"));
    put("file", "old");
    fail_at(1, NAME, ENOENT); // no /proc
    assert_int_equal(write_new(NULL), 0);
    assert_true(has_failed() && is_content("new"));
    put("file", "old");
    fail_at(1, NAME, EEXIST); // the name is taken
    assert_int_equal(write_new(NULL), 0);
    assert_true(has_failed() && is_content("new"));
    put("file", "old");
    fail_at(2, SYNC, EINVAL); // folders are not to be synced here
    assert_int_equal(write_new(NULL), 0);
    assert_true(has_failed() && is_content("new"));
    put("file", "old");
    fail_at(1, SYNC, EINVAL); // a file is
    assert_int_equal(write_new(NULL), -EINVAL);
    assert_true(is_content("old"));
    fail_at(0, 0, 0);
    struct stat st;
    assert_int_equal(stat("file", &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0640);
    return (int)clean_up();
}

static void where_the_best_way_is_not_to_be_had_there_is_another(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(replace_in_other_ways, NULL), 0);
}

// --- replacing, when the process is killed -------------------------------------------

static int write_until_killed(void *arg)
{
    fail_at(*(int *)arg, ANY, KILL);
    return write_new(NULL);
}

static void be_killed(void *arg)
{
    if (run_tasks(write_until_killed, arg) != 0)
        _exit(1);
}

static void a_kill_at_any_call_leaves_the_old_file_or_the_new_one(void **state)
{
    struct child c;
    unsigned litter = 0;
    int at = 0;
    (void)state;

    do {
        put("file", "old");
        at++;
        child_run(&c, be_killed, &at);
        assert_true(is_content("old") || is_content("new"));
        unsigned left = clean_up();
        assert_true(left <= 1);
        litter += left;
    } while (!WIFEXITED(c.status));
    child_expect_exit(&c, 0);
    assert_true(is_content("new"));
    assert_true(at >= 10);
    assert_true(litter <= 1); // only one that is killed right before it renames
}

// write_without_end writes one content after the other, each of many bytes.
enum { WIDTH = 300000 };

static int write_without_end(void *arg)
{
    char *data = malloc(WIDTH);
    int err = 0;
    (void)arg;

    assert_non_null(data);
    for (char c = 'a'; err == 0; c = c == 'z' ? 'a' : (char)(c + 1)) {
        memset(data, c, WIDTH);
        err = weft_file_write("file", data, WIDTH);
    }
    free(data);
    return err;
}

static void expect_one_content(void)
{
    char *data = malloc(WIDTH + 1);
    int fd = open("file", O_RDONLY | O_CLOEXEC);

    assert_non_null(data);
    assert_int_equal(pread(fd, data, WIDTH + 1, 0), WIDTH);
    for (size_t i = 1; i < WIDTH; i++)
        assert_int_equal(data[i], data[0]);
    close(fd);
    free(data);
}

static void be_killed_soon(void *arg)
{
    (void)arg;
    run_tasks(write_without_end, NULL);
}

static void kill_soon(unsigned us)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child_main(ends[1], be_killed_soon, NULL);
    close(ends[1]);
    usleep(us);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(ends[0]);
}

static void a_kill_at_any_time_leaves_one_content(void **state)
{
    struct wf_test_rand rng = wf_test_rand(3);
    (void)state;

    char *first = malloc(WIDTH);
    memset(first, '0', WIDTH);
    int fd = open("file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(pwrite(fd, first, WIDTH, 0), WIDTH);
    close(fd);
    free(first);
    for (unsigned i = 0; i < wf_test_long(60); i++) {
        kill_soon(wf_test_below(&rng, 30000));
        expect_one_content();
        assert_true(clean_up() <= 1);
    }
}

// --- reading, from the cache and not -------------------------------------------------

enum { ALL = 0, CALLS = 4 };

// What preadv2 with RWF_NOWAIT does, call by call: gives so many bytes at most, or
// -errno; ALL: what it does.
static struct {
    ssize_t script[CALLS];
    int passed;
} cache;

static atomic_int pool_reads; // calls of pread, on the test's files: the runtime has others of its own

WRAP(ssize_t, preadv2, int fd, const struct iovec *v, int n, off_t at, int flags)
{
    struct iovec one = *v;
    ssize_t now = cache.passed < CALLS ? cache.script[cache.passed] : ALL;

    assert_int_equal(n, 1);
    assert_int_equal(flags, RWF_NOWAIT);
    cache.passed++;
    if (now < 0)
        return now;
    if (now != ALL)
        one.iov_len = (size_t)now;
    return REAL(preadv2)(fd, &one, 1, at, flags);
}

WRAP(ssize_t, pread, int fd, void *buf, size_t n, off_t at)
{
    bool ours = is_ours(fd);

    if (ours)
        pool_reads++;
    return ours && fails(READ) ? -fault.error : REAL(pread)(fd, buf, n, at);
}

static char got[9];

static ssize_t read_after(int fd, ssize_t first, ssize_t second)
{
    cache.script[0] = first;
    cache.script[1] = second;
    cache.passed = 0;
    pool_reads = 0;
    memset(got, 0, sizeof(got));
    return weft_pread(fd, got, 8, 1);
}

// On a disk; in memory there is no cache to miss.
static int read_with_faults(void *arg)
{
    static const int for_a_thread[] = { EAGAIN, ENOSYS, EINVAL, EPERM };
    (void)arg;

    put("file", "0123456789abcdef");
    int fd = weft_open("file", O_RDONLY | O_CLOEXEC, 0);
    for (size_t i = 0; i < wf_countof(for_a_thread); i++) {
        assert_int_equal(read_after(fd, -for_a_thread[i], ALL), 8);
        assert_string_equal(got, "12345678");
        assert_int_equal(pool_reads, 1);
    }
    assert_int_equal(read_after(fd, 3, ALL), 8); // a piece comes, and then the other
    assert_string_equal(got, "12345678");
    assert_int_equal(cache.passed, 2);
    assert_int_equal(pool_reads, 0);
    assert_int_equal(read_after(fd, 3, -EAGAIN), 8); // a piece is not there
    assert_string_equal(got, "12345678");
    assert_int_equal(pool_reads, 1);
    assert_int_equal(read_after(fd, -EIO, ALL), -EIO);
    assert_int_equal(read_after(fd, 3, -EIO), 3); // what was read is read
    assert_string_equal(got, "123");
    assert_int_equal(pool_reads, 0);
    return weft_close(fd);
}

static int fail_on_the_thread(void *arg)
{
    (void)arg;
    put("file", "0123456789abcdef");
    int fd = weft_open("file", O_RDONLY | O_CLOEXEC, 0);
    fail_at(1, READ, EIO);
    assert_int_equal(read_after(fd, -EAGAIN, ALL), -EIO);
    fail_at(1, READ, EIO);
    assert_int_equal(read_after(fd, 3, -EAGAIN), 3);
    fail_at(1, READ, EINTR);
    assert_int_equal(read_after(fd, -EAGAIN, ALL), 8);
    assert_int_equal(pool_reads, 2);
    fail_at(0, 0, 0);
    return weft_close(fd);
}

static void what_the_cache_has_not_a_thread_reads(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(read_with_faults, NULL), 0);
    assert_int_equal(run_tasks(fail_on_the_thread, NULL), 0);
}

static const char *release; // of the kernel, for what asks

WRAP(int, uname, struct utsname *u)
{
    int err = REAL(uname)(u);
    if (release)
        snprintf(u->release, sizeof(u->release), "%s", release);
    return err;
}

static int read_on_a_kernel(void *arg)
{
    bool trusted = *(bool *)arg;
    int fd = weft_open("file", O_RDONLY | O_CLOEXEC, 0);

    assert_int_equal(read_after(fd, ALL, ALL), 8);
    assert_int_equal(cache.passed, trusted ? 1 : 0);
    assert_int_equal(pool_reads, trusted ? 0 : 1);
    return weft_close(fd);
}

struct kernel {
    const char *release;
    bool trusted;
};

static void on_a_kernel(void *arg)
{
    struct kernel *k = arg;

    release = k->release;
    if (run_tasks(read_on_a_kernel, &k->trusted) != 0)
        _exit(1);
}

// In children that are the first to ask: what is found out is kept.
static void a_kernel_that_takes_the_caches_end_for_the_files_is_not_asked(void **state)
{
    static struct kernel kernels[] = {
        { "4.19.0", false }, { "5.9.12-generic", false }, { "5.10.0", false },
        { "5.11.0", true },  { "5.15.7-custom", true },   { "6.1", true },
        { "10.0.0", true },  { "unheard of", false },
    };
    (void)state;

    put("file", "0123456789abcdef");
    for (size_t i = 0; i < wf_countof(kernels); i++) {
        struct child c;
        child_run(&c, on_a_kernel, &kernels[i]);
        child_expect_exit(&c, 0);
    }
}

// --- whole files, and folders --------------------------------------------------------

static int read_whole_with_faults(void *arg)
{
    void *data = &data;
    size_t n = 1;
    (void)arg;

    put("file", "whole");
    fail_at(1, READ, EIO);
    assert_int_equal(weft_file_read("file", &data, &n, 9), -EIO);
    assert_null(data);
    assert_int_equal(n, 0);
    fail_at(2, READ, EIO); // when all is read, but for the end
    assert_int_equal(weft_file_read("file", &data, &n, 9), -EIO);
    assert_null(data);
    fail_at(1, READ, EINTR);
    assert_int_equal(weft_file_read("file", &data, &n, 9), 0);
    assert_string_equal(data, "whole");
    fail_at(0, 0, 0);
    free(data);
    return 0;
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(read_whole_with_faults, NULL), 0);
}

// What getdents64 does: fails, tells no types, or gives what few file systems do.
static enum { AS_IT_IS, FAILS, WITHOUT_TYPES, WITH_A_LONG_NAME, REMOVED } folders;

static void add_long_name(char *at, unsigned short length)
{
    struct dirent64 *e = (struct dirent64 *)at;

    memset(e, 0, length);
    e->d_reclen = length;
    e->d_type = DT_REG;
    memset(e->d_name, 'x', 300);
}

WRAP(ssize_t, getdents64, int fd, void *buf, size_t n)
{
    enum { LONG = 512 };
    char *from = buf;

    if (folders == FAILS || folders == REMOVED) {
        int error = folders == FAILS ? EIO : ENOENT;
        folders = AS_IT_IS;
        return -error;
    }
    ssize_t had = REAL(getdents64)(fd, from, n - LONG);
    if (had > 0 && folders == WITHOUT_TYPES)
        for (ssize_t at = 0; at < had; at += ((struct dirent64 *)(from + at))->d_reclen)
            ((struct dirent64 *)(from + at))->d_type = DT_UNKNOWN;
    if (had > 0 && folders == WITH_A_LONG_NAME) {
        memmove(from + LONG, from, (size_t)had);
        add_long_name(from, LONG);
        had += LONG;
    }
    return had;
}

static int read_strange_folders(void *arg)
{
    weft_dirent e;
    weft_dir *d;
    (void)arg;

    put("file", "");
    folders = FAILS;
    assert_int_equal(weft_dir_open(&d, "."), 0);
    assert_int_equal(weft_dir_next(d, &e), -EIO);
    assert_int_equal(weft_dir_next(d, &e), 1); // it goes on
    assert_string_equal(e.name, "file");
    folders = FAILS;
    assert_int_equal(weft_dir_next(d, &e), -EIO);
    folders = REMOVED;
    assert_int_equal(weft_dir_next(d, &e), 0);
    weft_dir_close(d);

    folders = WITHOUT_TYPES;
    assert_int_equal(weft_dir_open(&d, "."), 0);
    assert_int_equal(weft_dir_next(d, &e), 1);
    assert_int_equal(e.type, DT_REG);
    weft_dir_close(d);

    folders = WITH_A_LONG_NAME;
    assert_int_equal(weft_dir_open(&d, "."), 0);
    assert_int_equal(weft_dir_next(d, &e), -ENAMETOOLONG);
    assert_int_equal(weft_dir_next(d, &e), 1);
    assert_string_equal(e.name, "file");
    weft_dir_close(d);
    folders = AS_IT_IS;
    return 0;
}

static void a_folder_may_fail_and_go_on(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(read_strange_folders, NULL), 0);
}

// --- without memory, without threads -------------------------------------------------

#ifdef WF_FAULTS
static int open_fifo(void *arg)
{
    (void)arg;
    return weft_open("fifo", O_RDONLY | O_CLOEXEC, 0);
}

static int read_file(void *arg)
{
    void *data;
    size_t n;
    (void)arg;

    int err = weft_file_read("file", &data, &n, 10);
    assert_int_equal(data != NULL, err == 0);
    free(data);
    return err;
}

// refuse makes each site in turn fail for good, in one call.
static int refuse_in_turn(weft_fn *fn, bool later, int error)
{
    int failed = 0;

    for (int at = 1;; at++) {
        wf_mem_fail_at(at, later);
        int result = fn(NULL);
        bool reached = wf_mem_count() >= at;
        wf_mem_fail_at(0, false);
        if (!reached)
            return failed;
        failed += result < 0;
        assert_true(result >= 0 || result == error);
    }
}

static int open_folder(void *arg)
{
    weft_dir *d;
    (void)arg;

    int err = weft_dir_open(&d, ".");
    assert_int_equal(d != NULL, err == 0);
    weft_dir_close(d);
    return err;
}

static int use_little(void *arg)
{
    (void)arg;
    put("file", "some");
    assert_int_equal(mkfifo("fifo", 0600), 0);

    wf_mem_fail_at(1, true); // there is no thread, and none to be had: it is done on the worker
    int opened = weft_open("file", O_RDONLY | O_CLOEXEC, 0), fifo = open_fifo(NULL);
    wf_mem_fail_at(0, false);
    assert_true(opened >= 0);
    assert_int_equal(fifo, -EAGAIN); // but that would block it
    assert_int_equal(weft_close(opened), 0);

    assert_int_equal(read_file(NULL), 0); // from now on there is a thread
    assert_true(refuse_in_turn(read_file, false, -ENOMEM) > 0);
    assert_true(refuse_in_turn(open_folder, false, -ENOMEM) > 0);
    return 0;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int refuse_timer(void *arg)
{
    (void)arg;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(read_file(NULL), -ENOENT); // both lanes have a thread from now on
    assert_int_equal(weft_blocking(do_nothing, NULL), 0);
    wf_mem_fail_at(1, true);
    int fifo = open_fifo(NULL);
    wf_mem_fail_at(0, false);
    assert_int_equal(fifo, -ENOMEM);
    return 0;
}

static int run_alone(weft_fn *fn)
{
    weft_config cfg = WEFT_CONFIG_INIT;
    cfg.workers = 1; // so that no other thread passes a place that fails
    return weft_run(&cfg, fn, NULL);
}

static void without_threads_or_memory_there_is_an_error_or_another_way(void **state)
{
    (void)state;
    assert_int_equal(run_alone(use_little), 0);
    assert_int_equal(unlink("fifo"), 0);
    assert_int_equal(unlink("file"), 0);
    assert_int_equal(run_alone(refuse_timer), 0);
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, folder_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_kernel_that_takes_the_caches_end_for_the_files_is_not_asked), // first: see there
        TEST(a_call_that_fails_leaves_the_old_file_or_the_new_one),
        TEST(where_the_best_way_is_not_to_be_had_there_is_another),
        TEST(a_kill_at_any_call_leaves_the_old_file_or_the_new_one),
        TEST(a_kill_at_any_time_leaves_one_content),
        TEST(what_the_cache_has_not_a_thread_reads),
        TEST(a_file_that_cannot_be_read_is_an_error),
        TEST(a_folder_may_fail_and_go_on),
#ifdef WF_FAULTS
        TEST(without_threads_or_memory_there_is_an_error_or_another_way),
#endif
    };
    return wf_test_run(tests);
}
