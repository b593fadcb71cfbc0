#include "base/origin.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/sys.h"
#include "base/timeslice.h"

int wf_origin_new(struct wf_origin **out, bool pinned)
{
    struct wf_origin *o = wf_alloc(sizeof(*o));

    if (!o || (pinned && wf_cpus_save(&o->cpus) < 0)) {
        wf_free(o);
        return -ENOMEM;
    }
    pthread_sigmask(SIG_BLOCK, NULL, &o->mask);
    o->slack = wf_sys_prctl(PR_GET_TIMERSLACK, 0);
    *out = o;
    return 0;
}

void wf_origin_free(struct wf_origin *o)
{
    wf_cpus_forget(o->cpus);
    wf_free(o);
}

void wf_origin_take(const struct wf_origin *o)
{
    wf_slice_ask(WF_SLICE_USUAL);
    if (!o)
        return;
    wf_debug_assert(o->slack >= -4095); // negative: the kernel did not tell
    if (o->slack > 0)
        (void)wf_sys_prctl(PR_SET_TIMERSLACK, (unsigned long)o->slack);
    if (o->cpus)
        wf_cpus_take(o->cpus);
}
