// The table of sources, by descriptor number: the parts that only reactor/ uses.
#ifndef WF_REACTOR_SOURCE_H
#define WF_REACTOR_SOURCE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct wf_reactor;
struct wf_source_chunk;

struct wf_sources {
    _Atomic(struct wf_source_chunk *) *chunks; // I: one for each 1024 numbers; the entries A: [G1]
    _Atomic uint32_t registered;               // A: how many sources are
    _Atomic(struct wf_source_chunk *) newest;  // A: of all that were made
    _Atomic bool betrayed;                     // A: other code has closed a descriptor of weft's; stays true
    pthread_mutex_t making;                    // of the thread that makes a chunk, and so writes these
};

// wf_sources_init makes an empty table.  Returns: 0; -ENOMEM.
WF_MUST_CHECK int wf_sources_init(struct wf_sources *t);
void wf_sources_fini(struct wf_sources *t);

// wf_sources_check asserts that the marks, cells and generation of each number agree,
// for every number that was ever registered.
// Context: any thread; takes the number's lock, one after the other.
void wf_sources_check(struct wf_reactor *r);

// wf_source_event sets the cells of the event's source, unless the event belongs to an
// older generation. `last`: sets WF_EDGE_LAST. Returns: true if it set a cell, so that
// wakers may have fired.
// Context: the holder of the lease.
bool wf_source_event(struct wf_reactor *r, uint64_t tag, bool readable, bool writable, bool last);

#endif
