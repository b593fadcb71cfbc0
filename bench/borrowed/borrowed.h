// The comparison of weft's own structures with their counterparts of Concurrency Kit:
// what the files share.
#ifndef WEFT_BENCH_BORROWED_H
#define WEFT_BENCH_BORROWED_H

// A body does `n` operations. Two threads may do it at the same time: thread `me`, 0 or
// 1, of `threads`.
typedef void borrowed_body(int me, int threads, long n);

struct borrowed_side {
    const char *name;
    borrowed_body *body;
};

enum { BORROWED_SIDES = 7 };

// What is compared: the first side is weft's own. `set_up` is called before each body.
struct borrowed {
    const char *what;
    long n; // operations of each thread
    void (*set_up)(void);
    int from, to; // the least and the most threads that a body is for
    struct borrowed_side sides[BORROWED_SIDES + 1];
};

// The comparisons of each file; the last one is all zero.
extern const struct borrowed borrowed_queues[], borrowed_locks[], borrowed_waits[];

#endif
