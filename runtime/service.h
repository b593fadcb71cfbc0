// A service: a part of a runtime besides its two engines. The roof (runtime.c) has a
// list of services, and otherwise knows none by name.
#ifndef WF_RUNTIME_SERVICE_H
#define WF_RUNTIME_SERVICE_H

#include "runtime/state.h"

// Each hook but `make` may be NULL.
struct wf_service {
    int (*make)(struct weft_rt *rt, const weft_config *cfg);   // Returns: 0; on an error nothing is left behind
    void (*check)(const struct weft_rt *rt, const char *call); // `call`, by this thread, waits for the runtime's end:
                                                               // stops a caller that the end would wait for
    void (*stop)(struct weft_rt *rt);                          // ends its threads; there are no tasks any more
    void (*free)(struct weft_rt *rt);                          // frees it: after `stop`, or if the runtime was not made
    void (*abandon)(struct weft_rt *rt); // instead of `free`, in a child of fork: its threads do not exist
    void (*in_child)(void);              // called in each child of fork
};

#endif
