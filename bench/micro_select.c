// Select among cases that are all ready: what the choice itself costs.
#include <stdlib.h>

#include "bench/micro.h"

enum { CASES_MAX = 64, SELECTS = 512 * 1024 };

// The channels are filled before, and drained after the clock is read: it runs only while there are so many selects in
// a row that none of them can find a channel empty.
struct bank {
    int cases, in_a_row;
    weft_chan *chans[CASES_MAX];
    weft_case *choice;
    uint64_t got[CASES_MAX]; // where a case's message goes
    uint64_t sent, received; // sums
};

static void fill(struct bank *b)
{
    for (int i = 0; i < b->cases; i++) {
        for (uint64_t n = 0; n < (uint64_t)b->in_a_row; n++) {
            micro_ok(weft_chan_try_send(b->chans[i], &n), "fill a channel");
            b->sent += n;
        }
    }
}

static void drain(struct bank *b)
{
    uint64_t n;
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

static double select_ready(int cases, int in_a_row)
{
    static struct bank bank;
    struct bank *b = &bank;
    weft_time took = 0;

    *b = (struct bank){ .cases = cases, .in_a_row = in_a_row, .choice = micro_alloc((size_t)cases, sizeof(weft_case)) };
    for (int i = 0; i < cases; i++) {
        micro_ok(weft_chan_new(&b->chans[i], sizeof(uint64_t), (size_t)in_a_row), "make a channel");
        b->choice[i] = weft_on_recv(b->chans[i], &b->got[i]);
    }
    for (int n = 0; n < SELECTS; n += in_a_row) {
        fill(b);
        took += select_row(b);
        drain(b);
    }
    micro_expect((long long)b->received, (long long)b->sent, "the sum of the messages");
    for (int i = 0; i < cases; i++)
        weft_chan_unref(b->chans[i]);
    free(b->choice);
    return (double)took / SELECTS;
}

static double select_2_once(struct micro *m)
{
    (void)m;
    return select_ready(2, 4096);
}

void micro_select_2(struct micro *m)
{
    m->value[0] = micro_task_median(m, select_2_once);
}

static double select_64_once(struct micro *m)
{
    (void)m;
    return select_ready(64, 256);
}

void micro_select_64(struct micro *m)
{
    m->value[0] = micro_task_median(m, select_64_once);
}
