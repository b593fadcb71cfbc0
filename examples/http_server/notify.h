// What a service tells systemd about itself, by the protocol of sd_notify(3).
#ifndef HTTP_SERVER_NOTIFY_H
#define HTTP_SERVER_NOTIFY_H

#include <sys/types.h>

// Each sends one message to $NOTIFY_SOCKET, if that is set. None waits; what systemd does
// not take is lost, as with sd_notify.
void notify_ready(void);
void notify_stopping(void);
void notify_reloading(void);

// notify_moved: the process `pid` is the service from now on.
void notify_moved(pid_t pid);

#endif
