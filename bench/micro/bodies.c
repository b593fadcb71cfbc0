#include "bench/micro/bodies.h"

void micro_together(long tasks, weft_fn *fn, void *arg)
{
    static weft_task *crowd[MICRO_MILLION];
    for (long i = 0; i < tasks; i++)
        crowd[i] = micro_spawn(fn, arg);
    for (long i = 0; i < tasks; i++)
        micro_join(crowd[i]);
}

int micro_empty(void *arg)
{
    (void)arg;
    return 0;
}

// --- tasks ---------------------------------------------------------------------------

static int yield_often(void *arg)
{
    const long n = *(const long *)arg;
    for (long i = 0; i < n; i++)
        micro_ok(weft_yield(), "yield");
    return 0;
}

weft_time micro_yield(long n, long parties)
{
    const weft_time start = weft_now();
    (void)parties;
    yield_often(&n);
    return weft_now() - start;
}

weft_time micro_yield_crowd(long n, long parties)
{
    const weft_time start = weft_now();
    micro_together(parties, yield_often, &n);
    return weft_now() - start;
}

weft_time micro_spawn_join(long n, long parties)
{
    const weft_time start = weft_now();
    (void)parties;
    for (long i = 0; i < n; i++)
        micro_join(micro_spawn(micro_empty, NULL));
    return weft_now() - start;
}

weft_time micro_spawn_crowd(long n, long parties)
{
    const weft_time start = weft_now();
    for (long i = 0; i < n; i++)
        micro_together(parties, micro_empty, NULL);
    return weft_now() - start;
}

struct chain {
    long left;
    weft_future end;
};

static int spawn_next(void *arg)
{
    struct chain *c = arg;
    if (--c->left > 0)
        micro_ok(weft_spawn(NULL, spawn_next, c), "spawn the next");
    else
        weft_future_complete(&c->end, 0);
    return 0;
}

// The chain is never freed: the task that completes `end` may still be at it when the
// caller goes on.
weft_time micro_spawn_chain(long n, long parties)
{
    struct chain *c = malloc(sizeof(*c));
    (void)parties;
    micro_ok(c ? 0 : -ENOMEM, "make a chain");
    *c = (struct chain){ .left = n, .end = WEFT_FUTURE_INIT };

    const weft_time start = weft_now();
    micro_ok(weft_spawn(NULL, spawn_next, c), "spawn the first");
    micro_ok(weft_await(&c->end, NULL), "await the last");
    const weft_time took = weft_now() - start;
    micro_expect(c->left, 0, "links left");
    return took;
}

// fib(n) spawns fib(n - 1), and computes fib(n - 2) itself, by a plain call that spawns
// in its turn: one spawn a call above 1.
static int fork_fib(void *arg)
{
    const intptr_t n = (intptr_t)arg;
    if (n < 2)
        return (int)n;
    weft_task *other = micro_spawn(fork_fib, (void *)(n - 1));
    const int mine = fork_fib((void *)(n - 2));
    return mine + micro_join(other);
}

static int add_fib(long n)
{
    int a = 0, b = 1;
    for (; n > 0; n--) {
        b += a;
        a = b - a;
    }
    return a;
}

weft_time micro_fib(long n, long parties)
{
    const int expected = add_fib(parties);
    const weft_time start = weft_now();
    for (long i = 0; i < n; i++)
        micro_expect(fork_fib((void *)(intptr_t)parties), expected, "fib");
    return weft_now() - start;
}

// --- channels ------------------------------------------------------------------------

struct pair {
    weft_chan *there, *back;
    long n;
};

// Each time the number comes back one up.
static int answer(void *arg)
{
    const struct pair *p = arg;
    for (long i = 0, number; i < p->n; i++) {
        micro_ok(weft_chan_recv(p->there, &number), "receive a ping");
        number++;
        micro_ok(weft_chan_send(p->back, &number), "send a pong");
    }
    return 0;
}

static int ask(void *arg)
{
    const struct pair *p = arg;
    long number = 0;
    for (long i = 0; i < p->n; i++) {
        micro_ok(weft_chan_send(p->there, &number), "send a ping");
        micro_ok(weft_chan_recv(p->back, &number), "receive a pong");
    }
    micro_expect(number, p->n, "the last pong");
    return 0;
}

static weft_time play(struct pair *pairs, long count)
{
    static weft_task *players[2 * 1000];
    const weft_time start = weft_now();
    for (long i = 0; i < count; i++) {
        players[2 * i] = micro_spawn(answer, &pairs[i]);
        players[2 * i + 1] = micro_spawn(ask, &pairs[i]);
    }
    for (long i = 0; i < 2 * count; i++)
        micro_join(players[i]);
    return weft_now() - start;
}

weft_time micro_pingpong(long n, long parties)
{
    static struct pair pairs[1000];
    for (long i = 0; i < parties; i++)
        pairs[i] = (struct pair){ micro_chan(1), micro_chan(1), n };
    const weft_time took = play(pairs, parties);
    for (long i = 0; i < parties; i++) {
        weft_chan_unref(pairs[i].there);
        weft_chan_unref(pairs[i].back);
    }
    return took;
}

// All channels hold a message; the one that is taken is replaced.
weft_time micro_select(long n, long parties)
{
    long got[MICRO_CASES_MAX], put = 0;
    weft_chan *chans[MICRO_CASES_MAX];
    weft_case c[MICRO_CASES_MAX];

    for (long i = 0; i < parties; i++) {
        chans[i] = micro_chan(1);
        c[i] = weft_on_recv(chans[i], &got[i]);
        micro_ok(weft_chan_try_send(chans[i], &put), "fill a channel");
    }
    const weft_time start = weft_now();
    for (; put < n; put++) {
        const int i = weft_select(c, (size_t)parties);
        micro_ok(i, "select");
        micro_ok(weft_chan_try_send(chans[i], &put), "replace what was taken");
    }
    const weft_time took = weft_now() - start;
    for (long i = 0; i < parties; i++)
        weft_chan_unref(chans[i]);
    return took;
}

// --- scopes --------------------------------------------------------------------------

weft_time micro_deadline(long n, long parties)
{
    weft_scope s;
    (void)parties;

    const weft_time start = weft_now(), deadline = start + WEFT_S(3600);
    for (long i = 0; i < n; i++) {
        weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
        weft_scope_deadline(&s, deadline + WEFT_US(i));
        micro_ok(weft_scope_close(&s), "close an empty scope");
    }
    return weft_now() - start;
}

// A scope of empty children, n times.
weft_time micro_scope(long n, long parties)
{
    weft_scope s;

    const weft_time start = weft_now();
    for (long i = 0; i < n; i++) {
        weft_scope_open(&s, WEFT_SCOPE_FAIL_FAST);
        for (long child = 0; child < parties; child++)
            micro_ok(weft_scope_spawn(&s, micro_empty, NULL), "spawn a child");
        micro_ok(weft_scope_close(&s), "close a scope");
    }
    return weft_now() - start;
}
