// Looks at tasks from outside. The asking thread reads a parked task where it is. It
// asks a worker, by a signal, which task the worker runs.
//
// Only one thread at a time asks (`asking`), and it asks one worker at a time:
//
//          the asking thread                        the worker's handler
//      IDLE ----------------> ASKED -----------------------> ANSWERING -----> ANSWERED
//       ^  <-------------------- |                                               |
//       |   it has waited enough                                                 |
//       +------------------------------------------------------------------------+
//
//   `answer` belongs to the handler from ANSWERING to ANSWERED, and to the asking
//   thread at all other times. A signal that comes too late finds IDLE, or finds that
//   another worker is asked, and does nothing.
//
// Edges.
//   S4  the handler's ANSWERED (release) -> the asking thread's load (acquire): the answer
//   S5  the asking thread's ASKED (release) -> the handler's compare-and-swap (acquire):
//       which worker is asked, and that the last answer has been read
//   S6  wf_sight_end's store to `asking` (release) -> wf_sight_begin's exchange
//       (acquire): the former asking thread no longer accesses `state`, `whom` and
//       `answer`
//   S7  wf_sight_leave clears `sighted` under `asking` [S6]. wf_sight_worker loads it
//       under `asking` as well. So it finds the worker's thread alive, or does not
//       access that thread
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/futex.h"
#include "base/handler.h"
#include "base/sys.h"
#include "sched/arch/unwind.h"
#include "sched/state.h"

enum { IDLE, ASKED, ANSWERING, ANSWERED };

static _Atomic bool asking;              // A: a thread asks
static _Atomic uint32_t state;           // A: above; a futex
static _Atomic(struct wf_worker *) whom; // A: [S5]
static struct wf_sighting answer;        // see above

// low_of and high_of are the bounds of a task's stack.
static const char *low_of(const struct wf_task *task)
{
    return task->stack->base;
}

static const char *high_of(const struct wf_task *task)
{
    return task->stack->top;
}

void wf_trace_held(const struct wf_task *task, struct wf_trace *out)
{
    const void *sp = task == wf_self() ? NULL : task->context.sp;

    out->depth = 0;
    if (task->stack)
        out->depth = wf_unwind(sp, low_of(task), high_of(task), out->pc, WF_FRAMES_MAX);
}

// answer_now is the handler's part. The signal may interrupt a switch. Then the worker
// is not on the stack of its current task, and the answer has no frames.
static void answer_now(void)
{
    const struct wf_task *task = wf_self();

    memset(&answer, 0, sizeof(answer));
    answer.answered = true;
    if (!task || !task->stack)
        return;
    answer.id = task->id;
    answer.name = task->name;
    answer.trace.depth = wf_unwind(NULL, low_of(task), high_of(task), answer.trace.pc, WF_FRAMES_MAX);
}

static void on_signal(int sig, siginfo_t *info, void *context);

static struct wf_handler handler = { .signal = SIGWINCH, .fn = on_signal, .flags = SA_RESTART };

static void on_signal(int sig, siginfo_t *info, void *context)
{
    uint32_t seen = ASKED;
    struct wf_worker *w = wf_thread_self()->worker;
    int before = errno;
    (void)sig;

    if (info->si_code != SI_QUEUE || info->si_value.sival_ptr != &handler) {
        if (handler.previous.sa_handler != SIG_DFL) // the default is to do nothing, as this does
            wf_handler_pass_on(&handler, info, context);
        return;
    }
    if (w && w == wf_load_relaxed(&whom) && wf_cas_acquire(&state, &seen, ANSWERING)) { // relaxed: [S5] confirms it
        answer_now();
        wf_store_release(&state, ANSWERED); // [S4]
        wf_futex_wake(&state, 1);
    }
    errno = before;
}

void wf_sight_reset(void)
{
    wf_store_relaxed(&state, (uint32_t)IDLE); // relaxed, both: there is no other thread
    wf_store_relaxed(&asking, false);
}

bool wf_sight_begin(void)
{
    if (wf_exchange_acq_rel(&asking, true)) // [S6]
        return false;
    if (wf_handler_try_use(&handler))
        return true;
    wf_store_release(&asking, false); // [S6]
    return false;
}

void wf_sight_end(void)
{
    wf_handler_drop(&handler);
    wf_store_release(&asking, false); // [S6]
}

// await_answer returns false if there is none.
static bool await_answer(void)
{
    int64_t deadline = wf_after(wf_now(), WF_SIGHT_NS);
    uint32_t seen;

    while ((seen = wf_load_acquire(&state)) != ANSWERED) { // [S4]
        uint32_t asked = ASKED;
        if (wf_now() < deadline || seen == ANSWERING)
            wf_futex_wait(&state, seen, seen == ANSWERING ? WF_NEVER : deadline);
        else if (wf_cas_relaxed(&state, &asked, IDLE)) // relaxed: the handler has written nothing
            return false;
    }
    return true;
}

// ask sends the signal.  Returns: false if it cannot be sent.
static bool ask(struct wf_worker *w)
{
    siginfo_t info = { .si_signo = SIGWINCH, .si_code = SI_QUEUE };

    info.si_pid = wf_sys_getpid();
    info.si_value.sival_ptr = &handler;
    wf_store_relaxed(&whom, w);      // relaxed: [S5]
    wf_store_release(&state, ASKED); // [S5]
    return wf_handler_installed(&handler) && wf_sys_tgsigqueueinfo(info.si_pid, w->tid, SIGWINCH, &info) == 0;
}

void wf_sight_enter(struct wf_worker *w)
{
    wf_store_release(&w->sighted, true); // release: `thread` and `tid` are set
}

void wf_sight_leave(struct wf_worker *w)
{
    while (wf_exchange_acq_rel(&asking, true)) // [S6]
        wf_sys_sched_yield();
    wf_store_relaxed(&w->sighted, false); // relaxed: [S7]
    wf_store_release(&asking, false);     // [S6]
}

bool wf_sight_worker(struct wf_sched *s, unsigned worker, struct wf_sighting *out)
{
    struct wf_worker *w = &s->workers[worker];

    memset(out, 0, sizeof(*out));
    if (!wf_load_acquire(&w->sighted) || !wf_worker_current(w)) // acquire: as in wf_sight_enter; [S7]
        return false;
    if (wf_worker_is_self(w)) {
        answer_now();
        *out = answer;
        return out->id != 0;
    }
    if (ask(w) && await_answer())
        *out = answer;
    wf_store_relaxed(&state, (uint32_t)IDLE); // relaxed: the answer is read; [S5] publishes that
    return !out->answered || out->id != 0;
}
