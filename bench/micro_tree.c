// Trees of tasks: fork, join, and pass a sum upwards.
#include "bench/micro.h"

enum { FAN_OUT = 10, LEAVES = 1000000 };

static const long long SKYNET_SUM = 499999500000; // 0 + 1 + ... + (LEAVES - 1)

// A subtree, in the frame of the task above it.
struct subtree {
    long long first;  // number of its first leaf
    long long leaves; // how many there are
    long long sum;    // of the leaves' numbers, when its task has ended
};

static int skynet_node(void *arg)
{
    struct subtree *s = arg;
    struct subtree below[FAN_OUT];
    weft_task *tasks[FAN_OUT];

    if (s->leaves == 1) {
        s->sum = s->first;
        return 0;
    }
    const long long share = s->leaves / FAN_OUT;
    for (int i = 0; i < FAN_OUT; i++) {
        below[i] = (struct subtree){ .first = s->first + i * share, .leaves = share };
        tasks[i] = micro_spawn(skynet_node, &below[i]);
    }
    s->sum = 0;
    for (int i = 0; i < FAN_OUT; i++) {
        micro_join(tasks[i]);
        s->sum += below[i].sum;
    }
    return 0;
}

static double skynet_once(struct micro *m)
{
    struct subtree all = { .leaves = LEAVES };
    (void)m;

    const weft_time start = weft_now();
    micro_join(micro_spawn(skynet_node, &all));
    const weft_time took = weft_now() - start;
    micro_expect(all.sum, SKYNET_SUM, "skynet's sum");
    return (double)took / 1e6;
}

void micro_skynet(struct micro *m)
{
    m->value[0] = micro_task_median(m, skynet_once);
    m->value[1] = micro_rss_peak() / (1 << 20);
}

enum { FIB_N = 32, FIB_RESULT = 2178309 };

// fib(n) spawns fib(n - 1), and computes fib(n - 2) itself, by a plain call that spawns in its turn: one spawn a call
// above 1, and no cut-off.
static int fib(void *arg)
{
    const intptr_t n = (intptr_t)arg;
    if (n < 2)
        return (int)n;

    weft_task *other = micro_spawn(fib, (void *)(n - 1));
    const int mine = fib((void *)(n - 2));
    return mine + micro_join(other);
}

static double fib_once(struct micro *m)
{
    (void)m;

    const weft_time start = weft_now();
    const int result = fib((void *)(intptr_t)FIB_N);
    const weft_time took = weft_now() - start;
    micro_expect(result, FIB_RESULT, "fib(32)");
    return (double)took / 1e6;
}

void micro_fib32(struct micro *m)
{
    m->value[0] = micro_task_median(m, fib_once);
    m->value[1] = micro_rss_peak() / (1 << 20);
}
