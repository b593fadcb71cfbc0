// Look-ups of names: getaddrinfo(3) on a lane of the blocking pool. Equal look-ups at
// the same time share one object, and each task may leave it at any time.
#ifndef WF_RUNTIME_NET_DNS_H
#define WF_RUNTIME_NET_DNS_H

#include <netdb.h>

#include "base/compiler.h"

struct wf_lookup;

// The question: the addresses of a host, or, if `socktype` is not negative, the port of
// a service.
struct wf_question {
    const char *text;
    int family;   // AF_INET, AF_INET6, or AF_UNSPEC for both; for a service AF_INET
    int socktype; // WF_DNS_HOST; SOCK_STREAM, SOCK_DGRAM, or 0 for either
};
enum { WF_DNS_HOST = -1 };

// wf_dns_begin begins a look-up, or joins one that asks the same.
// Returns: 0; -ENOMEM; -EAGAIN: the system refuses a thread.
// Context: task; or a thread that may block: the look-up is then made by wf_dns_await.
// Owns:    *out is the caller's until wf_dns_leave.
WF_MUST_CHECK int wf_dns_begin(struct wf_lookup **out, const struct wf_question *q);

// wf_dns_await waits for the answer; `call` names the wait in dumps.
// Returns: 0: wf_dns_found is the answer; WEFT_EAI_..., -ENOMEM or another error of the
//          system; -ECANCELED, -ETIMEDOUT: the caller was cancelled.
// Context: as of wf_dns_begin.
WF_MUST_CHECK int wf_dns_await(struct wf_lookup *l, const char *call);

// wf_dns_found is the answer, valid until wf_dns_leave.
const struct addrinfo *wf_dns_found(const struct wf_lookup *l);

// wf_dns_leave gives up the look-up, answered or not. It does not wait: a look-up that
// has begun goes on without waiters, and frees itself.
void wf_dns_leave(struct wf_lookup *l);

#endif
