// Interrupts: ending the sleep of the worker, or of the reactor thread, in epoll.
#ifndef WF_REACTOR_INTERRUPT_H
#define WF_REACTOR_INTERRUPT_H

struct wf_reactor;

// wf_interrupt_worker ends the wait of a worker's turn; if no turn waits, the next one
// does not wait.
// Context: any thread.
void wf_interrupt_worker(struct wf_reactor *r);

// wf_interrupt_thread ends the sleep of the reactor thread, wherever it sleeps, or its
// next one.  Context: any thread.
void wf_interrupt_thread(struct wf_reactor *r);

#endif
