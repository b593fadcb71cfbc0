// The list of runtimes, for a debugger.
#ifndef WF_RUNTIME_SEE_LAYOUT_H
#define WF_RUNTIME_SEE_LAYOUT_H

#include "runtime/service.h"

extern const struct wf_service wf_layout_service;

#endif
