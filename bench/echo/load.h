// A run of the load generator: its connections, its clock and its counts. One thread
// does everything.
//
//    CONNECT -------> WARMUP -------> MEASURE -------> DRAIN -------> DONE
//             all said       warmup_s         seconds        every reply
//             hello          are over         are over       is there
//
// Bursts, if asked for, are between CONNECT and WARMUP: many connections at once, a
// message on each, all closed again.
//
// In CONNECT each connection, idle ones too, sends one message and gets it back, a few
// hundred connections at a time: so the server has really accepted them all before the
// clock starts. In DRAIN nothing new is sent, but what is still on its way must come
// back: a lost reply is an error.
#ifndef BENCH_ECHO_LOAD_H
#define BENCH_ECHO_LOAD_H

#include "bench/echo/counters.h"
#include "bench/echo/samples.h"
#include "bench/echo/stream.h"
#include "bench/echo/syscalls.h"
#include "bench/echo/target.h"
#include "bench/echo/watch.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

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

enum phase { PHASE_CONNECT, PHASE_WARMUP, PHASE_MEASURE, PHASE_DRAIN, PHASE_DONE };

struct conn {
    int fd;            // -1: closed
    uint64_t serial;   // the how-many-th connection of the run: says which bytes it sends
    uint64_t allowed;  // messages that may have been sent by now
    uint64_t done;     // messages that have come back
    uint64_t sent;     // bytes
    uint64_t received; // bytes
    int64_t *asked;    // when message m was sent: [m % depth]; unused with --rate
};

struct load {
    const struct options *opt;
    struct target target;
    struct stream stream;
    struct conn *conns; // the busy ones, then the idle ones, then those of a burst
    int64_t *asked;     // backing store of conn.asked
    unsigned char *in;  // receive buffer
    size_t in_size;
    int epoll;

    enum phase phase;
    unsigned opened;     // connections made so far, in CONNECT
    uint64_t serials;    // connections ever made
    uint64_t pending;    // messages allowed but not yet back
    int64_t started_ns;  // WARMUP began; with --rate the first message is due
    int64_t due_from_ns; // with --rate: messages due in [from, to) are counted
    int64_t due_to_ns;
    int64_t window_from_ns; // the measured time as it was
    int64_t window_to_ns;
    int64_t last_reply_ns;
    uint64_t scheduled; // with --rate: messages that have become due

    uint64_t messages; // back within the measured time
    uint64_t messages_total;
    uint64_t waits; // epoll_wait calls within it
    struct samples latency;
    struct samples burst; // from the first connect of a burst to its last reply
    int64_t first_burst_ns;
    struct samples late;  // with --rate: how late this program was to send what it could have sent
    struct usage self[2]; // at the beginning and the end of the measured time; so are the next three
    struct usage server[2];
    struct memory memory[3]; // and before anything was connected
    int64_t syscalls[2][SYSCALL_KINDS];
    struct syscall_counter counter;
    struct counters counters; // of the server's neighbours
    uint64_t counted[2];

    bool coarse; // the kernel has no epoll_pwait2: waits are in milliseconds
    bool interrupted;
    char error[256]; // "": none so far
};

// load_init sets a run up, load_run carries it out. Both return 0, or -1 with the
// reason in `error`; load_fini may follow either.
int load_init(struct load *l, const struct options *opt);
int load_run(struct load *l);
void load_fini(struct load *l);

// load_interrupt ends the measured time at once.  Context: signal handler.
void load_interrupt(int signum);

// load_fail records the first error, which ends the run.  Returns: -1.
__attribute__((format(printf, 2, 3))) int load_fail(struct load *l, const char *format, ...);

// The connections: traffic.c.
int conn_open(struct load *l, unsigned index);
int conn_start(struct load *l, struct conn *c, int64_t now); // from hello to the first real messages
int conn_due(struct load *l, struct conn *c, int64_t now);   // one message more, with --rate
int conn_event(struct load *l, struct conn *c, uint32_t events);
int64_t turn_due(const struct load *l, uint64_t turn); // when the turn-th message is due, with --rate

// report_print sorts the latencies, and writes the run as one JSON object to stdout.
// Returns: 0; -1 out of memory.
int report_print(struct load *l);

static inline int64_t clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

#endif
