// One attempt to connect by TCP.
#ifndef WF_RUNTIME_NET_TCP_H
#define WF_RUNTIME_NET_TCP_H

#include "runtime/net/socket.h"

// wf_tcp_connect connects to an address; it does not use `all` (wf_socket_make).
// Returns: a descriptor; errors of weft_tcp_dial.
// Context: task, after wf_wait_begin.
WF_MUST_CHECK int wf_tcp_connect(const struct wf_addrs *all, const struct wf_addr *a);

#endif
