// The registry of this process's reactors. For use in reactor/ only; others call
// wf_registry_forget and wf_registry_check (reactor.h).
#ifndef WF_REACTOR_REGISTRY_H
#define WF_REACTOR_REGISTRY_H

struct wf_reactor;

// wf_registry_enter makes `r` known. wf_registry_leave ends that, having waited for the
// threads that visit it; it does nothing if `r` is not known.
void wf_registry_enter(struct wf_reactor *r);
void wf_registry_leave(struct wf_reactor *r);

#endif
