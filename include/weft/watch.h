// weft_watch: a variable of which readers see the latest value, and can wait for the
// next one. A reader may miss values in between.
//
// Setting the value never blocks. Values are bytes of a fixed size: they are copied in
// and out. What a setter wrote before it set the value is visible to a reader of that
// value.
#ifndef WEFT_WATCH_H
#define WEFT_WATCH_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_watch weft_watch;

// weft_watch_new makes a watch whose value is the `elem_size` bytes at `initial` (NULL:
// all zero), and their version 1. Each weft_watch_set makes the next version.
//
// Returns: 0, and the watch in *out; -ENOMEM, also if the size is beyond all memory.
// Context: any thread, also outside a runtime. Never parks.
// Owns:    the caller has the one reference, and gives it up with weft_watch_unref.
WEFT_API WEFT_MUST_CHECK int weft_watch_new(weft_watch **out, size_t elem_size, const void *initial);

// weft_watch_ref takes one more reference, for another user of the watch, and returns
// `w`.
// Context: any thread that has a reference. Never parks.
WEFT_API weft_watch *weft_watch_ref(weft_watch *w);

// weft_watch_unref gives up a reference; the last one frees the watch. A waiting caller
// needs a reference until its call returns. NULL does nothing.
// Context: any thread. Never parks.
WEFT_API void weft_watch_unref(weft_watch *w);

// weft_watch_set sets the value to the bytes at `elem`, and wakes all tasks that wait
// for a change.
//
// Returns: 0; -EPIPE once closed: then the value stays as it was.
// Context: any thread, task or not. Never parks.
WEFT_API int weft_watch_set(weft_watch *w, const void *elem);

// weft_watch_close makes the current value the last one: tasks that wait for a newer
// value get -EPIPE. Closing again does nothing.
// Context: any thread. Never parks.
WEFT_API void weft_watch_close(weft_watch *w);

// weft_watch_get copies the latest value to `elem`, and its version to *version (may be
// NULL). It works on a closed watch, too.
// Context: any thread, task or not. Never parks.
WEFT_API void weft_watch_get(const weft_watch *w, void *elem, uint64_t *version);

// weft_watch_wait waits until the version differs from *version, then copies value and
// version as weft_watch_get does. Start with *version = 0 to get the current value,
// then every change except those already overwritten.
//
// Returns: 0; -EPIPE if the watch is closed and *version is its last version;
//          -ECANCELED, -ETIMEDOUT.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  on an error `elem` and *version are untouched.
WEFT_API WEFT_MUST_CHECK int weft_watch_wait(weft_watch *w, void *elem, uint64_t *version);

WEFT_END_DECLS

#endif
