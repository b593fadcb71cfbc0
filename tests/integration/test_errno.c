// errno in a function that parks. Compiled at -O2: the compiler finds the address of
// errno once, when the function begins, so after a move `errno` is another thread's.
// weft_errno() is right wherever the task is.
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weft.h>

#include "base/atomic.h"
#include "tests/support/harness.h"
#include "tests/support/tasks.h"

enum { MOVES = 10000, MARK = 0x5afe /* no error has this number */ };

struct moves {
    weft_sem go[2], back; // a helper waits on its own
    _Atomic int helpers;  // that have begun
    bool one_worker, over;
    long wanted, moves, stale, wrong; // after how many errno was not as the call had set it, and weft_errno() was not
};

struct helper {
    struct moves *m;
    int index;
};

// help wakes the task that moves, each time from a worker that the helper never leaves:
// the task continues there. Each helper keeps its worker until both have one.
static int help(void *arg)
{
    struct helper *h = arg;
    struct moves *m = h->m;

    wf_fetch_add_seq_cst(&m->helpers, 1);
    while (!m->one_worker && wf_load_seq_cst(&m->helpers) < 2)
        sched_yield();
    for (;;) {
        assert_int_equal(weft_sem_acquire(&m->go[h->index], 1), 0);
        if (m->over)
            return 0;
        weft_sem_release(&m->back, 1);
    }
}

// move is one function, as a program would write it: libc calls that fail in two ways,
// and a park before each.
static int move(void *arg)
{
    struct moves *m = arg;
    long before = syscall(SYS_gettid);

    errno = MARK;
    for (long i = 0; (m->one_worker ? i : m->moves) < m->wanted; i++) {
        weft_sem_release(&m->go[i % 2], 1);
        assert_int_equal(weft_sem_acquire(&m->back, 1), 0);
        int failed = i % 2 ? close(-1) : access("/dev/null/nothing", F_OK);
        int expected = i % 2 ? EBADF : ENOTDIR;
        m->wrong += failed != -1 || weft_errno() != expected;
        m->stale += errno != expected;
        long thread = syscall(SYS_gettid);
        m->moves += thread != before;
        before = thread;
    }
    return 0;
}

static int move_between_helpers(void *arg)
{
    struct moves *m = arg;
    struct helper helpers[2] = { { m, 0 }, { m, 1 } };
    weft_spawn_opts pinned = WEFT_SPAWN_OPTS_INIT;
    weft_task *tasks[2];

    pinned.pinned = true;
    for (int i = 0; i < 2; i++)
        assert_int_equal(weft_spawn_with(&tasks[i], &pinned, help, &helpers[i]), 0);
    assert_int_equal(join(spawn(move, m)), 0);
    m->over = true;
    for (int i = 0; i < 2; i++) {
        weft_sem_release(&m->go[i], 1);
        assert_int_equal(join(tasks[i]), 0);
    }
    return 0;
}

static void weft_errno_is_that_of_the_thread_that_the_task_is_on(void **state)
{
    const char *workers = getenv("WEFT_WORKERS");
    struct moves m = { .wanted = MOVES, .one_worker = !workers || atoi(workers) < 2 };
    (void)state;

    weft_sem_init(&m.go[0], 0);
    weft_sem_init(&m.go[1], 0);
    weft_sem_init(&m.back, 0);
    assert_int_equal(run_tasks(move_between_helpers, &m), 0);
    printf("%ld moves: errno was another thread's %ld times, weft_errno() %ld times\n", m.moves, m.stale, m.wrong);
    assert_int_equal(m.wrong, 0);
    assert_true(m.one_worker || m.moves >= MOVES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weft_errno_is_that_of_the_thread_that_the_task_is_on),
    };
    return wf_test_run(tests);
}
