// Spinlocks, back-off, and the lock of the list of all runtimes.
#include <ck_backoff.h>
#include <ck_brlock.h>
#include <ck_epoch.h>
#include <ck_rwlock.h>
#include <ck_spinlock.h>
#include <pthread.h>
#include <string.h>

#include "base/lock.h"
#include "bench/borrowed/borrowed.h"

enum { THREADS = 2 };

// --- Spinlocks: a few words written under the lock --------------------------------------

static struct wf_lock own;
static ck_spinlock_fas_t fas;
static ck_spinlock_ticket_t ticket;
static ck_spinlock_mcs_t mcs; // a pointer
static ck_spinlock_clh_t *clh, clh_nodes[1 + THREADS];
static volatile long words[4]; // volatile: the loads and stores are done

static void set_up_locks(void)
{
    wf_lock_init(&own);
    ck_spinlock_fas_init(&fas);
    ck_spinlock_ticket_init(&ticket);
    ck_spinlock_mcs_init(&mcs);
    ck_spinlock_clh_init(&clh, &clh_nodes[THREADS]);
}

static void work(void)
{
    for (int i = 0; i < 4; i++)
        words[i] = words[i] + 1;
}

#define BODY(name, prepare, lock, unlock) \
    static void name(int me, int threads, long n) \
    { \
        prepare; \
        (void)me, (void)threads; \
        for (long i = 0; i < n; i++) { \
            lock; \
            work(); \
            unlock; \
        } \
    }

BODY(lock_own, , wf_lock_acquire(&own), wf_lock_release(&own))
BODY(lock_fas, , ck_spinlock_fas_lock(&fas), ck_spinlock_fas_unlock(&fas))
BODY(lock_fas_eb, , ck_spinlock_fas_lock_eb(&fas), ck_spinlock_fas_unlock(&fas))
BODY(lock_ticket, , ck_spinlock_ticket_lock(&ticket), ck_spinlock_ticket_unlock(&ticket))
BODY(lock_mcs, ck_spinlock_mcs_context_t node, ck_spinlock_mcs_lock(&mcs, &node), ck_spinlock_mcs_unlock(&mcs, &node))
BODY(lock_clh, ck_spinlock_clh_t *node = &clh_nodes[me], ck_spinlock_clh_lock(&clh, node),
     ck_spinlock_clh_unlock(&node))

// --- The list of all runtimes: weft_close walks it, and does not change it --------------

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static ck_rwlock_t ck_rwlock;
static ck_brlock_t brlock;
static ck_brlock_reader_t readers[THREADS];
static ck_epoch_t epoch;
static ck_epoch_record_t records[THREADS];
static volatile long runtimes;

static void set_up_registry(void)
{
    ck_rwlock_init(&ck_rwlock);
    ck_brlock_init(&brlock);
    ck_epoch_init(&epoch);
    for (int i = 0; i < THREADS; i++) {
        ck_brlock_read_register(&brlock, &readers[i]);
        ck_epoch_register(&epoch, &records[i], NULL);
    }
}

#define READ(name, lock, unlock) \
    static void name(int me, int threads, long n) \
    { \
        long sum = 0; \
        (void)me, (void)threads; \
        for (long i = 0; i < n; i++) { \
            lock; \
            sum += runtimes; \
            unlock; \
        } \
        (void)sum; \
    }

READ(read_mutex, pthread_mutex_lock(&mutex), pthread_mutex_unlock(&mutex))
READ(read_pthread, pthread_rwlock_rdlock(&rwlock), pthread_rwlock_unlock(&rwlock))
READ(read_rwlock, ck_rwlock_read_lock(&ck_rwlock), ck_rwlock_read_unlock(&ck_rwlock))
READ(read_brlock, ck_brlock_read_lock(&brlock, &readers[me]), ck_brlock_read_unlock(&readers[me]))
READ(read_epoch, ck_epoch_begin(&records[me], NULL), ck_epoch_end(&records[me], NULL))

const struct borrowed borrowed_locks[] = {
    { "spinlock",
      1 << 16,
      set_up_locks,
      1,
      2,
      { { "own", lock_own },
        { "fas", lock_fas },
        { "fas_eb", lock_fas_eb },
        { "ticket", lock_ticket },
        { "mcs", lock_mcs },
        { "clh", lock_clh } } },
    { "registry",
      1 << 17,
      set_up_registry,
      1,
      2,
      { { "own", read_mutex },
        { "pthread_rwlock", read_pthread },
        { "rwlock", read_rwlock },
        { "brlock", read_brlock },
        { "epoch", read_epoch } } },
    { 0 },
};
