// The arithmetic of tickers, apart from the waiting.
#ifndef WF_RUNTIME_TICKER_H
#define WF_RUNTIME_TICKER_H

#include <weft/time.h>

// wf_ticker_next is when the tick after the one that is due at t->weft_due comes, if that one is taken at `now`, not
// before it is due, by a caller that began to wait at `asked`.
weft_time wf_ticker_next(const weft_ticker *t, weft_time asked, weft_time now);

#endif
