// Watch: a ring (bcast.h) of which readers read only the last message. The version of a
// value is the number of messages up to it.
#include <weft/watch.h>

#include <errno.h>

#include "base/assert.h"
#include "base/mem.h"
#include "runtime/chan/bcast.h"

// If VALUES_KEPT - 1 values are set while a reader copies, the reader is overtaken and
// begins again.
enum { VALUES_KEPT = 4 };

// L: under cast.lock
struct weft_watch {
    struct wf_bcast cast; // first
    uint64_t refs;        // L
};

int weft_watch_new(weft_watch **out, size_t elem_size, const void *initial)
{
    weft_watch *w = wf_bcast_new(sizeof(*w), elem_size, VALUES_KEPT);
    if (!w)
        return -ENOMEM;
    w->refs = 1;
    wf_lock_acquire(&w->cast.lock);
    (void)wf_bcast_put(&w->cast, initial);
    wf_lock_release(&w->cast.lock);
    *out = w;
    return 0;
}

weft_watch *weft_watch_ref(weft_watch *w)
{
    wf_lock_acquire(&w->cast.lock);
    wf_debug_assert(w->refs > 0);
    w->refs++;
    wf_lock_release(&w->cast.lock);
    return w;
}

void weft_watch_unref(weft_watch *w)
{
    if (!w)
        return;
    wf_lock_acquire(&w->cast.lock);
    wf_debug_assert(w->refs > 0);
    bool last = --w->refs == 0;
    wf_lock_release(&w->cast.lock);
    if (last)
        wf_free(w);
}

int weft_watch_set(weft_watch *w, const void *elem)
{
    uint64_t count = 0;

    wf_lock_acquire(&w->cast.lock);
    if (!wf_bcast_closed(&w->cast))
        count = wf_bcast_put(&w->cast, elem);
    wf_lock_release(&w->cast.lock);
    if (!count)
        return -EPIPE;
    wf_bcast_tell(&w->cast, count);
    return 0;
}

void weft_watch_close(weft_watch *w)
{
    wf_bcast_close(&w->cast);
}

// latest copies the latest value. Returns: its version.
static uint64_t latest(const weft_watch *w, void *elem)
{
    uint64_t version;

    do {
        version = wf_bcast_full(&w->cast);
        wf_debug_assert(version > 0); // a watch has a value from the start
    } while (wf_bcast_get(&w->cast, version - 1, elem) != WF_BCAST_GOT);
    return version;
}

void weft_watch_get(const weft_watch *w, void *elem, uint64_t *version)
{
    uint64_t v = latest(w, elem);
    if (version)
        *version = v;
}

// copy_newer copies the value if its version differs from *version.
static int copy_newer(const weft_watch *w, void *elem, uint64_t *version)
{
    bool closed = wf_bcast_closed(&w->cast);

    if (wf_bcast_full(&w->cast) == *version)
        return closed ? -EPIPE : -EAGAIN;
    *version = latest(w, elem);
    return 0;
}

int weft_watch_wait(weft_watch *w, void *elem, uint64_t *version)
{
    struct wf_task *self = wf_require_task("weft_watch_wait");
    int err = wf_check_cancel(self);
    bool parked = false;

    while (!err) {
        uintptr_t seen = wf_bcast_seen(&w->cast);
        err = copy_newer(w, elem, version);
        if (err != -EAGAIN) {
            if (!parked)
                wf_budget_consume_self();
            return err;
        }
        err = wf_bcast_wait(&w->cast, self, seen, "watch");
        parked = true;
    }
    return err;
}
