// What test runs (runtime/test) need of signals: their own thread sends them, and waits for
// them.
#ifndef WF_RUNTIME_OS_OS_H
#define WF_RUNTIME_OS_OS_H

#include <weft/signal.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/waker.h"

// wf_signal_deliver sends what has arrived for channels that tasks under the manual
// clock `of` have asked for.  Returns: how many messages.
unsigned wf_signal_deliver(const struct wf_clock *of);

// wf_signal_awaited tells whether a task waits to receive from such a channel.
bool wf_signal_awaited(const struct wf_clock *of);

// wf_signal_watch has `waker` fired, under a lock, when a signal arrives, until
// wf_signal_unwatch. One that arrived before has been counted: deliver after this call.
struct wf_signal_watch {
    struct wf_list link;
    struct wf_waker waker;
};
void wf_signal_watch(struct wf_signal_watch *w);
void wf_signal_unwatch(struct wf_signal_watch *w);

#endif
