// Signals of the system as messages in a channel.
//
//     weft_chan *signals;                                   // of int, with room for two
//     int signo;
//     if (weft_chan_new(&signals, sizeof(int), 2) == 0 && weft_signal_notify(signals, SIGTERM) == 0 &&
//         weft_signal_notify(signals, SIGINT) == 0 && weft_chan_recv(signals, &signo) == 0)
//         ...                                               // SIGTERM or SIGINT has come
//     weft_signal_stop(signals);                            // both do again what they did before
//     weft_chan_unref(signals);
//
// Several channels may be notified of one signal, and each gets it; one channel may be
// notified of several signals. The tasks of any runtime, and threads by
// weft_chan_try_recv, may receive.
//
// What arrives. Each time that the kernel delivers the signal to the process, on
// whichever thread, one int, the signal's number, is sent to each of its channels that
// has room. For a channel without room that arrival is lost, as the kernel itself merges
// ordinary signals that are pending twice: so a channel should have room for one message
// of each signal at least. (A rendezvous channel gets it only if a task waits in it just
// then.) The order of two different signals may change; those of one are not merged by
// weft. A signal that every thread of the program blocks never arrives: do not block it.
// Calls on the program's other threads are not interrupted (SA_RESTART), but for those
// that always are (signal(7)).
//
// What else changes. While a signal has channels, weft's handler for it stands in place
// of the program's disposition, which comes back when the last channel is stopped:
// signals that arrive after that do what they did before, those that arrived before it
// are in the channel. If the program installs a handler meanwhile, that one gets the
// signals, and stays. In a child of fork no channel is notified, and the old dispositions
// hold; a program that posix_spawn(3) or weft_process_spawn starts has the default action.
// One thread of weft's own sends the messages. It exists while any channel is notified.
//
// A notified channel keeps no runtime alive. It does keep a reference to the channel. In
// a test run (weft/test.h) signals are real, as descriptors are: what a task of the run
// has asked for is sent when all tasks are parked, at a point that the seed fixes if the
// run raises the signal itself; and if a task waits in such a channel, and nothing else
// can wake one, then the run waits for the signal and reports no deadlock.
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include <signal.h> // SIGTERM and the others
#include <weft/base.h>
#include <weft/chan.h>

WEFT_BEGIN_DECLS

// weft_signal_notify has the number of each signal `signo` that arrives from now on sent
// to `c`, whose messages are ints. Again for the same two it does nothing.
//
// Returns: 0; -EINVAL if the messages of `c` are not of the size of an int, or `signo`
//          is not a signal, or cannot be had in this way: SIGKILL, SIGSTOP; SIGCHLD, which
//          belongs to whatever starts processes (weft/process.h needs none); those that
//          an instruction of the program causes (SIGSEGV, SIGBUS, SIGFPE, SIGILL,
//          SIGTRAP, SIGSYS, SIGABRT); -ENOMEM; -EAGAIN if the system refuses a thread.
//          On an error nothing has changed.
// Context: any thread, task or not. Never parks.
// Owns:    a reference to `c`, until weft_signal_stop.
WEFT_API WEFT_MUST_CHECK int weft_signal_notify(weft_chan *c, int signo);

// weft_signal_stop ends all notifications of `c`. What has arrived before is in the
// channel when it returns, and nothing comes any more. Signals that have no other
// channel do what they did before. The channel stays open.
//
// Returns: 0, also if there was none.
// Context: any thread, task or not. Never parks; the last one waits for weft's thread to
//          end, some microseconds.
WEFT_API int weft_signal_stop(weft_chan *c);

WEFT_END_DECLS

#endif
