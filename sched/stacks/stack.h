// Stacks: carved from large reservations, a guard below each, pooled.
//
//   worker's pool  <->  depot  <-  slabs
//
// A pool has no lock, and gives out the most recently used stack first. The scheduler
// has one depot, under a mutex.
//
// A slab is one mapping, without reserved memory and without huge pages (a huge page
// would make each stack cost 60 KiB). The memory of free stacks goes back to the system
// when their slab has not been used for two seconds: one madvise for each row of
// neighbours. It does not go back at once, because a load in waves would pay for each
// page in each wave (a million tasks that sleep, repeatedly: 4.2 s of CPU time a round
// instead of 1.4).
//
// The guard is 64 KiB of address space right below the stack. A frame of up to that
// size cannot reach past it, even in code without stack probes
// (-fstack-clash-protection: an access to each page on the way down). It costs only one
// entry of the page table for each page.
//
// Where a test shows that it works, MADV_GUARD_INSTALL makes the guard (Linux 6.13: a
// million stacks stay one mapping). Otherwise mprotect does: two mappings a stack, so
// vm.max_map_count of 65530 allows about 32 000 stacks; beyond that no stack can be
// made. In a slab that is made after MADV_GUARD_INSTALL has failed, only the stacks are
// accessible, so that mlockall locks only their memory.
#ifndef WF_SCHED_STACK_H
#define WF_SCHED_STACK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/list.h"
#include "sched/task.h"

enum {
    WF_STACK_GUARD = 64 << 10,     // bytes below each stack; a multiple of every processor's page size
    WF_STACK_POOL_MAX = 64,        // stacks that a worker keeps; half of them go to the depot when it has more
    WF_STACK_CLASS_CACHE_MAX = 18, // of stacks larger than 256 KiB a worker keeps one
};

struct wf_slab;

// O: the party that has the stack (a task, a pool, the depot under its lock)
struct wf_stack {
    struct wf_stack *next; // O: in a pool or the depot
    struct wf_slab *slab;  // fixed
    char *base;            // fixed: the lowest byte; the guard ends right below it
    void *top;             // fixed: where the first frame goes
    uint8_t size_class;    // fixed
    bool in_depot;         // under the depot's lock
#ifdef WF_TSAN
    void *fiber;   // O: fibers are slow to make, so each stack keeps its own for many tasks
    unsigned uses; // O
#endif
#ifdef WF_VALGRIND
    unsigned valgrind_id; // fixed
#endif
};

// One list of free stacks for each size.
struct wf_stack_pool {
    struct wf_stack *free;
    unsigned count;
};

struct wf_depot {
    pthread_mutex_t lock;
    struct wf_stack_pool pools[WF_STACK_CLASSES]; // under lock
    struct wf_list slabs;                         // under lock
    bool mprotect_guards;                         // under lock: MADV_GUARD_INSTALL does not work here
    int64_t looked;                               // when wf_depot_trim last checked the slabs
    _Atomic bool warm;                            // A: written under lock: there may be memory to give back later
    _Atomic bool news;                            // A: `warm` has become true since the last wf_depot_trim
};

// wf_depot_init makes an empty depot of zeroed memory.
void wf_depot_init(struct wf_depot *d);
void wf_depot_fini(struct wf_depot *d); // unmaps everything

// wf_depot_check asserts that each pool has the stacks that the slabs say are in it.
// Context: any thread; takes the lock.
void wf_depot_check(struct wf_depot *d);

// wf_depot_count counts the stacks made so far, those in the depot, and the bytes of
// address space.
// Context: any thread; takes the lock.
void wf_depot_count(struct wf_depot *d, uint64_t *made, uint64_t *stored, uint64_t *bytes);

// wf_depot_trim gives back the memory of stacks that have not been used for COOL_AFTER,
// some at a time. Returns: true if it should be called again. Context: one thread,
// which calls it periodically; `now` is its clock.
bool wf_depot_trim(struct wf_depot *d, int64_t now);

// wf_depot_needs_trim tells whether wf_depot_trim should be called again after it has
// returned false.
// Context: any thread.
static inline bool wf_depot_needs_trim(const struct wf_depot *d)
{
    return wf_load_relaxed(&d->news); // relaxed: the giver itself asks after it has given
}

// wf_stack_refill moves stacks from the depot to `pool`, a worker's own empty pool,
// which stays empty if the system has no memory or no more mappings. wf_stack_spill
// moves half of a pool back.
void wf_stack_refill(struct wf_stack_pool *pool, struct wf_depot *d, uint8_t size_class);
void wf_stack_spill(struct wf_stack_pool *pool, struct wf_depot *d, uint8_t size_class);

// wf_stack_take_one takes a stack from the depot that the caller does not use yet: call
// wf_stack_show before its use. Returns: NULL if there is none and none can be made.
WF_MUST_CHECK struct wf_stack *wf_stack_take_one(struct wf_depot *d, uint8_t size_class);

// wf_stack_hide and _show: a stack in a pool is not in use, tell the leak checker and
// the address checker.
#ifdef WF_ASAN
void wf_stack_show(struct wf_stack *stack);
void wf_stack_hide(struct wf_stack *stack);
#else
static inline void wf_stack_show(struct wf_stack *stack)
{
    (void)stack;
}
static inline void wf_stack_hide(struct wf_stack *stack)
{
    (void)stack;
}
#endif

// wf_stack_take takes a stack from `pool`. Returns: NULL if there is none and none can
// be made.
WF_MUST_CHECK static inline struct wf_stack *wf_stack_take(struct wf_stack_pool *pool, struct wf_depot *d,
                                                           uint8_t size_class)
{
    if (wf_unlikely(!pool->free))
        wf_stack_refill(pool, d, size_class);
    struct wf_stack *stack = pool->free;
    if (wf_unlikely(!stack))
        return NULL;
    wf_debug_assert(pool->count > 0 && stack->size_class == size_class && !stack->in_depot);
    pool->free = stack->next;
    pool->count--;
    wf_stack_show(stack);
    return stack;
}

// wf_stack_give gives back a stack on which no task runs. A pool keeps few large
// stacks, because they cost much memory.
static inline void wf_stack_give(struct wf_stack_pool *pool, struct wf_depot *d, struct wf_stack *stack)
{
    wf_debug_assert(!stack->in_depot && stack != pool->free); // given back twice
    wf_debug_assert(!pool->free || pool->free->size_class == stack->size_class);
    wf_stack_hide(stack);
    stack->next = pool->free;
    pool->free = stack;
    if (wf_unlikely(++pool->count > (stack->size_class > WF_STACK_CLASS_CACHE_MAX ? 1 : WF_STACK_POOL_MAX)))
        wf_stack_spill(pool, d, stack->size_class);
}

// wf_stack_context makes `c` a fresh context on `stack` that begins in `entry`.
void wf_stack_context(struct wf_stack *stack, struct wf_context *c, void (*entry)(void *));

// wf_stack_belongs makes `c` a context that already runs on `stack`; only the
// sanitizers need it.
#ifdef WF_CONTEXT_HOOKED
void wf_stack_belongs(const struct wf_stack *stack, struct wf_context *c);
#else
static inline void wf_stack_belongs(const struct wf_stack *stack, struct wf_context *c)
{
    (void)stack;
    (void)c;
}
#endif

static inline size_t wf_stack_size(const struct wf_stack *stack)
{
    return (size_t)1 << stack->size_class;
}

// wf_stack_guards tells whether `address` is in the guard of `stack`.
bool wf_stack_guards(const struct wf_stack *stack, const void *address);

#endif
