// Many tasks at one thing: a channel, a lock.
#include "bench/micro/micro.h"

#include <errno.h>
#include <stdlib.h>

enum { CAPACITY = 1024, PARTIES_MAX = 8 };

// Sender or receiver: what it sends, or has received.
struct party {
    weft_chan *chan;
    weft_task *task;
    long first, count; // a sender sends that many numbers, from the first one on
    long sum;
};

static int send_numbers(void *arg)
{
    const struct party *p = arg;
    for (long i = p->first; i < p->first + p->count; i++)
        micro_ok(weft_chan_send(p->chan, &i), "send");
    return 0;
}

static int receive_all(void *arg)
{
    struct party *p = arg;
    long number, count = 0, sum = 0;
    int err;

    while ((err = weft_chan_recv(p->chan, &number)) == 0) {
        count++;
        sum += number;
    }
    micro_expect(err, -EPIPE, "how a channel ends");
    p->count = count;
    p->sum = sum;
    return 0;
}

static void start_parties(struct party *parties, long count, weft_chan *chan, weft_fn *fn, long each)
{
    for (long i = 0; i < count; i++) {
        parties[i] = (struct party){ .chan = chan, .first = i * each, .count = each };
        parties[i].task = micro_spawn(fn, &parties[i]);
    }
}

static void join_parties(struct party *parties, long count)
{
    for (long i = 0; i < count; i++)
        micro_join(parties[i].task);
}

// transfer sends the numbers from 0 to n - 1.
static weft_time transfer(long n, long senders, long receivers)
{
    struct party from[PARTIES_MAX], to[PARTIES_MAX];
    weft_chan *chan = micro_chan(CAPACITY);
    long count = 0, sum = 0;

    const weft_time start = weft_now();
    start_parties(to, receivers, chan, receive_all, 0);
    start_parties(from, senders, chan, send_numbers, n / senders);
    join_parties(from, senders);
    weft_chan_close(chan);
    join_parties(to, receivers);
    const weft_time took = weft_now() - start;

    for (long i = 0; i < receivers; i++) {
        count += to[i].count;
        sum += to[i].sum;
    }
    micro_expect(count, n, "messages received");
    micro_expect(sum, n * (n - 1) / 2, "the sum of the messages");
    weft_chan_unref(chan);
    return took;
}

weft_time micro_transfer_1(long n, long parties)
{
    return transfer(n, parties, 1);
}

weft_time micro_transfer_8(long n, long parties)
{
    return transfer(n, parties, 8);
}

// A counter that only its lock keeps right.
struct counter {
    weft_mutex mutex;
    long count, n;
};

static int count_up(void *arg)
{
    struct counter *c = arg;
    const long n = c->n; // read once: the others write beside it
    for (long i = 0; i < n; i++) {
        micro_ok(weft_mutex_lock(&c->mutex), "lock");
        c->count++;
        weft_mutex_unlock(&c->mutex);
    }
    return 0;
}

// micro_lock: each of the parties locks, counts, unlocks.
weft_time micro_lock(long n, long parties)
{
    struct counter c = { .mutex = WEFT_MUTEX_INIT, .n = n };

    const weft_time start = weft_now();
    micro_together(parties, count_up, &c);
    const weft_time took = weft_now() - start;
    micro_expect(c.count, n * parties, "the count");
    weft_mutex_destroy(&c.mutex);
    return took;
}
