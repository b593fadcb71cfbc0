// The registry: a descriptor number means the same to every reactor of the process, so
// the thread that closes one tells all reactors.
//
// A visitor does not hold the lock while it is in a reactor, because epoll may call
// into a slow file system. A visited reactor stays in the list until the visit ends. A
// reactor that leaves has no waiters, and gets no more visits.
#include "reactor/registry.h"

#include <pthread.h>

#include "base/assert.h"
#include "reactor/state.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct wf_reactor *all;                              // under lock
static pthread_cond_t unvisited = PTHREAD_COND_INITIALIZER; // a reactor that leaves has no visitor any more

// find_link returns the link that leads to `r`, NULL if there is none.  Context: under
// the lock.
static struct wf_reactor **find_link(const struct wf_reactor *r)
{
    struct wf_reactor **at = &all;

    while (*at && *at != r)
        at = &(*at)->following;
    return *at ? at : NULL;
}

void wf_registry_enter(struct wf_reactor *r)
{
    pthread_mutex_lock(&lock);
    wf_debug_assert(!find_link(r) && !r->leaving);
    r->following = all;
    all = r;
    pthread_mutex_unlock(&lock);
}

void wf_registry_leave(struct wf_reactor *r)
{
    pthread_mutex_lock(&lock);
    if (find_link(r)) {
        r->leaving = true;
        while (r->visitors > 0)
            pthread_cond_wait(&unvisited, &lock);
        wf_debug_assert(find_link(r)); // a leaving reactor is in the list until here
        *find_link(r) = r->following;
    }
    pthread_mutex_unlock(&lock);
}

static void visit_all(bool (*fn)(struct wf_reactor *, int), int fd)
{
    pthread_mutex_lock(&lock);
    for (struct wf_reactor *r = all; r; r = r->following) {
        if (r->leaving)
            continue;
        r->visitors++;
        pthread_mutex_unlock(&lock);
        fn(r, fd);
        pthread_mutex_lock(&lock);
        wf_debug_assert(r->visitors > 0 && find_link(r)); // a visited reactor stays in the list
        if (--r->visitors == 0 && r->leaving)
            pthread_cond_broadcast(&unvisited);
    }
    pthread_mutex_unlock(&lock);
}

void wf_registry_forget(int fd)
{
    visit_all(wf_source_forget, fd);
}

void wf_registry_check(int fd)
{
    visit_all(wf_source_check, fd);
}

void wf_registry_in_child(void)
{
    pthread_mutex_init(&lock, NULL); // another thread of the parent's may have held it
    pthread_cond_init(&unvisited, NULL);
    all = NULL;
}
