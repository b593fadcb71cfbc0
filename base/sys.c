#include "base/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>

// The same numbers on every processor.
#ifndef SYS_pidfd_send_signal // Linux 5.1
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_pidfd_open // 5.3
#define SYS_pidfd_open 434
#endif
#ifndef SYS_epoll_pwait2 // 5.11
#define SYS_epoll_pwait2 441
#endif

// RAW is the system call `number`, of up to six arguments.
#define RAW(...) RAW_OF(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define RAW_OF(number, a, b, c, d, e, f, ...) \
    wf_syscall(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

// CALL is the system call `name`; where a sanitizer must see it, the C library's `fn`.
#ifdef WF_SYS_BY_LIBC
#define CALL(name, fn, ...) of_libc(fn(__VA_ARGS__))

static inline long of_libc(long result)
{
    return result < 0 ? -errno : result;
}

#ifndef WF_SYS_RAW
long wf_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    return of_libc(syscall(number, a, b, c, d, e, f));
}
#endif
#else
#define CALL(name, fn, ...) RAW(SYS_##name, __VA_ARGS__)
#endif

// --- Bytes ---------------------------------------------------------------------------

#ifdef WF_SYS_BY_LIBC
ssize_t wf_sys_recv(int fd, void *buf, size_t n, int flags)
{
    return of_libc(recv(fd, buf, n, flags));
}

ssize_t wf_sys_send(int fd, const void *buf, size_t n, int flags)
{
    return of_libc(send(fd, buf, n, flags));
}
#endif

ssize_t wf_sys_recvfrom(int fd, void *buf, size_t n, int flags, struct sockaddr *sa, socklen_t *len)
{
    return CALL(recvfrom, recvfrom, fd, buf, n, flags, sa, len);
}

ssize_t wf_sys_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *sa, socklen_t len)
{
    return CALL(sendto, sendto, fd, buf, n, flags, sa, len);
}

ssize_t wf_sys_recvmsg(int fd, struct msghdr *m, int flags)
{
    return CALL(recvmsg, recvmsg, fd, m, flags);
}

ssize_t wf_sys_sendmsg(int fd, const struct msghdr *m, int flags)
{
    return CALL(sendmsg, sendmsg, fd, m, flags);
}

ssize_t wf_sys_read(int fd, void *buf, size_t n)
{
    return CALL(read, read, fd, buf, n);
}

ssize_t wf_sys_write(int fd, const void *buf, size_t n)
{
    return CALL(write, write, fd, buf, n);
}

ssize_t wf_sys_readv(int fd, const struct iovec *v, int n)
{
    return CALL(readv, readv, fd, v, n);
}

ssize_t wf_sys_writev(int fd, const struct iovec *v, int n)
{
    return CALL(writev, writev, fd, v, n);
}

ssize_t wf_sys_pread(int fd, void *buf, size_t n, off_t at)
{
    return CALL(pread64, pread, fd, buf, n, at);
}

ssize_t wf_sys_pwrite(int fd, const void *buf, size_t n, off_t at)
{
    return CALL(pwrite64, pwrite, fd, buf, n, at);
}

// The kernel takes the offset in two halves; here the first one has all of it.
ssize_t wf_sys_preadv2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
#ifdef WF_SYS_BY_LIBC
    return of_libc(preadv2(fd, v, n, at, flags));
#else
    return RAW(SYS_preadv2, fd, v, n, at, 0, flags);
#endif
}

ssize_t wf_sys_pwritev2(int fd, const struct iovec *v, int n, off_t at, int flags)
{
#ifdef WF_SYS_BY_LIBC
    return of_libc(pwritev2(fd, v, n, at, flags));
#else
    return RAW(SYS_pwritev2, fd, v, n, at, 0, flags);
#endif
}

ssize_t wf_sys_splice(int from, int to, size_t n, unsigned flags)
{
    return CALL(splice, splice, from, NULL, to, NULL, n, flags);
}

ssize_t wf_sys_sendfile(int to, int from, off_t *at, size_t n)
{
    return CALL(sendfile, sendfile, to, from, at, n);
}

ssize_t wf_sys_copy_file_range(int from, int to, size_t n)
{
    return CALL(copy_file_range, copy_file_range, from, NULL, to, NULL, n, 0);
}

// --- Descriptors ---------------------------------------------------------------------

int wf_sys_openat(int at, const char *path, int flags, mode_t mode)
{
    return (int)CALL(openat, openat, at, path, flags, mode);
}

int wf_sys_close(int fd)
{
    return (int)CALL(close, close, fd);
}

int wf_sys_dup3(int fd, int number, int flags)
{
    return (int)CALL(dup3, dup3, fd, number, flags);
}

int wf_sys_fcntl(int fd, int op, long arg)
{
    return (int)CALL(fcntl, fcntl, fd, op, arg);
}

int wf_sys_ioctl(int fd, unsigned long op, void *arg)
{
    return (int)CALL(ioctl, ioctl, fd, op, arg);
}

int wf_sys_pipe2(int fd[2], int flags)
{
    return (int)CALL(pipe2, pipe2, fd, flags);
}

int wf_sys_memfd_create(const char *name, unsigned flags)
{
    return (int)CALL(memfd_create, memfd_create, name, flags);
}

int wf_sys_eventfd(unsigned count, int flags)
{
    return (int)CALL(eventfd2, eventfd, count, flags);
}

int wf_sys_poll_now(struct pollfd *p, unsigned n)
{
#if defined(WF_SYS_BY_LIBC)
    return (int)of_libc(poll(p, n, 0));
#elif defined(SYS_poll)
    return (int)RAW(SYS_poll, p, n, 0);
#else
    struct timespec now = { 0 }; // ppoll may write to it
    return (int)RAW(SYS_ppoll, p, n, &now, NULL, 0);
#endif
}

int wf_sys_epoll_create1(int flags)
{
    return (int)CALL(epoll_create1, epoll_create1, flags);
}

int wf_sys_epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
    return (int)CALL(epoll_ctl, epoll_ctl, set, op, fd, event);
}

int wf_sys_epoll_wait(int set, struct epoll_event *events, int n, int ms)
{
#ifdef WF_SYS_BY_LIBC
    return (int)of_libc(epoll_wait(set, events, n, ms));
#else
    return (int)RAW(SYS_epoll_pwait, set, events, n, ms, NULL, 0);
#endif
}

// The C library has it since 2022.
int wf_sys_epoll_pwait2(int set, struct epoll_event *events, int n, const struct timespec *limit)
{
    return (int)RAW(SYS_epoll_pwait2, set, events, n, limit, NULL, 0);
}

// --- Sockets -------------------------------------------------------------------------

int wf_sys_socket(int family, int type, int protocol)
{
    return (int)CALL(socket, socket, family, type, protocol);
}

int wf_sys_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
    return (int)CALL(bind, bind, fd, sa, len);
}

int wf_sys_listen(int fd, int backlog)
{
    return (int)CALL(listen, listen, fd, backlog);
}

int wf_sys_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
    return (int)CALL(accept4, accept4, fd, sa, len, flags);
}

int wf_sys_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
    return (int)CALL(connect, connect, fd, sa, len);
}

int wf_sys_shutdown(int fd, int how)
{
    return (int)CALL(shutdown, shutdown, fd, how);
}

int wf_sys_getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
    return (int)CALL(getsockopt, getsockopt, fd, level, option, value, len);
}

int wf_sys_setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
    return (int)CALL(setsockopt, setsockopt, fd, level, option, value, len);
}

int wf_sys_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
    return (int)CALL(getsockname, getsockname, fd, sa, len);
}

int wf_sys_getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
    return (int)CALL(getpeername, getpeername, fd, sa, len);
}

// --- Files ---------------------------------------------------------------------------

// On x86-64 and aarch64 the C library's structures are the kernel's.
int wf_sys_fstat(int fd, struct stat *st)
{
    return (int)CALL(fstat, fstat, fd, st);
}

int wf_sys_fstatat(int at, const char *path, struct stat *st, int flags)
{
    return (int)CALL(newfstatat, fstatat, at, path, st, flags);
}

int wf_sys_statx(int fd, unsigned want, struct statx *st)
{
    return (int)CALL(statx, statx, fd, "", AT_EMPTY_PATH, want, st);
}

int wf_sys_fsync(int fd)
{
    return (int)CALL(fsync, fsync, fd);
}

int wf_sys_ftruncate(int fd, off_t size)
{
    return (int)CALL(ftruncate, ftruncate, fd, size);
}

int wf_sys_fchmod(int fd, mode_t mode)
{
    return (int)CALL(fchmod, fchmod, fd, mode);
}

int wf_sys_fchown(int fd, uid_t owner, gid_t group)
{
    return (int)CALL(fchown, fchown, fd, owner, group);
}

off_t wf_sys_lseek(int fd, off_t by, int from)
{
    return CALL(lseek, lseek, fd, by, from);
}

int wf_sys_fstatfs(int fd, struct statfs *fs)
{
    return (int)CALL(fstatfs, fstatfs, fd, fs);
}

ssize_t wf_sys_readlinkat(int at, const char *path, char *buf, size_t n)
{
    return CALL(readlinkat, readlinkat, at, path, buf, n);
}

ssize_t wf_sys_getdents64(int fd, void *buf, size_t n)
{
    return CALL(getdents64, getdents64, fd, buf, n);
}

int wf_sys_linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    return (int)CALL(linkat, linkat, from_at, from, to_at, to, flags);
}

int wf_sys_renameat(int from_at, const char *from, int to_at, const char *to)
{
    return (int)CALL(renameat, renameat, from_at, from, to_at, to);
}

int wf_sys_unlinkat(int at, const char *path, int flags)
{
    return (int)CALL(unlinkat, unlinkat, at, path, flags);
}

int wf_sys_mkdirat(int at, const char *path, mode_t mode)
{
    return (int)CALL(mkdirat, mkdirat, at, path, mode);
}

// --- Memory --------------------------------------------------------------------------

static int map_memory(void **out, size_t size, int access, int flags, int fd)
{
#ifdef WF_SYS_BY_LIBC
    void *p = mmap(NULL, size, access, flags, fd, 0);
    *out = p == MAP_FAILED ? NULL : p;
    return *out ? 0 : -errno;
#else
    long at = RAW(SYS_mmap, NULL, size, access, flags, fd, 0);
    bool failed = at < 0 && at >= -4095;
    *out = failed ? NULL : (void *)at;
    return failed ? (int)at : 0;
#endif
}

int wf_sys_mmap(void **out, size_t size, int access, int flags)
{
    return map_memory(out, size, access, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

int wf_sys_mmap_file(void **out, size_t size, int fd)
{
    return map_memory(out, size, PROT_READ, MAP_PRIVATE, fd);
}

int wf_sys_munmap(void *p, size_t size)
{
    return (int)CALL(munmap, munmap, p, size);
}

int wf_sys_mprotect(void *p, size_t size, int access)
{
    return (int)CALL(mprotect, mprotect, p, size, access);
}

int wf_sys_madvise(void *p, size_t size, int advice)
{
    return (int)CALL(madvise, madvise, p, size, advice);
}

// --- Threads and processes -----------------------------------------------------------

int wf_sys_futex(_Atomic uint32_t *word, int op, uint32_t value, const struct timespec *limit, uint32_t mask)
{
    return (int)RAW(SYS_futex, word, op, value, limit, NULL, mask);
}

int wf_sys_sched_yield(void)
{
#ifdef WF_SYS_BY_LIBC
    return (int)of_libc(sched_yield());
#else
    return (int)RAW(SYS_sched_yield, 0);
#endif
}

// The kernel returns how much of the set it has written.
int wf_sys_sched_getaffinity(size_t size, void *set)
{
    long n = RAW(SYS_sched_getaffinity, 0, size, set);

    if (n < 0)
        return (int)n;
    memset((char *)set + n, 0, size - (size_t)n);
    return 0;
}

int wf_sys_sched_setaffinity(size_t size, const void *set)
{
    return (int)RAW(SYS_sched_setaffinity, 0, size, set);
}

int wf_sys_sched_getattr(void *attr, unsigned size)
{
    return (int)RAW(SYS_sched_getattr, 0, attr, size, 0);
}

int wf_sys_sched_setattr(void *attr)
{
    return (int)RAW(SYS_sched_setattr, 0, attr, 0);
}

int wf_sys_prctl(int op, unsigned long arg)
{
    return (int)CALL(prctl, prctl, op, arg);
}

int wf_sys_gettid(void)
{
    return (int)RAW(SYS_gettid, 0);
}

int wf_sys_geteuid(void)
{
    return (int)RAW(SYS_geteuid, 0);
}

int wf_sys_getpid(void)
{
    return (int)RAW(SYS_getpid, 0);
}

int wf_sys_kill(pid_t pid, int sig)
{
    return (int)CALL(kill, kill, pid, sig);
}

int wf_sys_tgsigqueueinfo(pid_t pid, pid_t tid, int sig, siginfo_t *info)
{
    return (int)RAW(SYS_rt_tgsigqueueinfo, pid, tid, sig, info);
}

int wf_sys_waitid(int kind, id_t id, siginfo_t *info, int options)
{
#ifdef WF_SYS_BY_LIBC
    return (int)of_libc(waitid((idtype_t)kind, id, info, options));
#else
    return (int)RAW(SYS_waitid, kind, id, info, options, NULL);
#endif
}

int wf_sys_pidfd_open(pid_t pid)
{
    return (int)RAW(SYS_pidfd_open, pid, 0);
}

int wf_sys_pidfd_send_signal(int pidfd, int sig)
{
    return (int)RAW(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

int wf_sys_getrlimit(int resource, struct rlimit *limit)
{
#ifdef WF_SYS_BY_LIBC
    return (int)of_libc(getrlimit(resource, limit));
#else
    return (int)RAW(SYS_prlimit64, 0, resource, NULL, limit);
#endif
}

ssize_t wf_sys_getrandom(void *buf, size_t n, unsigned flags)
{
    return CALL(getrandom, getrandom, buf, n, flags);
}

int wf_sys_uname(struct utsname *u)
{
    return (int)CALL(uname, uname, u);
}
