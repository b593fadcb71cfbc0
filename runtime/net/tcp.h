// One attempt to connect by TCP.
#ifndef WF_RUNTIME_NET_TCP_H
#define WF_RUNTIME_NET_TCP_H

#include "runtime/net/socket.h"

// wf_tcp_connect connects to an address; `all` is not looked at (wf_socket_make).
// Returns: a descriptor; what weft_tcp_dial does.
// Context: task, after wf_wait_begin.
WF_MUST_CHECK int wf_tcp_connect(const struct wf_addrs *all, const struct wf_addr *a);

#endif
