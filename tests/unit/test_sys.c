// The promises of base/sys.h for all system calls, and for the functions that do more
// than one call.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "base/sys.h"
#include "tests/support/harness.h"

static void errors_are_returned_and_errno_stays(void **state)
{
    char byte = 0;
    (void)state;

    errno = 1234;
    assert_int_equal(wf_sys_close(-1), -EBADF);
    assert_int_equal(wf_sys_recv(-1, &byte, 1, 0), -EBADF);
    assert_int_equal(wf_sys_send(-1, &byte, 1, 0), -EBADF);
    assert_int_equal(wf_sys_read(-1, &byte, 1), -EBADF);
    assert_int_equal(wf_sys_openat(AT_FDCWD, "/nowhere/at/all", O_RDONLY, 0), -ENOENT);
    assert_int_equal(wf_sys_lseek(-1, 0, SEEK_CUR), -EBADF);
#ifndef WF_SYS_BY_LIBC
    assert_int_equal(errno, 1234);
#endif
}

static void memory_is_mapped_or_there_is_an_error(void **state)
{
    void *p;
    (void)state;

    assert_int_equal(wf_sys_mmap(&p, 4096, PROT_READ | PROT_WRITE, 0), 0);
    memset(p, 1, 4096);
    assert_int_equal(wf_sys_munmap(p, 4096), 0);
    assert_int_equal(wf_sys_mmap(&p, 0, PROT_READ, 0), -EINVAL);
    assert_null(p);
    assert_true(wf_sys_mmap(&p, (size_t)1 << 62, PROT_READ, 0) < 0); // valgrind has an error of its own for it
    assert_null(p);
}

static void offsets_are_taken_whole(void **state)
{
    int fd = memfd_create("sys", MFD_CLOEXEC);
    off_t far = ((off_t)1 << 33) + 5;
    char text[4] = "";
    (void)state;

    assert_true(fd >= 0);
    assert_int_equal(wf_sys_pwrite(fd, "abc", 3, far), 3);
    assert_int_equal(wf_sys_pread(fd, text, 3, far), 3);
    assert_string_equal(text, "abc");
#ifdef WF_EMULATED
    wf_test_skip("the emulator has no preadv2");
#endif
    memset(text, 0, sizeof(text));
    assert_int_equal(wf_sys_preadv2(fd, &(struct iovec){ text, 3 }, 1, far, 0), 3);
    assert_string_equal(text, "abc");
    assert_int_equal(wf_sys_lseek(fd, far, SEEK_SET), far);
    assert_int_equal(wf_sys_preadv2(fd, &(struct iovec){ text, 2 }, 1, -1, 0), 2); // and moves along
    assert_int_equal(wf_sys_lseek(fd, 0, SEEK_CUR), far + 2);
    assert_int_equal(wf_sys_pwritev2(fd, &(struct iovec){ "x", 1 }, 1, -1, 0), 1);
    assert_int_equal(wf_sys_pread(fd, text, 3, far), 3);
    assert_string_equal(text, "abx");
    assert_int_equal(wf_sys_close(fd), 0);
}

static void files_are_described_as_by_the_c_library(void **state)
{
    struct stat by_libc, by_fd, by_name;
    int fd = open("/", O_RDONLY | O_CLOEXEC);
    (void)state;

    assert_int_equal(fstat(fd, &by_libc), 0);
    assert_int_equal(wf_sys_fstat(fd, &by_fd), 0);
    assert_int_equal(wf_sys_fstatat(AT_FDCWD, "/", &by_name, 0), 0);
    for (int i = 0; i < 2; i++) {
        const struct stat *st = i ? &by_fd : &by_name;
        assert_int_equal(st->st_ino, by_libc.st_ino);
        assert_int_equal(st->st_mode, by_libc.st_mode);
        assert_int_equal(st->st_size, by_libc.st_size);
        assert_int_equal(st->st_mtim.tv_sec, by_libc.st_mtim.tv_sec);
    }
    close(fd);
}

static void the_rest_of_a_mask_is_cleared(void **state)
{
    cpu_set_t mask[64], by_libc;
    (void)state;

    memset(mask, 0xff, sizeof(mask));
    assert_int_equal(wf_sys_sched_getaffinity(sizeof(mask), mask), 0);
    assert_int_equal(sched_getaffinity(0, sizeof(by_libc), &by_libc), 0);
    assert_int_equal(CPU_COUNT_S(sizeof(mask), mask), CPU_COUNT(&by_libc));
    assert_int_equal(wf_sys_sched_getaffinity(1, mask), -EINVAL);
}

static void a_poll_does_not_wait(void **state)
{
    int fd[2];
    (void)state;

    assert_int_equal(wf_sys_pipe2(fd, O_CLOEXEC), 0);
    struct pollfd p = { .fd = fd[0], .events = POLLIN };
    assert_int_equal(wf_sys_poll_now(&p, 1), 0);
    assert_int_equal(wf_sys_write(fd[1], "x", 1), 1);
    assert_int_equal(wf_sys_poll_now(&p, 1), 1);
    assert_int_equal(p.revents, POLLIN);
    assert_int_equal(wf_sys_close(fd[0]) | wf_sys_close(fd[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_returned_and_errno_stays),
        cmocka_unit_test(memory_is_mapped_or_there_is_an_error),
        cmocka_unit_test(offsets_are_taken_whole),
        cmocka_unit_test(files_are_described_as_by_the_c_library),
        cmocka_unit_test(the_rest_of_a_mask_is_cleared),
        cmocka_unit_test(a_poll_does_not_wait),
    };
    return wf_test_run(tests);
}
