// The parts of signals for test runs (runtime/sim): the run's own thread sends the
// messages, and waits for signals.
#ifndef WF_RUNTIME_OS_OS_H
#define WF_RUNTIME_OS_OS_H

#include <weft/signal.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/waker.h"

// wf_signal_deliver sends the signals that have arrived to the channels of tasks under
// the manual clock `of`. Returns: how many messages.
unsigned wf_signal_deliver(const struct wf_clock *of);

// wf_signal_awaited tells whether a task waits to receive from such a channel.
bool wf_signal_awaited(const struct wf_clock *of);

// From wf_signal_watch until wf_signal_unwatch `waker` is fired, under a lock, when a
// signal arrives. For signals that arrived earlier, call wf_signal_deliver after it.
struct wf_signal_watch {
    struct wf_list link;
    struct wf_waker waker;
};
void wf_signal_watch(struct wf_signal_watch *w);
void wf_signal_unwatch(struct wf_signal_watch *w);

#endif
