#include "runtime/task/ticker.h"

#include <errno.h>

#include "base/assert.h"
#include "base/clock.h"
#include "runtime/wait/wait.h"

// since is how much later `now` is than `then`, even where a signed difference would
// overflow.
static uint64_t since(weft_time then, weft_time now)
{
    wf_debug_assert(now >= then);
    return (uint64_t)now - (uint64_t)then;
}

// is_missed tells whether the caller has missed the tick. A slightly late wakeup does
// not count; otherwise a ticker whose ticks are all awaited would lag more and more.
static bool is_missed(const weft_ticker *t, weft_time asked, weft_time now)
{
    return asked > t->weft_due || since(t->weft_due, now) >= (uint64_t)t->weft_period;
}

// next_whole is the first moment after `now` that is a whole number of periods after
// the tick that was due.
static weft_time next_whole(const weft_ticker *t, weft_time now)
{
    uint64_t into = since(t->weft_due, now) % (uint64_t)t->weft_period;
    return wf_after(now, t->weft_period - (weft_time)into);
}

weft_time wf_ticker_next(const weft_ticker *t, weft_time asked, weft_time now)
{
    if (t->weft_missed == WEFT_TICK_BURST || !is_missed(t, asked, now))
        return wf_after(t->weft_due, t->weft_period);
    return t->weft_missed == WEFT_TICK_DELAY ? wf_after(now, t->weft_period) : next_whole(t, now);
}

int weft_ticker_init(weft_ticker *t, weft_time period, int missed)
{
    if (period <= 0 || missed < WEFT_TICK_BURST || missed > WEFT_TICK_SKIP)
        return -EINVAL;
    *t = (weft_ticker){ wf_after(wf_now(), period), period, missed };
    return 0;
}

int weft_ticker_wait(weft_ticker *t)
{
    int err = wf_wait_begin("weft_ticker_wait");
    if (err)
        return err;
    if (t->weft_period <= 0)
        wf_misuse("weft_ticker_wait: weft_ticker_init has not set the ticker up");

    weft_time asked = wf_now();
    if ((err = wf_wait_sleep(t->weft_due)))
        return err;
    t->weft_due = wf_ticker_next(t, asked, wf_now());
    return 0;
}
