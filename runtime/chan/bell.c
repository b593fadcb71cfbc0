// The bell is the eventfd of weft_chan_fd, readable while a receive would find a
// message. `rung` is its state, or the state that it is about to get. A call that has
// changed the channel then checks `rung`. If it is wrong, the call takes the bell's
// mutex, because no system call may be made under the channel's lock. Under both locks
// it checks again, and corrects `rung`; under the mutex alone it makes the eventfd
// agree. So the system calls are in the order of the changes of `rung`, and when no
// call is in progress, the eventfd is right. A call that finds `rung` right may return
// before the system call of the call that has set it.
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/mem.h"
#include "base/sys.h"
#include "runtime/chan/state.h"

struct bell {
    pthread_mutex_t ringing; // of the caller that makes the eventfd agree with `rung`
    int fd;                  // fixed
    bool rung;               // under the mutex and the channel's lock; read under the lock
};

void wf_bell_check(const struct bell *b)
{
    wf_assert(b->fd >= 0);
}

static void ring_bell(weft_chan *c, struct bell *b)
{
    pthread_mutex_lock(&b->ringing);
    wf_chan_lock(c);
    bool was = b->rung, rung = wf_chan_has_message(c);
    b->rung = rung;
    wf_lock_release(&c->lock);
    if (rung && !was)
        (void)wf_sys_write(b->fd, &(uint64_t){ 1 }, sizeof(uint64_t));
    else if (was && !rung)
        (void)wf_sys_read(b->fd, &(uint64_t){ 0 }, sizeof(uint64_t));
    pthread_mutex_unlock(&b->ringing);
}

void wf_bell_settle(weft_chan *c)
{
    wf_chan_lock(c);
    struct bell *b = c->bell; // fixed by now
    bool wrong = b->rung != wf_chan_has_message(c);
    wf_lock_release(&c->lock);
    if (wrong)
        ring_bell(c, b);
}

// make_bell returns: 0; -EMFILE, -ENFILE, -ENOMEM.
static int make_bell(struct bell **out)
{
    struct bell *b = wf_alloc(sizeof(*b));

    if (!b)
        return -ENOMEM;
    int fd = wf_fault() ? -EMFILE : wf_above_standard(wf_sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (fd < 0) {
        wf_free(b);
        return fd;
    }
    pthread_mutex_init(&b->ringing, NULL);
    b->fd = fd;
    b->rung = false;
    *out = b;
    return 0;
}

// bell_of gives the channel the bell `made`, unless it has one. Returns: the channel's
// bell; NULL: it has none, and `made` is NULL.
static struct bell *bell_of(weft_chan *c, struct bell *made)
{
    wf_chan_lock(c);
    if (!c->bell && made) {
        c->bell = made;
        wf_chan_set_mark(c, WF_CHAN_HAS_BELL);
    }
    struct bell *b = c->bell;
    wf_chan_unlock(c); // rings a new bell if necessary
    return b;
}

void wf_bell_free(struct bell *b)
{
    if (!b)
        return;
    (void)wf_sys_close(b->fd);
    pthread_mutex_destroy(&b->ringing);
    wf_free(b);
}

int weft_chan_fd(weft_chan *c)
{
    struct bell *made, *b = bell_of(c, NULL);

    if (b)
        return b->fd;
    int err = make_bell(&made);
    if (err)
        return err;
    b = bell_of(c, made);
    if (b != made)
        wf_bell_free(made); // another caller was faster
    return b->fd;
}
