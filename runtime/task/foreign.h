// Waits of threads that are not workers: the thread sleeps where a task would park.
#ifndef WF_RUNTIME_FOREIGN_H
#define WF_RUNTIME_FOREIGN_H

#include <weft/base.h>

#include "base/cell.h"

// wf_wait_thread is wf_wait_cell for a thread that is not a worker.
int wf_wait_thread(struct wf_cell *c, weft_time deadline);

#endif
