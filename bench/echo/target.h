// The server's address, and connections to it.
#ifndef BENCH_ECHO_TARGET_H
#define BENCH_ECHO_TARGET_H

#include <sys/socket.h>

struct target {
    struct sockaddr_storage addr;
    socklen_t len;
    unsigned per_source; // connections from one loopback address; 0: the kernel chooses the source
};

// target_init reads a numeric HOST:PORT. `connections` that will be open at once decide
// whether one source address has ports enough for them.
//
// Returns: 0; -EINVAL: not a numeric address; -EADDRNOTAVAIL: more connections than
// there are ports, and not loopback.
int target_init(struct target *t, const char *text, unsigned connections);

// target_connect makes connection number `index`: blocks for a few seconds at most,
// sets TCP_NODELAY, and has close() reset the connection: a closed one leaves no port
// behind in TIME_WAIT, which would slow down the runs that follow.
//
// Returns: a descriptor; a negative errno value.
int target_connect(const struct target *t, unsigned index);

#endif
