// What the broken programs of this folder have in common: a dump at SIGQUIT, and a line
// when they are as broken as they get.
#ifndef WF_TESTS_BROKEN_H
#define WF_TESTS_BROKEN_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weft.h>

static weft_rt *runtime;

static void on_quit(int sig)
{
    (void)sig;
    weft_rt_dump(runtime, STDERR_FILENO);
}

// begin is called by the first task.
static inline void begin(void)
{
    struct sigaction dump = { .sa_handler = on_quit, .sa_flags = SA_ONSTACK | SA_RESTART };

    runtime = weft_rt_current();
    sigaction(SIGQUIT, &dump, NULL);
}

static inline void must(int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "%s\n", weft_strerror(result));
    exit(1);
}

static inline void spawn_named(const char *name, weft_fn *fn, void *arg)
{
    weft_spawn_opts o = WEFT_SPAWN_OPTS_INIT;
    weft_task *t;

    o.name = name;
    must(weft_spawn_with(&t, &o, fn, arg));
    weft_detach(t);
}

static inline void say_ready(void)
{
    puts("ready");
    fflush(stdout);
}

// await_parked returns when so many tasks are parked.
static inline void await_parked(uint64_t tasks)
{
    weft_metrics m = WEFT_METRICS_INIT;

    while (m.parked < tasks) {
        must(weft_sleep(WEFT_MS(1)));
        must(weft_rt_metrics(runtime, &m));
    }
}

#endif
