// Names in addresses: the parts of a text that runtime/net/addr.h cannot read as
// numbers.
#ifndef WF_RUNTIME_NET_RESOLVE_H
#define WF_RUNTIME_NET_RESOLVE_H

#include <weft/net.h>

#include "runtime/net/socket.h"

// wf_resolve_text is wf_addr_parse, and also looks up the service if it is a name.
// `socktype`: SOCK_STREAM or SOCK_DGRAM.
// Returns: 0; WF_ADDR_HOST; errors of wf_addr_parse; WEFT_EAI_...; -ECANCELED,
//          -ETIMEDOUT.
// Context: a task, which it parks only for a name; or a thread that may block.
WF_MUST_CHECK int wf_resolve_names(struct wf_addrs *out, int which, const char *text, int socktype, const char *call);
static inline int wf_resolve_text(struct wf_addrs *out, const char *text, bool to_dial, int socktype, const char *call)
{
    int which = wf_addr_parse(out, text, to_dial);
    return wf_likely(which <= 0) ? which : wf_resolve_names(out, which, text, socktype, call);
}

// wf_resolve_each is wf_socket_each for the addresses of all->host, which is a name.
// A socket is bound to an IPv4 address if the name has one, so that it serves clients
// that have only IPv4; clients with both families try both. So IPv6 addresses are
// looked up only if there is no IPv4 address.
WF_MUST_CHECK int wf_resolve_each(const struct wf_addrs *all, wf_socket_make *make, const char *call);

// wf_resolve_worst is the error to report if the look-ups of both families have failed.
int wf_resolve_worst(int a, int b);

#endif
