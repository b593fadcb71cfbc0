// What the load generator is asked to do.
#ifndef BENCH_ECHO_OPTIONS_H
#define BENCH_ECHO_OPTIONS_H

#include <stdbool.h>

enum {
    DEPTH_MAX = 1024,
    SIZE_MAX_BYTES = 1 << 20,
    BURST_MAX = 1 << 20, // bytes under way on a connection
    BURST_CONNECTIONS_MAX = 4096,
    BURSTS_MAX = 1000,
};

struct options {
    const char *target;   // HOST:PORT
    unsigned connections; // busy ones
    unsigned idle;        // extra ones that say one word and then nothing
    unsigned size;        // bytes a message
    unsigned depth;       // messages under way on a connection, at most
    double rate;          // messages a second over all connections; 0: closed loop
    bool churn;           // a connection for each message
    double warmup_s;
    double seconds;
    unsigned server;      // the process to watch; 0: none
    bool count_syscalls;  // of that process, by tracepoints
    unsigned burst;       // so many connections at once before the load proper; 0: no burst
    unsigned bursts;      // one after the other
    const char *counters; // what the server's neighbours count in; NULL: there are none
};

// options_parse fills `opt` from the command line. It prints and exits by itself on
// --help and on what it cannot read.
void options_parse(struct options *opt, int argc, char **argv);

#endif
