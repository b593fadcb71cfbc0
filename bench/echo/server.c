#include "bench/echo/server.h"
#include "bench/address.h"
#include "bench/args.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <time.h>

enum { KEY_STALL = 1000, KEY_HOG, KEY_DRAIN, KEY_WAIT_FIRST, KEY_TIMERS, KEY_NEIGHBOURS, KEY_COUNTERS };

static const struct argp_option keys[] = {
    { "listen", 'l', "HOST:PORT", 0, "where to listen (127.0.0.1:0, a free port)", 0 },
    { "workers", 'w', "N", 0, "threads that serve, 1 to 256 (one for each usable CPU)", 0 },
    { "threads", 0, NULL, OPTION_ALIAS, NULL, 0 },
    { "stall", KEY_STALL, NULL, 0, "every 50 ms compute for 20 ms without a pause", 0 },
    { "hog", KEY_HOG, NULL, 0, "on every thread, compute 1 ms at a time all the time", 0 },
    { "drain", KEY_DRAIN, NULL, 0, "(echo-epoll) read until EAGAIN, even after a short read", 0 },
    { "wait-first", KEY_WAIT_FIRST, NULL, 0, "(echo-weft) hold no buffer while there is nothing to read", 0 },
    { "timers", KEY_TIMERS, "N", 0, "(echo-weft) so many tasks that sleep for an hour", 0 },
    { "neighbours", KEY_NEIGHBOURS, "KIND:N", 0,
      "(echo-weft) so many neighbours: chat, yield, spawn, sleep, mutex, compute; or none", 0 },
    { "counters", KEY_COUNTERS, "FILE", 0, "(echo-weft) where the neighbours count; for echo-load", 0 },
    { 0 },
};

#define FIELD(name) offsetof(struct server_options, name)

static const struct arg fields[] = {
    { 'l', ARG_TEXT, FIELD(listen), 0, 0 },
    { 'w', ARG_COUNT, FIELD(workers), 1, 256 },
    { KEY_STALL, ARG_FLAG, FIELD(stall), 0, 0 },
    { KEY_HOG, ARG_FLAG, FIELD(hog), 0, 0 },
    { KEY_DRAIN, ARG_FLAG, FIELD(drain), 0, 0 },
    { KEY_WAIT_FIRST, ARG_FLAG, FIELD(wait_first), 0, 0 },
    { KEY_TIMERS, ARG_COUNT, FIELD(timers), 1, 10000000 },
    { KEY_COUNTERS, ARG_TEXT, FIELD(counters), 0, 0 },
    { 0 },
};
static const struct arg neighbours_field = { KEY_NEIGHBOURS, ARG_COUNT, FIELD(neighbours), 1, NEIGHBOURS_MAX };

// parse_neighbours reads KIND:N, or "none".
static void parse_neighbours(struct argp_state *state, struct server_options *opt, const char *text)
{
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    if (len >= sizeof(opt->neighbour_kind))
        argp_error(state, "--neighbours %s: there is no such kind", text);
    memcpy(opt->neighbour_kind, text, len);
    opt->neighbour_kind[len] = 0;
    opt->neighbours = 0;
    if (strcmp(opt->neighbour_kind, "none") != 0)
        opt->neighbours = (unsigned)parse_number(state, "neighbours", colon ? colon + 1 : "", &neighbours_field);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    if (key != KEY_NEIGHBOURS)
        return args_store(keys, fields, key, arg, state);
    parse_neighbours(state, state->input, arg);
    return 0;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

void server_options_parse(struct server_options *opt, const char *doc, int argc, char **argv)
{
    const struct argp parser = { keys, parse, NULL, doc, NULL, NULL, NULL };
    *opt = (struct server_options){ .listen = "127.0.0.1:0", .neighbour_kind = "none" };
    argp_parse(&parser, argc, argv, 0, NULL, opt);
    raise_descriptor_limit();
}

__attribute__((noreturn)) static void die(int status, const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
    exit(status);
}

socklen_t server_address(const char *text, struct sockaddr_storage *addr)
{
    socklen_t len = parse_address(text, addr);
    if (len == 0)
        die(EX_USAGE, text, "not a numeric HOST:PORT");
    return len;
}

int server_listen(const char *text, int flags)
{
    int on = 1;
    struct sockaddr_storage addr;
    socklen_t len = server_address(text, &addr);
    int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, 65535) < 0)
        die(1, text, strerror(errno));
    return fd;
}

void server_announce(int listener)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    char host[64], port[8];
    if (getsockname(listener, (struct sockaddr *)&addr, &len) < 0 ||
        getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        die(1, "getsockname", strerror(errno));
    printf(addr.ss_family == AF_INET6 ? "listening on [%s]:%s\n" : "listening on %s:%s\n", host, port);
    fflush(stdout);
}

unsigned server_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

void server_compute_us(int64_t us)
{
    int64_t end = now_ns() + us * 1000;
    while (now_ns() < end)
        ;
}

void server_compute(int64_t ms)
{
    server_compute_us(ms * 1000);
}
