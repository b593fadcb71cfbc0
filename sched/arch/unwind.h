// Unwinding: the calls that are in progress on a stack, by the tables that C++ exceptions
// are thrown by (.eh_frame: in every build, also where the compiler keeps no frame
// pointers), and by libgcc's unwinder, which every C compiler links.
//
// Since glibc 2.35 and gcc 12 that takes no lock (_dl_find_object); before, one that the
// dynamic linker holds while it loads and unloads.
#ifndef WF_SCHED_UNWIND_H
#define WF_SCHED_UNWIND_H

#include <stdint.h>

// wf_unwind writes up to `max` program counters into `pc`, innermost first, each within
// its call: of the stack from `low` to `high`. `sp`: where a context was left on it
// (wf_context.sp), and stays left until this returns; NULL: the calling thread is on that
// stack, perhaps below a signal's frame.
// Returns: how many; 0 if there is no way to see them.
// Context: any thread; also a signal handler.
unsigned wf_unwind(const void *sp, const char *low, const char *high, uintptr_t *pc, unsigned max);

// wf_arch_walk calls fn(arg) so that an unwinder in it goes on, above this frame, to the
// frames of the context that was left at `sp`; without such a way it does nothing.
void wf_arch_walk(const void *sp, void (*fn)(void *arg), void *arg);

#endif
