#include "runtime/see/page.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/sys.h"
#include "runtime/see/symbol.h"

void wf_page_line(struct wf_page *p, struct wf_line *l)
{
    wf_debug_assert(p->n <= sizeof(p->text));
    if (l->n < sizeof(p->text) - p->n) {
        memcpy(p->text + p->n, l->text, l->n);
        p->n += l->n;
        p->text[p->n++] = '\n';
    }
    l->n = 0;
}

void wf_page_stack(struct wf_page *p, const struct wf_trace *t)
{
    struct wf_symbols symbols = { .files = 0 };
    struct wf_line l = { .n = 0 };
    char name[WF_SYMBOL_NAME];

    for (unsigned i = 0; i < t->depth; i++) {
        wf_symbols_name(&symbols, t->pc[i], name, sizeof(name));
        wf_line_add(&l, "    %s", name);
        wf_page_line(p, &l);
    }
    wf_symbols_fini(&symbols);
}

void wf_page_report(const struct wf_page *p)
{
    wf_debug_assert(p->n <= sizeof(p->text));
    struct pollfd to = { .fd = STDERR_FILENO, .events = POLLOUT };

    if (wf_sys_poll_now(&to, 1) == 1)
        (void)wf_sys_write(STDERR_FILENO, p->text, p->n); // the reader may be gone
}
