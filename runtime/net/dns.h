// Look-ups of names: getaddrinfo(3) on a lane of the blocking pool. Equal look-ups that
// are under way at the same time are one, and each task may leave at any time.
#ifndef WF_RUNTIME_NET_DNS_H
#define WF_RUNTIME_NET_DNS_H

#include <netdb.h>

#include "base/compiler.h"

struct wf_lookup;

// What is asked: the addresses of a host, or, if `socktype` is not negative, the port of
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
// Returns: 0: wf_dns_found has it; WEFT_EAI_..., -ENOMEM or what the system said;
//          -ECANCELED, -ETIMEDOUT: the caller's wait was cut short.
// Context: as of wf_dns_begin.
WF_MUST_CHECK int wf_dns_await(struct wf_lookup *l, const char *call);

// wf_dns_found is the answer, valid until wf_dns_leave.
const struct addrinfo *wf_dns_found(const struct wf_lookup *l);

// wf_dns_leave gives the look-up up, answered or not. It does not wait: if the look-up
// has begun and no other task wants it, it goes on, and frees itself.
void wf_dns_leave(struct wf_lookup *l);

#endif
