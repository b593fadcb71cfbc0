#include "runtime/wait/self.h"

#include "base/assert.h"

void wf_refuse_no_task(const char *call)
{
    wf_misuse("%s may only be called by a task (nor in a child of fork)", call);
}
