// What the echo servers of the benchmark have in common: their command line, the
// listening socket of those that make it themselves, and work that keeps a CPU busy.
#ifndef BENCH_ECHO_SERVER_H
#define BENCH_ECHO_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    SERVER_BUFFER = 4096, // for one read, the same on every server: a page, as programs tend to take
    STALL_PERIOD_MS = 50, // --stall: so often ...
    STALL_MS = 20,        // ... one task or thread computes for so long without a pause
    HOG_MS = 1,           // --hog: everybody computes for so long at a time
    NEIGHBOURS_MAX = 1000,
    NEIGHBOUR_SLEEP_US = 100, // --neighbours=sleep: each sleeps for so long, again and again
    NEIGHBOUR_COMPUTE_US = 10 // --neighbours=compute: each computes for so long, then yields
};

struct server_options {
    const char *listen; // HOST:PORT
    unsigned workers;   // 0: one for each usable CPU
    bool stall;
    bool hog;
    bool drain;      // read again until EAGAIN, even after a short read
    bool wait_first; // take a buffer only when there is something to read
    unsigned timers; // armed for an hour, and never fired
    char neighbour_kind[16];
    unsigned neighbours;  // of that kind
    const char *counters; // the file where they count, or NULL
};

// server_options_parse reads the command line and raises the descriptor limit as far as
// it goes. It prints and exits by itself on --help and on what it cannot read.
void server_options_parse(struct server_options *opt, const char *doc, int argc, char **argv);

// server_address reads a numeric HOST:PORT, or [HOST]:PORT; it prints and exits if
// `text` is none. Returns: its length.
socklen_t server_address(const char *text, struct sockaddr_storage *addr);

// server_listen makes a socket that listens there; `flags`: SOCK_NONBLOCK, or 0. It
// prints and exits if it cannot.
int server_listen(const char *text, int flags);

// server_announce says on stdout where `listener` listens; the program that started the
// server waits for that line.
void server_announce(int listener);

// server_cpus is the number of CPUs that this process may run on.
unsigned server_cpus(void);

// server_compute keeps the calling thread busy until `ms` milliseconds have passed.
void server_compute(int64_t ms);
void server_compute_us(int64_t us); // likewise

// The neighbours of weft's server: neighbours_check ends the program if `opt` asks for a
// kind that does not exist, neighbours_start spawns them, in a task.
void neighbours_check(const struct server_options *opt);
void neighbours_start(const struct server_options *opt);

#endif
