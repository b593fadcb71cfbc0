// The CPUs that the process may use.
#ifndef WF_BASE_CPUS_H
#define WF_BASE_CPUS_H

// wf_cpus_usable is how many there are: by the affinity mask, and by the quota of the process's control groups.
unsigned wf_cpus_usable(void);

// wf_cpus_quota is what the control groups of either version and their parents allow, rounded up; 0: no bound. `root`
// stands before the paths: "", but in tests.
unsigned wf_cpus_quota(const char *root);

// wf_cpus_pin binds the calling thread to the CPU number `index`, modulo how many there are, of those in its mask. Best
// effort.
void wf_cpus_pin(unsigned index);

#endif
