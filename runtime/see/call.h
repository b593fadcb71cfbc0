// The names of system calls in which a task may block its worker.
#ifndef WF_RUNTIME_CALL_H
#define WF_RUNTIME_CALL_H

#include <stdbool.h>

// wf_call_name returns the name of a system call, such as "read"; NULL if the table
// does not have it. `*on_descriptor` tells whether its first argument is a descriptor.
const char *wf_call_name(long number, bool *on_descriptor);

#endif
