// For tests of what weft does with descriptors that it has made itself: it trusts their
// cells, and asks nothing before a park.
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
