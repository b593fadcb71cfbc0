// Select: one wait for several cases, of which one happens.
//
//   1. Look. Check each case, without locks where possible; pick one of the ready ones
//      at random, and try it. If another task was faster, look again. A select that
//      finds a ready case ends here.
//   2. Join. The task enters every queue: a waiter in each channel, a node in each
//      cell. From the first queue on, other threads may decide. So a case that is ready
//      now happens only if the select wins its own choice (runtime/wait/choice.h).
//   3. Wait, until the choice is decided, or a cell is set, the timer fires, or the
//      task is cancelled. A cell, the timer and a cancel do not decide by themselves:
//      the select decides when it sees them, if no other thread has decided.
//   4. Leave all queues, and wait for the setters that are about to wake the task.
//
// Channels decide, because their messages go to one receiver only. Cells and time do
// not: their state stays true for later readers.
//
// A case that loses leaves nothing behind: its waiter was not taken, or a giver that
// did not win the choice has dropped the waiter.
#include <weft/select.h>

#include <errno.h>
#include <limits.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/rand.h"
#include "runtime/chan/chan.h"
#include "runtime/select/fd.h"
#include "runtime/state.h"
#include "runtime/wait/set.h"

// A case's state while its select waits, in the memory of the case.
union room {
    struct wf_chan_waiter chan;
    struct wf_cell_node node; // of a future
    struct wf_select_fd poll;
};

_Static_assert(sizeof(union room) <= sizeof(((weft_case *)0)->weft_room), "a case has room for what it needs");
_Static_assert(_Alignof(union room) <= _Alignof(uintptr_t), "and it is aligned for that");

// The state of a case, 0 outside of a select.
enum {
    ASKED = 1, // a descriptor: poll(2) has said no
    BEGUN = 2, // a descriptor: its struct wf_select_fd is in use
    JOINED = 4 // in a queue, or in a cell
};

enum { NONE = -1 };

// T: the selecting task, on whose stack this is
struct select {
    struct wf_task *task;       // T
    weft_case *cases;           // T
    int n;                      // T
    int first;                  // T: the time case with the nearest deadline, or NONE
    bool used;                  // T: some case has a state
    bool cells;                 // T: some case has joined a cell
    struct wf_choice choice;    // A: of all the waiters
    struct wf_wait_timer timer; // T, and the reactor's while armed
};

static const char CALL[] = "weft_select";

static union room *case_room(weft_case *c)
{
    return (union room *)(void *)c->weft_room;
}

static struct wf_cell *case_cell(const weft_case *c)
{
    return wf_future_cell(c->weft_on_done);
}

static bool decide_case(struct select *s, int number)
{
    return wf_choice_win(&s->choice, (uint32_t)number);
}

// report_case stores the result of a case.
static bool report_case(weft_case *c, int result)
{
    c->result = result;
    return true;
}

static bool report_future(weft_case *c)
{
    wf_debug_assert(weft_future_done(c->weft_on_done));
    c->value = c->weft_on_done->weft_value;
    return report_case(c, c->weft_on_done->weft_error);
}

static void mark(struct select *s, weft_case *c, unsigned char state)
{
    wf_debug_assert(!(c->weft_state & state) || state == BEGUN); // a case joins once, and poll(2) is asked once
    c->weft_state |= state;
    s->used = true;
}

// --- 1. Look -------------------------------------------------------------------------

// may tells whether a case may be ready.
static bool may(const weft_case *c)
{
    switch (c->weft_kind) {
    case WEFT_CASE_RECV:
        return c->weft_on_chan && wf_chan_may_recv(c->weft_on_chan);
    case WEFT_CASE_SEND:
        return c->weft_on_chan && wf_chan_may_send(c->weft_on_chan);
    case WEFT_CASE_FUTURE:
        return c->weft_on_done && weft_future_done(c->weft_on_done);
    case WEFT_CASE_FD:
        return c->weft_on_ready >= 0 && !(c->weft_state & ASKED) && wf_select_fd_may(c->weft_on_ready, c->weft_events);
    default:
        return false; // time: only when nothing else is ready
    }
}

// draw_case picks one of the cases that may happen, with equal probability. Returns:
// its index; NONE.
static int draw_case(const struct select *s)
{
    uint64_t lot = 0;
    uint32_t found = 0;
    int drawn = NONE;

    for (int i = 0; i < s->n; i++) {
        if (!may(&s->cases[i]))
            continue;
        if (found++ == 0) {
            drawn = i;
            continue;
        }
        if (!lot)
            lot = wf_random(s->task) | 1; // the seed of a separate sequence: never zero
        if (wf_rand_below(&lot, found) == 0)
            drawn = i;
    }
    return drawn;
}

// ask_descriptor asks poll(2) whether a descriptor is ready. Returns: true if it is
// ready, or has an error to report.
static bool ask_descriptor(struct select *s, weft_case *c)
{
    int ready = wf_select_fd_look(c->weft_on_ready, c->weft_events);

    if (ready != 0)
        return report_case(c, ready);
    mark(s, c, ASKED);
    return false;
}

// try performs a case, if that is possible without waiting. Returns: true if it has.
static bool
try
    (struct select *s, weft_case *c)
    {
        int err;

        switch (c->weft_kind) {
        case WEFT_CASE_RECV:
            err = weft_chan_try_recv(c->weft_on_chan, c->weft_to);
            return err != -EAGAIN && report_case(c, err);
        case WEFT_CASE_SEND:
            err = weft_chan_try_send(c->weft_on_chan, c->weft_from);
            return err != -EAGAIN && report_case(c, err);
        case WEFT_CASE_FUTURE:
            return report_future(c);
        default:
            return ask_descriptor(s, c);
        }
    }

// find_first finds the time case with the earliest deadline.
static void find_first(struct select *s)
{
    weft_time nearest = WEFT_NEVER;

    for (int i = 0; i < s->n; i++) {
        const weft_case *c = &s->cases[i];
        if (c->weft_kind == WEFT_CASE_TIME && c->weft_on_deadline < nearest) {
            nearest = c->weft_on_deadline;
            s->first = i;
        }
    }
}

// late handles a deadline in the past. The select will not wait, so late asks poll(2)
// for the descriptors that were not asked yet. Returns: the case that happened; NONE.
static int late(struct select *s)
{
    weft_time deadline = s->first == NONE ? WEFT_NEVER : s->cases[s->first].weft_on_deadline;

    if (deadline == WEFT_NEVER || (deadline > 0 && deadline > wf_now()))
        return NONE;
    for (int i = 0; i < s->n; i++) {
        weft_case *c = &s->cases[i];
        bool skip = c->weft_kind != WEFT_CASE_FD || c->weft_on_ready < 0 || c->weft_state & ASKED;
        if (!skip && ask_descriptor(s, c))
            return i;
    }
    report_case(&s->cases[s->first], 0);
    return s->first;
}

// look_at_cases does the first part.  Returns: the case that happened; NONE.
static int look_at_cases(struct select *s)
{
    int drawn;

    do {
        drawn = draw_case(s);
    } while (drawn != NONE && !try (s, &s->cases[drawn]));
    if (drawn != NONE)
        return drawn;
    find_first(s);
    return late(s);
}

// --- 2. Join -------------------------------------------------------------------------

// The results of joining.
enum join {
    IN,  // the case will report, or never happens
    WON, // it has happened
    LOST // another case has happened
};

static enum join join_channel(struct select *s, int i)
{
    weft_case *c = &s->cases[i];
    wf_debug_assert(!(c->weft_state & JOINED));
    struct wf_chan_waiter *w = &case_room(c)->chan;
    int err;

    wf_waiter_init(&w->waiter, s->task);
    w->waiter.choice = &s->choice;
    w->waiter.number = (uint32_t)i;
    if (c->weft_kind == WEFT_CASE_RECV) {
        w->to = c->weft_to;
        err = wf_chan_join_recv(c->weft_on_chan, w);
    } else {
        w->from = c->weft_from;
        err = wf_chan_join_send(c->weft_on_chan, w);
    }
    if (err == -EAGAIN) {
        mark(s, c, JOINED);
        return IN;
    }
    if (err == WF_CHOICE_LOST)
        return LOST;
    report_case(c, err);
    return WON;
}

static enum join join_future(struct select *s, int i)
{
    weft_case *c = &s->cases[i];
    wf_debug_assert(!(c->weft_state & JOINED));
    struct wf_cell_node *node = &case_room(c)->node;

    if (wf_wait_push(s->task, case_cell(c), node)) {
        mark(s, c, JOINED);
        s->cells = true;
        return IN;
    }
    if (!decide_case(s, i))
        return LOST;
    report_future(c);
    return WON;
}

static enum join join_fd(struct select *s, int i)
{
    weft_case *c = &s->cases[i];

    if (!(c->weft_state & BEGUN))
        wf_select_fd_begin(&case_room(c)->poll);
    mark(s, c, BEGUN);
    int ready = wf_select_fd_join(&case_room(c)->poll, c->weft_on_ready, c->weft_events);
    if (ready == 0) {
        mark(s, c, JOINED);
        s->cells = true;
        return IN;
    }
    if (!decide_case(s, i))
        return LOST;
    report_case(c, ready);
    return WON;
}

static enum join join_queue(struct select *s, int i)
{
    const weft_case *c = &s->cases[i];

    switch (c->weft_kind) {
    case WEFT_CASE_RECV:
    case WEFT_CASE_SEND:
        return c->weft_on_chan ? join_channel(s, i) : IN;
    case WEFT_CASE_FUTURE:
        return c->weft_on_done ? join_future(s, i) : IN;
    case WEFT_CASE_FD:
        return c->weft_on_ready >= 0 ? join_fd(s, i) : IN;
    default:
        return IN;
    }
}

// join_all does the second part. Returns: the case that happened; NONE: wait_all
// decides.
static int join_all(struct select *s)
{
    for (int i = 0; i < s->n; i++) {
        enum join in = join_queue(s, i);
        if (in != IN)
            return in == WON ? i : NONE;
    }
    return NONE;
}

// --- 3. Wait -------------------------------------------------------------------------

// read_cell checks a joined cell. Returns: as join_queue.
static enum join read_cell(struct select *s, int i)
{
    weft_case *c = &s->cases[i];

    if (c->weft_kind == WEFT_CASE_FUTURE) {
        if (!wf_cell_chosen(&case_room(c)->node))
            return IN;
        return decide_case(s, i) && report_future(c) ? WON : LOST;
    }
    if (c->weft_kind != WEFT_CASE_FD || !wf_select_fd_chosen(&case_room(c)->poll, c->weft_on_ready, c->weft_events))
        return IN;
    wf_select_fd_leave(&case_room(c)->poll, c->weft_on_ready, c->weft_events);
    c->weft_state &= (unsigned char)~JOINED;
    return join_fd(s, i);
}

// read_cells looks for a cell that has been set.  Returns: the case that happened;
// NONE.
static int read_cells(struct select *s)
{
    for (int i = 0; s->cells && i < s->n; i++) {
        enum join in = s->cases[i].weft_state & JOINED ? read_cell(s, i) : IN;
        if (in != IN)
            return in == WON ? i : NONE;
    }
    return NONE;
}

// granted waits until the thread that has won case `i` has delivered, and reports the
// case.
static int granted(struct select *s, int i)
{
    wf_debug_assert(i >= 0 && i < s->n);
    weft_case *c = &s->cases[i];

    wf_debug_assert(c->weft_state & JOINED && (c->weft_kind == WEFT_CASE_RECV || c->weft_kind == WEFT_CASE_SEND));
    report_case(c, wf_waiter_wait_shielded(&case_room(c)->chan.waiter, CALL, s->n));
    c->weft_state &= (unsigned char)~JOINED; // the granter has taken it out of the queue
    return i;
}

// wait_all does the third part.  Returns: the case that happened; -ECANCELED,
// -ETIMEDOUT.
static int wait_all(struct select *s)
{
    uint32_t number;
    int i, err;

    for (;;) {
        i = read_cells(s);
        if (i != NONE)
            return i;
        if (wf_wait_timer_due(&s->timer) && decide_case(s, s->first) && report_case(&s->cases[s->first], 0))
            return s->first;
        err = wf_check_cancel(s->task);
        if (err < 0 && decide_case(s, s->n))
            return err;
        wf_debug_assert(s->task == wf_self());
        if (wf_choice_won(&s->choice, &number))
            return granted(s, (int)number);
        wf_wait_park(s->task, CALL, s->n);
    }
}

// --- 4. Leave ------------------------------------------------------------------------

static void leave_queue(struct select *s, weft_case *c)
{
    unsigned char state = c->weft_state;

    c->weft_state = 0;
    if (c->weft_kind == WEFT_CASE_FD) {
        if (state & JOINED)
            wf_select_fd_leave(&case_room(c)->poll, c->weft_on_ready, c->weft_events);
        if (state & BEGUN)
            wf_select_fd_end(&case_room(c)->poll);
    } else if (state & JOINED) {
        if (c->weft_kind == WEFT_CASE_FUTURE)
            wf_wait_pull(s->task, case_cell(c), &case_room(c)->node, CALL, s->n);
        else
            wf_chan_leave(c->weft_on_chan, &case_room(c)->chan);
    }
}

static void leave_all(struct select *s)
{
    for (int i = 0; s->used && i < s->n; i++)
        leave_queue(s, &s->cases[i]);
}

WF_NOINLINE static int join_and_wait(struct select *s)
{
    wf_choice_init(&s->choice);
    int i = join_all(s);
    if (i == NONE) {
        if (s->first != NONE)
            wf_wait_timer_arm(&s->timer, s->task, s->cases[s->first].weft_on_deadline);
        i = wait_all(s);
    }
    wf_wait_timer_disarm(&s->timer);
    return i;
}

int weft_select(weft_case *c, size_t n)
{
    struct select s; // not cleared: the timer is large, and rarely used
    int err = wf_wait_begin(CALL);

    if (err < 0)
        return err;
    if (n == 0 || n > INT_MAX)
        return -EINVAL;
    s.task = wf_self();
    s.cases = c;
    s.n = (int)n;
    s.first = NONE;
    s.used = s.cells = s.timer.armed = false;
    int i = look_at_cases(&s);
    if (i != NONE)
        wf_budget_consume_self();
    else
        i = join_and_wait(&s);
    leave_all(&s);
    return i;
}
