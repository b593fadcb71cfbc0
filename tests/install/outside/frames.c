// One task's frame is larger than the rest of its stack, and the function accesses only
// the far end of the frame. 16 other tasks have a pattern on their stacks.
//
//   frames KIB        ends by a report, or tells how many of the patterns are broken
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft.h>

enum { NEIGHBOURS = 16, PATTERN = 2048 };

static weft_future leave = WEFT_FUTURE_INIT;

__attribute__((noinline)) static void fill(volatile char *p, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = 0x55;
}

static int neighbour(void *arg)
{
    volatile unsigned char pattern[PATTERN];
    int broken = 0;
    (void)arg;

    for (int i = 0; i < PATTERN; i++)
        pattern[i] = (unsigned char)i;
    int err = weft_await(&leave, NULL);
    for (int i = 0; i < PATTERN; i++)
        broken += pattern[i] != (unsigned char)i;
    return err < 0 ? err : broken;
}

#define FRAME(kib)                                               \
    __attribute__((noinline)) static void frame_of_##kib(void)   \
    {                                                            \
        volatile char big[kib * 1024];                           \
        fill(big, 1024);                                         \
    }
#define CASE(kib)         \
    case kib:             \
        frame_of_##kib(); \
        return 0;

FRAME(63)
FRAME(65)
FRAME(66)
FRAME(68)
FRAME(72)
FRAME(96)
FRAME(124)
FRAME(128)
FRAME(192)
FRAME(256)
FRAME(512)
FRAME(1024)

static int jump(void *arg)
{
    switch (*(int *)arg) {
        CASE(63)
        CASE(65)
        CASE(66)
        CASE(68)
        CASE(72)
        CASE(96)
        CASE(124)
        CASE(128)
        CASE(192)
        CASE(256)
        CASE(512)
        CASE(1024)
    default:
        return -1;
    }
}

static int try(void *arg)
{
    weft_task *beside[NEIGHBOURS + 1], *jumper = NULL;
    weft_spawn_opts opts = WEFT_SPAWN_OPTS_INIT;
    int broken = 0, err = 0;

    for (int i = 0; i < NEIGHBOURS && err == 0; i++)
        err = weft_spawn(&beside[i], neighbour, NULL);
    if (err == 0)
        err = weft_sleep(WEFT_MS(20)); // they have begun, so their stacks are carved
    opts.name = "jumper";
    if (err == 0)
        err = weft_spawn_with(&jumper, &opts, jump, arg);
    if (err == 0)
        err = weft_join(jumper, NULL);
    weft_future_complete(&leave, 0);
    for (int i = 0; i < NEIGHBOURS && err == 0; i++) {
        int result = 0;
        err = weft_join(beside[i], &result);
        broken += result != 0;
    }
    printf("survived; %d patterns are broken\n", broken);
    return err;
}

int main(int argc, char **argv)
{
    int kib = argc > 1 ? atoi(argv[1]) : 0;
    return weft_run(NULL, try, &kib) < 0 ? 1 : 0;
}
