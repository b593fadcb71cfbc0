#include "curl_adapter.h"

#include <errno.h>
#include <poll.h>

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct web *web = arg;
    (void)multi;

    web->timer = ms < 0 ? WEFT_NEVER : weft_after(WEFT_MS(ms));
    return 0;
}

static int place_of(const struct web *web, curl_socket_t fd)
{
    int at = 0;

    while (at < WEB_SOCKETS && web->sockets[at].fd != fd)
        at++;
    return at;
}

// libcurl calls on_socket when the events that it waits for on `fd` change. It may
// close a socket for which it waits no more.
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    struct web *web = arg;
    int events = (what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0); // REMOVE is neither
    int at = place_of(web, fd);
    (void)easy, (void)unused;

    if (at == WEB_SOCKETS)
        at = place_of(web, -1);
    if (at == WEB_SOCKETS)
        return events ? -1 : 0;
    web->sockets[at].fd = events ? fd : -1;
    web->sockets[at].events = (short)events;
    return 0;
}

int web_open(struct web *web)
{
    web->multi = curl_multi_init();
    web->timer = WEFT_NEVER;
    for (int i = 0; i < WEB_SOCKETS; i++)
        web->sockets[i].fd = -1;
    if (!web->multi)
        return -ENOMEM;
    curl_multi_setopt(web->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(web->multi, CURLMOPT_SOCKETDATA, web);
    curl_multi_setopt(web->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(web->multi, CURLMOPT_TIMERDATA, web);
    // a connection may have three sockets at first: two addresses, which race, and the
    // look-up's
    curl_multi_setopt(web->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, WEB_SOCKETS / 3L);
    return 0;
}

static int to_curl(int ready)
{
    return (ready & POLLIN ? CURL_CSELECT_IN : 0) | (ready & POLLOUT ? CURL_CSELECT_OUT : 0) |
           (ready & (POLLERR | POLLHUP) ? CURL_CSELECT_ERR : 0);
}

// wait_next parks until libcurl has work: the event `what` on the socket `fd`, or its
// timer has expired.
static int wait_next(struct web *web, curl_socket_t *fd, int *what)
{
    weft_case cases[WEB_SOCKETS + 1];

    for (int i = 0; i < WEB_SOCKETS; i++)
        cases[i] = weft_on_fd(web->sockets[i].fd, web->sockets[i].events); // never happens where fd is -1
    cases[WEB_SOCKETS] = weft_on_time(web->timer);
    int at = weft_select(cases, WEB_SOCKETS + 1);
    if (at < 0)
        return at;
    bool timer = at == WEB_SOCKETS;
    *fd = timer ? CURL_SOCKET_TIMEOUT : web->sockets[at].fd;
    *what = timer ? 0 : to_curl(cases[at].result < 0 ? POLLERR : cases[at].result);
    if (timer)
        web->timer = WEFT_NEVER; // libcurl sets it again
    return 0;
}

int web_perform(struct web *web)
{
    int what = 0, running, err = 0;

    for (curl_socket_t fd = CURL_SOCKET_TIMEOUT; err == 0; err = wait_next(web, &fd, &what)) {
        if (curl_multi_socket_action(web->multi, fd, what, &running) != CURLM_OK)
            return -EIO;
        if (running == 0)
            return 0;
    }
    return err;
}

void web_close(struct web *web)
{
    curl_multi_cleanup(web->multi);
}
