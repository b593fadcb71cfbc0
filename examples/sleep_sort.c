// Sorts its arguments by sleeping: a task for each number, which waits that many
// milliseconds and then prints it. The algorithm is a joke, but shows what a task and a
// timer cost:./sleep_sort $(seq 20000 | shuf) works.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

static weft_time beginning;

static int print_when_due(void *arg)
{
    const char *number = arg;

    int err = weft_sleep_until(beginning + WEFT_MS(strtol(number, NULL, 10)));
    if (err == 0)
        puts(number);
    return err;
}

// There may be many tasks, so their handles are on the heap. Joins in any order wait
// for all of them.
static int sort(void *arg)
{
    char **number = arg;
    int n = 0, err = 0;

    while (number[n])
        n++;
    weft_task **tasks = calloc((size_t)n + 1, sizeof(*tasks));
    if (!tasks)
        return -ENOMEM;
    beginning = weft_now();
    for (int i = 0; i < n && err == 0; i++)
        err = weft_spawn(&tasks[i], print_when_due, number[i]);
    for (int i = 0; i < n && tasks[i]; i++)
        weft_join(tasks[i], NULL);
    free(tasks);
    return err;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *end;
        long n = strtol(argv[i], &end, 10);
        if (*argv[i] == 0 || *end || n < 0 || n > 3600000) {
            fprintf(stderr, "sleep_sort: '%s' is no number of milliseconds from 0 to 3600000\n", argv[i]);
            return 2;
        }
    }
    int err = weft_run(NULL, sort, argv + 1);
    if (err < 0)
        fprintf(stderr, "sleep_sort: %s\n", weft_strerror(err));
    return err < 0;
}
