// Unwinding finds the calls that are in progress on a stack. It uses the tables of C++
// exceptions (.eh_frame: in every build, even without frame pointers), and libgcc's
// unwinder, which every C compiler links.
//
// Since glibc 2.35 and gcc 12 the unwinder takes no lock (_dl_find_object); before, it
// takes one that the dynamic linker holds while it loads and unloads.
#ifndef WF_SCHED_UNWIND_H
#define WF_SCHED_UNWIND_H

#include <stdint.h>

#include "base/layout.h"

// wf_unwind writes up to `max` program counters into `pc`, innermost first, each within
// its call. The stack is from `low` to `high`. `sp` is the saved point of a context on
// it (wf_context.sp), which must not continue until this returns; NULL: the calling
// thread is on that stack, perhaps below a signal's frame. Returns: how many; 0 if the
// calls cannot be seen.
// Context: any thread; also a signal handler.
unsigned wf_unwind(const void *sp, const char *low, const char *high, uintptr_t *pc, unsigned max);

// wf_arch_walk calls fn(arg) so that an unwinder in fn continues, above this frame,
// with the frames of the context that was left at `sp`. Where that is not possible it
// does nothing.
void wf_arch_walk(const void *sp, void (*fn)(void *arg), void *arg);

// wf_arch_layout tells a debugger where a context that was left has its registers, by the
// debugger's names: offsets from wf_context.sp. The stack pointer was right above them, at
// "frame.size", unless it is one of them.
extern const struct wf_layout wf_arch_layout[];

#endif
