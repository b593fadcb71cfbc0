// skynet: a tree of tasks, ten below each, a million leaves, whose numbers are summed
// up on the way back.
#include "bench/micro/micro.h"

enum { FAN_OUT = 10 };

// A subtree, in the frame of the task above it.
struct subtree {
    long first;  // number of its first leaf
    long leaves; // how many there are
    long sum;    // of the leaves' numbers, when its task has ended
};

static int sum_up(void *arg)
{
    struct subtree *s = arg;
    struct subtree below[FAN_OUT];
    weft_task *tasks[FAN_OUT];

    if (s->leaves == 1) {
        s->sum = s->first;
        return 0;
    }
    const long share = s->leaves / FAN_OUT;
    for (int i = 0; i < FAN_OUT; i++) {
        below[i] = (struct subtree){ .first = s->first + i * share, .leaves = share };
        tasks[i] = micro_spawn(sum_up, &below[i]);
    }
    s->sum = 0;
    for (int i = 0; i < FAN_OUT; i++) {
        micro_join(tasks[i]);
        s->sum += below[i].sum;
    }
    return 0;
}

weft_time micro_skynet(long n, long parties)
{
    struct subtree all = { .leaves = n };
    (void)parties;

    const weft_time start = weft_now();
    micro_join(micro_spawn(sum_up, &all));
    const weft_time took = weft_now() - start;
    micro_expect(all.sum, n * (n - 1) / 2, "skynet's sum");
    return took;
}
