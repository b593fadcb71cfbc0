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
// Returns: 0 when the time is over; -ECANCELED.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  ends the sleep at once; nothing is left behind.
WEFT_API int weft_sleep(weft_time duration);

// weft_sleep_until is weft_sleep with an absolute deadline; WEFT_NEVER sleeps until cancelled.
WEFT_API int weft_sleep_until(weft_time when);

WEFT_END_DECLS

#endif
