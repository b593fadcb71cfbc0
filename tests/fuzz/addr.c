// Any text as an address: the parser's results are consistent, and it accesses only the
// text and its result.
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/error.h>

#include "runtime/net/addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct wf_addr *a, const struct wf_addr *b)
{
    return a->len == b->len && memcmp(&a->un, &b->un, a->len) == 0;
}

// check_number: what was read is written as a text that means the same.
static void check_number(const struct wf_addr *a)
{
    char text[128];
    struct wf_addrs again;

    int n = wf_addr_format(a, text, sizeof(text));
    assert(n > 0 && (size_t)n == strlen(text));
    assert(wf_addr_parse(&again, text, false) == 0 && again.count == 1);
    if (a->sa.sa_family == again.at[0].sa.sa_family) // an IPv4 address in an IPv6 one is written as IPv4
        assert(same(a, &again.at[0]));
}

static void check_numbers(const struct wf_addrs *all)
{
    assert(all->count == 1 || all->count == 2);
    for (int i = 0; i < all->count; i++)
        check_number(&all->at[i]);
}

// check_host: the name is what stands before the colon, and is not a number.
static void check_host(const struct wf_addrs *all, const char *text)
{
    struct wf_addr number;
    size_t n = strlen(all->host);

    assert(n > 0 && n < WF_HOST_MAX && memcmp(all->host, text, n) == 0 && text[n] == ':');
    assert(wf_addr_parse_host(&number, all->host, 0) == WF_ADDR_HOST);
}

static void check_service(struct wf_addrs *all, const char *text, bool to_dial)
{
    const char *service = all->service;

    assert(service > text && service[-1] == ':' && *service && wf_addr_has_letter(service));
    assert(wf_addr_parse_port(service) < 0);
    int err = wf_addr_parse_with(all, text, to_dial, 7);
    assert(err == 0 || err == WF_ADDR_HOST);
    if (err == 0)
        check_numbers(all);
    else
        check_host(all, text);
}

static void check_text(const char *text, bool to_dial)
{
    struct wf_addrs all;

    switch (wf_addr_parse(&all, text, to_dial)) {
    case 0:
        check_numbers(&all);
        break;
    case WF_ADDR_HOST:
        check_host(&all, text);
        break;
    case WF_ADDR_SERVICE:
        check_service(&all, text, to_dial);
        break;
    case WEFT_ADDR_FORM:
    case WEFT_ADDR_NO_PORT:
    case WEFT_ADDR_PORT:
    case -ENODEV:
        break;
    default:
        abort();
    }
}

static void check_bare_host(const char *text)
{
    struct wf_addr a;
    int err = wf_addr_parse_host(&a, text, 7);

    assert(err == 0 || err == WF_ADDR_HOST || err == WEFT_ADDR_FORM || err == -ENODEV);
    if (err == 0)
        check_number(&a);
}

static void check_path(const char *text)
{
    char again[128];
    struct wf_addr a;

    if (wf_addr_parse_unix(&a, text) < 0)
        return;
    int n = wf_addr_format(&a, again, sizeof(again));
    assert(n > 0 && strcmp(again, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); // not a byte more, so that the sanitizer sees one that is too many

    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = 0;
    check_text(text, false);
    check_text(text, true);
    check_bare_host(text);
    check_path(text);
    free(text);
    return 0;
}
