#include "notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void notify(const char *text)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    const char *name = getenv("NOTIFY_SOCKET");
    size_t n = name ? strlen(name) : 0;
    int sock = n > 0 && n < sizeof(at.sun_path) ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

    if (sock < 0)
        return;
    memcpy(at.sun_path, name, n);
    if (name[0] == '@') // in the abstract name space
        at.sun_path[0] = 0;
    sendto(sock, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&at,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(sock);
}

void notify_ready(void)
{
    notify("READY=1");
}

void notify_stopping(void)
{
    notify("STOPPING=1");
}

// The time lets systemd match this message with its own request (Type=notify-reload).
void notify_reloading(void)
{
    char text[64];
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld", now.tv_sec * 1000000LL + now.tv_nsec / 1000);
    notify(text);
}

// Only the old process may say this: systemd listens to the main process alone
// (NotifyAccess=main).
void notify_moved(pid_t pid)
{
    char text[64];

    snprintf(text, sizeof(text), "MAINPID=%d\nREADY=1", (int)pid);
    notify(text);
}
