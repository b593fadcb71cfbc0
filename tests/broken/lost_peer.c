// A task waits, without a deadline, for a peer that does not answer.
#include "tests/broken/broken.h"

__attribute__((noinline)) static int await_answer(int fd)
{
    char answer[64];
    return (int)weft_read(fd, answer, sizeof(answer)) + answer[0];
}

static int ask_backend(void *arg)
{
    int fd = weft_tcp_dial(arg);

    must(fd);
    must((int)weft_write_all(fd, "ping\n", 5, NULL));
    return await_answer(fd) + 1;
}

static int serve(void *arg)
{
    char backend[64];
    (void)arg;

    begin();
    int listener = weft_tcp_listen("127.0.0.1:0");
    must(listener);
    must(weft_local_addr(listener, backend, sizeof(backend)));
    spawn_named("front", ask_backend, backend);
    await_parked(1);
    must(weft_accept(listener, NULL, NULL)); // and no more
    await_parked(1);
    say_ready();
    return weft_sleep(WEFT_S(1000));
}

int main(void)
{
    return weft_run(NULL, serve, NULL) < 0;
}
