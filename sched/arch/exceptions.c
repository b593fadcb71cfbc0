#include "sched/arch/exceptions.h"

#include <dlfcn.h>
#include <stdint.h>

#include "base/assert.h"

typedef struct wf_exceptions *find_fn(void);

// Weak, so that an absent function is 0: the first one in a program without C++, the
// second in a static program.
#pragma weak __cxa_get_globals
#pragma weak dlsym
find_fn __cxa_get_globals;

enum { SEARCH_PHASE = 1, CONTINUE_UNWIND = 8 }; // the ABI's _UA_SEARCH_PHASE, _URC_CONTINUE_UNWIND

// find_none is for a program without C++: the state is always empty.
static struct wf_exceptions *find_none(void)
{
    static struct wf_exceptions none;
    return &none;
}

find_fn *wf_exceptions_of_thread(void)
{
    find_fn *find = __cxa_get_globals;

    if (!find && dlsym) // POSIX allows the result to be a function; ISO C only through an integer
        find = (find_fn *)(uintptr_t)dlsym(RTLD_DEFAULT, "__cxa_get_globals");
    return find ? find : find_none;
}

int wf_exceptions_escape(int version, int actions, unsigned long long kind, void *exception, void *context)
{
    (void)version;
    (void)kind;
    (void)exception;
    (void)context;
    if (actions & SEARCH_PHASE)
        wf_complain("an exception left the task's body");
    return CONTINUE_UNWIND;
}
