// breadth-load: the other ends of what is measured.
//
//   breadth-load echo SIZE            behind a relay: sends messages of SIZE bytes back,
//                                     each when it is complete, a thread a connection
//   breadth-load lines COMMAND...     runs it with --target=HOST:PORT, where lines come
//   breadth-load names COMMAND...     runs it in a network of its own, with a name server
//
// The command gets its CPUs and its end from this program: it dies with it.
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/breadth/counts.h"

enum { LISTEN_BACKLOG = 1024, FEED_LINES = 640, SIZE_LIMIT = 1 << 20 };

// must ends the program if a system call has failed.
static long must(long result, const char *what)
{
    if (result >= 0)
        return result;
    fprintf(stderr, "breadth-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void start_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, body, arg);
    must(errno ? -1 : 0, "pthread_create");
    pthread_detach(thread);
}

// listen_here returns a listening socket, and its address in `text`.
static int listen_here(char text[32])
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int fd = (int)must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

    must(bind(fd, (struct sockaddr *)&at, len), "bind");
    must(listen(fd, LISTEN_BACKLOG), "listen");
    must(getsockname(fd, (struct sockaddr *)&at, &len), "getsockname");
    snprintf(text, 32, "127.0.0.1:%d", ntohs(at.sin_port));
    return fd;
}

static void serve_each(int listener, void *(*serve)(void *))
{
    int on = 1;
    for (;;) {
        int fd = (int)must(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        start_thread(serve, (void *)(intptr_t)fd);
    }
}

// send_all returns false if the peer is gone.
static int send_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = send(fd, bytes, n, MSG_NOSIGNAL);
        if (done <= 0)
            return 0;
        bytes += done;
        n -= (size_t)done;
    }
    return 1;
}

// --- echo ----------------------------------------------------------------------------

static size_t message_size;

static void *echo(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char *buf = malloc(message_size);
    ssize_t n;

    while (buf && (n = recv(fd, buf, message_size, MSG_WAITALL)) > 0 && send_all(fd, buf, (size_t)n))
        ;
    free(buf);
    close(fd);
    return NULL;
}

static int run_echo(const char *size)
{
    char text[32];
    int listener = listen_here(text);

    message_size = strtoul(size, NULL, 10);
    if (message_size == 0 || message_size > SIZE_LIMIT)
        return 2;
    printf("listening on %s\n", text);
    fflush(stdout);
    serve_each(listener, echo);
    return 0;
}

// --- the command that is measured ----------------------------------------------------

static int run_command(char **argv)
{
    int status;
    pid_t parent = getpid(), child = (pid_t)must(fork(), "fork");

    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            execvp(argv[0], argv);
        fprintf(stderr, "breadth-load: %s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    must(waitpid(child, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

// --- lines ---------------------------------------------------------------------------

static char feed_text[FEED_LINES * LINE_BYTES];

static void *feed(void *arg)
{
    int fd = (int)(intptr_t)arg;

    while (send_all(fd, feed_text, sizeof(feed_text)))
        ;
    close(fd);
    return NULL;
}

static void *feed_all(void *listener)
{
    serve_each((int)(intptr_t)listener, feed);
    return NULL;
}

static int run_lines(int argc, char **argv)
{
    char text[32], target[64], **longer = calloc((size_t)argc + 2, sizeof(*longer));
    int listener = listen_here(text);

    must(longer ? 0 : -1, "calloc");
    memset(feed_text, 'x', sizeof(feed_text));
    for (size_t i = 1; i <= FEED_LINES; i++)
        feed_text[i * LINE_BYTES - 1] = '\n';
    start_thread(feed_all, (void *)(intptr_t)listener);
    snprintf(target, sizeof(target), "--target=%s", text);
    longer[0] = argv[0];
    longer[1] = target;
    memcpy(longer + 2, argv + 1, (size_t)(argc - 1) * sizeof(*argv));
    int status = run_command(longer);
    free(longer);
    return status;
}

// --- names ---------------------------------------------------------------------------

enum { PACKET_MAX = 512, HEADER = 12, ANSWER_HEAD = 12, TYPE_A = 1, TYPE_AAAA = 28 };

// make_answer makes an answer out of the question in `p`: one address for any name.
// Returns: its length; 0 if that is not a question.
static size_t make_answer(unsigned char p[PACKET_MAX], size_t n)
{
    static const unsigned char address[16] = { 127, 0, 0, 9 };
    size_t at = HEADER;

    while (at < n && p[at])
        at += 1u + p[at];
    if (at + 5 > n || (p[at + 2] != TYPE_A && p[at + 2] != TYPE_AAAA))
        return 0;
    const unsigned char type = p[at + 2], len = type == TYPE_A ? 4 : 16;
    const unsigned char head[ANSWER_HEAD] = { 0xc0, HEADER, 0, type, 0, 1, 0, 0, 0, 60, 0, len };
    p[2] = 0x85; // an answer, authoritative, recursion desired and
    p[3] = 0x80; // available
    memset(p + 6, 0, 6);
    p[7] = 1;
    memcpy(p + at + 5, head, sizeof(head));
    memcpy(p + at + 5 + sizeof(head), address, len);
    return at + 5 + sizeof(head) + len;
}

static void *answer_all(void *arg)
{
    int fd = (int)(intptr_t)arg;
    unsigned char packet[PACKET_MAX + ANSWER_HEAD + 16];
    struct sockaddr_in from;

    for (;;) {
        socklen_t len = sizeof(from);
        ssize_t n = recvfrom(fd, packet, PACKET_MAX, 0, (struct sockaddr *)&from, &len);
        size_t to_send = n > 0 ? make_answer(packet, (size_t)n) : 0;
        if (to_send > 0)
            sendto(fd, packet, to_send, 0, (struct sockaddr *)&from, len);
    }
    return NULL;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    must(f && fputs(text, f) >= 0 && fclose(f) == 0 ? 0 : -1, path);
}

static void map_root(const char *path, unsigned id)
{
    char text[32];
    snprintf(text, sizeof(text), "0 %u 1\n", id);
    write_file(path, text);
}

// leave gets this process a network and mounts of its own: as root, or as the root of a
// user namespace.
static void leave(void)
{
    const unsigned uid = getuid(), gid = getgid();
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0) {
        must(unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS), "a network of its own (unshare)");
        write_file("/proc/self/setgroups", "deny");
        map_root("/proc/self/uid_map", uid);
        map_root("/proc/self/gid_map", gid);
    }
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount");
    must(mount("none", "/etc", "tmpfs", 0, NULL), "an /etc of its own (mount)");
    write_file("/etc/hosts", "127.0.0.1 localhost\n");
    write_file("/etc/nsswitch.conf", "hosts: files dns\n");
    write_file("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n");
}

static int run_names(char **argv)
{
    const struct sockaddr_in at = { AF_INET, htons(53), { htonl(INADDR_LOOPBACK) }, { 0 } };
    struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
    int room = 4 << 20;

    leave();
    int fd = (int)must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
    must(ioctl(fd, SIOCSIFFLAGS, &lo), "lo up");
    must(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), "SO_RCVBUF");
    must(bind(fd, (const struct sockaddr *)&at, sizeof(at)), "port 53");
    start_thread(answer_all, (void *)(intptr_t)fd);
    return run_command(argv);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "echo") == 0)
        return run_echo(argv[2]);
    if (argc > 2 && strcmp(argv[1], "lines") == 0)
        return run_lines(argc - 2, argv + 2);
    if (argc > 2 && strcmp(argv[1], "names") == 0)
        return run_names(argv + 2);
    fprintf(stderr, "breadth-load: echo SIZE, lines COMMAND..., or names COMMAND...\n");
    return 2;
}
