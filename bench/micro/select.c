// Select among cases that are all ready: what the choice itself costs.
#include "bench/micro/micro.h"

enum { CASES_MAX = 64 };

// The channels are filled before, and drained after the clock is read: it runs only
// while there are so many selects in a row that none of them can find a channel empty.
struct bank {
    int cases, in_a_row;
    weft_chan *chans[CASES_MAX];
    weft_case choice[CASES_MAX];
    long got[CASES_MAX]; // where a case's message goes
    long sent, received; // sums
};

static void fill(struct bank *b)
{
    for (int i = 0; i < b->cases; i++) {
        for (long n = 0; n < b->in_a_row; n++) {
            micro_ok(weft_chan_try_send(b->chans[i], &n), "fill a channel");
            b->sent += n;
        }
    }
}

static void drain(struct bank *b)
{
    long n;
    for (int i = 0; i < b->cases; i++) {
        while (weft_chan_try_recv(b->chans[i], &n) == 0)
            b->received += n;
    }
}

// select_row returns how long the selects in a row took.
static weft_time select_row(struct bank *b)
{
    const weft_time start = weft_now();
    for (int n = 0; n < b->in_a_row; n++) {
        const int i = weft_select(b->choice, (size_t)b->cases);
        micro_ok(i, "select");
        micro_expect(b->choice[i].result, 0, "the result of the case that happened");
        b->received += b->got[i];
    }
    return weft_now() - start;
}

// micro_select: MICRO_SELECTS selects among so many channels (`parties`), n in a row.
weft_time micro_select(long n, long parties)
{
    static struct bank bank;
    struct bank *b = &bank;
    weft_time took = 0;

    *b = (struct bank){ .cases = (int)parties, .in_a_row = (int)n };
    for (int i = 0; i < b->cases; i++) {
        b->chans[i] = micro_chan((size_t)b->in_a_row);
        b->choice[i] = weft_on_recv(b->chans[i], &b->got[i]);
    }
    for (int done = 0; done < MICRO_SELECTS; done += b->in_a_row) {
        fill(b);
        took += select_row(b);
        drain(b);
    }
    micro_expect(b->received, b->sent, "the sum of the messages");
    for (int i = 0; i < b->cases; i++)
        weft_chan_unref(b->chans[i]);
    return took;
}
