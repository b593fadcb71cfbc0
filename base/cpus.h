// The CPUs that the process may use.
#ifndef WF_BASE_CPUS_H
#define WF_BASE_CPUS_H

#include "base/compiler.h"

// wf_cpus_usable is the number of CPUs that the affinity mask and the quota of the
// process's control groups allow.
unsigned wf_cpus_usable(void);

// wf_cpus_quota is the number of CPUs that the control groups (version 1 or 2) and
// their parents allow, rounded up; 0: no bound. `root` is a prefix of the paths: ""
// except in tests.
unsigned wf_cpus_quota(const char *root);

// wf_cpus_pin binds the calling thread to CPU number `index` of its mask, modulo their
// number. Best effort.
void wf_cpus_pin(unsigned index);

// wf_cpus_save stores the calling thread's mask in *out (NULL if the kernel does not
// tell it). wf_cpus_take sets it for the calling thread, best effort. wf_cpus_forget
// frees it; NULL does nothing.
// Returns: 0; -ENOMEM.
struct wf_cpus_mask;
WF_MUST_CHECK int wf_cpus_save(struct wf_cpus_mask **out);
void wf_cpus_take(const struct wf_cpus_mask *m);
void wf_cpus_forget(struct wf_cpus_mask *m);

#endif
