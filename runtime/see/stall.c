#include "runtime/see/see.h"

#include "base/assert.h"
#include "runtime/see/call.h"
#include "runtime/see/line.h"
#include "runtime/see/page.h"

static unsigned long long in_ms(int64_t ns)
{
    return (unsigned long long)(ns / 1000000);
}

static void add_call(struct wf_line *l, const struct wf_stall *s)
{
    bool on_descriptor;
    const char *name = wf_call_name(s->call, &on_descriptor);

    wf_debug_assert(s->blocked);
    if (s->call < 0)
        wf_line_add(l, "the kernel");
    else if (!name)
        wf_line_add(l, "system call %ld", s->call);
    else
        wf_line_add(l, "%s(2)", name);
    if (name && on_descriptor) {
        wf_line_add(l, " of descriptor %d", (int)s->arg);
        wf_line_socket(l, (int)s->arg);
    }
}

static void put_head(struct wf_page *p, const struct wf_stall *s)
{
    struct wf_line l = { .n = 0 };

    wf_line_add(&l, "weft: ");
    wf_line_name(&l, s->seen.id, s->seen.name);
    wf_line_add(&l, " holds worker %u for %llu ms now: it ", s->worker, in_ms(s->held));
    if (s->blocked) {
        wf_line_add(&l, "is blocked in ");
        add_call(&l, s);
    } else {
        wf_line_add(&l, "computes");
    }
    wf_line_add(&l, " (%llu ms of CPU time), %llu queued behind it", in_ms(s->cpu), (unsigned long long)s->behind);
    wf_page_line(p, &l);
}

// The caller is the reactor thread, which must not wait for a reader of stderr.
void wf_stall_report(void *unused, const struct wf_stall *stall)
{
    struct wf_page p = { .n = 0 };
    struct wf_line l = { .n = 0 };
    (void)unused;

    wf_debug_assert(stall->held > 0 && stall->seen.id != 0);
    put_head(&p, stall);
    wf_page_stack(&p, &stall->seen.trace);
    if (!stall->seen.answered) {
        wf_line_add(&l, "    its thread does not answer, so there is no stack");
        wf_page_line(&p, &l);
    }
    wf_page_report(&p);
}
