// The cancellation table: files. See docs/cancellation.md and
// tests/support/cancel_table.h.
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/support/cancel_table.h"
#include "tests/support/tasks.h"

// A folder for all rows, and in it the names that calls work on.
static char folder[] = "/tmp/weft-cancel-XXXXXX";
static char path[2][64];
static char made[64]; // that weft_mkdtemp gets
static int fd = -1;

// What a row of a call on a file is about.
struct file_call {
    int (*call)(void);  // 0 or more: it has had its effect
    bool (*done)(void); // it has had it
};

static const struct file_call *call_of(const struct cancel_case *c)
{
    return c->row->arg;
}

static bool exists(const char *name)
{
    return access(name, F_OK) == 0;
}

static off_t size_of(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0 ? st.st_size : -1;
}

// --- each call, and what tells that it has been made ---------------------------------

static char buf[8];

// What lies in no cache is read on a thread.
static int call_pread(void)
{
    int status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    int got = (int)weft_pread(status, buf, 5, 0);
    assert_int_equal(weft_close(status), 0);
    return got;
}

static bool done_pread(void)
{
    return memcmp(buf, "Name:", 5) == 0;
}

static int call_pwrite(void)
{
    return (int)weft_pwrite(fd, "12345678", 8, 0);
}

static bool done_pwrite(void)
{
    return size_of(path[0]) == 8;
}

static int call_ftruncate(void)
{
    return weft_ftruncate(fd, 3);
}

static bool done_ftruncate(void)
{
    return size_of(path[0]) == 3;
}

static int call_rename(void)
{
    return weft_rename(path[0], path[1]);
}

static bool done_rename(void)
{
    return exists(path[1]) && !exists(path[0]);
}

static int call_unlink(void)
{
    return weft_unlink(path[0]);
}

static bool done_unlink(void)
{
    return !exists(path[0]);
}

static int call_mkdir(void)
{
    return weft_mkdir(path[1], 0700);
}

static bool done_mkdir(void)
{
    return exists(path[1]);
}

static int call_mkdtemp(void)
{
    return weft_mkdtemp(made);
}

static bool done_mkdtemp(void)
{
    return exists(made);
}

static int call_open(void)
{
    int opened = weft_open(path[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (opened >= 0)
        assert_int_equal(weft_close(opened), 0);
    return opened;
}

static int call_write(void)
{
    return weft_file_write(path[1], "new", 3);
}

static bool done_write(void)
{
    return size_of(path[1]) == 3;
}

// Of the others only what they return can be seen.
static bool answered;

static int answer(int result)
{
    answered = result >= 0;
    return result;
}

static bool done_answer(void)
{
    return answered;
}

static int call_fsync(void)
{
    return answer(weft_fsync(fd));
}

static int call_stat(void)
{
    struct stat st = { 0 };
    int result = answer(weft_stat(folder, &st));
    assert_int_equal(S_ISDIR(st.st_mode), result == 0);
    return result;
}

static int call_dir_open(void)
{
    weft_dir *d;
    int result = answer(weft_dir_open(&d, folder));
    assert_int_equal(d != NULL, result == 0);
    weft_dir_close(d);
    return result;
}

static int call_read(void)
{
    void *data;
    size_t n;
    int result = answer(weft_file_read("/proc/self/status", &data, &n, SIZE_MAX));
    assert_int_equal(data != NULL, result == 0);
    assert_int_equal(n > 0, result == 0);
    free(data);
    return result;
}

// --- the rows of calls that wait for a thread ----------------------------------------

static void queued_set_up(struct cancel_case *c)
{
    (void)c;
    fd = open(path[0], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    snprintf(made, sizeof(made), "%s/XXXXXX", folder);
    memset(buf, 0, sizeof(buf));
    answered = false;
    cancel_files_occupy();
}

static int queued_call(struct cancel_case *c)
{
    return call_of(c)->call();
}

static void queued_complete(struct cancel_case *c)
{
    (void)c;
    cancel_pool_free();
}

static void queued_left(struct cancel_case *c, int result)
{
    cancel_pool_join();
    assert_int_equal(call_of(c)->done(), result >= 0);
    if (result < 0)
        assert_true(call_of(c)->call() >= 0);
    assert_true(call_of(c)->done());
    close(fd);
    unlink(path[0]);
    (void)(unlink(path[1]) == 0 || rmdir(path[1]));
    rmdir(made);
}

// --- a folder that is read batch by batch --------------------------------------------

enum { ENTRIES = 300 };

static char crowd[64];
static weft_dir *dir;
static bool seen[ENTRIES];

static void name_entry(char *name, int i)
{
    memset(name, 'x', 255);
    snprintf(name, 8, "%06d", i);
    name[6] = 'x';
    name[255] = 0;
}

static void make_crowd(void)
{
    char name[256];

    snprintf(crowd, sizeof(crowd), "%s/crowd", folder);
    assert_int_equal(mkdir(crowd, 0700), 0);
    int at = open(crowd, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < ENTRIES; i++) {
        name_entry(name, i);
        int made_now = openat(at, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(made_now >= 0);
        close(made_now);
    }
    close(at);
}

static void remove_crowd(void)
{
    char name[256];
    int at = open(crowd, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (int i = 0; i < ENTRIES; i++) {
        name_entry(name, i);
        assert_int_equal(unlinkat(at, name, 0), 0);
    }
    close(at);
    assert_int_equal(rmdir(crowd), 0);
}

static void dir_set_up(struct cancel_case *c)
{
    (void)c;
    memset(seen, 0, sizeof(seen));
    assert_int_equal(weft_dir_open(&dir, crowd), 0);
    cancel_files_occupy();
}

// read_on reads to the end, or until it is cut short: each entry is there once.
static int read_on(void)
{
    weft_dirent e;
    int got;

    while ((got = weft_dir_next(dir, &e)) == 1) {
        int i = atoi(e.name);
        assert_false(seen[i]);
        seen[i] = true;
        assert_int_equal(strlen(e.name), 255);
    }
    return got;
}

static int dir_call(struct cancel_case *c)
{
    (void)c;
    return read_on();
}

static void dir_left(struct cancel_case *c, int result)
{
    int n = 0;
    (void)c;

    cancel_pool_join();
    if (result < 0)
        assert_int_equal(read_on(), 0);
    for (int i = 0; i < ENTRIES; i++)
        n += seen[i];
    assert_int_equal(n, ENTRIES);
    weft_dir_close(dir);
}

// --- a FIFO, which is opened when its other end is -----------------------------------

static int other_end;

static void fifo_set_up(struct cancel_case *c)
{
    (void)c;
    assert_int_equal(mkfifo(path[1], 0600), 0);
}

static int fifo_call(struct cancel_case *c)
{
    (void)c;
    int end = weft_open(path[1], O_RDONLY | O_CLOEXEC, 0);
    if (end >= 0)
        assert_int_equal(weft_close(end), 0);
    return end;
}

static void fifo_complete(struct cancel_case *c)
{
    (void)c;
    other_end = open(path[1], O_RDWR | O_CLOEXEC | O_NONBLOCK);
    assert_true(other_end >= 0);
}

static void fifo_left(struct cancel_case *c, int result)
{
    if (result < 0)
        assert_true(fifo_call(c) >= 0);
    close(other_end);
    unlink(path[1]);
}

// clang-format off
#define QUEUED(name, call_it, is_done) \
    .what = name, .arg = &(const struct file_call){ call_it, is_done }, .set_up = queued_set_up, .call = queued_call, \
    .complete = queued_complete, .left = queued_left

static const struct cancel_row rows[] = {
    { "weft_open", QUEUED("weft_open", call_open, done_mkdir) },
    { "weft_pread", QUEUED("weft_pread", call_pread, done_pread) },
    { "weft_pwrite", QUEUED("weft_pwrite", call_pwrite, done_pwrite) },
    { "weft_fsync", QUEUED("weft_fsync", call_fsync, done_answer) },
    { "weft_ftruncate", QUEUED("weft_ftruncate", call_ftruncate, done_ftruncate) },
    { "weft_stat", QUEUED("weft_stat", call_stat, done_answer) },
    { "weft_rename", QUEUED("weft_rename", call_rename, done_rename) },
    { "weft_unlink", QUEUED("weft_unlink", call_unlink, done_unlink) },
    { "weft_mkdir", QUEUED("weft_mkdir", call_mkdir, done_mkdir) },
    { "weft_mkdtemp", QUEUED("weft_mkdtemp", call_mkdtemp, done_mkdtemp) },
    { "weft_dir_open", QUEUED("weft_dir_open", call_dir_open, done_answer) },
    { "weft_file_read", QUEUED("weft_file_read", call_read, done_answer) },
    { "weft_file_write", QUEUED("weft_file_write", call_write, done_write) },
    { "weft_dir_next", .what = "weft_dir_next", .set_up = dir_set_up, .call = dir_call, .complete = queued_complete,
      .left = dir_left },
    { "weft_open: a FIFO", .what = "weft_open", .set_up = fifo_set_up, .call = fifo_call, .complete = fifo_complete,
      .left = fifo_left },
};
// clang-format on

static void a_call_on_a_file_that_is_cut_short_has_had_no_effect(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path[0], sizeof(path[0]), "%s/one", folder);
    snprintf(path[1], sizeof(path[1]), "%s/other", folder);
    make_crowd();
    CANCEL_TABLE_RUN(rows);
    remove_crowd();
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_on_a_file_that_is_cut_short_has_had_no_effect),
    };
    return wf_test_run(tests);
}
