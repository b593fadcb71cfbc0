// What the neighbours of an echo server have done (--neighbours): a counter each, in a
// file that the server and the load generator map. So the load generator reads what was
// done within its measured time, and the server does nothing for it but count.
//
// Each counter has one writer, its neighbour; a reader may find it a moment old.
#ifndef BENCH_ECHO_COUNTERS_H
#define BENCH_ECHO_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

enum { COUNTER_SIZE = 128 }; // two cache lines: neighbours fetch lines in pairs

struct counter {
    volatile uint64_t done;
    char unused[COUNTER_SIZE - sizeof(uint64_t)];
};

struct counters {
    struct counter *all; // NULL: there are none
    size_t count;
};

// counters_map makes the file for so many, and maps it, or memory without one if `path`
// is NULL. With a count of 0 it maps, to be read, a file that was made.
// Returns: 0; a negative errno value.
int counters_map(struct counters *c, const char *path, size_t count);
void counters_close(struct counters *c);

uint64_t counters_sum(const struct counters *c);

#endif
