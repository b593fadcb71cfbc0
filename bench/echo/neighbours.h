// The neighbours of weft's echo server: tasks that are always ready, or soon ready
// again.
#ifndef BENCH_ECHO_NEIGHBOURS_H
#define BENCH_ECHO_NEIGHBOURS_H

#include "bench/echo/server.h"

// neighbours_check ends the program if `opt` asks for a kind that does not exist.
void neighbours_check(const struct server_options *opt);

// neighbours_start spawns them.
// Context: task.
void neighbours_start(const struct server_options *opt);

#endif
