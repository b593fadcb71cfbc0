#include "sched/stacks/stack.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/futex.h"
#include "base/mem.h"
#include "base/sys.h"

#ifdef WF_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef WF_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#ifdef WF_VALGRIND
#include <valgrind/valgrind.h>
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 // Linux 6.13; older headers lack it
#endif

enum {
    SLAB_BYTES = 64 << 20,
    CARVE = 16,       // stacks made ready at a time
    COOL_AT_ONCE = 1, // slabs to release in one call: the lock is held for 4 ms if all 64 MiB were touched
};

#define COOL_AFTER INT64_C(2000000000)  // ns without use before a slab's memory goes back
#define LOOK_INTERVAL INT64_C(25000000) // ns between two looks at the slabs

// All of it is under the depot's lock, except the fixed fields.
struct wf_slab {
    struct wf_list link;
    char *memory;          // fixed
    size_t bytes;          // fixed
    size_t stride;         // fixed: from one stack to the next, a guard and a stack
    bool sealed;           // fixed: only its stacks are accessible; else all except its guards
    uint8_t size_class;    // fixed
    unsigned stacks;       // fixed: how many there is room for
    unsigned carved;       // how many have been made ready
    unsigned out;          // how many are not in the depot
    bool used;             // stacks were taken or given since the last wf_depot_trim
    bool cold;             // the memory of its stacks in the depot was released
    int64_t quiet_since;   // since when it is unused, by wf_depot_trim's clock
    struct wf_stack all[]; // the stacks themselves
};

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

_Static_assert(WF_STACK_GUARD % (64 << 10) == 0, "a multiple of the largest page");
_Static_assert((1 << WF_STACK_CLASS_MIN) > 2 * 1024, "a colour takes less than half of the smallest stack");

// --- Checking ------------------------------------------------------------------------

// check_slab returns how many of the slab's stacks are in the depot.
static unsigned check_slab(const struct wf_slab *slab)
{
    wf_assert(slab->size_class >= WF_STACK_CLASS_MIN && slab->size_class <= WF_STACK_CLASS_MAX);
    wf_assert(slab->carved <= slab->stacks);
    wf_assert(slab->out <= slab->carved);
    return slab->carved - slab->out;
}

// check_pool walks a pool, up to a limit.
static void check_pool(const struct wf_stack_pool *pool, uint8_t size_class)
{
    enum { WALK_MAX = 64 };
    const struct wf_stack *at = pool->free;
    unsigned n = 0;

    for (; at && n < WALK_MAX; at = at->next, n++) {
        wf_assert(n < pool->count);
        wf_assert(at->size_class == size_class && at->slab->size_class == size_class);
    }
    wf_assert(at || n == pool->count);
}

// check_depot is wf_depot_check, under the lock.
static void check_depot(const struct wf_depot *d)
{
    unsigned inside[WF_STACK_CLASSES] = { 0 };

    for (const struct wf_list *at = d->slabs.next; at != &d->slabs; at = at->next) {
        const struct wf_slab *slab = wf_container_of(at, const struct wf_slab, link);
        wf_assert(wf_list_linked(at));
        inside[slab->size_class - WF_STACK_CLASS_MIN] += check_slab(slab);
    }
    for (unsigned i = 0; i < WF_STACK_CLASSES; i++) {
        wf_assert(inside[i] == d->pools[i].count);
        check_pool(&d->pools[i], (uint8_t)(WF_STACK_CLASS_MIN + i));
    }
}

void wf_depot_check(struct wf_depot *d)
{
    pthread_mutex_lock(&d->lock);
    check_depot(d);
    pthread_mutex_unlock(&d->lock);
}

void wf_depot_count(struct wf_depot *d, uint64_t *made, uint64_t *stored, uint64_t *bytes)
{
    *made = *stored = *bytes = 0;
    pthread_mutex_lock(&d->lock);
    for (struct wf_list *at = d->slabs.next; at != &d->slabs; at = at->next) {
        const struct wf_slab *slab = wf_container_of(at, const struct wf_slab, link);
        *made += slab->carved;
        *stored += slab->carved - slab->out;
        *bytes += (uint64_t)slab->carved << slab->size_class;
    }
    pthread_mutex_unlock(&d->lock);
}

bool wf_stack_guards(const struct wf_stack *stack, const void *address)
{
    const char *at = address;
    return at >= stack->base - WF_STACK_GUARD && at < stack->base;
}

// advice_makes_guards tests MADV_GUARD_INSTALL. An older kernel returns EINVAL, and so
// does a newer one for locked memory. A filter of system calls may return anything,
// even success. An emulator accepts any advice, and ignores advice that it does not
// know.
static bool advice_makes_guards(void)
{
    void *at;

    if (wf_sys_mmap(&at, page_size(), PROT_READ | PROT_WRITE, 0) < 0)
        return true; // then there are no stacks either
    bool works = wf_sys_madvise(at, page_size(), MADV_GUARD_INSTALL) == 0 && wf_futex_faults(at);
    (void)wf_sys_munmap(at, page_size());
    return works;
}

void wf_depot_init(struct wf_depot *d)
{
    pthread_mutex_init(&d->lock, NULL);
    wf_list_init(&d->slabs);
    d->mprotect_guards = !advice_makes_guards();
}

static void slab_free(struct wf_slab *slab)
{
    for (unsigned i = 0; i < slab->carved; i++) {
#ifdef WF_TSAN
        __tsan_destroy_fiber(slab->all[i].fiber);
#endif
#ifdef WF_VALGRIND
        VALGRIND_STACK_DEREGISTER(slab->all[i].valgrind_id);
#endif
    }
    wf_unmap(slab->memory, slab->bytes);
    wf_free(slab);
}

void wf_depot_fini(struct wf_depot *d)
{
    for (struct wf_list *at = d->slabs.next, *next; at != &d->slabs; at = next) {
        next = at->next;
        slab_free(wf_container_of(at, struct wf_slab, link));
    }
    pthread_mutex_destroy(&d->lock);
}

// stride_of is the distance between two stacks. A stack gets at least a page.
static size_t stride_of(uint8_t size_class)
{
    size_t size = (size_t)1 << size_class;
    return WF_STACK_GUARD + (size > page_size() ? size : page_size());
}

// slab_new reserves room for stacks of one size.
static struct wf_slab *slab_new(struct wf_depot *d, uint8_t size_class)
{
    wf_debug_assert(size_class >= WF_STACK_CLASS_MIN && size_class <= WF_STACK_CLASS_MAX);
    size_t stride = stride_of(size_class);
    size_t stacks = SLAB_BYTES / stride ? SLAB_BYTES / stride : 1;

    struct wf_slab *slab = wf_alloc(sizeof(*slab) + stacks * sizeof(slab->all[0]));
    if (!slab)
        return NULL;
    slab->size_class = size_class;
    slab->stride = stride;
    slab->bytes = stacks * stride;
    slab->stacks = (unsigned)stacks;
    slab->sealed = d->mprotect_guards;
    slab->memory = slab->sealed ? wf_map_sealed(slab->bytes) : wf_map(slab->bytes);
    if (!slab->memory) {
        wf_free(slab);
        return NULL;
    }
    // Best effort: with huge pages stacks only cost more memory.
    (void)wf_sys_madvise(slab->memory, slab->bytes, MADV_NOHUGEPAGE);
    wf_list_append(&d->slabs, &slab->link);
    return slab;
}

// guard makes the memory below the stack at `base` inaccessible, and the stack
// accessible. The advice may fail although advice_makes_guards was true: memory may be
// locked, or a filter installed, after it.
// Returns: 0; -ENOMEM when the process may have no more mappings.
static int guard(struct wf_depot *d, const struct wf_slab *slab, char *base)
{
    if (wf_fault())
        return -ENOMEM;
    if (!slab->sealed && !d->mprotect_guards) {
        int err = wf_sys_madvise(base - WF_STACK_GUARD, WF_STACK_GUARD, MADV_GUARD_INSTALL);
        if (err == 0)
            return 0;
        d->mprotect_guards = err != -ENOMEM; // permanently, unless memory was short
    }
    if (slab->sealed)
        return wf_sys_mprotect(base, slab->stride - WF_STACK_GUARD, PROT_READ | PROT_WRITE);
    return wf_sys_mprotect(base - WF_STACK_GUARD, WF_STACK_GUARD, PROT_NONE);
}

// colour is how many bytes lower a stack begins than it could: up to 960, neighbours
// 512 apart.
static size_t colour(unsigned i)
{
    _Static_assert(15 * WF_CACHE_LINE < 1024, "up to 960");
    unsigned reversed = (i & 1) << 3 | (i & 2) << 1 | (i & 4) >> 1 | (i & 8) >> 3;
    return reversed * WF_CACHE_LINE;
}

// carve makes the slab's next stack ready and puts it in the pool.
static int carve(struct wf_depot *d, struct wf_stack_pool *pool, struct wf_slab *slab)
{
    struct wf_stack *stack = &slab->all[slab->carved];
    wf_debug_assert(slab->carved < slab->stacks);
    size_t size = (size_t)1 << slab->size_class;
    char *base = slab->memory + slab->carved * slab->stride + WF_STACK_GUARD;
    int err = guard(d, slab, base);
    if (err)
        return err;

    stack->slab = slab;
    stack->base = base;
    stack->size_class = slab->size_class;
    // Without colours, equal call depths of many tasks would use the same cache sets,
    // and stores to one stack would delay loads from another.
    stack->top = base + size - colour(slab->carved);
#ifdef WF_TSAN
    stack->fiber = __tsan_create_fiber(0);
#endif
#ifdef WF_VALGRIND
    stack->valgrind_id = VALGRIND_STACK_REGISTER(base, base + size);
#endif
    slab->carved++;
    stack->next = pool->free;
    pool->free = stack;
    pool->count++;
    return 0;
}

// refill makes up to `n` stacks ready in the depot's pool. Returns: false if not even
// one.
static bool refill(struct wf_depot *d, struct wf_stack_pool *pool, uint8_t size_class, unsigned n)
{
    struct wf_slab *slab = NULL;

    // Only the newest slab of a size has room: stacks are carved from one slab at a
    // time.
    for (struct wf_list *at = d->slabs.prev; at != &d->slabs && !slab; at = at->prev) {
        struct wf_slab *s = wf_container_of(at, struct wf_slab, link);
        if (s->size_class == size_class)
            slab = s;
    }
    if (!slab || slab->carved == slab->stacks)
        slab = slab_new(d, size_class);
    if (!slab)
        return false;
    for (unsigned i = 0; i < n && slab->carved < slab->stacks; i++)
        if (carve(d, pool, slab))
            break;
    return pool->free != NULL;
}

// depot_take moves up to `n` stacks from the depot to `to`.
static void depot_take(struct wf_depot *d, struct wf_stack_pool *to, uint8_t size_class, unsigned n)
{
    struct wf_stack_pool *from = &d->pools[size_class - WF_STACK_CLASS_MIN];

    pthread_mutex_lock(&d->lock);
    wf_debug_check(check_depot(d));
    if (from->free || refill(d, from, size_class, n < CARVE ? n : CARVE)) {
        for (; n > 0 && from->free; n--) {
            struct wf_stack *stack = from->free;
            from->free = stack->next;
            from->count--;
            stack->in_depot = false;
            stack->slab->out++;
            wf_debug_assert(stack->size_class == size_class && stack->slab->out <= stack->slab->carved);
            stack->slab->used = true;
            stack->next = to->free;
            to->free = stack;
            to->count++;
        }
    }
    pthread_mutex_unlock(&d->lock);
}

static void depot_give(struct wf_depot *d, struct wf_stack_pool *from, uint8_t size_class, unsigned n)
{
    struct wf_stack_pool *to = &d->pools[size_class - WF_STACK_CLASS_MIN];

    wf_debug_assert(n <= from->count);
    pthread_mutex_lock(&d->lock);
    wf_debug_check(check_depot(d));
    for (; n > 0; n--) {
        struct wf_stack *stack = from->free;
        wf_debug_assert(!stack->in_depot && stack->size_class == size_class && stack->slab->out > 0);
        from->free = stack->next;
        from->count--;
        stack->next = to->free;
        to->free = stack;
        to->count++;
        stack->in_depot = true;
        stack->slab->out--;
        stack->slab->used = true;
        stack->slab->cold = false;
    }
    if (!wf_load_relaxed(&d->warm)) { // relaxed, all three: see wf_depot_trim
        wf_store_relaxed(&d->warm, true);
        wf_store_relaxed(&d->news, true);
    }
    pthread_mutex_unlock(&d->lock);
}

// release_memory gives the memory of the stacks in the depot back to the system, each
// row of neighbours by one call. Their guards stay. If the system refuses, only the
// memory stays in use.
static void release_memory(struct wf_slab *slab)
{
    for (unsigned i = 0, n; i < slab->carved; i += n + 1) {
        for (n = 0; i + n < slab->carved && slab->all[i + n].in_depot; n++)
            ;
        if (n > 0)
            (void)wf_sys_madvise(slab->all[i].base, n * slab->stride - WF_STACK_GUARD, MADV_DONTNEED);
    }
    slab->cold = true;
}

// keeps tells whether `slab` is the first of its size with stacks in the depot: its
// memory stays, for tasks that come soon.
static bool keeps(const struct wf_slab *slab, uint32_t *kept)
{
    uint32_t bit = 1u << (slab->size_class - WF_STACK_CLASS_MIN);
    bool first = !(*kept & bit);

    *kept |= bit;
    return first;
}

// is_quiet tells whether the slab has not been used for COOL_AFTER.
static bool is_quiet(struct wf_slab *slab, int64_t now)
{
    if (slab->used)
        slab->quiet_since = now;
    slab->used = false;
    return now - slab->quiet_since >= COOL_AFTER;
}

// cool_slabs returns: true if there is more to do, now or later.
static bool cool_slabs(struct wf_depot *d, int64_t now)
{
    unsigned left = COOL_AT_ONCE;
    uint32_t kept = 0;
    bool more = false;

    for (struct wf_list *at = d->slabs.next; at != &d->slabs; at = at->next) {
        struct wf_slab *slab = wf_container_of(at, struct wf_slab, link);
        bool quiet = is_quiet(slab, now);
        if (slab->cold || slab->out == slab->carved || keeps(slab, &kept))
            continue;
        if (quiet && left > 0) {
            release_memory(slab);
            left--;
        } else {
            more = true;
        }
    }
    return more;
}

// relaxed: `warm` is a hint while others give. A worker that gives stacks and then
// sleeps has given them before the caller sees it asleep. If the caller sleeps itself,
// because a worker woke up so briefly that it did not call wf_worker_notify_monitor,
// the giver calls it (`news`).
bool wf_depot_trim(struct wf_depot *d, int64_t now)
{
    wf_store_relaxed(&d->news, false); // relaxed: before `warm` is read
    if (now - d->looked >= LOOK_INTERVAL && wf_load_relaxed(&d->warm)) {
        pthread_mutex_lock(&d->lock);
        d->looked = now;
        wf_store_relaxed(&d->warm, cool_slabs(d, now)); // relaxed: as above
        pthread_mutex_unlock(&d->lock);
    }
    return wf_load_relaxed(&d->warm); // relaxed: as above
}

void wf_stack_refill(struct wf_stack_pool *pool, struct wf_depot *d, uint8_t size_class)
{
    wf_debug_assert(!pool->free && pool->count == 0);
    depot_take(d, pool, size_class, size_class > WF_STACK_CLASS_CACHE_MAX ? 1 : WF_STACK_POOL_MAX / 2);
}

struct wf_stack *wf_stack_take_one(struct wf_depot *d, uint8_t size_class)
{
    struct wf_stack_pool one = { 0 };

    depot_take(d, &one, size_class, 1);
    return one.free;
}

void wf_stack_spill(struct wf_stack_pool *pool, struct wf_depot *d, uint8_t size_class)
{
    depot_give(d, pool, size_class, (pool->count + 1) / 2);
}

#ifdef WF_ASAN
void wf_stack_show(struct wf_stack *stack)
{
    __lsan_register_root_region(stack->base, wf_stack_size(stack));
}

void wf_stack_hide(struct wf_stack *stack)
{
    __lsan_unregister_root_region(stack->base, wf_stack_size(stack));
    __asan_unpoison_memory_region(stack->base, wf_stack_size(stack));
}
#endif

#ifdef WF_TSAN
// A task never returns from its first function, so each task leaves a few entries on
// its fiber's shadow stack, which has room for 65 536.
static void renew_fiber(struct wf_stack *stack)
{
    if (++stack->uses % 4096 != 0)
        return;
    __tsan_destroy_fiber(stack->fiber);
    stack->fiber = __tsan_create_fiber(0);
}
#endif

void wf_stack_context(struct wf_stack *stack, struct wf_context *c, void (*entry)(void *))
{
#ifdef WF_TSAN
    renew_fiber(stack);
#endif
    c->sp = wf_arch_make(stack->top, entry);
    wf_debug_assert((char *)c->sp > stack->base && (char *)c->sp < (char *)stack->top);
    wf_stack_belongs(stack, c);
}

#ifdef WF_CONTEXT_HOOKED
void wf_stack_belongs(const struct wf_stack *stack, struct wf_context *c)
{
#ifdef WF_ASAN
    c->fake = NULL;
    c->bottom = stack->base;
    c->size = wf_stack_size(stack);
#endif
#ifdef WF_TSAN
    c->fiber = stack->fiber;
#endif
}
#endif
