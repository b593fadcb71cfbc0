// bench-pool: what weft_pread is compared with: reads of a file in the page cache by a
// pool of threads, as an event loop has them done (libuv: four threads). 64 tasks, each
// a state of the loop: it hands a read to the pool, and the next one when it is done.
// One lock and one condition for the jobs; what is done comes back in a list, with an
// eventfd that is written when the list was empty.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "bench/breadth/counts.h"

enum { BLOCK = BLOCK_BYTES, TASKS = READS_AT_ONCE, THREADS = 4 };

struct task {
    char bytes[BLOCK];
    off_t at;
    uint64_t lot;
    long left;
    struct task *next;
};

struct list {
    pthread_mutex_t lock;
    struct task *first, **last;
};

static struct list jobs = { PTHREAD_MUTEX_INITIALIZER, NULL, &jobs.first };
static struct list done = { PTHREAD_MUTEX_INITIALIZER, NULL, &done.first };
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static int file, bell;

static void check(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench-pool: %s: %s\n", what, strerror(errno));
    exit(1);
}

// append returns whether the list was empty.
static int append(struct list *l, struct task *t)
{
    const int was_empty = !l->first;
    t->next = NULL;
    *l->last = t;
    l->last = &t->next;
    return was_empty;
}

static struct task *take_all(struct list *l)
{
    struct task *first = l->first;
    l->first = NULL;
    l->last = &l->first;
    return first;
}

static struct task *take_job(void)
{
    pthread_mutex_lock(&jobs.lock);
    while (!jobs.first)
        pthread_cond_wait(&more, &jobs.lock);
    struct task *t = jobs.first;
    if (!(jobs.first = t->next))
        jobs.last = &jobs.first;
    pthread_mutex_unlock(&jobs.lock);
    return t;
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        struct task *t = take_job();
        check(pread(file, t->bytes, BLOCK, t->at) == BLOCK, "pread");
        pthread_mutex_lock(&done.lock);
        const int was_empty = append(&done, t);
        pthread_mutex_unlock(&done.lock);
        if (was_empty)
            check(eventfd_write(bell, 1) == 0, "eventfd_write");
    }
    return NULL;
}

static void hand_over(struct task *t)
{
    t->lot = t->lot * 6364136223846793005u + 1442695040888963407u;
    t->at = (off_t)(t->lot >> 33) % BLOCKS * BLOCK;
    t->left--;
    pthread_mutex_lock(&jobs.lock);
    append(&jobs, t);
    pthread_mutex_unlock(&jobs.lock);
    pthread_cond_signal(&more);
}

// read_all is the loop: it ends when each task has done its reads.
static void read_all(long n)
{
    static struct task tasks[TASKS];
    eventfd_t rings;

    for (int i = 0; i < TASKS; i++) {
        tasks[i] = (struct task){ .lot = (uint64_t)i * 977, .left = n / TASKS };
        hand_over(&tasks[i]);
    }
    for (int running = TASKS; running > 0;) {
        check(eventfd_read(bell, &rings) == 0, "eventfd_read");
        pthread_mutex_lock(&done.lock);
        struct task *t = take_all(&done);
        pthread_mutex_unlock(&done.lock);
        while (t) {
            struct task *next = t->next;
            if (t->left > 0)
                hand_over(t);
            else
                running--;
            t = next;
        }
    }
}

static void make_file(void)
{
    static const char block[BLOCK];
    char path[] = "/tmp/bench-pool-XXXXXX";

    file = mkstemp(path);
    check(file >= 0, "make a file");
    unlink(path);
    for (int i = 0; i < BLOCKS; i++)
        check(pwrite(file, block, BLOCK, (off_t)i * BLOCK) == BLOCK, "write a block");
}

static double now_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

// The options are those of weft-breadth; there is one benchmark.
int main(int argc, char **argv)
{
    pthread_t thread;

    if (argc > 1 && strcmp(argv[1], "--list") == 0)
        return puts("files") < 0;
    make_file();
    bell = eventfd(0, EFD_CLOEXEC);
    check(bell >= 0, "eventfd");
    for (int i = 0; i < THREADS; i++)
        check((errno = pthread_create(&thread, NULL, serve, NULL)) == 0, "pthread_create");
    read_all(READS / 10);
    const double start = now_us(CLOCK_MONOTONIC), cpu = now_us(CLOCK_PROCESS_CPUTIME_ID);
    read_all(READS);
    printf("files\t%.2f\t/s\n", READS * 1e6 / (now_us(CLOCK_MONOTONIC) - start));
    printf("files.cpu\t%.4f\tus\n", (now_us(CLOCK_PROCESS_CPUTIME_ID) - cpu) / READS);
    return 0;
}
