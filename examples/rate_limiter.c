// A rate limiter. A semaphore is the bucket: a ticker adds permits, and each call takes
// one. A burst of calls may take as many permits as the bucket holds; over a long time
// there is one call per tick.
//
// Every third caller gives up when it has waited 40 ms. That costs no permit: at the
// end the numbers agree.
#include <stdatomic.h>
#include <stdio.h>
#include <weft.h>

enum { BURST = 5, CALLERS = 30 };
#define PERIOD WEFT_MS(10)

static weft_sem bucket = WEFT_SEM_INIT(BURST);
static atomic_size_t served, gave_up, too_early;
static size_t added;
static weft_time begin;

// refill runs until it is cancelled.
static int refill(void *arg)
{
    weft_ticker ticker;
    (void)arg;

    int err = weft_ticker_init(&ticker, PERIOD, WEFT_TICK_BURST); // late ticks are made up
    while (err == 0 && (err = weft_ticker_wait(&ticker)) == 0) {
        if (weft_sem_available(&bucket) == BURST)
            continue; // full; no other task adds permits
        weft_sem_release(&bucket, 1);
        added++;
    }
    return err;
}

static void call(void)
{
    long n = (long)atomic_fetch_add(&served, 1) + 1;
    weft_time after = weft_now() - begin;

    printf("call %2ld after %5.1f ms\n", n, (double)after / 1e6);
    if (after < (n - BURST) * PERIOD)
        atomic_fetch_add(&too_early, 1);
}

static int patient(void *arg)
{
    (void)arg;
    int err = weft_sem_acquire(&bucket, 1);
    if (err == 0)
        call();
    return err;
}

// A deadline belongs to a scope: it covers all calls inside.
static int impatient(void *arg)
{
    weft_scope limit;

    weft_scope_open(&limit, WEFT_SCOPE_FAIL_FAST);
    weft_scope_deadline(&limit, weft_after(WEFT_MS(40)));
    if (patient(arg) < 0)
        atomic_fetch_add(&gave_up, 1);
    weft_scope_close(&limit);
    return 0;
}

static int run(void *arg)
{
    weft_scope limiter, callers;
    (void)arg;

    begin = weft_now();
    weft_scope_open(&limiter, WEFT_SCOPE_COLLECT);
    int err = weft_scope_spawn(&limiter, refill, NULL);
    weft_scope_open(&callers, WEFT_SCOPE_FAIL_FAST);
    for (int i = 1; i <= CALLERS && err == 0; i++)
        err = weft_scope_spawn(&callers, i % 3 ? patient : impatient, NULL);
    if (err < 0)
        weft_scope_cancel(&callers);
    int first = weft_scope_close(&callers);
    weft_scope_cancel(&limiter);
    weft_scope_close(&limiter);
    return err < 0 ? err : first;
}

int main(void)
{
    int err = weft_run(NULL, run, NULL);
    if (err < 0)
        return fprintf(stderr, "rate_limiter: %s\n", weft_strerror(err)) > 0;
    size_t left = weft_sem_available(&bucket);
    printf("%zu served, %zu gave up; permits: %d at first + %zu added = %zu taken + %zu left\n", served, gave_up, BURST,
           added, served, left);
    return served + gave_up != CALLERS || BURST + added != served + left || too_early;
}
