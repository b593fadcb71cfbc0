// A task makes a system call that blocks its worker: read(2), where weft_read was meant.
#include "tests/broken/broken.h"

__attribute__((noinline)) static int fetch_line(int fd)
{
    char line[64];
    return (int)read(fd, line, sizeof(line)) + line[0];
}

static int ask_user(void *arg)
{
    say_ready();
    return fetch_line(*(int *)arg) + 1;
}

static int serve(void *arg)
{
    int ends[2];
    (void)arg;

    begin();
    must(pipe(ends));
    spawn_named("asker", ask_user, &ends[0]);
    return weft_sleep(WEFT_S(1000));
}

int main(void)
{
    return weft_run(NULL, serve, NULL) < 0;
}
