// Time: the monotonic clock, in signed 64-bit nanoseconds. Durations and deadlines
// share one type; a deadline is absolute.
#ifndef WEFT_TIME_H
#define WEFT_TIME_H

#include <weft/base.h>

#define WEFT_US(n) ((weft_time)(n)*1000)
#define WEFT_MS(n) ((weft_time)(n)*1000000)
#define WEFT_S(n) ((weft_time)(n)*1000000000)

WEFT_BEGIN_DECLS

// weft_now reads the monotonic clock.
// Context: any thread. Never parks.
WEFT_API weft_time weft_now(void);

// weft_after is the moment `duration` from now. It saturates: WEFT_NEVER stays
// WEFT_NEVER, and a sum that would overflow becomes WEFT_NEVER.
// Context: any thread. Never parks.
WEFT_API weft_time weft_after(weft_time duration);

// weft_sleep parks the calling task for at least `duration`; zero or less only checks
// whether the task was cancelled.
//
// Returns: 0 when the time is over; -ECANCELED, -ETIMEDOUT (a scope's deadline).
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  ends the sleep at once; nothing is left behind.
WEFT_API int weft_sleep(weft_time duration);

// weft_sleep_until is weft_sleep with an absolute deadline; WEFT_NEVER sleeps until
// cancelled.
WEFT_API int weft_sleep_until(weft_time when);

// A ticker ticks every period, first one period after weft_ticker_init. The caller
// provides the storage; there is no function to destroy it. One task at a time may use
// it.
//
// Ticks become due whether or not a task waits. `missed` says what happens to ticks for
// which no task waited in time:
enum {
    WEFT_TICK_BURST, // they are delivered back to back, one a call: in the end, as many ticks as periods
    WEFT_TICK_DELAY, // a late wait restarts the period: the next tick is one period after the late one
    WEFT_TICK_SKIP   // all but the first are dropped: the next tick is at the next whole period since the start
};

// weft_ticker's fields are the runtime's own.
typedef struct weft_ticker {
    weft_time weft_due;    // when the next tick is
    weft_time weft_period; // above 0
    int weft_missed;       // WEFT_TICK_*
} weft_ticker;

// weft_ticker_init starts `t`. With a period that exceeds the range of weft_time the
// ticker never ticks.
//
// Returns: 0; -EINVAL: `period` is not above 0, or `missed` is none of the three.
// Context: any thread. Never parks.
WEFT_API int weft_ticker_init(weft_ticker *t, weft_time period, int missed);

// weft_ticker_wait waits for the next tick. One that is due already is taken at once.
//
// A caller already waiting when the tick is due does not count as late, however long
// its wakeup takes. There is one exception: if its wakeup is a whole period late (the
// machine was suspended), the call counts as made at that later time.
//
// Returns: 0; -ECANCELED, -ETIMEDOUT.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  no tick was taken: the next wait is for the same one.
WEFT_API int weft_ticker_wait(weft_ticker *t);

WEFT_END_DECLS

#endif
