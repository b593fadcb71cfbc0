#include <weft/time.h>

#include "base/clock.h"
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
