// What tasks do in the micro benchmarks, which time it, and in tests/guard/ops.c, which
// counts its instructions: so a check in a loop here is at most a comparison with zero.
#ifndef WEFT_BENCH_MICRO_BODIES_H
#define WEFT_BENCH_MICRO_BODIES_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { MICRO_MILLION = 1000000, MICRO_CASES_MAX = 64 };

// A body does something `n` times, in `parties` tasks where there are several.
// Returns: how long that took, without preparations.
// Context: task.
typedef weft_time micro_body(long n, long parties);

micro_body micro_yield;       // this task yields n times
micro_body micro_yield_crowd; // so does each of the parties
micro_body micro_spawn_join;  // spawns an empty task, joins it
micro_body micro_spawn_crowd; // spawns so many empty tasks, then joins them all
micro_body micro_spawn_chain; // each task spawns the next, n deep
micro_body micro_fib;         // fib(parties), one of its two calls being a task of its own; no cut-off
micro_body micro_pingpong;    // pairs of tasks send a number to and fro through two channels of capacity 1
micro_body micro_select;      // selects among so many channels that hold a message each, and replaces what it took
micro_body micro_scope;       // opens a scope, spawns so many children, closes it
micro_body micro_deadline;    // opens a scope, arms a deadline an hour away, closes it

// A figure of something that went wrong says nothing: these end the program, loudly.
static inline void micro_ok(long result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, weft_strerror((int)result));
    abort();
}

static inline void micro_expect(long got, long expected, const char *what)
{
    if (got == expected)
        return;
    fprintf(stderr, "%s: %s: got %ld, expected %ld\n", program_invocation_short_name, what, got, expected);
    abort();
}

static inline weft_task *micro_spawn(weft_fn *fn, void *arg)
{
    weft_task *t;
    micro_ok(weft_spawn(&t, fn, arg), "spawn");
    return t;
}

static inline int micro_join(weft_task *t)
{
    int result;
    micro_ok(weft_join(t, &result), "join");
    micro_ok(result, "a task's result");
    return result;
}

static inline weft_chan *micro_chan(size_t capacity)
{
    weft_chan *c;
    micro_ok(weft_chan_new(&c, sizeof(long), capacity), "make a channel");
    return c;
}

// micro_together runs fn(arg) as so many tasks, a million at most, and joins them.
void micro_together(long tasks, weft_fn *fn, void *arg);

int micro_empty(void *arg); // a task that does nothing

#endif
