// For the files that do not make their calls by base/sys.h yet.
#ifndef WF_BASE_SYSCALL_H
#define WF_BASE_SYSCALL_H

#include "base/sys.h"

#define wf_syscall_retry(...) WF_RETRY(wf_syscall(__VA_ARGS__))

#endif
