#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/sys.h"

#ifdef WF_FAULTS
static _Atomic long passed, fail_from;
static _Atomic bool fail_later;

void wf_mem_fail_at(long n, bool and_all_later)
{
    wf_store_relaxed(&fail_later, and_all_later); // relaxed: a counter for tests; no other data depends on it
    wf_store_relaxed(&passed, 0);
    wf_store_relaxed(&fail_from, n);
}

long wf_mem_count(void)
{
    return wf_load_relaxed(&passed); // relaxed: as above
}

bool wf_fault(void)
{
    long at = wf_fetch_add_relaxed(&passed, 1) + 1; // relaxed: as above
    long from = wf_load_relaxed(&fail_from);
    return from > 0 && (at == from || (at > from && wf_load_relaxed(&fail_later)));
}
#endif

void *wf_alloc_raw(size_t size)
{
    size_t rounded = (size + WF_CACHE_LINE - 1) & ~(size_t)(WF_CACHE_LINE - 1);
    if (wf_fault() || rounded < size)
        return NULL;
    wf_debug_assert(rounded % WF_CACHE_LINE == 0); // as aligned_alloc demands
    return aligned_alloc(WF_CACHE_LINE, rounded);
}

void *wf_alloc(size_t size)
{
    void *p = wf_alloc_raw(size);
    return p ? memset(p, 0, size) : NULL;
}

void wf_free(void *p)
{
    free(p);
}

static void *map(size_t size, int access)
{
    if (wf_fault())
        return NULL;
    void *p;
    (void)wf_sys_mmap(&p, size, access, MAP_NORESERVE);
    return p;
}

void *wf_map(size_t size)
{
    return map(size, PROT_READ | PROT_WRITE);
}

void *wf_map_sealed(size_t size)
{
    return map(size, PROT_NONE);
}

void wf_unmap(void *p, size_t size)
{
    int err = wf_sys_munmap(p, size);
    wf_debug_assert(err == 0); // otherwise it was not a mapping of this size
    (void)err;
}
