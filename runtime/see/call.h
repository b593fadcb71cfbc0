// The names of system calls in which a task may block its worker.
#ifndef WF_RUNTIME_CALL_H
#define WF_RUNTIME_CALL_H

#include <stdbool.h>

// wf_call_name is "read"; NULL: it is none of the usual ones. `*on_descriptor` tells
// whether its first argument is a descriptor.
const char *wf_call_name(long number, bool *on_descriptor);

#endif
