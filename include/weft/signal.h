// Signals of the system as messages in a channel.
//
//     weft_chan *signals;                                   // of int, with room for two
//     int signo;
//     if (weft_chan_new(&signals, sizeof(int), 2) == 0 && weft_signal_notify(signals, SIGTERM) == 0 &&
//         weft_signal_notify(signals, SIGINT) == 0 && weft_chan_recv(signals, &signo) == 0)
//         ...                                               // SIGTERM or SIGINT has arrived
//     weft_signal_stop(signals);                            // both have their old effect again
//     weft_chan_unref(signals);
//
// Several channels may be notified of one signal, and each gets it. One channel may be
// notified of several signals. Tasks of any runtime may receive, and so may threads, by
// weft_chan_try_recv.
//
// What arrives. Each time the kernel delivers the signal to the process, on any thread,
// weft sends one int, the signal's number, to each channel that is notified of it. A
// channel without room loses that message, just as the kernel merges ordinary signals
// that are pending twice. So a channel should have room for at least one message of
// each signal. (A rendezvous channel gets the message only if a task is waiting in it.)
// The order of two different signals may change. weft does not merge signals. A signal
// that every thread of the program blocks never arrives: do not block it. Calls on the
// program's other threads are not interrupted (SA_RESTART), except those that signal(7)
// lists as always interrupted.
//
// What else changes. While a signal has channels, weft's handler replaces the program's
// disposition, which is restored when the last channel is stopped. Signals that arrive
// later have their old effect; those that arrived earlier are in the channel. If the
// program installs a handler while channels are notified, that handler gets the
// signals, and weft does not remove it. In a child of fork no channel is notified, and
// the old dispositions apply; a program started by posix_spawn(3) or weft_process_spawn
// has the default action. A thread of weft sends the messages; it exists while any
// channel is notified.
//
// A notification holds a reference to its channel, and keeps no runtime alive. In a
// test run (weft/test.h) signals are real, as descriptors are. weft sends the messages
// to channels of the run when all tasks are parked; the seed fixes the moment if the
// run itself raises the signal. If a task waits in such a channel, and nothing else can
// wake a task, the run waits for the signal and reports no deadlock.
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include <signal.h> // SIGTERM and the others
#include <weft/base.h>
#include <weft/chan.h>

WEFT_BEGIN_DECLS

// weft_signal_notify makes weft send `signo` to `c`, whose messages are ints, each time
// that the signal arrives from now on. A second call with the same two arguments does
// nothing.
//
// Returns: 0; -EINVAL if the messages of `c` are not of the size of an int, or `signo`
//          is not a signal, or is one that weft does not deliver: SIGKILL, SIGSTOP;
//          SIGCHLD, which belongs to the code that starts processes (weft/process.h
//          does not need it); the signals that the program's own instructions cause
//          (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT); -ENOMEM;
//          -EAGAIN if the system refuses a thread. On an error nothing has changed.
// Context: any thread, task or not. Never parks.
// Owns:    a reference to `c`, until weft_signal_stop.
WEFT_API WEFT_MUST_CHECK int weft_signal_notify(weft_chan *c, int signo);

// weft_signal_stop ends all notifications of `c`. When it returns, earlier signals are
// in the channel, and no more arrive. Signals without another channel have their old
// effect again. The channel stays open.
//
// Returns: 0, also if there was none.
// Context: any thread, task or not. Never parks; the last one waits for weft's thread to
//          end, some microseconds.
WEFT_API int weft_signal_stop(weft_chan *c);

WEFT_END_DECLS

#endif
