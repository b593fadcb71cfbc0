// How much of everything. The peers have the same numbers, as constants of their own.
#ifndef BENCH_BREADTH_COUNTS_H
#define BENCH_BREADTH_COUNTS_H

enum {
    LINES = 10000000,
    LINE_BYTES = 100, // with the '\n'
    LOOKUPS = 10000,
    LOOKUPS_AT_ONCE = 64,
    NAMES = 100,
    ADDRESSES = 2, // of each name: one of each family
    READS = 128000,
    READS_AT_ONCE = 64,
    BLOCK_BYTES = 4096,
    BLOCKS = 16384, // of the file
    PROCESSES = 960,
    PROCESSES_AT_ONCE = 32,
    IDLE = 10000, // connections
};

#define NAME_FORMAT "n%d.bench.test"

#endif
