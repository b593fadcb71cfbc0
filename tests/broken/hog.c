// A task computes, and lets no other task have its worker.
#include "tests/broken/broken.h"

static volatile unsigned sum;

__attribute__((noinline)) static void squeeze(void)
{
    for (;;)
        sum += sum >> 3;
}

static int compress(void *arg)
{
    (void)arg;
    say_ready();
    squeeze();
    return (int)sum;
}

static int serve(void *arg)
{
    (void)arg;
    begin();
    spawn_named("compressor", compress, NULL);
    return weft_sleep(WEFT_S(1000));
}

int main(void)
{
    return weft_run(NULL, serve, NULL) < 0;
}
