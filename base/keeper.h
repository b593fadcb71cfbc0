// The keeper of a thread is called if the thread ends too early, by pthread_exit in
// code that weft calls (or by pthread_cancel, on a thread that has not disabled that).
#ifndef WF_BASE_KEEPER_H
#define WF_BASE_KEEPER_H

struct wf_keeper {
    void (*lost)(struct wf_keeper *); // called by the ending thread, its stack unwound, its thread-locals intact
};

// wf_keeper_set makes `k` the keeper of the calling thread; NULL: the thread may end.
// Returns: the previous keeper. Best effort: without a free pthread key in the process
// the keeper is not called.
struct wf_keeper *wf_keeper_set(struct wf_keeper *k);

#endif
