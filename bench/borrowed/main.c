// Measures each of weft's structures beside its counterpart of Concurrency Kit, in
// turns: round by round each side once, with one thread and with two. The figure is the
// processor time of an operation, of all threads together: so what other processes do
// disturbs it little, and a thread that spins is not taken for one that waits.
//
//     weft-borrowed [--rounds=N] [WHAT...]
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/borrowed/borrowed.h"

enum { ROUNDS = 15, ROUNDS_MAX = 1000, THREADS = 2 };

struct party {
    borrowed_body *body;
    int me, threads;
    long n;
    pthread_barrier_t *begin;
    double used; // ns
};

static double cpu_time(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

// stay_on puts the calling thread on the `index`-th of the processors that the process
// may use: two threads that take turns on one would contend for nothing.
static void stay_on(int index)
{
    cpu_set_t all, one;

    if (sched_getaffinity(0, sizeof(all), &all))
        return;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && index-- == 0)
            CPU_SET(cpu, &one);
    if (CPU_COUNT(&one))
        sched_setaffinity(0, sizeof(one), &one);
}

static void *take_part(void *arg)
{
    struct party *p = arg;

    stay_on(p->me);
    pthread_barrier_wait(p->begin);
    double from = cpu_time();
    p->body(p->me, p->threads, p->n);
    p->used = cpu_time() - from;
    return NULL;
}

// measure returns the time of an operation.
static double measure(const struct borrowed *b, borrowed_body *body, int threads)
{
    struct party parties[THREADS];
    pthread_t handles[THREADS];
    pthread_barrier_t begin;
    double used = 0;

    b->set_up();
    pthread_barrier_init(&begin, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        parties[i] = (struct party){ body, i, threads, b->n, &begin, 0 };
        if (pthread_create(&handles[i], NULL, take_part, &parties[i])) {
            perror("pthread_create");
            exit(1);
        }
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(handles[i], NULL);
        used += parties[i].used;
    }
    pthread_barrier_destroy(&begin);
    return used / (double)(b->n * threads);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof(*values), by_value);
    return values[n / 2];
}

static void compare(const struct borrowed *b, int threads, int rounds)
{
    static double value[BORROWED_SIDES][ROUNDS_MAX];

    for (int round = 0; round < rounds; round++)
        for (int side = 0; b->sides[side].body; side++)
            value[side][round] = measure(b, b->sides[side].body, threads);
    printf("%-22s %d thread%s", b->what, threads, threads == 1 ? " " : "s");
    for (int side = 0; b->sides[side].body; side++)
        printf("   %s %.1f", b->sides[side].name, median(value[side], rounds));
    printf("\n");
    fflush(stdout);
}

static int is_asked_for(const struct borrowed *b, int argc, char **argv)
{
    int names = 0;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], b->what))
            return 1;
        names += argv[i][0] != '-';
    }
    return names == 0;
}

static int rounds_of(int argc, char **argv)
{
    int rounds = ROUNDS;

    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], "--rounds=", 9))
            rounds = atoi(argv[i] + 9);
    return rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
}

int main(int argc, char **argv)
{
    const struct borrowed *const all[] = { borrowed_queues, borrowed_waits, borrowed_locks };
    int rounds = rounds_of(argc, argv);

    printf("ns of processor time an operation, all threads together: medians of %d rounds\n", rounds);
    for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++)
        for (const struct borrowed *b = all[i]; b->what; b++)
            for (int threads = b->from; is_asked_for(b, argc, argv) && threads <= b->to; threads++)
                compare(b, threads, rounds);
    return 0;
}
