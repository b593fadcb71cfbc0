// Addresses: text to what the kernel takes, and back. Numeric hosts only.
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

// The addresses that a text stands for, to be tried in this order: ":80" stands for
// two.
struct wf_addrs {
    struct wf_addr at[2];
    int count;
    bool to_dial;
};

// wf_addr_parse reads "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80" or ":80"; the
// latter means every address of the machine, or, if `to_dial`, the machine itself.
// Returns: 0; WEFT_ADDR_FORM, _NO_PORT, _PORT, _NAME; -ENODEV: there is no such
// interface.
WF_MUST_CHECK int wf_addr_parse(struct wf_addrs *out, const char *text, bool to_dial);

// wf_addr_parse_unix reads a path, or "@name" for the abstract name space.
// Returns: 0; WEFT_ADDR_FORM: empty; -ENAMETOOLONG.
WF_MUST_CHECK int wf_addr_parse_unix(struct wf_addr *out, const char *path);

// wf_addr_format writes it as text. An IPv4 address that a dual-stack socket wraps in
// an IPv6 one is written plainly.
// Returns: the text's length; -ENOSPC if it does not fit, with its 0; -EAFNOSUPPORT.
WF_MUST_CHECK int wf_addr_format(const struct wf_addr *a, char *buf, size_t n);

#endif
