// The origin: what the thread that starts a runtime has from the kernel. weft's own
// threads have something else where that makes them quicker (a pinned worker its CPU,
// timers without slack, slices), and the kernel passes it on to the threads and
// processes that they make. Threads for jobs, and children of fork, take what the
// origin has.
#ifndef WF_BASE_ORIGIN_H
#define WF_BASE_ORIGIN_H

#include <signal.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "base/cpus.h"

// I: fixed after wf_origin_new
struct wf_origin {
    sigset_t mask;             // I
    int slack;                 // I: of timers, ns; not above 0: not known, or of no meaning (a thread of real time)
    struct wf_cpus_mask *cpus; // I: NULL: no thread is pinned, so what is inherited is right
};

// wf_origin_new notes what the calling thread has; its CPUs only if threads are going
// to be `pinned`.
// Returns: 0; -ENOMEM.
WF_MUST_CHECK int wf_origin_new(struct wf_origin **out, bool pinned);
void wf_origin_free(struct wf_origin *o);

// wf_origin_take gives the calling thread the CPUs and the timer slack of `o`, and the
// usual slices; NULL: only these. The mask is not touched: a child of fork has that of
// the thread that forked.
void wf_origin_take(const struct wf_origin *o);

#endif
