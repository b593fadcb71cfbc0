// The CPUs that the process may use.
#ifndef WF_BASE_CPUS_H
#define WF_BASE_CPUS_H

#include "base/compiler.h"

// wf_cpus_usable is how many there are: by the affinity mask, and by the quota of the
// process's control groups.
unsigned wf_cpus_usable(void);

// wf_cpus_quota is what the control groups of either version and their parents allow,
// rounded up; 0: no bound. `root` is a prefix of the paths: "" except in tests.
unsigned wf_cpus_quota(const char *root);

// wf_cpus_pin binds the calling thread to one of the CPUs in its mask: number `index`,
// modulo how many there are. Best effort.
void wf_cpus_pin(unsigned index);

// wf_cpus_save notes the calling thread's mask (*out is NULL if the kernel does not
// tell), wf_cpus_take gives it to the calling thread, best effort, wf_cpus_forget frees
// it; NULL does nothing.
// Returns: 0; -ENOMEM.
struct wf_cpus_mask;
WF_MUST_CHECK int wf_cpus_save(struct wf_cpus_mask **out);
void wf_cpus_take(const struct wf_cpus_mask *m);
void wf_cpus_forget(struct wf_cpus_mask *m);

#endif
