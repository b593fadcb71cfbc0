// Tasks, and waits for their end: three greeters on all CPUs.
//
//   cc -fstack-clash-protection -Iinclude examples/hello.c build/release/libweft.a -pthread && ./a.out
#include <stdio.h>
#include <weft.h>

static int greet(void *arg)
{
    const char *whom = arg;

    int err = weft_sleep(WEFT_MS(1)); // parks this task; its thread runs other tasks
    if (err < 0)
        return err;
    printf("hello, %s\n", whom);
    return 0;
}

static int start(void *arg)
{
    char *names[] = { "world", "warp", "weft" };
    weft_task *tasks[3];
    (void)arg;

    for (int i = 0; i < 3; i++) {
        int err = weft_spawn(&tasks[i], greet, names[i]);
        if (err < 0)
            return err; // weft_run cancels the tasks spawned so far, and waits for them
    }
    for (int i = 0; i < 3; i++)
        weft_join(tasks[i], NULL);
    return 0;
}

int main(void)
{
    int err = weft_run(NULL, start, NULL);
    if (err < 0)
        fprintf(stderr, "hello: %s\n", weft_strerror(err));
    return err < 0;
}
