// The readers-writer lock, as tests see it.
#ifndef WF_RUNTIME_SYNC_RWLOCK_H
#define WF_RUNTIME_SYNC_RWLOCK_H

#include <weft/sync.h>

// wf_rwlock_check asserts that the word and the queue are in a state of rwlock.c's
// diagram.
// Context: any thread; takes the queue's lock.
void wf_rwlock_check(weft_rwlock *l);

#endif
