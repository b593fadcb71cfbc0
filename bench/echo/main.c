// echo-load: the load generator of the echo benchmark.
#include "bench/echo/load.h"

#include <signal.h>
#include <stdio.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_INTERRUPTED = 130 };

static void catch_signals(void)
{
    struct sigaction action = { .sa_handler = load_interrupt };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int main(int argc, char **argv)
{
    struct options opt;
    struct load load;
    options_parse(&opt, argc, argv);
    catch_signals();

    int err = load_init(&load, &opt);
    if (!err)
        err = load_run(&load);
    if (err)
        fprintf(stderr, "echo-load: %s\n", load.error);
    int printed = report_print(&load);
    int code = err || printed < 0 ? EXIT_FAILED : load.interrupted ? EXIT_INTERRUPTED : EXIT_OK;
    load_fini(&load);
    return code;
}
