// Addresses: from text to the kernel's form, and back. resolve.h looks up the names in
// a text.
#ifndef WF_RUNTIME_NET_ADDR_H
#define WF_RUNTIME_NET_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/compiler.h"

struct wf_addr {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

enum { WF_HOST_MAX = 256 }; // a name may have 253 characters

// The addresses that a text stands for, in the order of the attempts: ":80" stands for
// two.
struct wf_addrs {
    struct wf_addr at[2];
    int count;
    bool to_dial;
    in_port_t port;         // if the host is a name: network order
    const char *service;    // within the text, if the port is a name
    char host[WF_HOST_MAX]; // if it is a name
};

// The results of wf_addr_parse for a text with names.
enum { WF_ADDR_HOST = 1, WF_ADDR_SERVICE = 2 };

// wf_addr_parse reads "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80" or ":80". The
// last means every address of the machine, or, if `to_dial`, the machine itself.
// Returns: 0; WEFT_ADDR_FORM, _NO_PORT, _PORT; -ENODEV: there is no such interface;
// WF_ADDR_HOST: the host is a name, and out->host and out->port tell which; or
// WF_ADDR_SERVICE: the port is a name, out->service: look it up first, and then call
// wf_addr_parse_with.
WF_MUST_CHECK int wf_addr_parse(struct wf_addrs *out, const char *text, bool to_dial);

// wf_addr_parse_with is the same for a text whose port is a name that stands for `port`,
// in network order.
WF_MUST_CHECK int wf_addr_parse_with(struct wf_addrs *out, const char *text, bool to_dial, in_port_t port);

// wf_addr_parse_host reads a numeric host: "127.0.0.1", "::1", "fe80::1%eth0".
// Returns: 0; WF_ADDR_HOST: it could be a name; WEFT_ADDR_FORM: it is neither; -ENODEV.
WF_MUST_CHECK int wf_addr_parse_host(struct wf_addr *out, const char *host, in_port_t port);

// wf_addr_parse_port reads a number from 0 to 65535.  Returns: -1: it is not one.
WF_MUST_CHECK long wf_addr_parse_port(const char *text);

// wf_addr_has_letter distinguishes the name of a service from a text that looks like a
// number.
bool wf_addr_has_letter(const char *text);

// wf_addr_loopback gives the two addresses of the machine itself, wf_addr_wildcard the
// two that stand for all its addresses.
void wf_addr_loopback(struct wf_addr out[2], in_port_t port);
void wf_addr_wildcard(struct wf_addr out[2], in_port_t port);

// wf_addr_parse_unix reads a path, or "@name" for the abstract name space.
// Returns: 0; WEFT_ADDR_FORM: empty; -ENAMETOOLONG.
WF_MUST_CHECK int wf_addr_parse_unix(struct wf_addr *out, const char *path);

// wf_addr_format writes the address as text. An IPv4 address inside an IPv6 one, as a
// dual-stack socket has it, is written as IPv4.
// Returns: the text's length; -ENOSPC if it does not fit, with its 0; -EAFNOSUPPORT.
WF_MUST_CHECK int wf_addr_format(const struct wf_addr *a, char *buf, size_t n);

#endif
