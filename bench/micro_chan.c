// Channels: two tasks that answer each other, and many that send and receive on one.
#include <errno.h>
#include <stdlib.h>

#include "bench/micro.h"

static weft_chan *new_chan(size_t capacity)
{
    weft_chan *c;
    micro_ok(weft_chan_new(&c, sizeof(uint64_t), capacity), "make a channel");
    return c;
}

// --- pingpong --------------------------------------------------------------------------------------------------------

// A pair: one sends a number, the other one sends it back, one up.
struct pair {
    weft_chan *there, *back; // of capacity 1
    uint64_t round_trips;
};

static int answers(void *arg)
{
    const struct pair *p = arg;
    for (uint64_t i = 0, n; i < p->round_trips; i++) {
        micro_ok(weft_chan_recv(p->there, &n), "receive a ping");
        n++;
        micro_ok(weft_chan_send(p->back, &n), "send a pong");
    }
    return 0;
}

static int asks(void *arg)
{
    const struct pair *p = arg;
    for (uint64_t i = 0, n; i < p->round_trips; i++) {
        micro_ok(weft_chan_send(p->there, &i), "send a ping");
        micro_ok(weft_chan_recv(p->back, &n), "receive a pong");
        micro_expect((long long)n, (long long)i + 1, "a pong");
    }
    return 0;
}

// play runs `n` pairs at once. Returns: ns a round trip.
static double play(int n, uint64_t round_trips)
{
    struct pair *pairs = micro_alloc((size_t)n, sizeof *pairs);
    weft_task **tasks = micro_alloc(2 * (size_t)n, sizeof *tasks);

    for (int i = 0; i < n; i++)
        pairs[i] = (struct pair){ new_chan(1), new_chan(1), round_trips };
    const weft_time start = weft_now();
    for (int i = 0; i < n; i++) {
        tasks[2 * i] = micro_spawn(answers, &pairs[i]);
        tasks[2 * i + 1] = micro_spawn(asks, &pairs[i]);
    }
    for (int i = 0; i < 2 * n; i++)
        micro_expect(micro_join(tasks[i]), 0, "a player's result");
    const weft_time took = weft_now() - start;

    for (int i = 0; i < n; i++) {
        weft_chan_unref(pairs[i].there);
        weft_chan_unref(pairs[i].back);
    }
    free(tasks);
    free(pairs);
    return (double)took / ((double)n * (double)round_trips);
}

static double pingpong_1_once(struct micro *m)
{
    (void)m;
    return play(1, MICRO_MILLION / 2);
}

void micro_pingpong_1(struct micro *m)
{
    m->value[0] = micro_task_median(m, pingpong_1_once);
}

static double pingpong_1000_once(struct micro *m)
{
    (void)m;
    return play(1000, 1000);
}

void micro_pingpong_1000(struct micro *m)
{
    m->value[0] = micro_task_median(m, pingpong_1000_once);
}

// --- many to one, many to many ---------------------------------------------------------------------------------------

enum { MESSAGES = 4 * MICRO_MILLION, CAPACITY = 1024, PARTIES_MAX = 8 };

// Producer or consumer: what it sends, or has received.
struct party {
    weft_chan *chan;
    uint64_t first, count; // a producer sends that many numbers, from the first one on
    uint64_t sum;
};

static int produces(void *arg)
{
    const struct party *p = arg;
    for (uint64_t n = p->first; n < p->first + p->count; n++)
        micro_ok(weft_chan_send(p->chan, &n), "send");
    return 0;
}

static int consumes(void *arg)
{
    struct party *p = arg;
    uint64_t n, count = 0, sum = 0;
    int err;

    while ((err = weft_chan_recv(p->chan, &n)) == 0) {
        count++;
        sum += n;
    }
    micro_expect(err, -EPIPE, "how a channel ends");
    p->count = count;
    p->sum = sum;
    return 0;
}

static void join_all(weft_task **tasks, int n)
{
    for (int i = 0; i < n; i++)
        micro_expect(micro_join(tasks[i]), 0, "a party's result");
}

// transfer sends the numbers from 0 to MESSAGES - 1 from producers to consumers. Returns: million messages a second.
static double transfer(int producers, int consumers)
{
    struct party from[PARTIES_MAX] = { 0 }, to[PARTIES_MAX] = { 0 };
    weft_task *senders[PARTIES_MAX], *receivers[PARTIES_MAX];
    weft_chan *chan = new_chan(CAPACITY);
    uint64_t each = MESSAGES / (uint64_t)producers, count = 0, sum = 0;

    const weft_time start = weft_now();
    for (int i = 0; i < consumers; i++) {
        to[i].chan = chan;
        receivers[i] = micro_spawn(consumes, &to[i]);
    }
    for (int i = 0; i < producers; i++) {
        from[i] = (struct party){ .chan = chan, .first = (uint64_t)i * each, .count = each };
        senders[i] = micro_spawn(produces, &from[i]);
    }
    join_all(senders, producers);
    weft_chan_close(chan);
    join_all(receivers, consumers);
    const weft_time took = weft_now() - start;

    for (int i = 0; i < consumers; i++) {
        count += to[i].count;
        sum += to[i].sum;
    }
    micro_expect((long long)count, MESSAGES, "messages received");
    micro_expect((long long)sum, (long long)MESSAGES * (MESSAGES - 1) / 2, "the sum of the messages");
    weft_chan_unref(chan);
    return MESSAGES * 1e3 / (double)took;
}

static double mpsc_1p_once(struct micro *m)
{
    (void)m;
    return transfer(1, 1);
}

void micro_mpsc_1p(struct micro *m)
{
    m->value[0] = micro_task_median(m, mpsc_1p_once);
}

static double mpsc_8p_once(struct micro *m)
{
    (void)m;
    return transfer(8, 1);
}

void micro_mpsc_8p(struct micro *m)
{
    m->value[0] = micro_task_median(m, mpsc_8p_once);
}

static double mpmc_8x8_once(struct micro *m)
{
    (void)m;
    return transfer(8, 8);
}

void micro_mpmc_8x8(struct micro *m)
{
    m->value[0] = micro_task_median(m, mpmc_8x8_once);
}
