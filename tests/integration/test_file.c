// Files and folders: the calls do what POSIX calls of the same names do, on disks, in
// memory, in /proc; whole files; and a call that waits for long does not delay calls on
// other files.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/support/child.h"
#include "tests/support/folder.h"
#include "tests/support/tasks.h"

// --- a folder for each test ----------------------------------------------------------

static int enter(void **state)
{
    const char *where = access("/dev/shm", W_OK) == 0 && wf_test_seed() % 2 ? "/dev/shm" : "/tmp"; // in memory, or not
    (void)state;

    return folder_enter(where);
}

static void put(const char *path, const void *data, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), n);
    close(fd);
}

// expect_content: the file is what it should be.
static void expect_content(const char *path, const void *data, size_t n)
{
    char *here = malloc(n + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_non_null(here);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, here, n + 1), n);
    assert_memory_equal(here, data, n);
    close(fd);
    free(here);
}

// count_entries counts what is in the folder, without hidden names if `shown`.
static unsigned count_entries(bool shown)
{
    DIR *d = opendir(".");
    unsigned n = 0;

    for (struct dirent *e; (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && (!shown || e->d_name[0] != '.');
    closedir(d);
    return n;
}

// --- what POSIX says -----------------------------------------------------------------

static int use_descriptors(void *arg)
{
    struct stat st;
    char buf[8];
    (void)arg;

    int fd = weft_open("file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(weft_open("file", O_RDWR | O_CREAT | O_EXCL, 0640), -EEXIST);
    assert_int_equal(weft_pwrite(fd, "abcdef", 6, 2), 6);
    assert_int_equal(weft_fsync(fd), 0);
    assert_int_equal(weft_pread(fd, buf, 8, 0), 8);
    assert_memory_equal(buf, "\0\0abcdef", 8);
    assert_int_equal(weft_pread(fd, buf, 8, 5), 3);
    assert_int_equal(weft_pread(fd, buf, 8, 8), 0);
    assert_int_equal(weft_pread(fd, buf, 8, 800), 0);
    assert_int_equal(weft_pread(fd, buf, 0, 0), 0);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 0); // it stays
    assert_int_equal(weft_ftruncate(fd, 4), 0);
    assert_int_equal(weft_pread(fd, buf, 8, 2), 2);
    assert_int_equal(weft_stat("file", &st), 0);
    assert_int_equal(st.st_size, 4);
    return weft_close(fd);
}

static int use_names(void *arg)
{
    char made[] = "room-XXXXXX", bad[] = "room-XX";
    struct stat st;
    (void)arg;

    put("a", "1", 1);
    assert_int_equal(weft_rename("a", "b"), 0);
    assert_int_equal(weft_stat("a", &st), -ENOENT);
    assert_int_equal(weft_stat("b", &st), 0);
    assert_int_equal(weft_mkdir("d", 0750), 0);
    assert_int_equal(weft_mkdir("d", 0750), -EEXIST);
    assert_int_equal(weft_stat("d", &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0750);
    assert_int_equal(weft_rename("b", "d"), -EISDIR);
    assert_int_equal(weft_rename("b", "d/b"), 0);
    assert_int_equal(weft_unlink("d"), -EISDIR);
    assert_int_equal(weft_unlink("d/b"), 0);
    assert_int_equal(weft_unlink("d/b"), -ENOENT);
    assert_int_equal(weft_mkdtemp(made), 0);
    assert_int_equal(weft_stat(made, &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0700);
    assert_int_equal(weft_mkdtemp(bad), -EINVAL);
    return 0;
}

static int make_mistakes(void *arg)
{
    char buf[4];
    int ends[2];
    (void)arg;

    put("file", "1", 1);
    int fd = weft_open("file", O_RDONLY | O_CLOEXEC, 0);
    assert_int_equal(weft_open("none", O_RDONLY, 0), -ENOENT);
    assert_int_equal(weft_open("file/none", O_RDONLY, 0), -ENOTDIR);
    assert_int_equal(weft_pwrite(fd, "x", 1, 0), -EBADF);
    assert_int_equal(weft_ftruncate(fd, 0), -EINVAL);
    assert_int_equal(weft_pread(fd, buf, 4, -1), -EINVAL);
    assert_int_equal(weft_pread(fd, (void *)8, 4, 0), -EFAULT);
    assert_int_equal(weft_close(fd), 0);
    assert_int_equal(weft_pread(fd, buf, 4, 0), -EBADF);
    assert_int_equal(weft_pwrite(fd, buf, 4, 0), -EBADF);
    assert_int_equal(weft_fsync(-1), -EBADF);
    fd = weft_open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    assert_int_equal(weft_pread(fd, buf, 4, 0), -EISDIR);
    assert_int_equal(weft_fsync(fd), 0);
    assert_int_equal(weft_close(fd), 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(weft_pread(ends[0], buf, 4, 0), -ESPIPE);
    assert_int_equal(weft_pwrite(ends[1], buf, 4, 0), -ESPIPE);
    assert_int_equal(weft_fsync(ends[1]), -EINVAL);
    assert_int_equal(weft_close(ends[0]), 0);
    return weft_close(ends[1]);
}

static int fill_the_disk(void *arg)
{
    int fd = weft_open("/dev/full", O_WRONLY | O_CLOEXEC, 0);
    (void)arg;

    assert_true(fd >= 0);
    assert_int_equal(weft_pwrite(fd, "x", 1, 0), -ENOSPC);
    return weft_close(fd);
}

static void the_calls_do_what_those_of_posix_do(void **state)
{
    weft_fn *const bodies[] = { use_descriptors, use_names, make_mistakes, fill_the_disk };
    (void)state;

    for (size_t i = 0; i < wf_countof(bodies); i++) {
        assert_int_equal(run_tasks(bodies[i], NULL), 0);
        assert_int_equal(system("rm -rf ./* "), 0);
    }
}

// not_permitted is for a user that may do nothing here.
static int try_in_vain(void *arg)
{
    void *data;
    size_t n;
    weft_dir *d;
    (void)arg;

    assert_int_equal(weft_open("secret", O_RDONLY, 0), -EACCES);
    assert_int_equal(weft_open("new", O_WRONLY | O_CREAT, 0600), -EACCES);
    assert_int_equal(weft_unlink("secret"), -EACCES);
    assert_int_equal(weft_rename("secret", "other"), -EACCES);
    assert_int_equal(weft_mkdir("room", 0700), -EACCES);
    assert_int_equal(weft_file_read("secret", &data, &n, 100), -EACCES);
    assert_null(data);
    assert_int_equal(weft_file_write("secret", "x", 1), -EACCES);
    assert_int_equal(weft_dir_open(&d, "closed"), -EACCES);
    assert_null(d);
    return 0;
}

static void as_nobody(void *arg)
{
    (void)arg;
    if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
        _exit(2);
    if (run_tasks(try_in_vain, NULL) != 0)
        _exit(1);
}

static void what_is_not_permitted_is_an_error(void **state)
{
    struct child c;
    (void)state;

    put("secret", "1", 1);
    assert_int_equal(chmod("secret", 0), 0);
    assert_int_equal(mkdir("closed", 0), 0);
    assert_int_equal(chmod(".", 0555), 0);
    child_run(&c, as_nobody, NULL);
    child_expect_exit(&c, 0);
    assert_int_equal(chmod(".", 0755), 0);
}

// --- reading at random ---------------------------------------------------------------

enum { LARGE = 3 << 20 };

static unsigned char *make_large(const char *path)
{
    struct wf_test_rand rng = wf_test_rand(1);
    unsigned char *data = malloc(LARGE);

    assert_non_null(data);
    for (size_t i = 0; i < LARGE; i++)
        data[i] = (unsigned char)wf_test_below(&rng, 256);
    put(path, data, LARGE);
    return data;
}

struct reading {
    const unsigned char *data;
    int fd;
    uint64_t stream;
};

static int read_at_random(void *arg)
{
    const struct reading *r = arg;
    struct wf_test_rand rng = wf_test_rand(r->stream);
    unsigned char *buf = malloc(LARGE);

    assert_non_null(buf);
    for (unsigned i = 0; i < wf_test_rounds(60); i++) {
        size_t n = 1 + wf_test_below(&rng, i % 4 ? 9000 : 700000), at = wf_test_below(&rng, LARGE + 5000);
        size_t there = at >= LARGE ? 0 : n < LARGE - at ? n : LARGE - at;
        if (i % 8 == 0) // so that a piece of what is asked for next is in the cache, and a piece is not
            posix_fadvise(r->fd, (off_t)wf_test_below(&rng, LARGE), LARGE / 4, POSIX_FADV_DONTNEED);
        assert_int_equal(weft_pread(r->fd, buf, n, (off_t)at), there);
        assert_memory_equal(buf, r->data + (there ? at : 0), there);
    }
    free(buf);
    return 0;
}

static int read_by_many(void *arg)
{
    struct reading readings[8];
    weft_task *tasks[8];

    int fd = weft_open("large", O_RDONLY | O_CLOEXEC, 0);
    assert_int_equal(fsync(fd), 0); // what is dirty stays in the cache
    for (unsigned i = 0; i < wf_countof(tasks); i++) {
        readings[i] = (struct reading){ arg, fd, 10 + i };
        tasks[i] = spawn(read_at_random, &readings[i]);
    }
    for (unsigned i = 0; i < wf_countof(tasks); i++)
        assert_int_equal(join(tasks[i]), 0);
    return weft_close(fd);
}

static void bytes_are_the_files_wherever_they_come_from(void **state)
{
    unsigned char *data = make_large("large");
    (void)state;

    assert_int_equal(run_tasks(read_by_many, data), 0);
    free(data);
}

// --- a FIFO --------------------------------------------------------------------------

static int open_reader(void *arg)
{
    (void)arg;
    return weft_open("fifo", O_RDONLY | O_CLOEXEC, 0);
}

static int open_writer(void *arg)
{
    (void)arg;
    return weft_open("fifo", O_WRONLY | O_CLOEXEC, 0);
}

static int meet_at_fifo(void *arg)
{
    char buf[4];
    (void)arg;

    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(weft_open("fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0), -ENXIO);
    weft_task *reader = spawn(open_reader, NULL);
    wait_parked(reader, "weft_open");
    int out = open_writer(NULL), in = join(reader);
    assert_true(in >= 0 && out >= 0);
    assert_int_equal(fcntl(in, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(weft_write(out, "abc", 3), 3);
    assert_int_equal(weft_read(in, buf, sizeof(buf)), 3);
    assert_int_equal(weft_close(out), 0);
    assert_int_equal(weft_read(in, buf, sizeof(buf)), 0);
    return weft_close(in);
}

static void a_fifo_is_open_when_its_other_end_is(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(meet_at_fifo, NULL), 0);
}

enum { OPENERS = 100 }; // more than there are threads for files

static int open_many(void *arg)
{
    weft_task *tasks[OPENERS];
    void *data;
    size_t n;
    (void)arg;

    assert_int_equal(mkfifo("fifo", 0600), 0);
    put("file", "1", 1);
    for (int i = 0; i < OPENERS; i++)
        tasks[i] = spawn(open_reader, NULL);
    for (int i = 0; i < OPENERS; i++)
        wait_parked(tasks[i], "weft_open");
    assert_int_equal(weft_file_read("file", &data, &n, 1), 0); // which needs a thread
    free(data);
    for (int i = 0; i < OPENERS; i++)
        weft_task_cancel(tasks[i]);
    for (int i = 0; i < OPENERS; i++)
        assert_int_equal(join(tasks[i]), -ECANCELED);
    return weft_open("fifo", O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0);
}

static void tasks_that_wait_for_a_fifo_keep_no_other_from_its_file(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(open_many, NULL), -ENXIO); // no reader is left
}

static int feed_fifo(void *arg)
{
    (void)arg;
    int fd = weft_open("fifo", O_WRONLY | O_CLOEXEC, 0);
    assert_int_equal(weft_write_all(fd, "through a fifo", 14, NULL), 0);
    return weft_close(fd);
}

static int read_fifo(void *arg)
{
    void *data;
    size_t n;
    int err = weft_file_read("fifo", &data, &n, 100);

    if (err == 0 && arg)
        assert_string_equal(data, arg);
    free(data);
    return err;
}

static int read_whole_fifo(void *arg)
{
    (void)arg;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    weft_task *feeder = spawn(feed_fifo, NULL);
    assert_int_equal(read_fifo("through a fifo"), 0);
    assert_int_equal(join(feeder), 0);

    // One that has got its other end, but not all, is cut short, too.
    weft_task *reader = spawn(read_fifo, NULL);
    int fd = open_writer(NULL);
    assert_int_equal(weft_write(fd, "some", 4), 4);
    wait_parked(reader, "weft_file_read");
    weft_task_cancel(reader);
    assert_int_equal(join(reader), -ECANCELED);
    return weft_close(fd);
}

static void a_fifo_is_read_to_its_end_or_until_a_cancel(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(read_whole_fifo, NULL), 0);
}

// --- folders -------------------------------------------------------------------------

enum { CROWD = 3000 };

static int read_crowd(void *arg)
{
    bool seen[CROWD] = { false };
    weft_dirent e;
    weft_dir *d;
    char name[16];
    int n = 0, got;
    (void)arg;

    for (int i = 0; i < CROWD; i++) {
        snprintf(name, sizeof(name), "%d", i);
        put(name, "", 0);
    }
    assert_int_equal(weft_dir_open(&d, "."), 0);
    while ((got = weft_dir_next(d, &e)) == 1) {
        int i = atoi(e.name);
        assert_false(seen[i]);
        seen[i] = true;
        assert_int_equal(e.type, DT_REG);
        n++;
    }
    assert_int_equal(got, 0);
    assert_int_equal(n, CROWD);
    assert_int_equal(weft_dir_next(d, &e), 0); // it is still the end
    weft_dir_close(d);
    return 0;
}

static unsigned char type_of(const char *name)
{
    unsigned char type = 0;
    weft_dirent e;
    weft_dir *d;

    assert_int_equal(weft_dir_open(&d, "."), 0);
    while (weft_dir_next(d, &e) == 1)
        if (strcmp(e.name, name) == 0)
            type = e.type;
    weft_dir_close(d);
    return type;
}

static int read_small_folders(void *arg)
{
    char longest[256];
    weft_dirent e;
    weft_dir *d;
    (void)arg;

    assert_int_equal(weft_dir_open(&d, "."), 0);
    assert_int_equal(weft_dir_next(d, &e), 0);
    weft_dir_close(d);
    assert_int_equal(weft_dir_open(&d, "none"), -ENOENT);
    assert_null(d);
    put("file", "", 0);
    assert_int_equal(weft_dir_open(&d, "file"), -ENOTDIR);
    weft_dir_close(NULL);
    memset(longest, 'x', 255);
    longest[255] = 0;
    assert_int_equal(mkdir(longest, 0700), 0);
    assert_int_equal(symlink("nowhere", "link"), 0);
    assert_int_equal(mkfifo(".fifo", 0600), 0);
    assert_int_equal(type_of("file"), DT_REG);
    assert_int_equal(type_of(longest), DT_DIR);
    assert_int_equal(type_of("link"), DT_LNK);
    assert_int_equal(type_of(".fifo"), DT_FIFO);
    assert_int_equal(type_of("."), 0); // not given
    assert_int_equal(type_of(".."), 0);
    assert_int_equal(weft_dir_open(&d, longest), 0);
    assert_int_equal(rmdir(longest), 0);
    assert_int_equal(weft_dir_next(d, &e), 0); // nothing is in it
    weft_dir_close(d);
    return 0;
}

static void each_entry_of_a_folder_is_given_once(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(read_small_folders, NULL), 0);
    assert_int_equal(system("rm -rf ./* ./.fifo"), 0);
    assert_int_equal(run_tasks(read_crowd, NULL), 0);
}

// --- whole files ---------------------------------------------------------------------

static int expect_read(const char *path, const void *want, size_t size, size_t max)
{
    void *data = (void *)1;
    size_t n = 77;
    int err = weft_file_read(path, &data, &n, max);

    if (err == 0) {
        assert_int_equal(n, size);
        assert_memory_equal(data, want, size);
        assert_int_equal(((char *)data)[n], 0);
    } else {
        assert_null(data);
        assert_int_equal(n, 0);
    }
    free(data);
    return err;
}

static int read_sizes(void *arg)
{
    static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 8191, 8192, 100000, LARGE };
    const unsigned char *bytes = arg;

    for (size_t i = 0; i < wf_countof(sizes); i++) {
        put("file", bytes, sizes[i]);
        assert_int_equal(expect_read("file", bytes, sizes[i], SIZE_MAX), 0);
        assert_int_equal(expect_read("file", bytes, sizes[i], sizes[i]), 0);
        assert_int_equal(expect_read("file", bytes, sizes[i], sizes[i] + 1), 0);
        if (sizes[i] > 0)
            assert_int_equal(expect_read("file", bytes, sizes[i], sizes[i] - 1), -EMSGSIZE);
    }
    assert_int_equal(expect_read("none", NULL, 0, 9), -ENOENT);
    assert_int_equal(expect_read(".", NULL, 0, 9), -EISDIR);
    return 0;
}

// What says that it is empty, and is not.
static int read_what_has_no_size(void *arg)
{
    void *data;
    size_t n;
    (void)arg;

    assert_int_equal(weft_file_read("/proc/self/status", &data, &n, SIZE_MAX), 0);
    assert_true(n > 100);
    assert_int_equal(strlen(data), n);
    assert_memory_equal(data, "Name:\t", 6);
    assert_int_equal(expect_read("/proc/self/status", NULL, 0, n / 2), -EMSGSIZE);
    free(data);
    assert_int_equal(weft_file_read("/proc/kallsyms", &data, &n, SIZE_MAX), 0); // more than a few pages, if not hidden
    free(data);
    assert_int_equal(expect_read("/dev/null", "", 0, 10), 0);
    assert_int_equal(expect_read("/dev/zero", NULL, 0, 100000), -EMSGSIZE);
    return 0;
}

static void a_whole_file_is_read_up_to_a_bound(void **state)
{
    unsigned char *data = make_large("large");
    (void)state;

    assert_int_equal(run_tasks(read_sizes, data), 0);
    assert_int_equal(run_tasks(read_what_has_no_size, NULL), 0);
    free(data);
}

// --- replacing -----------------------------------------------------------------------

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode;
}

static int replace_files(void *arg)
{
    mode_t mask = umask(027);
    (void)arg;

    assert_int_equal(weft_file_write("file", "one", 3), 0);
    expect_content("file", "one", 3);
    assert_int_equal(mode_of("file"), S_IFREG | 0640);
    umask(mask);
    assert_int_equal(chmod("file", 04710), 0);
    assert_int_equal(weft_file_write("file", "", 0), 0);
    expect_content("file", "", 0);
    assert_int_equal(mode_of("file"), S_IFREG | 04710);
    assert_int_equal(chmod("file", 0400), 0);
    int old = open("file", O_RDONLY | O_CLOEXEC);
    assert_int_equal(link("file", "other"), 0);
    char absolute[PATH_MAX];
    assert_non_null(realpath("file", absolute));
    assert_int_equal(weft_file_write(absolute, "two", 3), 0);
    expect_content("file", "two", 3);
    expect_content("other", "", 0);
    assert_int_equal(lseek(old, 0, SEEK_END), 0);
    close(old);
    assert_int_equal(count_entries(false), 2);
    return 0;
}

static int replace_through_links(void *arg)
{
    (void)arg;
    assert_int_equal(mkdir("d", 0700), 0);
    put("d/file", "old", 3);
    assert_int_equal(symlink("d/file", "link"), 0);
    assert_int_equal(weft_file_write("link", "new one", 7), 0);
    assert_int_equal(symlink("d/none", "dangling"), 0);
    assert_int_equal(symlink("dangling", "twice"), 0);
    assert_int_equal(weft_file_write("twice", "made", 4), 0);
    struct stat made;
    assert_int_equal(lstat("dangling", &made), 0);
    assert_true(S_ISLNK(made.st_mode));
    assert_int_equal(lstat("d/none", &made), 0);
    assert_true(S_ISREG(made.st_mode));
    assert_int_equal(made.st_size, 4);
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(made.st_mode & 0777, 0666 & ~mask);
    assert_int_equal(unlink("dangling") | unlink("twice") | unlink("d/none"), 0);
    assert_int_equal(symlink("absent/x", "dangling"), 0);
    assert_int_equal(weft_file_write("dangling", "made", 4), -ENOENT);
    assert_int_equal(unlink("dangling"), 0);
    assert_int_equal(mode_of("link") & S_IFMT, S_IFLNK);
    expect_content("d/file", "new one", 7);
    assert_int_equal(count_entries(false), 2);
    return 0;
}

static int replace_what_is_not_a_file(void *arg)
{
    struct stat st;
    (void)arg;

    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(mkdir("d", 0700), 0);
    assert_int_equal(weft_file_write("fifo", "x", 1), -EINVAL);
    assert_int_equal(weft_file_write("d", "x", 1), -EISDIR);
    assert_int_equal(weft_file_write("d/", "x", 1), -EISDIR);
    assert_int_equal(weft_file_write("none/", "x", 1), -EISDIR);
    assert_int_equal(weft_file_write("/", "x", 1), -EISDIR);
    assert_int_equal(weft_file_write("", "x", 1), -ENOENT);
    assert_int_equal(weft_file_write("none/file", "x", 1), -ENOENT);
    assert_int_equal(weft_file_write("fifo/file", "x", 1), -ENOTDIR);
    assert_int_equal(weft_file_write("/dev/null", "x", 1), -EINVAL);
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    char longest[PATH_MAX + 2];
    memset(longest, 'x', PATH_MAX + 1);
    longest[PATH_MAX + 1] = 0;
    assert_int_equal(weft_file_write(longest, "x", 1), -ENAMETOOLONG);
    assert_int_equal(count_entries(false), 2);
    return 0;
}

static void a_file_is_replaced_as_one(void **state)
{
    weft_fn *const bodies[] = { replace_files, replace_through_links, replace_what_is_not_a_file };
    (void)state;

    for (size_t i = 0; i < wf_countof(bodies); i++) {
        assert_int_equal(run_tasks(bodies[i], NULL), 0);
        assert_int_equal(system("rm -rf ./*"), 0);
    }
}

// Several tasks write, each a content of its own; others read: always one of those.
enum { WRITERS = 4, WIDTH = 50000 };

static atomic_bool writing;

static int write_often(void *arg)
{
    char *data = malloc(WIDTH);

    assert_non_null(data);
    memset(data, *(char *)arg, WIDTH);
    for (unsigned i = 0; i < wf_test_rounds(20); i++)
        assert_int_equal(weft_file_write("file", data, WIDTH), 0);
    free(data);
    return 0;
}

static int read_often(void *arg)
{
    void *data;
    size_t n;
    (void)arg;

    while (atomic_load(&writing)) {
        assert_int_equal(weft_file_read("file", &data, &n, SIZE_MAX), 0);
        assert_int_equal(n, WIDTH);
        for (size_t i = 1; i < n; i++)
            assert_int_equal(((char *)data)[i], ((char *)data)[0]);
        free(data);
    }
    return 0;
}

static int write_and_read(void *arg)
{
    char letters[WRITERS + 1] = "abcd";
    weft_task *writers[WRITERS], *readers[2];
    (void)arg;

    atomic_store(&writing, true);
    assert_int_equal(write_often(&letters[0]), 0);
    for (int i = 0; i < 2; i++)
        readers[i] = spawn(read_often, NULL);
    for (int i = 0; i < WRITERS; i++)
        writers[i] = spawn(write_often, &letters[i]);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(join(writers[i]), 0);
    atomic_store(&writing, false);
    for (int i = 0; i < 2; i++)
        assert_int_equal(join(readers[i]), 0);
    assert_int_equal(count_entries(false), 1);
    return 0;
}

static void readers_find_one_of_the_contents(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(write_and_read, NULL), 0);
}

// --- a full disk ---------------------------------------------------------------------

static int fill(void *arg)
{
    char *data = calloc(1, LARGE);
    (void)arg;

    assert_non_null(data);
    assert_int_equal(weft_file_write("file", "old", 3), 0);
    assert_int_equal(weft_file_write("file", data, LARGE), -ENOSPC);
    expect_content("file", "old", 3);
    assert_int_equal(count_entries(false), 1);
    int fd = weft_open("file", O_WRONLY | O_CLOEXEC, 0);
    ssize_t put_first = weft_pwrite(fd, data, LARGE, 0); // what there is room for
    assert_true(put_first > 0 && put_first < LARGE);
    assert_int_equal(weft_pwrite(fd, data, LARGE, put_first), -ENOSPC);
    free(data);
    return weft_close(fd);
}

static void on_a_small_disk(void *arg)
{
    (void)arg;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "size=1m") < 0)
        _exit(77);
    if (chdir(folder) < 0 || run_tasks(fill, NULL) != 0)
        _exit(1);
}

static void a_full_disk_is_an_error_and_leaves_the_old_file(void **state)
{
    struct child c;
    (void)state;

    child_run(&c, on_a_small_disk, NULL);
    if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == 77)
        wf_test_skip("no file system can be mounted here");
    child_expect_exit(&c, 0);
}

// --- a number that is used again -----------------------------------------------------

static int read_byte(void *arg)
{
    char byte;
    return (int)weft_read(*(int *)arg, &byte, 1);
}

// The number was a socket's that a task has waited on, and that other code has closed:
// it is registered still. A call on a file is for the file.
static int reuse_number(void *arg)
{
    int pair[2];
    char buf[4];
    (void)arg;

    put("file", "1234", 4);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    weft_task *reader = spawn(read_byte, &pair[0]);
    wait_parked(reader, "weft_read");
    assert_int_equal(weft_write(pair[1], "x", 1), 1);
    assert_int_equal(join(reader), 1);
    int fd = open("file", O_RDWR | O_CLOEXEC);
    assert_int_equal(dup2(fd, pair[0]), pair[0]);
    close(fd);
    assert_int_equal(weft_pwrite(pair[0], "ab", 2, 1), 2);
    assert_int_equal(weft_pread(pair[0], buf, 4, 0), 4);
    assert_memory_equal(buf, "1ab4", 4);
    assert_int_equal(weft_fsync(pair[0]), 0);
    assert_int_equal(weft_ftruncate(pair[0], 1), 0);
    assert_int_equal(weft_close(pair[0]), 0);
    return weft_close(pair[1]);
}

static void a_call_is_for_the_file_that_the_number_means(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(reuse_number, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, folder_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_calls_do_what_those_of_posix_do),
        TEST(what_is_not_permitted_is_an_error),
        TEST(bytes_are_the_files_wherever_they_come_from),
        TEST(a_fifo_is_open_when_its_other_end_is),
        TEST(tasks_that_wait_for_a_fifo_keep_no_other_from_its_file),
        TEST(a_fifo_is_read_to_its_end_or_until_a_cancel),
        TEST(each_entry_of_a_folder_is_given_once),
        TEST(a_whole_file_is_read_up_to_a_bound),
        TEST(a_file_is_replaced_as_one),
        TEST(readers_find_one_of_the_contents),
        TEST(a_full_disk_is_an_error_and_leaves_the_old_file),
        TEST(a_call_is_for_the_file_that_the_number_means),
    };
    return wf_test_run(tests);
}
