// A service: what a runtime has besides its two engines. The roof (runtime.c) walks a
// list of them, and knows none by name.
#ifndef WF_RUNTIME_SERVICE_H
#define WF_RUNTIME_SERVICE_H

#include "runtime/state.h"

// Each hook but `make` may be NULL.
struct wf_service {
    int (*make)(struct weft_rt *rt, const weft_config *cfg);   // Returns: 0; on error, having left nothing behind
    void (*check)(const struct weft_rt *rt, const char *call); // `call`, by this thread, waits for the runtime's end:
                                                               // stops a caller that the end would wait for
    void (*stop)(struct weft_rt *rt);                          // there are no tasks any more: ends its threads
    void (*free)(struct weft_rt *rt);                          // after that, or if it was made and the runtime was not
    void (*abandon)(struct weft_rt *rt); // for `free`, in a child of fork: its threads do not exist
    void (*in_child)(void);              // a child of fork begins
};

#endif
