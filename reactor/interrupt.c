// Ending the sleep of a thread that waits in epoll.
//
// Other threads can wake each of the two:
//   - the worker: `until` is the end of its planned sleep, 0 while it does not sleep;
//     `interrupted` says that it must not sleep.
//   - the reactor thread: through its parker, whose state is ELSEWHERE while the thread
//     is in epoll.
// To wake either of them, the waker writes the eventfd; for each sleep only one waker
// does. The write wakes one of the two, perhaps the wrong one. The wrong one has then
// left epoll; it writes the eventfd again if the other one was called and has not
// noticed that yet. The second write reaches the other one, because the writer is not
// in epoll: the worker writes while it still holds the lease, and the reactor thread
// sleeps outside epoll for a moment after its write. A worker that is back in epoll
// before the reactor thread has run takes the event again, and passes it on again. A
// busy worker that polls beside them may take the event as well, and passes it on in
// the same way (wf_turn_beside in turn.c). So no call is lost. tests/model/eventfd.pml
// checks all of this, and standby.pml the reactor thread's side.
//
//     interrupted:     false -------- wf_interrupt_worker --------> true
//                        ^                                         |
//                        +------- wf_turn, having waited ----------+      (or instead of having waited)
//
// Edges.
//   E1  no interrupt is slept through:
//
//         interrupter (wf_interrupt_worker)        sleeper (announce in turn.c)
//         [X] interrupted = true                 [S] until = when it means to wake up
//         [L] until? write the eventfd           [L] interrupted? do not sleep
//
//       All four are seq_cst, so at least one of the two sees the other's. If the
//       interrupter does, the eventfd ends the wait, even if it has not begun. If both
//       do, the eventfd's edge is left over, and ends a later wait spuriously. An
//       interrupter that finds `interrupted` already true does nothing: the one that
//       set it writes the eventfd.
//   E2  wf_interrupt_worker's exchange (release) -> the exchange that takes it back
//       (acquire): the sleeper that returns sees what the interrupter did before
//   The third edge, `until` and `resting` against the wheels' next timers, is [W2], in
//   timer.c.
#include "reactor/interrupt.h"

#include "reactor/state.h"

void wf_interrupt_worker(struct wf_reactor *r)
{
    if (wf_exchange_seq_cst(&r->interrupted, true)) // [E1] [E2]
        return;
    if (wf_load_seq_cst(&r->until) == 0) // [E1]
        return;
    wf_epoll_interrupt(&r->epoll);
    wf_fetch_add_relaxed(&r->interrupts, 1u); // relaxed: a counter
}

void wf_interrupt_thread(struct wf_reactor *r)
{
    if (!wf_parker_wake(&r->parker)) // [P1]
        return;
    wf_epoll_interrupt(&r->epoll);
    wf_fetch_add_relaxed(&r->interrupts, 1u); // relaxed: a counter
}
