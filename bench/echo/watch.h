// Watching another process: what it has used up so far.
#ifndef BENCH_ECHO_WATCH_H
#define BENCH_ECHO_WATCH_H

#include <stdint.h>
#include <sys/types.h>

enum { WATCH_THREADS_MAX = 1024 };

struct usage {
    int64_t cpu_ns;    // of all its threads, also those that have ended
    int64_t voluntary; // context switches of the threads alive
    int64_t involuntary;
    int64_t threads;
};

struct memory {
    int64_t rss_kib;
    int64_t peak_kib; // the most that rss_kib has been
    int64_t page_tables_kib;
};

// watch_threads lists the threads alive.  Returns: how many; a negative errno value.
int watch_threads(pid_t pid, pid_t tids[WATCH_THREADS_MAX]);

// Both return 0, or a negative errno value: -ESRCH if there is no such process.
int watch_usage(pid_t pid, struct usage *u);
int watch_memory(pid_t pid, struct memory *m);

#endif
