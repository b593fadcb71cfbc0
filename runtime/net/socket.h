// The common part of all kinds of sockets: to make, bind and name them.
#ifndef WF_RUNTIME_NET_SOCKET_H
#define WF_RUNTIME_NET_SOCKET_H

#include "base/compiler.h"
#include "runtime/net/addr.h"

// wf_socket_new makes a socket for an address of this family: non-blocking,
// close-on-exec.
WF_MUST_CHECK int wf_socket_new(int family, int type);

// wf_socket_set sets an option whose value is an int.
WF_MUST_CHECK int wf_socket_set(int fd, int level, int option, int value);

WF_MUST_CHECK int wf_socket_bind(int fd, const struct wf_addr *a);
WF_MUST_CHECK int wf_socket_listen(int fd);

// wf_socket_dual makes an IPv6 socket serve IPv4, too, if it is to be bound to ":port".
WF_MUST_CHECK int wf_socket_dual(int fd, const struct wf_addrs *all, const struct wf_addr *a);

// wf_socket_each tries `make` for one address after the other: to dial until one
// answers, to bind until the system supports that kind of address. (An address in use
// is an error; the call does not try the next one, which would serve only a part of the
// request.)
// Returns: a descriptor; else the last error.
// wf_socket_may_go_on tells whether another address may be tried after that error.
typedef int wf_socket_make(const struct wf_addrs *all, const struct wf_addr *a);
WF_MUST_CHECK int wf_socket_each(const struct wf_addrs *all, wf_socket_make *make);
bool wf_socket_may_go_on(const struct wf_addrs *all, int err);

// wf_socket_give_up closes `fd` if `err` is an error.  Returns: `fd`, or the error.
WF_MUST_CHECK int wf_socket_give_up(int fd, int err);

// wf_socket_is_its_peer tells whether a TCP socket that was connected to `a` is
// connected to itself.
bool wf_socket_is_its_peer(int fd, const struct wf_addr *a);

// wf_socket_abort closes with a reset, which leaves the port free.
void wf_socket_abort(int fd);

#endif
