// The semaphore, as tests see it.
#ifndef WF_RUNTIME_SYNC_SEM_H
#define WF_RUNTIME_SYNC_SEM_H

#include <weft/sync.h>

// wf_sem_check asserts that the word and the queue are in a state of sem.c's diagram.
// Context: any thread; takes the queue's lock.
void wf_sem_check(weft_sem *s);

#endif
