// For tests of descriptors that weft has made: weft trusts their cells, and makes no
// system call before a park.
#ifndef TESTS_SUPPORT_OWN_H
#define TESTS_SUPPORT_OWN_H

#include "runtime/io/ready.h"

// take_for_own has weft treat `fd`, which the test has just made, as one of its own.
// Context: task; before the descriptor is used.
static inline void take_for_own(int fd)
{
    wf_ready_fresh(fd);
}

#endif
