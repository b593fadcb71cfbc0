// Two tasks take two locks, each in its own order.
#include "tests/broken/broken.h"

static weft_mutex ledger, journal;
static weft_barrier both;

static int post(void *arg)
{
    (void)arg;
    must(weft_mutex_lock(&ledger));
    must(weft_barrier_wait(&both));
    must(weft_mutex_lock(&journal));
    return 0;
}

static int audit(void *arg)
{
    (void)arg;
    must(weft_mutex_lock(&journal));
    must(weft_barrier_wait(&both));
    must(weft_mutex_lock(&ledger));
    return 0;
}

static int serve(void *arg)
{
    (void)arg;
    begin();
    weft_mutex_init(&ledger);
    weft_mutex_init(&journal);
    weft_barrier_init(&both, 2);
    spawn_named("poster", post, NULL);
    spawn_named("auditor", audit, NULL);
    await_parked(2);
    say_ready();
    return weft_sleep(WEFT_S(1000));
}

int main(void)
{
    return weft_run(NULL, serve, NULL) < 0;
}
