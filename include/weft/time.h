// Time: the monotonic clock, in signed 64-bit nanoseconds. Durations and deadlines share one type; a deadline is
// absolute.
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

// weft_after is the moment `duration` from now. It saturates: WEFT_NEVER stays WEFT_NEVER, and what would overflow
// becomes WEFT_NEVER.
// Context: any thread. Never parks.
WEFT_API weft_time weft_after(weft_time duration);

// weft_sleep parks the calling task for at least `duration`; zero or less only looks whether the task was cancelled.
//
// Returns: 0 when the time is over; -ECANCELED, -ETIMEDOUT (a scope's deadline).
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  ends the sleep at once; nothing is left behind.
WEFT_API int weft_sleep(weft_time duration);

// weft_sleep_until is weft_sleep with an absolute deadline; WEFT_NEVER sleeps until cancelled.
WEFT_API int weft_sleep_until(weft_time when);

// A ticker is a tick every period, the first one a period after weft_ticker_init. It is storage of the caller's with
// nothing to give back, for one task at a time.
//
// A tick is due whether or not anybody waits. What `missed` says is what becomes of those that nobody came for in time:
enum {
    WEFT_TICK_BURST, // they are made up for, one a wait, without pause: as many ticks as periods, sooner or later
    WEFT_TICK_DELAY, // who comes late starts the ticker anew: the next tick is a period from that late one
    WEFT_TICK_SKIP   // but for the first, they are dropped: the next tick is at the next whole period since the start
};

// weft_ticker's fields are the runtime's own.
typedef struct weft_ticker {
    weft_time weft_due;    // when the next tick is
    weft_time weft_period; // above 0
    int weft_missed;       // WEFT_TICK_*
} weft_ticker;

// weft_ticker_init starts `t`. A period that goes beyond the end of time makes a ticker without ticks.
//
// Returns: 0; -EINVAL: `period` is not above 0, or `missed` is none of the three.
// Context: any thread. Never parks.
WEFT_API int weft_ticker_init(weft_ticker *t, weft_time period, int missed);

// weft_ticker_wait waits for the next tick. One that is due already is taken at once.
//
// A caller that was in time has not missed the tick, however late it is woken. Only if it is woken a whole period late
// (the machine stood still) is that treated as if the caller had come then.
//
// Returns: 0; -ECANCELED, -ETIMEDOUT.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  no tick was taken: the next wait is for the same one.
WEFT_API int weft_ticker_wait(weft_ticker *t);

WEFT_END_DECLS

#endif
