// The arithmetic of tickers, apart from the waiting.
#ifndef WF_RUNTIME_TICKER_H
#define WF_RUNTIME_TICKER_H

#include <weft/time.h>

// wf_ticker_next is the time of the tick after the one due at t->weft_due, if a caller
// that began to wait at `asked` takes the due tick at `now`; `now` is not before it is
// due.
weft_time wf_ticker_next(const weft_ticker *t, weft_time asked, weft_time now);

#endif
