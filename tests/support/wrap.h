// A function of a test program that replaces one of weft's system calls (base/sys.h).
#ifndef TESTS_SUPPORT_WRAP_H
#define TESTS_SUPPORT_WRAP_H

#include "base/sys.h"

// WRAP begins the definition of what all of the library calls instead of
// wf_sys_<name>; REAL(name) is that. The build finds each WRAP at the beginning of a
// line (cmake/WeftTest.cmake, tests/mutants/run), and asks the linker for it. What is
// inline in base/sys.h cannot be wrapped.
#define WRAP(type, name, ...) \
    type __real_wf_sys_##name(__VA_ARGS__); \
    type __wrap_wf_sys_##name(__VA_ARGS__); \
    type __wrap_wf_sys_##name(__VA_ARGS__)
#define REAL(name) __real_wf_sys_##name

#endif
