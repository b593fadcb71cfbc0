#include "bench/echo/options.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

const char *argp_program_version = "echo-load 1";

static const char doc[] =
    "Load for an echo server at HOST:PORT (numeric): one thread, every byte that comes back is checked, "
    "one JSON object at the end.\v"
    "By default each connection sends its next message when one has come back (closed loop). With --rate, messages are "
    "due at fixed moments and a latency counts from when its message was due, however late it could be sent. With "
    "--churn each message has a connection of its own, and its latency counts from before connect().";

enum { KEY_COUNT_SYSCALLS = 1000, KEY_BURST, KEY_BURSTS, KEY_COUNTERS };

static const struct argp_option keys[] = {
    { "connections", 'c', "N", 0, "busy connections, 0 to 100000 (16)", 0 },
    { "size", 'm', "BYTES", 0, "bytes a message, 1 to 1048576 (64)", 0 },
    { "depth", 'd', "N", 0, "messages under way on a connection, 1 to 1024 (1)", 0 },
    { "rate", 'r', "N", 0, "messages a second over all connections, instead of a closed loop", 0 },
    { "churn", 'x', NULL, 0, "connect, one message, close, again and again", 0 },
    { "idle", 'i', "N", 0, "further connections that stay idle, 0 to 100000 (0)", 0 },
    { "warmup", 'w', "SECONDS", 0, "load before anything is measured (0.3)", 0 },
    { "seconds", 't', "SECONDS", 0, "measured time, up to 3600 (2)", 0 },
    { "server-pid", 'p', "PID", 0, "report CPU time, context switches and memory of this process", 0 },
    { "burst", KEY_BURST, "N", 0, "before the load: N connections at once, a message on each (0)", 0 },
    { "bursts", KEY_BURSTS, "N", 0, "so many bursts, one after the other, 1 to 1000 (5)", 0 },
    { "counters", KEY_COUNTERS, "FILE", 0, "report what the server's neighbours count there", 0 },
    { "count-syscalls", KEY_COUNT_SYSCALLS, NULL, 0, "and its system calls, by tracepoints (root)", 0 },
    { 0 },
};

static unsigned long parse_count(struct argp_state *state, const char *name, const char *text, unsigned long min,
                                 unsigned long max)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || value < min || value > max)
        argp_error(state, "--%s %s: not a number from %lu to %lu", name, text, min, max);
    return value;
}

static double parse_real(struct argp_state *state, const char *name, const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < min || value > max)
        argp_error(state, "--%s %s: not a number from %g to %g", name, text, min, max);
    return value;
}

static void parse_target(struct argp_state *state, struct options *opt, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || !colon[1])
        argp_error(state, "%s: not HOST:PORT", text);
    size_t len = (size_t)(colon - text);
    if (text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    free(opt->host);
    free(opt->port);
    opt->host = strndup(text, len);
    opt->port = strdup(colon + 1);
    if (!opt->host || !opt->port)
        argp_failure(state, 1, ENOMEM, "out of memory");
}

static void check_together(struct argp_state *state, const struct options *opt)
{
    if (!opt->host)
        argp_error(state, "HOST:PORT is missing");
    if (opt->size * opt->depth > BURST_MAX)
        argp_error(state, "--size times --depth is above %d bytes", BURST_MAX);
    if (opt->churn && (opt->rate > 0 || opt->depth > 1))
        argp_error(state, "--churn goes with neither --rate nor --depth");
    if (opt->connections == 0 && (opt->rate > 0 || opt->churn))
        argp_error(state, "--rate and --churn need connections");
    if (opt->connections == 0 && opt->idle == 0)
        argp_error(state, "nothing to do: no connections");
    if (opt->count_syscalls && !opt->server)
        argp_error(state, "--count-syscalls needs --server-pid");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *opt = state->input;
    switch (key) {
    case 'c':
        opt->connections = (unsigned)parse_count(state, "connections", arg, 0, 100000);
        break;
    case 'm':
        opt->size = parse_count(state, "size", arg, 1, SIZE_MAX_BYTES);
        break;
    case 'd':
        opt->depth = (unsigned)parse_count(state, "depth", arg, 1, DEPTH_MAX);
        break;
    case 'r':
        opt->rate = parse_real(state, "rate", arg, 0.001, 1e8);
        break;
    case 'x':
        opt->churn = true;
        break;
    case 'i':
        opt->idle = (unsigned)parse_count(state, "idle", arg, 0, 100000);
        break;
    case 'w':
        opt->warmup_s = parse_real(state, "warmup", arg, 0, 3600);
        break;
    case 't':
        opt->seconds = parse_real(state, "seconds", arg, 0.01, 3600);
        break;
    case 'p':
        opt->server = (pid_t)parse_count(state, "server-pid", arg, 1, INT32_MAX);
        break;
    case KEY_COUNT_SYSCALLS:
        opt->count_syscalls = true;
        break;
    case KEY_BURST:
        opt->burst = (unsigned)parse_count(state, "burst", arg, 0, BURST_CONNECTIONS_MAX);
        break;
    case KEY_BURSTS:
        opt->bursts = (unsigned)parse_count(state, "bursts", arg, 1, BURSTS_MAX);
        break;
    case KEY_COUNTERS:
        opt->counters = arg;
        break;
    case ARGP_KEY_ARG:
        parse_target(state, opt, arg);
        break;
    case ARGP_KEY_END:
        check_together(state, opt);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

void options_parse(struct options *opt, int argc, char **argv)
{
    static const struct argp parser = { keys, parse, "HOST:PORT", doc, NULL, NULL, NULL };
    *opt = (struct options){ .connections = 16, .size = 64, .depth = 1, .bursts = 5, .warmup_s = 0.3, .seconds = 2 };
    argp_parse(&parser, argc, argv, 0, NULL, opt);
}

void options_fini(struct options *opt)
{
    free(opt->host);
    free(opt->port);
}
