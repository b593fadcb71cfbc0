// echo-load: the load generator of the echo benchmark.
#include "bench/echo/load.h"

#include "bench/args.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>

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

#define FIELD(name) offsetof(struct options, name)

static const struct arg fields[] = {
    { 'c', ARG_COUNT, FIELD(connections), 0, 100000 },
    { 'm', ARG_COUNT, FIELD(size), 1, SIZE_MAX_BYTES },
    { 'd', ARG_COUNT, FIELD(depth), 1, DEPTH_MAX },
    { 'r', ARG_REAL, FIELD(rate), 0.001, 1e8 },
    { 'x', ARG_FLAG, FIELD(churn), 0, 0 },
    { 'i', ARG_COUNT, FIELD(idle), 0, 100000 },
    { 'w', ARG_REAL, FIELD(warmup_s), 0, 3600 },
    { 't', ARG_REAL, FIELD(seconds), 0.01, 3600 },
    { 'p', ARG_COUNT, FIELD(server), 1, INT32_MAX },
    { KEY_BURST, ARG_COUNT, FIELD(burst), 0, BURST_CONNECTIONS_MAX },
    { KEY_BURSTS, ARG_COUNT, FIELD(bursts), 1, BURSTS_MAX },
    { KEY_COUNTERS, ARG_TEXT, FIELD(counters), 0, 0 },
    { KEY_COUNT_SYSCALLS, ARG_FLAG, FIELD(count_syscalls), 0, 0 },
    { 0 },
};

static void check_together(struct argp_state *state, const struct options *opt)
{
    if (!opt->target)
        argp_error(state, "HOST:PORT is missing");
    if ((size_t)opt->size * opt->depth > BURST_MAX)
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
    if (key == ARGP_KEY_ARG)
        opt->target = arg;
    else if (key == ARGP_KEY_END)
        check_together(state, opt);
    else
        return args_store(keys, fields, key, arg, state);
    return 0;
}

static void options_parse(struct options *opt, int argc, char **argv)
{
    static const struct argp parser = { keys, parse, "HOST:PORT", doc, NULL, NULL, NULL };
    *opt = (struct options){ .connections = 16, .size = 64, .depth = 1, .bursts = 5, .warmup_s = 0.3, .seconds = 2 };
    argp_parse(&parser, argc, argv, 0, NULL, opt);
}

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_INTERRUPTED = 130 };

static void catch_signals(void)
{
    struct sigaction action = { .sa_handler = load_interrupt };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int main(int argc, char **argv)
{
    struct options opt;
    struct load load;
    options_parse(&opt, argc, argv);
    catch_signals();

    int err = load_init(&load, &opt);
    if (!err)
        err = load_run(&load);
    if (err)
        fprintf(stderr, "echo-load: %s\n", load.error);
    int printed = report_print(&load);
    int code = err || printed < 0 ? EXIT_FAILED : load.interrupted ? EXIT_INTERRUPTED : EXIT_OK;
    load_fini(&load);
    return code;
}
