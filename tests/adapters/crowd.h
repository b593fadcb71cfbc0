// The common part of the adapters' tests: many tasks at once, a time limit for tasks
// that hang, and one for tasks that shall give up.
#ifndef WF_TESTS_CROWD_H
#define WF_TESTS_CROWD_H

#include <errno.h>
#include <stdatomic.h>

#include "tests/support/tasks.h"

// crowd runs fn(arg) in `n` tasks at once, and returns when all have ended: 0 or the first error. When half of the
// watchdog's time is over, those that are left are cancelled, so that the test can say how far they got.
static inline int crowd(int n, weft_fn *fn, void *arg)
{
    const char *timeout = getenv("WEFT_TEST_TIMEOUT");
    weft_scope all;

    weft_scope_open(&all, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&all, weft_after(WEFT_S(timeout ? strtol(timeout, NULL, 10) : 60) / 2));
    for (int i = 0; i < n; i++)
        assert_int_equal(weft_scope_spawn(&all, fn, arg), 0);
    return weft_scope_close(&all);
}

// soon opens a scope around what takes much longer than the scope lets it.
static inline void soon(weft_scope *limit)
{
    weft_scope_open(limit, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(limit, weft_after(WEFT_MS(5)));
}

static inline void check_all(const char *what, int err, atomic_int *done, int wanted)
{
    printf("%d of %d %s\n", atomic_load(done), wanted, what);
    fflush(stdout);
    assert_int_equal(err, 0);
    assert_int_equal(atomic_load(done), wanted);
}

// A crowd that needs nothing around it: `tasks` tasks run `client` at once, each of which adds what it has done to the
// atomic_int that it is given; in the end that is `wanted`.
struct crowd {
    int tasks;
    weft_fn *client;
    const char *what;
    int wanted;
};

static inline int check_crowd(void *arg)
{
    const struct crowd *c = arg;
    atomic_int done = 0;

    int err = crowd(c->tasks, c->client, &done);
    check_all(c->what, err, &done, c->wanted);
    return 0;
}

// mute_listener is a server that accepts nothing: a client gets a connection, and never a word.
static inline int mute_listener(char *address, size_t size)
{
    int fd = weft_tcp_listen("127.0.0.1:0");
    assert_true(fd >= 0);
    assert_true(weft_local_addr(fd, address, size) > 0);
    return fd;
}

#endif
