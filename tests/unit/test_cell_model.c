// The cell under every schedule: base/cell.c is compiled into this program with a yield
// before each atomic operation, and a few actors run it in all interleavings, or in all
// that preempt an actor a few times at most.
//
// The interleavings are sequentially consistent: memory orders are ThreadSanitizer's
// part, in test_cell.c.
//
// A scenario is a script for the undisturbed beginning, and one for each actor:
//
//   p0  push node 0                              s   set, unless it is set
//   l0  leave; if that fails, wait for the signal a   set again: as the reactor does, whatever it was
//   w0  wait for the signal                      c   clear what is seen, if anything
//
// l and w do nothing if the push found the cell set.
#undef WF_DEBUG // an assertion that loads would be a step, and a check at some entries only, another schedule
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include "base/atomic.h"
#include "base/lock.h"
#include "tests/support/harness.h"

static void step(const char *what, bool writes);
static void relax(unsigned *turns);

#undef wf_load_relaxed
#undef wf_load_acquire
#undef wf_store_relaxed
#undef wf_store_release
#undef wf_cas_acquire
#undef wf_cas_acq_rel
#define wf_load_relaxed(p) (step("load " #p, false), atomic_load(p))
#define wf_load_acquire(p) wf_load_relaxed(p)
#define wf_store_relaxed(p, v) atomic_store((p), (v)) // only used for data that is not shared yet
#define wf_store_release(p, v) (step("store " #p, true), atomic_store((p), (v)), step("", false)) // a node may go now
#define wf_cas_acquire(p, expected, v) (step("cas " #p, true), atomic_compare_exchange_strong((p), (expected), (v)))
#define wf_cas_acq_rel(p, expected, v) wf_cas_acquire((p), (expected), (v))
#define wf_relax relax

// Names of its own, lest the library's be meant.
#define wf_cell_set model_cell_set
#define wf_cell_push model_cell_push
#define wf_cell_leave model_cell_leave
#define wf_cell_check model_cell_check
#include "base/cell.c" // NOLINT: it is the point of this test

#ifdef WF_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)0)
#endif

#ifdef WF_VALGRIND
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(from, to) ((void)0)
#endif

#ifdef WF_TSAN
enum { SKIP = true }; // it does not follow swapcontext, and would find nothing in one thread
#else
enum { SKIP = false };
#endif

enum { ACTORS = 3, NODES = 4, DEPTH = 400, STACK = 1 << 16, NOBODY = -1 };

struct scenario {
    const char *beginning;
    const char *actors[ACTORS];
};

struct actor {
    ucontext_t context;
    bool begun; // it stands before its first step
    bool done;
    uint64_t spins_at; // it waits for a write: the count of writes when it last looked; 0: it does not wait
};

// A branch of the schedule: the actors that could continue, as bits, and the one that
// did in this execution.
struct branch {
    unsigned could;
    int did;
};

static const struct scenario *scenario;
static struct actor actors[ACTORS];
static char stacks[ACTORS][STACK];
static ucontext_t explorer;
static int running; // an actor, or NOBODY: then nothing yields

static struct branch branches[DEPTH];
static unsigned depth, depth_recorded;
static unsigned preemptions, preemptions_max;
static uint64_t writes;

static struct {
    int actor;
    const char *what;
} trace[DEPTH];

// What happened in this execution.
static struct wf_cell cell;
static struct wf_cell_node waits[NODES];
static bool pushed[NODES], left[NODES], over[NODES];
static int fired[NODES];
static unsigned sets, clears;
static uintptr_t sum_set, sum_cleared, last_value;

static void expect_at(bool holds, const char *what, int line)
{
    if (holds)
        return;
    printf("line %d: not so: %s\n  %s | %s | %s | %s\n", line, what, scenario->beginning, scenario->actors[0],
           scenario->actors[1], scenario->actors[2] ? scenario->actors[2] : "");
    for (unsigned i = 0; i < depth; i++)
        printf("  %*s%s\n", 30 * trace[i].actor, "", trace[i].what);
    fflush(stdout);
    fail();
}
#define expect(holds) expect_at((holds), #holds, __LINE__)

// --- the explorer ---

static unsigned runnable(void)
{
    unsigned set = 0;
    for (int i = 0; i < ACTORS; i++)
        if (!actors[i].done && (!actors[i].spins_at || actors[i].spins_at < writes))
            set |= 1u << i;
    return set;
}

// choose chooses the actor that continues: as recorded; after that the one that ran,
// else the first.
static int choose(void)
{
    unsigned could = runnable();
    bool may_go_on = running != NOBODY && (could >> running & 1);
    struct branch *b = &branches[depth];

    expect(could != 0); // else all wait indefinitely: a lost wake
    expect(depth + 1 < DEPTH);
    if (may_go_on && preemptions == preemptions_max)
        could = 1u << running;
    if (depth >= depth_recorded) {
        *b = (struct branch){ could, may_go_on ? running : __builtin_ctz(could) };
        b->could &= ~(1u << b->did); // what is left to try
        depth_recorded = depth + 1;
    }
    preemptions += may_go_on && b->did != running;
    depth++;
    return b->did;
}

static void switch_to(int next)
{
    int self = running;

    trace[depth - 1].actor = next;
    running = next;
    if (next != self)
        swapcontext(self == NOBODY ? &explorer : &actors[self].context, &actors[next].context);
}

// step is where an actor may be stopped, before an atomic operation.
static void step(const char *what, bool does_write)
{
    int self = running;

    if (self == NOBODY)
        return;
    if (actors[self].begun) {
        switch_to(choose());
    } else {
        actors[self].begun = true;
        running = NOBODY;
        swapcontext(&actors[self].context, &explorer);
    }
    actors[self].spins_at = 0;
    writes += does_write;
    trace[depth - 1].what = what;
}

// relax waits until another actor has written.
static void relax(unsigned *turns)
{
    (void)turns;
    expect(running != NOBODY);
    actors[running].spins_at = writes;
    step("wait", false);
}

// backtrack changes the last choice that has an alternative.  Returns: false when all
// have been tried.
static bool backtrack(void)
{
    while (depth_recorded > 0) {
        struct branch *b = &branches[depth_recorded - 1];
        if (b->could) {
            b->did = __builtin_ctz(b->could);
            b->could &= b->could - 1;
            return true;
        }
        depth_recorded--;
    }
    return false;
}

// --- the scripts ---

static void note_fired(void *arg)
{
    step("fire", true);
    ++*(int *)arg;
}

// bury makes a node that is its owner's again unusable for all others.
static void bury(int k)
{
    over[k] = true;
    memset(&waits[k], 0xee, sizeof(waits[k]));
    ASAN_POISON_MEMORY_REGION(&waits[k], sizeof(waits[k]));
}

// await_signal waits as a task does: it looks again only when its waker has fired once
// more.
static void await_signal(int k)
{
    unsigned turns = 0;

    for (int seen = 0; !wf_cell_chosen(&waits[k]); seen = fired[k])
        while (fired[k] == seen)
            relax(&turns);
    while (!wf_cell_signalled(&waits[k]))
        relax(&turns);
    expect(sets > 0);
    bury(k);
}

static void push(int k)
{
    waits[k].waker = (struct wf_waker){ note_fired, &fired[k] };
    pushed[k] = wf_cell_push(&cell, &waits[k]);
}

static void leave(int k)
{
    if (!wf_cell_leave(&cell, &waits[k])) {
        await_signal(k);
        return;
    }
    left[k] = true;
    expect(atomic_load(&waits[k].state) == WF_CELL_WAITING);
    bury(k);
}

static void set(bool again)
{
    uintptr_t value = last_value += 10; // with bits that are flags, or a node's address, elsewhere

    step("set", false);
    sets++; // before others can know
    sum_set += value;
    if (!wf_cell_set(&cell, value, again)) {
        sets--;
        sum_set -= value;
        return;
    }
    uintptr_t word = atomic_load(&cell.word);
    expect((word & WF_CELL_SET) || clears > 0);
}

static void clear(void)
{
    uintptr_t seen = wf_cell_value(&cell);

    if (seen && wf_cell_clear(&cell, seen)) {
        clears++;
        sum_cleared += seen - 1;
    }
}

static void perform(const char *script)
{
    for (; script && *script; script++) {
        int k = strchr("plw", *script) ? script[1] - '0' : 0;
        switch (*script) {
        case 'p':
            push(k);
            break;
        case 'l':
            if (pushed[k])
                leave(k);
            break;
        case 'w':
            if (pushed[k])
                await_signal(k);
            break;
        case 's':
        case 'a':
            set(*script == 'a');
            break;
        case 'c':
            clear();
            break;
        default: // a node's number
            break;
        }
    }
}

static void be_actor(int i)
{
    perform(scenario->actors[i]);
    actors[i].done = true;
    writes++;
    if (runnable()) {
        switch_to(choose());
    } else {
        for (int k = 0; k < ACTORS; k++)
            expect(actors[k].done); // else the rest waits indefinitely: a lost wake
        running = NOBODY;
        setcontext(&explorer);
    }
    fail(); // an actor that has ended is not resumed: to return would end the program, as if all were well
}

// --- one execution ---

static void reset(void)
{
    ASAN_UNPOISON_MEMORY_REGION(waits, sizeof(waits));
    memset(waits, 0xa5, sizeof(waits));
    memset(pushed, 0, sizeof(pushed));
    memset(left, 0, sizeof(left));
    memset(over, 0, sizeof(over));
    memset(fired, 0, sizeof(fired));
    wf_cell_init(&cell);
    sets = clears = 0;
    sum_set = sum_cleared = last_value = 0;
    depth = preemptions = 0;
    writes = 1;
}

// blank fills a context, and is not inlined: getcontext returns twice, for all that gcc
// knows.
static WF_NOINLINE void blank(ucontext_t *context)
{
    getcontext(context);
}

static void start_actors(void)
{
    for (int i = 0; i < ACTORS; i++) {
        actors[i].done = !scenario->actors[i];
        actors[i].begun = false;
        actors[i].spins_at = 0;
        if (actors[i].done)
            continue;
        blank(&actors[i].context);
        actors[i].context.uc_stack.ss_sp = stacks[i];
        actors[i].context.uc_stack.ss_size = STACK;
        actors[i].context.uc_link = NULL;
        makecontext(&actors[i].context, (void (*)(void))be_actor, 1, i);
        running = i;
        swapcontext(&explorer, &actors[i].context); // up to its first step
    }
    switch_to(choose());
}

// early_woken asserts that a set woke all nodes that were there from the beginning and
// did not leave.
static void early_woken(void)
{
    for (const char *at = scenario->beginning; *at && sets > 0; at++)
        if (at[0] == 'p')
            expect(fired[at[1] - '0'] == !left[at[1] - '0']);
}

// settle wakes the remaining waiters, and checks the counts.
static void settle(bool again_used)
{
    bool is_set = atomic_load(&cell.word) & WF_CELL_SET;

    expect(!(atomic_load(&cell.leavers) & LOCKED));
    expect(is_set || !(atomic_load(&cell.word) & WF_CELL_AWAY));
    if (!again_used) {
        expect(sets == clears + is_set);
        expect(sum_set == sum_cleared + (is_set ? atomic_load(&cell.word) - 1 : 0));
    }
    for (int k = 0; k < NODES; k++)
        expect(sets > 0 || !fired[k]);
    if (!is_set)
        set(false);
    for (int k = 0; k < NODES; k++) {
        expect(fired[k] == (pushed[k] && !left[k]));
        if (pushed[k] && !over[k])
            expect(atomic_load(&waits[k].state) == WF_CELL_SIGNALLED);
    }
    ASAN_UNPOISON_MEMORY_REGION(waits, sizeof(waits));
    for (int k = 0; k < NODES; k++)
        for (size_t i = 0; over[k] && i < sizeof(waits[k]); i++)
            expect(((unsigned char *)&waits[k])[i] == 0xee);
}

static bool uses(const struct scenario *s, char what)
{
    for (int i = 0; i < ACTORS; i++)
        if (s->actors[i] && strchr(s->actors[i], what))
            return true;
    return false;
}

static void explore(const struct scenario *s)
{
    bool again_used = uses(s, 'a');
    unsigned long n = 0;

    scenario = s;
    depth_recorded = 0;
    do {
        running = NOBODY;
        reset();
        perform(s->beginning);
        start_actors();
        early_woken();
        settle(again_used);
        n++;
    } while (backtrack());
    printf("%8lu schedules of %s | %s | %s | %s\n", n, s->beginning, s->actors[0], s->actors[1],
           s->actors[2] ? s->actors[2] : "");
}

static void explore_all(const struct scenario *s, size_t n, unsigned most)
{
    if (SKIP)
        wf_test_skip("ThreadSanitizer does not follow swapcontext, and would find nothing in one thread");
    for (int i = 0; i < ACTORS; i++)
        VALGRIND_STACK_REGISTER(stacks[i], stacks[i] + STACK);
    preemptions_max = wf_test_rounds(100) == 100 ? most : 2; // where everything is slow
    for (size_t i = 0; i < n; i++)
        explore(&s[i]);
}

static void two_agree_in_every_schedule_of_six_preemptions(void **state)
{
    static const struct scenario scenarios[] = {
        { "p0", { "l0", "s" } },        { "p0p1", { "l0", "s" } },    { "p0p1", { "l1", "s" } },
        { "p0p1p2", { "l1", "s" } },    { "p0p1", { "l0", "l1" } },   { "p0p1p2", { "l0", "l1" } },
        { "p0p1l1p2", { "l0", "l2" } }, { "p0", { "s", "s" } },       { "p0", { "sc", "s" } },
        { "p0", { "w0", "as" } },       { "p0", { "l0", "scs" } },    { "p0", { "l0", "scp1" } },
        { "p0", { "l0", "aaca" } },     { "p0p1", { "l0", "p2l2" } }, { "p0p1", { "l1", "p2p3" } },
        { "", { "p0w0", "s" } },        { "", { "p0l0", "s" } },      { "", { "p0l0", "sc" } },
        { "", { "p0l0", "p1l1" } },
    };
    (void)state;
    explore_all(scenarios, wf_countof(scenarios), 6);
}

static void two_agree_for_longer_in_every_schedule_of_few_preemptions(void **state)
{
    static const struct scenario scenarios[] = {
        { "p0", { "l0s", "p1w1" } },        { "p0", { "l0", "scp1l1" } },       { "p0", { "l0p1l1", "as" } },
        { "p0p1l1", { "l0", "scp2p3l3" } }, { "p0p1", { "l0p2l2", "scp3l3" } },
    };
    (void)state;
    explore_all(scenarios, wf_countof(scenarios), 4);
}

static void three_agree_in_every_schedule_of_few_preemptions(void **state)
{
    static const struct scenario scenarios[] = {
        { "p0p1", { "l0", "l1", "s" } },      { "p0p1p2", { "l2", "l0", "s" } },  { "p0", { "l0", "s", "s" } },
        { "p0", { "l0", "a", "ac" } },        { "p0", { "l0", "p1l1", "s" } },    { "p0", { "l0", "p1w1", "sca" } },
        { "p0p1", { "l0", "p2", "sc" } },     { "p0p1", { "l0", "p2l2", "sc" } }, { "p0p1", { "l0", "p2l2", "p3l3" } },
        { "p0p1", { "l0", "l1", "scp2l2" } }, { "p0p1", { "l0", "l1", "aca" } },  { "", { "p0w0", "p1l1", "sca" } },
    };
    (void)state;
    explore_all(scenarios, wf_countof(scenarios), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_agree_in_every_schedule_of_six_preemptions),
        cmocka_unit_test(two_agree_for_longer_in_every_schedule_of_few_preemptions),
        cmocka_unit_test(three_agree_in_every_schedule_of_few_preemptions),
    };
    return wf_test_run(tests);
}
