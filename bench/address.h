// A numeric address on the command line.
#ifndef BENCH_ADDRESS_H
#define BENCH_ADDRESS_H

#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// parse_address reads a numeric HOST:PORT, or [HOST]:PORT.  Returns: the address's
// length; 0 if `text` is none.
static inline socklen_t parse_address(const char *text, struct sockaddr_storage *addr)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char host[128];
    const char *colon = strrchr(text, ':'), *from = text;
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (len > 1 && text[0] == '[' && text[len - 1] == ']') {
        from++;
        len -= 2;
    }
    // the port by itself: getaddrinfo takes one that is too large, and cuts it
    if (len == 0 || strtoul(colon + 1, NULL, 10) > UINT16_MAX || len >= sizeof(host) ||
        snprintf(host, sizeof(host), "%.*s", (int)len, from) < 0 || getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return 0;
    const socklen_t addr_len = found->ai_addrlen;
    memcpy(addr, found->ai_addr, addr_len);
    freeaddrinfo(found);
    return addr_len;
}

#endif
