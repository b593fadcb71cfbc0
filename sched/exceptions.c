#include "sched/exceptions.h"

#include <dlfcn.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/compiler.h"

typedef struct wf_exceptions *find_fn(void);
typedef void *open_fn(const char *name, int mode);

// Weak, so that they are 0 where they are not: the one in a program without C++, the other in a static one.
#pragma weak __cxa_get_globals
#pragma weak dlsym
find_fn __cxa_get_globals;

enum { SEARCH_PHASE = 1, CONTINUE_UNWIND = 8 }; // the ABI's _UA_SEARCH_PHASE, _URC_CONTINUE_UNWIND

// look_up is dlsym for a function: POSIX says that the pointer may be converted, ISO C does not.
static uintptr_t look_up(void *library, const char *name)
{
    return (uintptr_t)dlsym(library, name);
}

// find_loaded looks where the loader has put it. A library that was loaded for one plug-in alone is found by its name
// only. It is held: workers keep pointers into it. (The linker warns of dlopen in a static program, so that is looked
// up, too.)
static find_fn *find_loaded(bool hidden)
{
    static const char *const libraries[] = { "libstdc++.so.6", "libc++abi.so.1" };
    uintptr_t at = look_up(RTLD_DEFAULT, "__cxa_get_globals");
    open_fn *open = (open_fn *)look_up(RTLD_DEFAULT, "dlopen");

    for (size_t i = 0; i < wf_countof(libraries) && !at && open && hidden; i++) {
        void *library = open(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        at = library ? look_up(library, "__cxa_get_globals") : 0;
    }
    return (find_fn *)at;
}

find_fn *wf_exceptions_of_thread(bool hidden)
{
    static _Atomic(find_fn *) loaded; // what was found stays: a child of fork need not ask the loader

    if (__cxa_get_globals || !dlsym)
        return __cxa_get_globals;
    find_fn *find = wf_load_relaxed(&loaded); // relaxed: code, which the loader has published
    if (!find && (find = find_loaded(hidden)))
        wf_store_relaxed(&loaded, find); // relaxed: as above
    return find;
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
