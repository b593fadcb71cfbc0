#include "sched/idle.h"

#include "base/assert.h"

static uint64_t bit(unsigned worker)
{
    return UINT64_C(1) << (worker % 64);
}

// is_asleep tells whether the worker's bit is set.
static bool is_asleep(const struct wf_idle *i, unsigned worker)
{
    return wf_load_relaxed(&i->asleep[worker / 64]) & bit(worker); // relaxed: for assertions of the worker itself
}

// beyond is the part of a word of `asleep` that no worker has.
static uint64_t beyond(const struct wf_idle *i, unsigned word)
{
    unsigned first = word * 64;
    return i->workers <= first ? UINT64_MAX : i->workers - first < 64 ? UINT64_MAX << (i->workers - first) : 0;
}

void wf_idle_check(const struct wf_idle *i, unsigned worker, bool searching)
{
    int32_t poller = wf_load_relaxed(&i->poller);        // relaxed: any value that it ever has is one of these
    uint32_t searchers = wf_load_relaxed(&i->searching); // relaxed: the caller's own share is visible to it

    wf_assert(worker < i->workers);
    wf_assert(!is_asleep(i, worker));
    wf_assert(poller >= -1 && poller < (int32_t)i->workers);
    wf_assert((int32_t)searchers >= (searching ? 1 : 0));
    for (unsigned w = 0; w < WF_IDLE_WORDS; w++)
        wf_assert(!(wf_load_relaxed(&i->asleep[w]) & beyond(i, w))); // relaxed: such a bit is never set
}

void wf_idle_init(struct wf_idle *i, unsigned workers)
{
    wf_assert(workers > 0 && workers <= WF_IDLE_WORDS * 64);
    i->workers = workers;
    wf_store_relaxed(&i->poller, -1); // relaxed: not shared yet
}

bool wf_idle_search_begin(struct wf_idle *i)
{
    uint32_t n = wf_load_seq_cst(&i->searching); // [I1] if not 0, a searcher stops after this

    if (2 * n >= i->workers && n > 0)
        return false;
    wf_fetch_add_seq_cst(&i->searching, 1); // [I1]
    return true;
}

bool wf_idle_search_end(struct wf_idle *i)
{
    uint32_t before = wf_fetch_sub_seq_cst(&i->searching, 1); // [I1]

    wf_debug_assert((int32_t)before > 0);
    return before == 1;
}

void wf_idle_sleep(struct wf_idle *i, unsigned worker, bool searching)
{
    wf_debug_check(wf_idle_check(i, worker, searching));
    wf_debug_assert(worker < i->workers && !is_asleep(i, worker));
    wf_fetch_or_seq_cst(&i->asleep[worker / 64], bit(worker)); // [I1]
    if (searching)
        wf_fetch_sub_seq_cst(&i->searching, 1); // [I1]
}

bool wf_idle_unsleep(struct wf_idle *i, unsigned worker)
{
    return wf_fetch_and_seq_cst(&i->asleep[worker / 64], ~bit(worker)) & bit(worker); // [I2]
}

enum wf_idle_woken wf_idle_wake(struct wf_idle *i, unsigned worker)
{
    wf_debug_assert(worker < i->workers);
    if (!(wf_load_seq_cst(&i->asleep[worker / 64]) & bit(worker))) // [I1]
        return WF_IDLE_AWAKE;
    // Counted before the bit is cleared: the worker may wake up by itself at this
    // moment, and count itself out again.
    wf_fetch_add_seq_cst(&i->searching, 1); // [I2]
    if (wf_idle_unsleep(i, worker))
        return WF_IDLE_CHOSEN;
    wf_fetch_sub_seq_cst(&i->searching, 1); // [I1]
    return WF_IDLE_AWAKE;
}

bool wf_idle_any_asleep(const struct wf_idle *i)
{
    for (unsigned w = 0; w * 64 < i->workers; w++)
        if (wf_load_seq_cst(&i->asleep[w]) != 0) // [I1]
            return true;
    return false;
}

static unsigned count_asleep(const struct wf_idle *i)
{
    unsigned n = 0;
    for (unsigned w = 0; w * 64 < i->workers; w++)
        n += (unsigned)__builtin_popcountll(wf_load_seq_cst(&i->asleep[w])); // seq_cst: not more expensive here
    return n;
}

unsigned wf_idle_count_awake(const struct wf_idle *i)
{
    return i->workers - count_asleep(i);
}

bool wf_idle_all_asleep(const struct wf_idle *i)
{
    unsigned n = count_asleep(i);

    wf_debug_assert(n <= i->workers);
    return n == i->workers;
}

bool wf_idle_others_awake(const struct wf_idle *i, unsigned worker)
{
    bool asleep = wf_load_relaxed(&i->asleep[worker / 64]) & bit(worker); // relaxed: a hint
    return count_asleep(i) - asleep < i->workers - 1;
}

// claim_sleeper clears the bit of one sleeper, the lowest, so that few workers are in
// use. `which` says whether it may be the one in the poll.
enum which { OTHERS, POLLER, ALL };

static int claim_sleeper(struct wf_idle *i, enum which which)
{
    int32_t poller = wf_load_relaxed(&i->poller); // relaxed: a hint

    wf_debug_assert(poller < (int32_t)i->workers);
    for (unsigned w = 0; w * 64 < i->workers; w++) {
        uint64_t seen = wf_load_seq_cst(&i->asleep[w]); // [I1]
        uint64_t polls = poller >= 0 && (unsigned)poller / 64 == w ? bit((unsigned)poller) : 0;
        seen &= which == OTHERS ? ~polls : which == POLLER ? polls : UINT64_MAX;
        for (; seen; seen &= seen - 1) {
            uint64_t lowest = seen & -seen;
            if (wf_fetch_and_seq_cst(&i->asleep[w], ~lowest) & lowest) // [I2]
                return (int)(w * 64) + __builtin_ctzll(lowest);
        }
    }
    return -1;
}

int wf_idle_wake_one(struct wf_idle *i, bool poller_first)
{
    do {
        uint32_t none = 0;
        if (!wf_cas_seq_cst(&i->searching, &none, 1)) // [I1] one searcher is enough
            return -1;
        int worker = claim_sleeper(i, poller_first ? POLLER : OTHERS);
        if (worker < 0)
            worker = claim_sleeper(i, ALL);
        if (worker >= 0)
            return worker;
        wf_fetch_sub_seq_cst(&i->searching, 1); // [I1]
        // A worker may have fallen asleep since, relying on a searcher, which was this
        // call.
    } while (wf_idle_any_asleep(i));
    return -1;
}
