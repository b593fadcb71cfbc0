// For tests/examples/gdb-tasks: three tasks park, each in frames of its own; then the
// first one aborts, or waits to be looked at (STAY=1). CROWD=N: N more.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft.h>

static weft_mutex lock;
static int ends[2];

__attribute__((noinline)) static int keep_lock(volatile int *extra)
{
    int err = weft_mutex_lock(&lock);

    if (!err)
        err = weft_sleep(WEFT_S(1000));
    return err + *extra;
}

static int keeper(void *arg)
{
    volatile int extra = (int)(intptr_t)arg;
    return keep_lock(&extra) + 1;
}

__attribute__((noinline)) static int want_lock(volatile int *extra)
{
    return weft_mutex_lock(&lock) + *extra;
}

static int wanter(void *arg)
{
    volatile int extra = 42;
    (void)arg;
    return want_lock(&extra) + extra;
}

__attribute__((noinline)) static int read_end(char *room)
{
    return (int)weft_read(ends[0], room, 1) + room[0];
}

static int reader(void *arg)
{
    char room[16] = { 0 };
    (void)arg;
    return read_end(room) + 1;
}

static int spawn_named(const char *name, weft_fn *fn)
{
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;

    o.name = name;
    int err = weft_spawn_with(&t, &o, fn, NULL);
    return err ? err : weft_sleep(WEFT_MS(1));
}

static int await_parked(uint64_t tasks)
{
    weft_metrics m = WEFT_METRICS_INIT;
    int err = 0;

    while (!err && m.parked < tasks) {
        err = weft_sleep(WEFT_MS(1));
        if (!err)
            err = weft_rt_metrics(weft_rt_current(), &m);
    }
    return err;
}

static int first(void *arg)
{
    int crowd = getenv("CROWD") ? atoi(getenv("CROWD")) : 0;
    weft_task *t;
    (void)arg;

    weft_mutex_init(&lock);
    int err = spawn_named("keeper", keeper);
    if (!err)
        err = spawn_named("wanter", wanter);
    if (!err)
        err = spawn_named("reader", reader);
    for (int i = 0; i < crowd && !err; i++)
        err = weft_spawn(&t, reader, NULL);
    if (!err)
        err = await_parked(3 + (uint64_t)crowd);
    if (err)
        return err;
    puts("ready");
    fflush(stdout);
    return getenv("STAY") ? weft_sleep(WEFT_S(1000)) : (abort(), 0);
}

int main(void)
{
    return pipe(ends) < 0 || weft_run(NULL, first, NULL) < 0;
}
