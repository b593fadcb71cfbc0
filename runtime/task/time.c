#include <errno.h>
#include <weft/time.h>

#include "base/clock.h"
#include "runtime/wait/scope.h"
#include "runtime/wait/wait.h"

weft_time weft_now(void)
{
    return wf_now();
}

weft_time weft_after(weft_time duration)
{
    return duration == WEFT_NEVER ? WEFT_NEVER : wf_after(wf_now(), duration);
}

int weft_sleep_until(weft_time when)
{
    int err = wf_wait_begin("weft_sleep");
    return err ? err : wf_wait_sleep(when);
}

int weft_sleep(weft_time duration)
{
    return weft_sleep_until(weft_after(duration));
}

int weft_timeout(weft_time duration, weft_fn *fn, void *arg)
{
    weft_scope scope;

    weft_scope_open(&scope, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&scope, weft_after(duration));
    int result = fn(arg);
    struct wf_scope *s = wf_scope_inside(&scope);
    bool is_late = wf_load_acquire(&s->outcome) != 0; // [K4] it has no children: its deadline has decided
    (void)weft_scope_close(&scope);
    return is_late && result < 0 ? -ETIMEDOUT : result;
}
