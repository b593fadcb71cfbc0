// The network: stream and datagram sockets by textual address.
//
// An address is "HOST:PORT" with a numeric host: "127.0.0.1:7000", "[::1]:0", or
// ":8080" for all addresses (IPv6 and IPv4 where the system has both), or, to dial, the
// machine itself. Port 0 picks a free port, which weft_local_addr tells. Host names are
// not looked up yet.
//
// The calls that make a socket return a descriptor, non-blocking and close-on-exec,
// which the caller closes with weft_close; or a negative error: WEFT_ADDR_FORM (the
// address is not of that form), WEFT_ADDR_NO_PORT, WEFT_ADDR_PORT (not a number up to
// 65535), WEFT_ADDR_NAME (the host is a name), -ENODEV (no such interface),
// -ENAMETOOLONG (a path), -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE, -ENFILE, ...
// Context: the listen and bind calls any thread, never park; the dial calls a task.
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

// weft_tcp_listen listens for TCP connections, with SO_REUSEADDR and the system's
// largest backlog; accepted connections have TCP_NODELAY.
WEFT_API WEFT_MUST_CHECK int weft_tcp_listen(const char *addr);

// weft_tcp_dial connects to a TCP address, with TCP_NODELAY. It does not connect to
// itself, as connect(2) may if there is no listener on a port that the system hands
// out: -ECONNREFUSED.
//
// Returns: a connected descriptor; -ECONNREFUSED, -ENETUNREACH, -ETIMEDOUT (the
//          kernel's, or a scope's deadline), ...; -ECANCELED. All dial calls return the
//          latter two.
// Context: task. May park, so the caller may continue on another thread; so may
//          weft_unix_dial. weft_udp_dial does not park.
// Cancel:  the socket is closed.
WEFT_API WEFT_MUST_CHECK int weft_tcp_dial(const char *addr);

// weft_unix_listen listens on a Unix stream socket; "@name" is in the abstract name
// space. A path that exists is -EADDRINUSE: remove it first, and after use.
WEFT_API WEFT_MUST_CHECK int weft_unix_listen(const char *path);
WEFT_API WEFT_MUST_CHECK int weft_unix_dial(const char *path);

// weft_udp_bind makes a datagram socket bound to `addr`; weft_udp_dial one that sends
// to and receives from `addr` only.
WEFT_API WEFT_MUST_CHECK int weft_udp_bind(const char *addr);
WEFT_API WEFT_MUST_CHECK int weft_udp_dial(const char *addr);

// weft_local_addr writes the socket's own address as text ("127.0.0.1:7000",
// "[::1]:7000", "/path", "@name"; "" for an unnamed Unix socket), weft_peer_addr that
// of its peer.
//
// Returns: the length of the text; -ENOSPC if it and its final 0 do not fit in n bytes;
//          -ENOTCONN, -ENOTSOCK, -EBADF.
// Context: any thread. Never parks.
WEFT_API int weft_local_addr(int fd, char *buf, size_t n);
WEFT_API int weft_peer_addr(int fd, char *buf, size_t n);

WEFT_END_DECLS

#endif
