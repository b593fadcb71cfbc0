// Select: wait for the first of several cases, of five kinds in any mix, and perform
// only that one.
//
//     weft_case c[] = {
//         weft_on_recv(jobs, &job),
//         weft_on_send(results, &result),
//         weft_on_fd(control, POLLIN),
//         weft_on_time(weft_after(WEFT_MS(100))),
//     };
//     switch (weft_select(c, 4)) { ... }
//
// The caller provides the storage of the cases, 128 bytes each (put thousands of them
// on the heap): a select allocates nothing. The caller may reuse an array for the next
// select, and may assign new cases in between. No other task may use the array during a
// select.
//
// A case whose object is NULL, or whose descriptor is negative, never happens: this
// switches a case off without changing the indexes of the others.
//
// Broadcasts, watches and locks cannot be cases. Let a child task wait for them and
// complete a future, or send to a channel; the future or the channel is the case. The
// end of a task is a case through weft_task_future.
#ifndef WEFT_SELECT_H
#define WEFT_SELECT_H

#include <poll.h>
#include <weft/base.h>
#include <weft/chan.h>
#include <weft/future.h>

WEFT_BEGIN_DECLS

// weft_case is one case to wait for. The program may read `result` and `value` of the
// case that happened; the other fields are the runtime's.
typedef struct weft_case {
    int result;
    unsigned char weft_kind;
    unsigned char weft_state;
    short weft_events;
    union {
        intptr_t value;        // weft_on_future: the value
        const void *weft_from; // weft_on_send: the message
        void *weft_to;         // weft_on_recv: room for it
    };
    union {
        weft_chan *weft_on_chan;
        weft_future *weft_on_done;
        weft_time weft_on_deadline;
        int weft_on_ready;
    };
    uintptr_t weft_room[13]; // the runtime's during a select; need not be initialised
} weft_case;

// The values of weft_kind, set by the functions below.
enum { WEFT_CASE_RECV, WEFT_CASE_SEND, WEFT_CASE_FUTURE, WEFT_CASE_FD, WEFT_CASE_TIME };

// weft_case_of initialises a case of any kind, for the functions below.
static inline weft_case weft_case_of(unsigned char kind)
{
    weft_case c;
    c.result = 0;
    c.weft_state = 0;
    c.weft_kind = kind;
    return c;
}

// weft_on_recv: a message of `ch` was received into `elem`, as by weft_chan_recv.
// result: 0, or -EPIPE if the channel is closed and drained.
static inline weft_case weft_on_recv(weft_chan *ch, void *elem)
{
    weft_case c = weft_case_of(WEFT_CASE_RECV);
    c.weft_to = elem;
    c.weft_on_chan = ch;
    return c;
}

// weft_on_send: the message at `elem` was sent, as by weft_chan_send. The bytes are
// those at the moment of the send.
// result: 0, -EPIPE if the channel is closed, or -ENOMEM from an unbounded one.
static inline weft_case weft_on_send(weft_chan *ch, const void *elem)
{
    weft_case c = weft_case_of(WEFT_CASE_SEND);
    c.weft_from = elem;
    c.weft_on_chan = ch;
    return c;
}

// weft_on_future: `f` is completed.
// result: 0 and the value in `value`, or the future's error, as of weft_await. (The
// value of weft_task_future(t) is the task's result; the handle must still be joined or
// detached.)
static inline weft_case weft_on_future(weft_future *f)
{
    weft_case c = weft_case_of(WEFT_CASE_FUTURE);
    c.value = 0;
    c.weft_on_done = f;
    return c;
}

// weft_on_fd: `fd` is ready for one of `events` (POLLIN, POLLOUT, ...). The select
// reads nothing from it; the caller does that next. result: the revents of poll(2),
// above 0; or an error, as of weft_poll: -EBADF, -EPERM, -ENOMEM.
static inline weft_case weft_on_fd(int fd, short events)
{
    weft_case c = weft_case_of(WEFT_CASE_FD);
    c.weft_events = events;
    c.weft_on_ready = fd;
    return c;
}

// weft_on_time: `deadline` has come, and no other case has happened. With a deadline in
// the past (0, for example) a select only checks whether another case is ready: those
// take precedence.
// result: 0.
static inline weft_case weft_on_time(weft_time deadline)
{
    weft_case c = weft_case_of(WEFT_CASE_TIME);
    c.weft_on_deadline = deadline;
    return c;
}

// weft_select waits until one of `n` cases happens. If several are ready, it picks one
// at random, with equal probability. The others have no effect: no message is sent or
// taken, no place in a queue is kept. The same channel may appear any number of times,
// in both directions too: a select does not pass a message to itself.
//
// Returns: the index of the case that happened; -ECANCELED, -ETIMEDOUT (a scope's
//          deadline): none happened, and the cases are as before; -EINVAL if n is 0 or
//          above INT_MAX.
// Context: task. May park, so the caller may continue on another thread.
// Cancel:  no case has happened. A case that happens while the task is being cancelled
//          is reported.
WEFT_API int weft_select(weft_case *c, size_t n);

WEFT_END_DECLS

#endif
