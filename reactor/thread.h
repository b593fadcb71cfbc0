// The reactor thread.
#ifndef WF_REACTOR_THREAD_H
#define WF_REACTOR_THREAD_H

// wf_reactor_thread is the thread's main function; it ends when r->quit is set and the
// thread has been woken.
void *wf_reactor_thread(void *reactor);

#endif
