#include "tests/support/harness.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <weft/runtime.h>

#include "base/rand.h"

enum { WATCHED_MAX = 16, GRACE = 5 /* seconds between the watchdog and ctest's own time-out */ };

static pthread_mutex_t watched_lock = PTHREAD_MUTEX_INITIALIZER;
static weft_rt *watched[WATCHED_MAX]; // L
static uint64_t seed;                 // fixed after wf_test_begin
static sem_t watchdog_runs;

const char *wf_test_name(void)
{
    return program_invocation_short_name;
}

static void replace(weft_rt *from, weft_rt *to)
{
    pthread_mutex_lock(&watched_lock);
    for (int i = 0; i < WATCHED_MAX; i++) {
        if (watched[i] == from) {
            watched[i] = to;
            break;
        }
    }
    pthread_mutex_unlock(&watched_lock);
}

void wf_test_watch(weft_rt *rt)
{
    replace(NULL, rt);
}

void wf_test_unwatch(weft_rt *rt)
{
    replace(rt, NULL);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void sleep_for(unsigned seconds)
{
    struct timespec left = { .tv_sec = (time_t)seconds };
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

static void *watchdog(void *arg)
{
    unsigned timeout = *(unsigned *)arg;

    sem_post(&watchdog_runs);
    sleep_for(timeout > 2 * GRACE ? timeout - GRACE : timeout / 2 + 1);
    fprintf(stderr, "%s: out of time; seed 0x%llx; its tasks:\n", wf_test_name(), (unsigned long long)seed);
    alarm(GRACE / 2); // the dump itself must not hang
    pthread_mutex_lock(&watched_lock); // kept: none of them may be freed now
    for (int i = 0; i < WATCHED_MAX; i++)
        if (watched[i])
            weft_rt_dump(watched[i], STDERR_FILENO);
    abort();
}

static void start_watchdog(void)
{
    static unsigned timeout;
    pthread_t thread;

    timeout = (unsigned)number("WEFT_TEST_TIMEOUT", 0);
    if (!timeout)
        return;
    sem_init(&watchdog_runs, 0, 0);
    if (pthread_create(&thread, NULL, watchdog, &timeout) != 0) {
        fprintf(stderr, "%s: cannot start the watchdog\n", wf_test_name());
        exit(1);
    }
    pthread_detach(thread);
    // A test may fork: by then the thread must be past its beginning, where it holds
    // locks of the sanitizers'.
    while (sem_wait(&watchdog_runs) < 0)
        ;
}

void wf_test_begin(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    seed = number("WEFT_TEST_SEED", wf_rand_seed((uint64_t)now.tv_nsec, (uint64_t)now.tv_sec));
    printf("seed 0x%llx (WEFT_TEST_SEED=0x%llx runs it again)\n", (unsigned long long)seed, (unsigned long long)seed);
    fflush(stdout);
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    start_watchdog();
}

uint64_t wf_test_seed(void)
{
    return seed;
}

struct wf_test_rand wf_test_rand(uint64_t stream)
{
    return (struct wf_test_rand){ .state = wf_rand_seed(seed, stream) };
}

uint32_t wf_test_below(struct wf_test_rand *r, uint32_t n)
{
    return wf_rand_below(&r->state, n);
}

unsigned wf_test_rounds(unsigned rounds)
{
    uint64_t scaled = (uint64_t)rounds * number("WEFT_TEST_SCALE", 100) / 100;
    return scaled ? (unsigned)scaled : 1;
}

unsigned wf_test_long(unsigned rounds)
{
    unsigned given = (unsigned)number("WEFT_ROUNDS", 0);
    return given ? given : wf_test_rounds(rounds);
}
