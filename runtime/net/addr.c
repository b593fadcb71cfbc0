#include "runtime/net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <weft/error.h>

// --- from text -----------------------------------------------------------------------

// parse_number reads a whole string of decimal digits. Returns: -1 if it is none, or
// above `max`.
static long parse_number(const char *text, long max)
{
    long value = 0;

    if (!*text)
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        value = value * 10 + (*text - '0');
        if (value > max)
            return -1;
    }
    return value;
}

// Ports stay in network order from here on.
static struct wf_addr in4(in_addr_t host, in_port_t port)
{
    return (struct wf_addr){
        .len = sizeof(struct sockaddr_in),
        .in = { .sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = host },
    };
}

static struct wf_addr in6(struct in6_addr host, in_port_t port)
{
    return (struct wf_addr){
        .len = sizeof(struct sockaddr_in6),
        .in6 = { .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = host },
    };
}

static void parse_everywhere(struct wf_addrs *out, in_port_t port, bool to_dial)
{
    out->at[0] = in6(to_dial ? in6addr_loopback : in6addr_any, port);
    out->at[1] = in4(htonl(to_dial ? INADDR_LOOPBACK : INADDR_ANY), port);
    out->count = 2;
}

static int parse_scope(const char *scope, uint32_t *out)
{
    long number = parse_number(scope, UINT32_MAX);

    *out = number > 0 ? (uint32_t)number : if_nametoindex(scope);
    return *out ? 0 : -ENODEV;
}

// parse_in6 reads what stands between the brackets.
static int parse_in6(struct wf_addr *out, char *host, in_port_t port)
{
    struct in6_addr addr;
    uint32_t scope = 0;
    int err = 0;

    char *percent = strchr(host, '%');
    if (percent) {
        *percent = 0;
        err = parse_scope(percent + 1, &scope);
    }
    if (inet_pton(AF_INET6, host, &addr) != 1)
        return WEFT_ADDR_FORM;
    *out = in6(addr, port);
    out->in6.sin6_scope_id = scope;
    return err;
}

// is_name tells whether a host that is not an IPv4 address could be a name: one that
// ends in a number could not (RFC 3696).
static bool is_name(const char *host)
{
    const char *label = strrchr(host, '.');

    label = label ? label + 1 : host;
    return !strchr(host, ':') && !strpbrk(host, "[]") && label[strspn(label, "0123456789")];
}

static int parse_in4(struct wf_addr *out, const char *host, in_port_t port)
{
    struct in_addr addr;

    if (inet_pton(AF_INET, host, &addr) != 1)
        return is_name(host) ? WEFT_ADDR_NAME : WEFT_ADDR_FORM;
    *out = in4(addr.s_addr, port);
    return 0;
}

// split finds the colon before the port, and reads that.
static int split(const char *text, const char **colon, in_port_t *port)
{
    const char *end = text;

    if (text[0] == '[' && !(end = strchr(text, ']')))
        return WEFT_ADDR_FORM;
    *colon = strrchr(end, ':');
    if (!*colon)
        return *end == ']' && end[1] ? WEFT_ADDR_FORM : WEFT_ADDR_NO_PORT;
    if (!(*colon)[1])
        return WEFT_ADDR_NO_PORT;
    long number = parse_number(*colon + 1, UINT16_MAX);
    *port = htons((uint16_t)number);
    return number < 0 ? WEFT_ADDR_PORT : 0;
}

// parse_host reads one of `len` > 0 characters, and may write to it.
static int parse_host(struct wf_addr *out, char *host, size_t len, in_port_t port)
{
    if (host[0] != '[')
        return parse_in4(out, host, port);
    if (host[len - 1] != ']')
        return WEFT_ADDR_FORM;
    host[len - 1] = 0;
    return parse_in6(out, host + 1, port);
}

int wf_addr_parse(struct wf_addrs *out, const char *text, bool to_dial)
{
    char host[256]; // a name may have 253 characters
    const char *colon;
    in_port_t port;

    int err = text && *text ? split(text, &colon, &port) : WEFT_ADDR_FORM;
    if (err < 0)
        return err;
    size_t len = (size_t)(colon - text);
    if (len >= sizeof(host))
        return WEFT_ADDR_FORM;
    memcpy(host, text, len);
    host[len] = 0;
    out->count = 1;
    out->to_dial = to_dial;
    if (len > 0)
        return parse_host(&out->at[0], host, len, port);
    parse_everywhere(out, port, to_dial);
    return 0;
}

int wf_addr_parse_unix(struct wf_addr *out, const char *path)
{
    size_t len = path ? strlen(path) : 0;
    bool abstract = len > 0 && path[0] == '@';

    if (len == 0 || (abstract && len == 1))
        return WEFT_ADDR_FORM;
    if (len >= sizeof(out->un.sun_path))
        return -ENAMETOOLONG;
    *out = (struct wf_addr){ .un.sun_family = AF_UNIX };
    memcpy(out->un.sun_path, path, len);
    if (abstract)
        out->un.sun_path[0] = 0;
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + !abstract); // a path has its 0 with it
    return 0;
}

// --- to text -------------------------------------------------------------------------

static int format_in4(in_addr_t host, in_port_t port, char *buf, size_t n)
{
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &host, text, sizeof(text));
    return snprintf(buf, n, "%s:%u", text, ntohs(port));
}

static int format_in6(const struct sockaddr_in6 *a, char *buf, size_t n)
{
    char text[INET6_ADDRSTRLEN], name[IF_NAMESIZE];
    in_addr_t wrapped;

    if (IN6_IS_ADDR_V4MAPPED(&a->sin6_addr)) {
        memcpy(&wrapped, &a->sin6_addr.s6_addr[12], sizeof(wrapped));
        return format_in4(wrapped, a->sin6_port, buf, n);
    }
    inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof(text));
    if (a->sin6_scope_id == 0)
        return snprintf(buf, n, "[%s]:%u", text, ntohs(a->sin6_port));
    if (if_indextoname(a->sin6_scope_id, name))
        return snprintf(buf, n, "[%s%%%s]:%u", text, name, ntohs(a->sin6_port));
    return snprintf(buf, n, "[%s%%%u]:%u", text, a->sin6_scope_id, ntohs(a->sin6_port));
}

// format_unix: an abstract name may contain any byte, 0 too, which shows as @ like the
// 0 that it begins with.
static int format_unix(const struct wf_addr *a, char *buf, size_t n)
{
    const char *path = a->un.sun_path;
    size_t len = a->len - offsetof(struct sockaddr_un, sun_path); // 0: unnamed

    if (len > sizeof(a->un.sun_path))
        len = sizeof(a->un.sun_path); // the kernel counts the 0 that a longest path has no room for
    if (len > 0 && path[0])
        len = strnlen(path, len);
    for (size_t i = 0; i < len && i < n; i++)
        buf[i] = path[i] ? path[i] : '@';
    if (len < n)
        buf[len] = 0;
    return (int)len;
}

int wf_addr_format(const struct wf_addr *a, char *buf, size_t n)
{
    int len = -EAFNOSUPPORT;

    if (a->sa.sa_family == AF_INET)
        len = format_in4(a->in.sin_addr.s_addr, a->in.sin_port, buf, n);
    else if (a->sa.sa_family == AF_INET6)
        len = format_in6(&a->in6, buf, n);
    else if (a->sa.sa_family == AF_UNIX)
        len = format_unix(a, buf, n);
    return len >= 0 && (size_t)len >= n ? -ENOSPC : len;
}
