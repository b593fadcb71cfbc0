// For tests that fill a lane of the blocking pool which is weft's own, so that a call
// has to wait for its turn there.
#ifndef WF_TESTS_SUPPORT_LANES_H
#define WF_TESTS_SUPPORT_LANES_H

#include "runtime/task/blocking.h"

// in_file_lane and in_name_lane are weft_blocking in these.
static inline int in_file_lane(weft_fn *fn, void *arg)
{
    return wf_blocking_in(WF_LANE_FILE, fn, arg);
}

static inline int in_name_lane(weft_fn *fn, void *arg)
{
    return wf_blocking_in(WF_LANE_NAME, fn, arg);
}

// What dumps say of a task that waits in in_file_lane.
#define IN_FILE_LANE "a call on a file"

#endif
