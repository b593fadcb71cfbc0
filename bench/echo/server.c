#include "bench/echo/server.h"

#include <argp.h>
#include <errno.h>
#include <netdb.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static unsigned parse_count(struct argp_state *state, const char *name, const char *text, unsigned long max)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || value < 1 || value > max)
        argp_error(state, "--%s %s: not a number from 1 to %lu", name, text, max);
    return (unsigned)value;
}

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
        opt->neighbours = parse_count(state, "neighbours", colon ? colon + 1 : "", NEIGHBOURS_MAX);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct server_options *opt = state->input;
    switch (key) {
    case 'l':
        opt->listen = arg;
        break;
    case 'w':
        opt->workers = parse_count(state, "workers", arg, 256);
        break;
    case KEY_STALL:
        opt->stall = true;
        break;
    case KEY_HOG:
        opt->hog = true;
        break;
    case KEY_DRAIN:
        opt->drain = true;
        break;
    case KEY_WAIT_FIRST:
        opt->wait_first = true;
        break;
    case KEY_TIMERS:
        opt->timers = parse_count(state, "timers", arg, 10000000);
        break;
    case KEY_NEIGHBOURS:
        parse_neighbours(state, opt, arg);
        break;
    case KEY_COUNTERS:
        opt->counters = arg;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
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
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char host[128];
    const char *colon = strrchr(text, ':'), *from = text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (len > 1 && text[0] == '[' && text[len - 1] == ']') {
        from++;
        len -= 2;
    }
    // the port by itself: getaddrinfo takes one that is too large, and cuts it
    if (len == 0 || strtoul(colon + 1, NULL, 10) > UINT16_MAX || len >= sizeof(host) ||
        snprintf(host, sizeof(host), "%.*s", (int)len, from) < 0 || getaddrinfo(host, colon + 1, &hints, &found) != 0)
        die(EX_USAGE, text, "not a numeric HOST:PORT");
    socklen_t addr_len = found->ai_addrlen;
    memcpy(addr, found->ai_addr, addr_len);
    freeaddrinfo(found);
    return addr_len;
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
