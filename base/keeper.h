// The keeper of a thread: the party that must know if the thread ends before its time,
// by pthread_exit in code that weft calls (or by pthread_cancel, on a thread that has
// not turned that off).
#ifndef WF_BASE_KEEPER_H
#define WF_BASE_KEEPER_H

struct wf_keeper {
    void (*lost)(struct wf_keeper *); // called by the ending thread, its stack unwound, its thread-locals intact
};

// wf_keeper_set makes `k` the keeper of the calling thread; NULL: it may end.  Returns:
// the one that it had. Best effort: without a free pthread key in the process the
// keeper is not told.
struct wf_keeper *wf_keeper_set(struct wf_keeper *k);

#endif
