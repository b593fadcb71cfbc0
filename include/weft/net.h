// The network: stream and datagram sockets by textual address.
//
// An address is "HOST:PORT": "127.0.0.1:7000", "[::1]:0", "[fe80::1%eth0]:80",
// "example.org:443", "localhost:http"; or ":8080". To listen, that means all addresses
// (IPv6 and IPv4 where the system has both); to dial, the machine itself. Port 0 picks
// a free port, which weft_local_addr tells. A host's name is looked up as
// getaddrinfo(3) does (the hosts file, DNS, whatever nsswitch.conf says), a service's
// name in /etc/services.
//
// The calls that make a socket return a descriptor, non-blocking and close-on-exec,
// which the caller closes with weft_close; or a negative error: WEFT_ADDR_FORM (the
// address is not of that form), WEFT_ADDR_NO_PORT, WEFT_ADDR_PORT (the port is neither
// a number up to 65535 nor a name), WEFT_EAI_... (weft_resolve), -ENODEV (no such
// interface), -ENAMETOOLONG (a path), -EADDRINUSE, -EADDRNOTAVAIL, -EACCES, -EMFILE,
// -ENFILE, ...
// Context: the listen and bind calls: any thread. Only to look up a name do they park
//          the task, or block a thread outside a task; only then are they cancellation
//          points (-ECANCELED, -ETIMEDOUT). The dial calls: a task.
#ifndef WEFT_NET_H
#define WEFT_NET_H

#include <sys/socket.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

// weft_addr is an address as the kernel takes it: weft_connect(fd, &a.sa, a.len).
typedef struct weft_addr {
    socklen_t len;
    union {
        struct sockaddr sa;              // sa.sa_family tells which it is:
        struct sockaddr_storage storage; // a struct sockaddr_in or sockaddr_in6
    };
} weft_addr;

// weft_addrs is the result of weft_resolve, the preferred address first.
typedef struct weft_addrs {
    int n;
    weft_addr *addr; // n of them
} weft_addrs;

// weft_resolve looks up the addresses of a host, as getaddrinfo(3): `family` is
// AF_UNSPEC (both, in one look-up), AF_INET or AF_INET6; `service` a number, a
// name ("https"), or NULL for port 0; `host` a name, a numeric address (without
// brackets), or NULL for the machine itself. `host` and `service` must not both be
// NULL.
//
// Numbers cost no look-up. Names are looked up on a separate lane of the blocking pool
// (64 threads, or blocking_max if that is fewer). So slow name servers delay neither
// files nor weft_blocking, and these do not delay look-ups. Tasks that ask for the same
// name at the same time share one look-up. Nothing is cached, because the C library
// does not tell how long an answer is valid. The order is that of getaddrinfo(3): RFC
// 6724 and gai.conf.
//
// With AF_UNSPEC, a name in the hosts file needs no name server, even if the file has
// only one family. With AF_INET or AF_INET6, it needs one if the file has only the
// other family. If a name is on several lines of the file, glibc uses all lines only
// with "multi on" in host.conf(5), which distributions set.
//
// Returns: the number of addresses, above 0, and the addresses in *out; or
//          WEFT_EAI_AGAIN    no name server has answered, or it cannot now (SERVFAIL),
//          WEFT_EAI_FAIL     a name server refuses to answer,
//          WEFT_EAI_NONAME   the host does not exist (or both are NULL),
//          WEFT_EAI_NODATA   the host has no address of that family,
//          WEFT_EAI_SERVICE  the service does not exist,
//          WEFT_EAI_FAMILY `family` is not one of the three; -ENODEV (an interface,
//          after '%'), -ENOMEM, -EAGAIN (the system refuses a thread), -EMFILE or
//          -ENFILE (the C library could not ask, so nothing is known of the name) and
//          the like; -ECANCELED, -ETIMEDOUT. With AF_UNSPEC the call succeeds if the
//          name servers answer for one of the families (glibc), but it waits for both.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  the call ends at once. A look-up that has begun cannot be stopped: it goes
//          on without the caller until the C library gives up (resolv.conf(5), timeout
//          and attempts), and the next task that asks for the same joins it. The end of
//          the runtime does not wait for it (weft/runtime.h, weft_rt_free).
// Owns:    the caller frees *out with weft_addrs_free.
WEFT_API WEFT_MUST_CHECK int weft_resolve(weft_addrs **out, const char *host, const char *service, int family);

// weft_addrs_free frees the addresses. NULL does nothing.
// Context: any thread. Never parks.
WEFT_API void weft_addrs_free(weft_addrs *a);

// weft_tcp_listen listens for TCP connections, with SO_REUSEADDR and the system's
// largest backlog; accepted connections have TCP_NODELAY. If `addr` has a name, the
// call listens on one of its addresses, an IPv4 address if there is one ("localhost" is
// 127.0.0.1); clients that try both families find it. It looks up IPv6 addresses only
// if the name has no IPv4 address, or none that the system has. So if the hosts file
// has only an IPv6 address for the name, the call first asks name servers for an IPv4
// address, as getaddrinfo(3) does with AF_INET. If name servers may not answer, pass
// the numeric address.
// Context: any thread. May park in a task, if there is a name to look up.
// Cancel:  no socket is left.
WEFT_API WEFT_MUST_CHECK int weft_tcp_listen(const char *addr);

// weft_tcp_dial connects to a TCP address, with TCP_NODELAY. connect(2) may connect a
// socket to itself if a port of the ephemeral range has no listener; weft_tcp_dial
// returns -ECONNREFUSED then.
//
// With a name it tries all addresses (the first 32) as in RFC 8305, and uses the
// connection that is made first. It alternates between IPv6 and IPv4, IPv6 first. It
// tries the next address 250 ms after the previous one, or at once when that has
// failed. It begins with the family whose look-up ends first, but waits 25 ms more for
// IPv6. If all addresses of one family have failed, it waits for the look-up of the
// other family, without a limit if no deadline is set; also if the first family is in
// the hosts file. "localhost" and names that end in ".localhost" are looked up as
// weft_resolve does with AF_UNSPEC.
//
// A dial with its own time limit needs a function for weft_timeout, which returns the
// descriptor:
//
//     static int dial(void *addr) { return weft_tcp_dial(addr); }
//     ...
//     int fd = weft_timeout(WEFT_S(5), dial, "example.org:80"); // -ETIMEDOUT: no connection is left
//
// or a scope around the call, which may also include the use of the connection:
//
//     weft_scope s;
//     weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
//     weft_scope_deadline(&s, weft_after(WEFT_S(5)));
//     int fd = weft_tcp_dial("example.org:80");
//     weft_scope_close(&s); // fd may be connected although the time has passed since
//
// Returns: a connected descriptor; -ECONNREFUSED, -ENETUNREACH, -ETIMEDOUT (the
//          kernel's, or a scope's deadline), ...; -ECANCELED. All dial calls return the
//          latter two. If all addresses of a name fail: the error of the first address
//          to which the machine has a route, if there is any; WEFT_EAI_... without an
//          address to try. A deadline may pass when all addresses with a route
//          have failed, and the dial waits only for the other family's look-up: then,
//          too, the result is that error, not -ETIMEDOUT.
// Context: task. May park, so the caller may continue on another thread; so may
//          weft_unix_dial.
// Cancel:  all sockets are closed.
WEFT_API WEFT_MUST_CHECK int weft_tcp_dial(const char *addr);

// weft_unix_listen listens on a Unix stream socket; "@name" is in the abstract name
// space. A path that exists is -EADDRINUSE: remove it first, and after use.
WEFT_API WEFT_MUST_CHECK int weft_unix_listen(const char *path);
WEFT_API WEFT_MUST_CHECK int weft_unix_dial(const char *path);

// weft_udp_bind makes a datagram socket bound to `addr`; weft_udp_dial one that sends
// to and receives from `addr` only. With a name, weft_udp_bind takes one address as
// weft_tcp_listen does, and weft_udp_dial the first address to which there is a route.
// Context: weft_udp_bind any thread, weft_udp_dial a task. Both may park if there is a
//          name to look up; the caller may then continue on another thread.
// Cancel:  no socket is left.
WEFT_API WEFT_MUST_CHECK int weft_udp_bind(const char *addr);
WEFT_API WEFT_MUST_CHECK int weft_udp_dial(const char *addr);

// weft_listen_inherited returns a socket that the program inherited from the one that
// started it: from systemd, for a socket unit, or from an older version of the same
// server, so that no connection is lost. (sd_listen_fds(3) has the protocol: LISTEN_FDS
// and LISTEN_FDNAMES; LISTEN_PID may be absent.) `name` is the one of
// FileDescriptorName=, or the unit's; NULL: the first socket that no call has returned
// yet. Each call returns another socket. The socket keeps its mode, and becomes
// close-on-exec. weft never calls shutdown(2) on it: an older server may still use it.
//
// Returns: a descriptor; -ENOENT: there is none, or none left, of that name; -EINVAL: the
//          variables make no sense; -EBADF: a descriptor that they promise is not open;
//          -ENOMEM.
// Context: any thread. Never parks. The first call that finds the variables removes
//          them from the environment: no other thread may use the environment at the
//          same time.
// Owns:    the socket is the caller's, to be closed by weft_close.
WEFT_API WEFT_MUST_CHECK int weft_listen_inherited(const char *name);

// weft_fd_send sends `n` descriptors (0 to 253) through a Unix socket, with `len` bytes
// of data (at least 1); the receiver gets duplicates. weft_fd_recv receives up to `len`
// bytes, and the descriptors that came with them: *n is first the room in `fds`, then
// the number received, 0 if the data came without descriptors. The new descriptors are
// close-on-exec.
//
// Returns: weft_fd_send: 0; weft_fd_recv: how many bytes, 0 at the end. -EINVAL: numbers
//          out of range; -EMSGSIZE: more descriptors came than there is room for;
//          -EMFILE: this process has too many descriptors. On these two, all received
//          descriptors are closed, and the data is lost. Errors of weft_sendmsg,
//          weft_write_all and weft_recvmsg.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  weft_fd_recv has received nothing. weft_fd_send has sent nothing, or, on a
//          stream, the descriptors and some of the data: close the socket.
// Owns:    the sender keeps its descriptors, the receiver closes what it gets.
WEFT_API WEFT_MUST_CHECK int weft_fd_send(int sock, const int *fds, int n, const void *data, size_t len);
WEFT_API WEFT_MUST_CHECK ssize_t weft_fd_recv(int sock, int *fds, int *n, void *data, size_t len);

// weft_local_addr writes the socket's own address as text ("127.0.0.1:7000",
// "[::1]:7000", "/path", "@name"; "" for an unnamed Unix socket), weft_peer_addr the
// address of its peer.
//
// Returns: the length of the text; -ENOSPC if it and its final 0 do not fit in n bytes;
//          -ENOTCONN, -ENOTSOCK, -EBADF.
// Context: any thread. Never parks.
WEFT_API int weft_local_addr(int fd, char *buf, size_t n);
WEFT_API int weft_peer_addr(int fd, char *buf, size_t n);

WEFT_END_DECLS

#endif
