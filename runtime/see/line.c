#include "runtime/see/line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <weft/net.h>

#include "base/assert.h"
#include "base/sys.h"
#include "runtime/io/ready.h"

void wf_line_add(struct wf_line *l, const char *format, ...)
{
    size_t room = sizeof(l->text) - 1 - l->n; // and a newline
    va_list args;

    wf_debug_assert(l->n < sizeof(l->text));
    va_start(args, format);
    int n = vsnprintf(l->text + l->n, room, format, args);
    va_end(args);
    if (n > 0)
        l->n += (size_t)n < room ? (size_t)n : room - 1;
}

void wf_line_print(int fd, struct wf_line *l)
{
    wf_debug_assert(l->n < sizeof(l->text));
    l->text[l->n++] = '\n';
    (void)wf_sys_write(fd, l->text, l->n); // the reader may be gone
    l->n = 0;
}

void wf_line_name(struct wf_line *l, uint64_t id, const char *name)
{
    wf_line_add(l, "task %llu", (unsigned long long)id);
    if (name)
        wf_line_add(l, " '%s'", name);
}

void wf_line_socket(struct wf_line *l, int fd)
{
    char text[128];
    int type = wf_ready_socket_type(fd);

    if (type < 0 || weft_local_addr(fd, text, sizeof(text)) < 0)
        return;
    wf_line_add(l, ", %s %s", type != SOCK_STREAM ? "UDP" : strchr(text, ':') ? "TCP" : "Unix", text);
    if (weft_peer_addr(fd, text, sizeof(text)) >= 0)
        wf_line_add(l, " <- %s", text);
}
