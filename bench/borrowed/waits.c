// Parking, and copies of what another thread writes.
#include <ck_ec.h>
#include <ck_sequence.h>
#include <linux/futex.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/parker.h"
#include "bench/borrowed/borrowed.h"
#include "runtime/chan/bcast.h"

enum { THREADS = 2, WORDS = 4 };

// --- The parker: with one thread a wake that comes first, with two a round trip ---------

static struct wf_parker parker[THREADS];
static struct ck_ec32 event_count[THREADS];

static int now(const struct ck_ec_ops *ops, struct timespec *out)
{
    (void)ops;
    return clock_gettime(CLOCK_MONOTONIC, out);
}

static void wait32(const struct ck_ec_wait_state *state, const uint32_t *word, uint32_t expected,
                   const struct timespec *deadline)
{
    (void)state;
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, deadline, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void wake32(const struct ck_ec_ops *ops, const uint32_t *word)
{
    (void)ops;
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
}

// Without its spins before each wait: weft's searchers have spun when they park.
static const struct ck_ec_ops ops = { .gettime = now, .wait32 = wait32, .wake32 = wake32, .busy_loop_iter = 1 };
static const struct ck_ec_mode mode = { .ops = &ops, .single_producer = false };

static void set_up_parkers(void)
{
    memset(parker, 0, sizeof(parker));
    for (int i = 0; i < THREADS; i++)
        ck_ec32_init(&event_count[i], 0);
}

static void park_own(int me, int threads, long n)
{
    for (long i = 0; i < n; i++) {
        if (threads == 1 || me == 0)
            wf_parker_wake(&parker[threads - 1]);
        if (wf_parker_prepare(&parker[threads == 1 ? 0 : me], WF_PARKER_IN_FUTEX)) {
            wf_parker_sleep(&parker[me], WF_NEVER);
            wf_parker_finish(&parker[me]);
        }
        if (threads == 2 && me == 1)
            wf_parker_wake(&parker[0]);
    }
}

// wait_past: it may return too early (a known defect), so it is asked again.
static void wait_past(struct ck_ec32 *ec, uint32_t seen)
{
    while (ck_ec32_value(ec) == seen)
        ck_ec32_wait(ec, &mode, seen, NULL);
}

static void park_ec(int me, int threads, long n)
{
    for (long i = 0; i < n; i++) {
        if (threads == 1 || me == 0)
            ck_ec32_inc(&event_count[threads - 1], &mode);
        wait_past(&event_count[threads == 1 ? 0 : me], (uint32_t)i);
        if (threads == 2 && me == 1)
            ck_ec32_inc(&event_count[0], &mode);
    }
}

// --- A watch's value: thread 0 writes, the last thread reads ---------------------------

static struct wf_bcast *cast;
static ck_sequence_t sequence;
static _Atomic uint64_t words[WORDS];

static void set_up_values(void)
{
    wf_free(cast);
    cast = wf_bcast_new(sizeof(*cast), WORDS * sizeof(uint64_t), 1);
    ck_sequence_init(&sequence);
}

static void value_own(int me, int threads, long n)
{
    uint64_t value[WORDS] = { 0 };

    for (long i = 0; i < n; i++) {
        if (me == 0) {
            wf_lock_acquire(&cast->lock);
            wf_bcast_put(cast, value);
            wf_lock_release(&cast->lock);
        }
        if (me == threads - 1) // what it misses is the next one's to find
            (void)wf_bcast_get(cast, wf_bcast_oldest(cast), value);
    }
}

static void value_sequence(int me, int threads, long n)
{
    static struct wf_lock lock;
    uint64_t value[WORDS] = { 0 };

    for (long i = 0; i < n; i++) {
        if (me == 0) {
            wf_lock_acquire(&lock);
            ck_sequence_write_begin(&sequence);
            for (int w = 0; w < WORDS; w++)
                wf_store_release(&words[w], value[w]); // release, acquire: a fence would not be seen by TSan
            ck_sequence_write_end(&sequence);
            wf_lock_release(&lock);
        }
        if (me == threads - 1) {
            unsigned version = ck_sequence_read_begin(&sequence); // waits for the writer
            for (int w = 0; w < WORDS; w++)
                value[w] = wf_load_acquire(&words[w]);
            (void)ck_sequence_read_retry(&sequence, version);
        }
    }
}

// --- What a task waits for, for the dump: written twice a park --------------------------

static _Atomic(const char *) what;
static _Atomic intptr_t on;

static void what_own(int me, int threads, long n)
{
    (void)me, (void)threads;
    for (long i = 0; i < n; i++) {
        wf_store_relaxed(&on, i); // relaxed, all of them: as wf_park does
        wf_store_relaxed(&what, "sleep");
        wf_store_relaxed(&what, NULL);
    }
}

static void what_sequence(int me, int threads, long n)
{
    (void)me, (void)threads;
    for (long i = 0; i < n; i++) {
        ck_sequence_write_begin(&sequence);
        wf_store_relaxed(&on, i); // relaxed, all of them: the sequence orders them
        wf_store_relaxed(&what, "sleep");
        ck_sequence_write_end(&sequence);
        ck_sequence_write_begin(&sequence);
        wf_store_relaxed(&what, NULL);
        ck_sequence_write_end(&sequence);
    }
}

const struct borrowed borrowed_waits[] = {
    { "parker", 1 << 13, set_up_parkers, 1, 2, { { "own", park_own }, { "ec", park_ec } } },
    { "watch", 1 << 18, set_up_values, 1, 2, { { "own", value_own }, { "sequence", value_sequence } } },
    { "dump", 1 << 20, set_up_values, 1, 1, { { "own", what_own }, { "sequence", what_sequence } } },
    { 0 },
};
