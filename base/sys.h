// All system calls of the library. Each has a function here, which returns the kernel's
// result, -errno for an error, does not change errno, and does not retry (WF_RETRY).
//
// They do not use the C library:
//   - A program, or a library that it loads, may replace the C library's read or poll
//     by its own functions, for example to park the task. weft must not call these.
//   - The C library's calls are pthread_cancel points. That costs two locked
//     instructions a call in a program with several threads, and one more return. The
//     kernel overwrites the CPU's return predictor, so each return after a system call
//     is mispredicted. (Measured, an echo with 128 connections: 0.1 us a message for
//     the wrappers; 0.06 for the returns of send alone.) So the two calls that every
//     message needs are inline here; the others are in sys.c.
//   - A test can replace one call by the linker: -Wl,--wrap=wf_sys_close.
// In two cases they call the C library: under AddressSanitizer and ThreadSanitizer,
// which must see what the kernel writes; and on processors other than x86-64 and
// aarch64, whose kernel interface this file does not have. Then a call may change
// errno, and each is in sys.c, so that the compiler does not inline it (after a park a
// task may be on another thread, with another errno).
//
// The C library still does these (tests/lint/calls.py has the list):
//   - threads; masks, dispositions and timers of signals; alternate signal stacks;
//     posix_spawn; fork handlers: the C library has its own state in each, such as the
//     return from a handler, its reserved signals, the numbers of timers. None of them
//     reads or writes a descriptor.
//   - clock_gettime and the unwinder, which make no system call; getaddrinfo, and stdio for messages and
//     for files of /proc, which make their own calls, by names that a program cannot
//     take over.
#ifndef WF_BASE_SYS_H
#define WF_BASE_SYS_H

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/compiler.h"

#if (defined(__x86_64__) || defined(__aarch64__)) && defined(__LP64__)
#define WF_SYS_RAW 1
#endif
#if !defined(WF_SYS_RAW) || defined(WF_ASAN) || defined(WF_TSAN)
#define WF_SYS_BY_LIBC 1
#endif

#if defined(WF_SYS_RAW) && defined(__x86_64__)
static inline long wf_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result = number;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory", "cc");
    return result;
}
#elif defined(WF_SYS_RAW)
static inline long wf_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
    return x0;
}
#else
long wf_syscall(long number, long a, long b, long c, long d, long e, long f);
#endif

// WF_RETRY repeats a call that a signal has interrupted.
#define WF_RETRY(call) \
    __extension__({ \
        ssize_t wf_result_; \
        do \
            wf_result_ = (call); \
        while (wf_unlikely(wf_result_ == -EINTR)); \
        wf_result_; \
    })

struct epoll_event;
struct iovec;
struct pollfd;
struct rlimit;
struct stat;
struct statfs;
struct statx;
struct timespec;
struct utsname;

// --- Bytes ---------------------------------------------------------------------------

#ifdef WF_SYS_BY_LIBC
ssize_t wf_sys_recv(int fd, void *buf, size_t n, int flags);
ssize_t wf_sys_send(int fd, const void *buf, size_t n, int flags);
#else
static inline ssize_t wf_sys_recv(int fd, void *buf, size_t n, int flags)
{
    return wf_syscall(SYS_recvfrom, fd, (long)buf, (long)n, flags, 0, 0);
}

static inline ssize_t wf_sys_send(int fd, const void *buf, size_t n, int flags)
{
    return wf_syscall(SYS_sendto, fd, (long)buf, (long)n, flags, 0, 0);
}
#endif

ssize_t wf_sys_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len);
ssize_t wf_sys_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa, socklen_t len);
ssize_t wf_sys_recvmsg(int fd, struct msghdr *m, int flags);
ssize_t wf_sys_sendmsg(int fd, const struct msghdr *m, int flags);
ssize_t wf_sys_read(int fd, void *buf, size_t n);
ssize_t wf_sys_write(int fd, const void *buf, size_t n);
ssize_t wf_sys_readv(int fd, const struct iovec *v, int n);
ssize_t wf_sys_writev(int fd, const struct iovec *v, int n);
ssize_t wf_sys_pread(int fd, void *buf, size_t n, off_t at);
ssize_t wf_sys_pwrite(int fd, const void *buf, size_t n, off_t at);
ssize_t wf_sys_preadv2(int fd, const struct iovec *v, int n, off_t at, int flags); // at -1: the file's position
ssize_t wf_sys_pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags);
ssize_t wf_sys_splice(int from, int to, size_t n, unsigned flags);
ssize_t wf_sys_sendfile(int to, int from, off_t *at, size_t n);
ssize_t wf_sys_copy_file_range(int from, int to, size_t n);

// --- Descriptors ---------------------------------------------------------------------

int wf_sys_openat(int at, const char *path, int flags, mode_t mode);
int wf_sys_close(int fd);
int wf_sys_dup3(int fd, int number, int flags);
int wf_sys_fcntl(int fd, int op, long arg);
int wf_sys_ioctl(int fd, unsigned long op, void *arg);
int wf_sys_pipe2(int fd[2], int flags);
int wf_sys_memfd_create(const char *name, unsigned flags);
int wf_sys_eventfd(unsigned count, int flags);
int wf_sys_poll_now(struct pollfd *p, unsigned n); // poll(2) that does not wait
int wf_sys_epoll_create1(int flags);
int wf_sys_epoll_ctl(int set, int op, int fd, struct epoll_event *event);
int wf_sys_epoll_wait(int set, struct epoll_event *events, int n, int ms);
int wf_sys_epoll_pwait2(int set, struct epoll_event *events, int n, const struct timespec *limit);

// --- Sockets -------------------------------------------------------------------------

int wf_sys_socket(int family, int type, int protocol);
int wf_sys_bind(int fd, const struct sockaddr *sa, socklen_t len);
int wf_sys_listen(int fd, int backlog);
int wf_sys_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags);
int wf_sys_connect(int fd, const struct sockaddr *sa, socklen_t len);
int wf_sys_shutdown(int fd, int how);
int wf_sys_getsockopt(int fd, int level, int option, void *value, socklen_t *len);
int wf_sys_setsockopt(int fd, int level, int option, const void *value, socklen_t len);
int wf_sys_getsockname(int fd, struct sockaddr *sa, socklen_t *len);
int wf_sys_getpeername(int fd, struct sockaddr *sa, socklen_t *len);

// --- Files ---------------------------------------------------------------------------

int wf_sys_fstat(int fd, struct stat *st);
int wf_sys_fstatat(int at, const char *path, struct stat *st, int flags);
int wf_sys_statx(int fd, unsigned want, struct statx *st); // of a descriptor
int wf_sys_fsync(int fd);
int wf_sys_ftruncate(int fd, off_t size);
int wf_sys_fchmod(int fd, mode_t mode);
int wf_sys_fchown(int fd, uid_t owner, gid_t group);
off_t wf_sys_lseek(int fd, off_t by, int from);
int wf_sys_fstatfs(int fd, struct statfs *fs);
ssize_t wf_sys_readlinkat(int at, const char *path, char *buf, size_t n);
ssize_t wf_sys_getdents64(int fd, void *buf, size_t n);
int wf_sys_linkat(int from_at, const char *from, int to_at, const char *to, int flags);
int wf_sys_renameat(int from_at, const char *from, int to_at, const char *to);
int wf_sys_unlinkat(int at, const char *path, int flags);
int wf_sys_mkdirat(int at, const char *path, mode_t mode);

// --- Memory --------------------------------------------------------------------------

int wf_sys_mmap(void **out, size_t size, int access, int flags); // private and anonymous
int wf_sys_mmap_file(void **out, size_t size, int fd);                // private, to be read
int wf_sys_munmap(void *p, size_t size);
int wf_sys_mprotect(void *p, size_t size, int access);
int wf_sys_madvise(void *p, size_t size, int advice);

// --- Threads and processes -----------------------------------------------------------

int wf_sys_futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *limit, uint32_t mask);
int wf_sys_sched_yield(void);
int wf_sys_sched_getaffinity(size_t size, void *set); // of the calling thread, as is the next; clears the rest of `set`
int wf_sys_sched_setaffinity(size_t size, const void *set);
int wf_sys_sched_getattr(void *attr, unsigned size);
int wf_sys_sched_setattr(void *attr);
int wf_sys_prctl(int op, unsigned long arg);
int wf_sys_gettid(void);
int wf_sys_geteuid(void);
int wf_sys_getpid(void);
int wf_sys_kill(pid_t pid, int sig);
int wf_sys_tgsigqueueinfo(pid_t pid, pid_t tid, int sig, siginfo_t *info);
int wf_sys_waitid(int kind, id_t id, siginfo_t *info, int options);
int wf_sys_pidfd_open(pid_t pid);
int wf_sys_pidfd_send_signal(int pidfd, int sig);
int wf_sys_getrlimit(int resource, struct rlimit *limit);
ssize_t wf_sys_getrandom(void *buf, size_t n, unsigned flags);
int wf_sys_uname(struct utsname *u);

#endif
