// A slot's turn is the tick at which it comes up. These invariants hold between any two
// calls; wf_wheel_check asserts them:
//
//   - No turn is before now. In an upper level a turn equals now only if
//     wf_wheel_advance stopped (at `most` timers) before it had emptied that slot;
//     there is at most one such slot, and it is emptied before time advances.
//   - Time advances only from turn to turn, and never past a turn. Say it advances from
//     a to b, and a timer of tick t is in level L: t has a's digits above L, and its
//     turn (t's digits from L up, then zeros) is after b. So b is between a and t, has
//     the same digits above L, and a smaller digit L than t: the timer's level and slot
//     are still right.
//   - A deadline in the past counts as now, so its timer is in level 0, in the slot
//     whose turn is now.
#include "timerwheel/timerwheel.h"

#include "base/assert.h"
#include "base/compiler.h"

#define TICK_MASK (((int64_t)1 << WF_WHEEL_TICK_BITS) - 1)

enum { TOP = WF_WHEEL_LEVELS - 1, SLOT_MASK = WF_WHEEL_SLOTS - 1 };

_Static_assert(WF_WHEEL_SLOTS == 1 << WF_WHEEL_SLOT_BITS && WF_WHEEL_SLOTS == 64, "a level's occupancy is a uint64_t");

// due_tick is the first tick that does not begin before `deadline`. A past deadline
// counts as `now`.
static int64_t due_tick(int64_t deadline, int64_t now)
{
    if (deadline <= 0)
        return now;
    int64_t tick = (deadline >> WF_WHEEL_TICK_BITS) + ((deadline & TICK_MASK) != 0);
    return tick > now ? tick : now;
}

static int64_t tick_ns(int64_t tick)
{
    return tick > INT64_MAX >> WF_WHEEL_TICK_BITS ? INT64_MAX : tick << WF_WHEEL_TICK_BITS;
}

static unsigned level_shift(unsigned level)
{
    return level * WF_WHEEL_SLOT_BITS;
}

// level_of is the highest digit in which the two differ; at most the top level.
static unsigned level_of(int64_t now, int64_t tick)
{
    unsigned bit = 63 - (unsigned)__builtin_clzll((uint64_t)(now ^ tick) | 1);
    unsigned level = bit / WF_WHEEL_SLOT_BITS;
    wf_debug_assert(tick >= now);
    return level < TOP ? level : TOP;
}

// turn_digits is the turn of the slot for a timer of `tick`, without its zeros. The
// farthest slot of a level is 63 ahead of now's; only in the top level may a tick be
// farther away.
static int64_t turn_digits(int64_t now, int64_t tick, unsigned level)
{
    int64_t digits = tick >> level_shift(level);
    int64_t farthest = (now >> level_shift(level)) + SLOT_MASK;
    return digits < farthest ? digits : farthest;
}

static struct wf_wheel_node *node_of(struct wf_list *link)
{
    return wf_container_of(link, struct wf_wheel_node, link);
}

static void enter_slot(struct wf_wheel_slot *slot, struct wf_wheel_node *node)
{
    wf_debug_assert(!slot->untold || slot->behind < WF_WHEEL_AHEAD);
    node->ahead = NULL;
    wf_list_append(&slot->timers, &node->link);
    if (!slot->untold) {
        slot->untold = node;
        slot->behind = 0;
    } else if (++slot->behind >= WF_WHEEL_AHEAD) {
        slot->untold->ahead = node;
        slot->untold = node_of(slot->untold->link.next); // there is one: at least `node`
        slot->behind--;
    }
}

static void leave_slot(struct wf_wheel_slot *slot, struct wf_wheel_node *node)
{
    wf_debug_assert(!wf_list_empty(&slot->timers));
    if (slot->untold == node) {
        slot->untold = node->link.next == &slot->timers ? NULL : node_of(node->link.next);
        slot->behind -= slot->behind > 0;
    } else if (node->link.next == &slot->timers) { // the last one: armed and cancelled, as most timers are
        slot->behind -= slot->behind > 0;
    }
    wf_list_remove(&node->link);
}

static void place_node(struct wf_wheel *w, struct wf_wheel_node *node)
{
    int64_t tick = due_tick(node->deadline, w->now);
    unsigned level = level_of(w->now, tick);
    unsigned slot = (unsigned)(turn_digits(w->now, tick, level) & SLOT_MASK);

    node->level = (uint8_t)level;
    node->slot = (uint8_t)slot;
    enter_slot(&w->slots[level][slot], node);
    w->occupied[level] |= (uint64_t)1 << slot;
}

static void displace(struct wf_wheel *w, struct wf_wheel_node *node)
{
    struct wf_wheel_slot *slot = &w->slots[node->level][node->slot];

    wf_debug_assert(w->occupied[node->level] >> node->slot & 1);
    leave_slot(slot, node);
    if (wf_list_empty(&slot->timers))
        w->occupied[node->level] &= ~((uint64_t)1 << node->slot);
}

// slot_turn is the turn of a slot: now's digits plus the slot's circular distance from
// now's slot.
static int64_t slot_turn(int64_t now, unsigned level, unsigned slot)
{
    int64_t digits = now >> level_shift(level);
    unsigned ahead = (slot - (unsigned)digits) & SLOT_MASK;
    return (digits + ahead) << level_shift(level);
}

// first_slot finds the occupied slot of `level` that comes up first. The level is not
// empty.
static unsigned first_slot(const struct wf_wheel *w, unsigned level)
{
    unsigned now_slot = (unsigned)(w->now >> level_shift(level)) & SLOT_MASK;
    uint64_t bits = w->occupied[level];
    uint64_t ahead = bits >> now_slot | bits << (-now_slot & SLOT_MASK);
    wf_debug_assert(bits != 0); // __builtin_ctzll needs that
    return (now_slot + (unsigned)__builtin_ctzll(ahead)) & SLOT_MASK;
}

struct turn {
    int64_t tick;
    unsigned level, slot;
};

// next_turn finds the slot that comes up first, in a wheel that is not empty.
static struct turn next_turn(const struct wf_wheel *w)
{
    struct turn next = { .tick = INT64_MAX };

    for (unsigned level = 0; level < WF_WHEEL_LEVELS; level++) {
        if (!w->occupied[level])
            continue;
        unsigned slot = first_slot(w, level);
        int64_t tick = slot_turn(w->now, level, slot);
        if (tick < next.tick)
            next = (struct turn){ tick, level, slot };
    }
    wf_debug_assert(next.tick >= w->now && w->occupied[next.level] >> next.slot & 1);
    return next;
}

static struct wf_wheel_node *first_node(const struct wf_wheel *w, struct turn turn)
{
    wf_debug_assert(!wf_list_empty(&w->slots[turn.level][turn.slot].timers));
    return node_of(w->slots[turn.level][turn.slot].timers.next);
}

static void expire_node(struct wf_wheel *w, struct wf_wheel_node *node, struct wf_list *expired)
{
    wf_wheel_remove(w, node);
    wf_list_append(expired, &node->link);
}

static void cascade(struct wf_wheel *w, struct wf_wheel_node *node)
{
    unsigned from = node->level;

    displace(w, node);
    place_node(w, node);
    wf_debug_assert(node->level < from || from == TOP); // so a timer moves at most once in each level
    (void)from;
}

static void prefetch_node(const struct wf_wheel_node *node)
{
    if (!node->ahead)
        return;
    __builtin_prefetch(node->ahead, 1);
    __builtin_prefetch(node->ahead + 1, 1); // a node may span two lines
}

// empty_slot empties the slot whose turn is now. Returns: false if it has stopped
// because *most was used up.
static bool empty_slot(struct wf_wheel *w, struct turn turn, unsigned *most, struct wf_list *expired)
{
    // No timer returns to this slot: their ticks differ from now only in lower digits,
    // and a timer that was too far away goes to another slot of the top level.
    while (!wf_list_empty(&w->slots[turn.level][turn.slot].timers)) {
        struct wf_wheel_node *node = first_node(w, turn);
        if (*most == 0)
            return false;
        --*most;
        prefetch_node(node);
        if (turn.level == 0)
            expire_node(w, node, expired);
        else
            cascade(w, node);
    }
    return true;
}

void wf_wheel_init(struct wf_wheel *w, int64_t now)
{
    wf_assert(now >= 0);
    *w = (struct wf_wheel){ .now = now >> WF_WHEEL_TICK_BITS };
    for (unsigned level = 0; level < WF_WHEEL_LEVELS; level++)
        for (unsigned slot = 0; slot < WF_WHEEL_SLOTS; slot++)
            wf_list_init(&w->slots[level][slot].timers);
}

// check_small is wf_wheel_check for a wheel with few timers.
static inline void check_small(const struct wf_wheel *w)
{
    enum { SMALL = 256 };

    if (w->count <= SMALL)
        wf_wheel_check(w);
}

void wf_wheel_insert(struct wf_wheel *w, struct wf_wheel_node *node, int64_t deadline)
{
    node->deadline = deadline;
    node->armed = true;
    place_node(w, node);
    w->count++;
    wf_debug_check(check_small(w));
}

void wf_wheel_remove(struct wf_wheel *w, struct wf_wheel_node *node)
{
    wf_assert(node->armed);
    wf_debug_assert(w->count > 0 && node->level < WF_WHEEL_LEVELS && node->slot < WF_WHEEL_SLOTS);
    displace(w, node);
    node->armed = false;
    w->count--;
}

bool wf_wheel_advance(struct wf_wheel *w, int64_t now, unsigned most, struct wf_list *expired)
{
    int64_t target = now >> WF_WHEEL_TICK_BITS;

    wf_assert(now >= 0);
    wf_debug_assert(most > 0); // otherwise the caller would call again without end
    wf_debug_check(check_small(w));
    while (w->count > 0) {
        struct turn turn = next_turn(w);
        if (turn.tick > target)
            break;
        w->now = turn.tick;
        if (!empty_slot(w, turn, &most, expired))
            return false;
    }
    if (target > w->now)
        w->now = target;
    return true;
}

int64_t wf_wheel_next(const struct wf_wheel *w)
{
    if (w->count == 0)
        return INT64_MAX;

    struct turn turn = next_turn(w);
    if (turn.tick == w->now)
        return tick_ns(w->now);

    // All other slots come up after this slot's last tick. So a lone timer in it is the
    // next one, unless it is in the top level and too far away.
    struct wf_wheel_node *node = first_node(w, turn);
    int64_t tick = due_tick(node->deadline, w->now);
    bool alone = node->link.next == &w->slots[turn.level][turn.slot].timers;
    if (alone && tick >> level_shift(turn.level) == turn.tick >> level_shift(turn.level))
        return tick_ns(tick);
    return tick_ns(turn.tick);
}

// The earliest deadline is in the slot that comes up first, because all others come up
// after its last tick. The same slot has all timers of the next tick, which are those
// that may be early.
int64_t wf_wheel_first(const struct wf_wheel *w)
{
    int64_t first = INT64_MAX;

    if (w->count == 0)
        return first;
    struct turn turn = next_turn(w);
    const struct wf_list *slot = &w->slots[turn.level][turn.slot].timers;
    for (const struct wf_list *at = slot->next; at != slot; at = at->next) {
        int64_t deadline = wf_container_of(at, struct wf_wheel_node, link)->deadline;
        if (deadline < first)
            first = deadline;
    }
    return first;
}

void wf_wheel_early(struct wf_wheel *w, int64_t now, unsigned most, struct wf_list *expired)
{
    if (w->count == 0)
        return;
    struct turn turn = next_turn(w);
    const struct wf_list *slot = &w->slots[turn.level][turn.slot].timers;
    for (struct wf_list *at = slot->next, *next; at != slot && most > 0; at = next) {
        struct wf_wheel_node *node = wf_container_of(at, struct wf_wheel_node, link);
        next = at->next;
        if (node->deadline > now)
            continue;
        expire_node(w, node, expired);
        most--;
    }
}

static void check_node(const struct wf_wheel *w, const struct wf_wheel_node *node, unsigned level, unsigned slot)
{
    int64_t tick = due_tick(node->deadline, w->now);
    int64_t turn = slot_turn(w->now, level, slot);
    bool unfinished = level > 0 && turn == w->now; // wf_wheel_advance has stopped early

    wf_assert(node->armed);
    wf_assert(node->level == level && node->slot == slot);
    wf_assert(unfinished || level_of(w->now, tick) == level);
    wf_assert(tick >> level_shift(level) == turn >> level_shift(level) || (level == TOP && tick > turn));
}

static uint64_t check_slot(const struct wf_wheel *w, unsigned level, unsigned slot)
{
    const struct wf_list *head = &w->slots[level][slot].timers;
    uint64_t n = wf_list_check(head);

    const struct wf_wheel_node *untold = w->slots[level][slot].untold;
    bool untold_is_here = !untold;

    wf_assert((n > 0) == (w->occupied[level] >> slot & 1));
    for (struct wf_list *at = head->next; at != head; at = at->next) {
        check_node(w, node_of(at), level, slot);
        untold_is_here |= node_of(at) == untold;
    }
    wf_assert(untold_is_here);
    return n;
}

void wf_wheel_check(const struct wf_wheel *w)
{
    uint64_t n = 0;
    unsigned unfinished = 0;

    for (unsigned level = 0; level < WF_WHEEL_LEVELS; level++) {
        unsigned now_slot = (unsigned)(w->now >> level_shift(level)) & SLOT_MASK;
        unfinished += level > 0 && (w->occupied[level] >> now_slot & 1);
        for (unsigned slot = 0; slot < WF_WHEEL_SLOTS; slot++)
            n += check_slot(w, level, slot);
    }
    wf_assert(n == w->count);
    wf_assert(unfinished <= 1);
}
