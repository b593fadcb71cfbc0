// The allocator. Every allocation of the library uses it, so that tests can make any of
// them fail.
//
// Failure injection: wf_mem_fail_at(n) makes the n-th allocation from now (1: the next)
// fail, on any thread, and all later ones too if asked; wf_mem_fail_at(0) ends that.
// Builds without WF_FAULTS do not contain it.
#ifndef WF_BASE_MEM_H
#define WF_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

// wf_alloc returns zeroed memory aligned to a cache line, or NULL. wf_alloc_raw does
// not zero it. wf_free takes NULL.
WF_MUST_CHECK void *wf_alloc(size_t size);
WF_MUST_CHECK void *wf_alloc_raw(size_t size);
void wf_free(void *p);

// wf_map reserves `size` bytes of private, zeroed, unreserved memory from the system;
// NULL when it refuses. wf_map_sealed reserves them without access, which mprotect
// gives to parts of them.
WF_MUST_CHECK void *wf_map(size_t size);
WF_MUST_CHECK void *wf_map_sealed(size_t size);
void wf_unmap(void *p, size_t size);

// wf_fault tells whether a fault is injected here: for system calls that can fail for
// lack of memory or descriptors.
#ifdef WF_FAULTS
bool wf_fault(void);
void wf_mem_fail_at(long n, bool and_all_later);
long wf_mem_count(void); // how many sites were passed since wf_mem_fail_at
#else
static inline bool wf_fault(void)
{
    return false;
}
#endif

#endif
