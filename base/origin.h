// The origin: the kernel's settings of the thread that starts a runtime. weft's own
// threads have different settings where those are faster (a worker's CPU, no timer
// slack, time slices), and the kernel passes them on to threads and processes that they
// create. Threads for jobs, and children of fork, restore the origin's settings.
#ifndef WF_BASE_ORIGIN_H
#define WF_BASE_ORIGIN_H

#include <signal.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "base/cpus.h"

// I: fixed after wf_origin_new
struct wf_origin {
    sigset_t mask;             // I
    int slack;                 // I: of timers, ns; 0 or less: not known, or without meaning (a real-time thread)
    struct wf_cpus_mask *cpus; // I: NULL: no thread is pinned, so the inherited mask is right
};

// wf_origin_new stores the calling thread's settings; its CPUs only if threads will be
// `pinned`.
// Returns: 0; -ENOMEM.
WF_MUST_CHECK int wf_origin_new(struct wf_origin **out, bool pinned);
void wf_origin_free(struct wf_origin *o);

// wf_origin_take gives the calling thread the CPUs and the timer slack of `o`, and the
// usual time slice; NULL: only the slice. It does not change the signal mask: a child
// of fork keeps that of the thread that forked.
void wf_origin_take(const struct wf_origin *o);

#endif
