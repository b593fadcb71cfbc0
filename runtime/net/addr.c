#include "runtime/net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <weft/error.h>

#include "base/assert.h"

// --- from text -----------------------------------------------------------------------

// parse_number reads a whole string of decimal digits. Returns: -1 if it is not one, or
// is above `max`.
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

void wf_addr_loopback(struct wf_addr out[2], in_port_t port)
{
    out[0] = in6(in6addr_loopback, port);
    out[1] = in4(htonl(INADDR_LOOPBACK), port);
}

void wf_addr_wildcard(struct wf_addr out[2], in_port_t port)
{
    out[0] = in6(in6addr_any, port);
    out[1] = in4(htonl(INADDR_ANY), port);
}

static int parse_scope(const char *scope, uint32_t *out)
{
    long number = parse_number(scope, UINT32_MAX);

    *out = number > 0 ? (uint32_t)number : if_nametoindex(scope);
    return *out ? 0 : -ENODEV;
}

// parse_in6 reads the text between the brackets, and writes to it.
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

// is_name tells whether a host that is not an IPv4 address could be a name. A name does
// not end in a number (RFC 3696); a dot at its end marks a complete name.
__attribute__((cold, noinline)) static bool is_name(const char *host, size_t len)
{
    size_t at = len -= len > 0 && host[len - 1] == '.';

    if (memchr(host, ':', len) || memchr(host, '[', len) || memchr(host, ']', len))
        return false;
    while (at > 0 && host[at - 1] >= '0' && host[at - 1] <= '9')
        at--;
    return at > 0 && host[at - 1] != '.';
}

static inline int parse_in4(struct wf_addr *out, const char *host, size_t len, in_port_t port)
{
    struct in_addr addr;

    if (inet_pton(AF_INET, host, &addr) != 1)
        return is_name(host, len) ? WF_ADDR_HOST : WEFT_ADDR_FORM;
    *out = in4(addr.s_addr, port);
    return 0;
}

// find_port finds the colon before the port.
static int find_port(const char *text, const char **colon)
{
    const char *end = text;

    if (text[0] == '[' && !(end = strchr(text, ']')))
        return WEFT_ADDR_FORM;
    *colon = strrchr(end, ':');
    if (!*colon)
        return *end == ']' && end[1] ? WEFT_ADDR_FORM : WEFT_ADDR_NO_PORT;
    return (*colon)[1] ? 0 : WEFT_ADDR_NO_PORT;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool wf_addr_has_letter(const char *text)
{
    while (*text && !is_letter(*text))
        text++;
    return *text;
}

// is_service tells whether a port could be the name of a service (as in RFC 6335, or
// other characters found in /etc/services): "http", "iscsi-target".
static bool is_service(const char *text)
{
    const char *at = text;

    while (is_letter(*at) || (at > text && *at && strchr("-._+/0123456789", *at)))
        at++;
    return at > text && !*at;
}

// parse_host reads a host of `len` > 0 characters, and may write to it.
static inline int parse_host(struct wf_addr *out, char *host, size_t len, in_port_t port)
{
    if (host[0] != '[')
        return parse_in4(out, host, len, port);
    if (host[len - 1] != ']')
        return WEFT_ADDR_FORM;
    host[len - 1] = 0;
    return parse_in6(out, host + 1, port);
}

// parse_before reads the text before the colon.
static inline int parse_before(struct wf_addrs *out, const char *text, size_t len)
{
    if (len >= sizeof(out->host))
        return WEFT_ADDR_FORM;
    memcpy(out->host, text, len);
    out->host[len] = 0;
    out->count = 1;
    if (len > 0)
        return parse_host(&out->at[0], out->host, len, out->port);
    out->count = 2;
    if (out->to_dial)
        wf_addr_loopback(out->at, out->port);
    else
        wf_addr_wildcard(out->at, out->port);
    return 0;
}

static int find_colon(const char *text, const char **colon)
{
    return text && *text ? find_port(text, colon) : WEFT_ADDR_FORM;
}

long wf_addr_parse_port(const char *text)
{
    return parse_number(text, UINT16_MAX);
}

// service_first checks the text before a port that is a name.
__attribute__((cold)) static int service_first(struct wf_addrs *out, const char *text, const char *colon)
{
    if (!is_service(colon + 1))
        return WEFT_ADDR_PORT;
    out->service = colon + 1;
    int err = parse_before(out, text, (size_t)(colon - text));
    return err < 0 ? err : WF_ADDR_SERVICE;
}

int wf_addr_parse(struct wf_addrs *out, const char *text, bool to_dial)
{
    const char *colon;

    int err = find_colon(text, &colon);
    if (err < 0)
        return err;
    long number = parse_number(colon + 1, UINT16_MAX);
    out->to_dial = to_dial;
    out->port = htons((uint16_t)number);
    return number < 0 ? service_first(out, text, colon) : parse_before(out, text, (size_t)(colon - text));
}

int wf_addr_parse_with(struct wf_addrs *out, const char *text, bool to_dial, in_port_t port)
{
    const char *colon;

    int err = find_colon(text, &colon);
    if (err < 0)
        return err;
    out->to_dial = to_dial;
    out->port = port;
    return parse_before(out, text, (size_t)(colon - text));
}

int wf_addr_parse_host(struct wf_addr *out, const char *host, in_port_t port)
{
    char copy[WF_HOST_MAX];
    size_t len = strlen(host);

    if (len == 0 || len >= sizeof(copy))
        return WEFT_ADDR_FORM;
    if (!strchr(host, ':'))
        return parse_in4(out, host, len, port);
    memcpy(copy, host, len + 1);
    return parse_in6(out, copy, port);
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
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + !abstract); // a path includes its 0
    wf_debug_assert(out->len <= sizeof(out->un));
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

// format_unix shows each 0 of an abstract name as @, the first one included. Such a
// name may contain any byte.
static int format_unix(const struct wf_addr *a, char *buf, size_t n)
{
    const char *path = a->un.sun_path;
    size_t len = a->len - offsetof(struct sockaddr_un, sun_path); // 0: unnamed

    if (len > sizeof(a->un.sun_path))
        len = sizeof(a->un.sun_path); // the kernel counts a final 0 for which the longest path has no room
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
