// Connecting, for runtime/net, whose sockets are non-blocking from the start.
#ifndef WF_RUNTIME_IO_CONNECT_H
#define WF_RUNTIME_IO_CONNECT_H

#include <sys/socket.h>

// wf_connect is weft_connect for a descriptor that has O_NONBLOCK; `call` names the
// wait in dumps.
int wf_connect(int fd, const struct sockaddr *sa, socklen_t len, const char *call);

#endif
