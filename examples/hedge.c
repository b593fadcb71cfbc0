// Hedged requests: a task that gets no answer soon asks a second server as well, and
// takes the first answer. So a server that sometimes does not answer costs ten
// milliseconds, not seconds.
//
// Both servers are in this program, and server A does not answer every third request.
#include <stdio.h>
#include <weft.h>

static struct server {
    char name;
    int listener;
    char address[64];
} a = { .name = 'A' }, b = { .name = 'B' };

// A request is a digit; the answer is the server's name.
static int serve(void *arg)
{
    struct server *self = arg;
    char digit;
    int fd;

    while ((fd = weft_accept(self->listener, NULL, NULL)) >= 0) {
        if (weft_read(fd, &digit, 1) == 1 && self == &a && (digit - '0') % 3 == 0)
            weft_read(fd, &digit, 1); // waits until the client hangs up
        else
            weft_write_all(fd, &self->name, 1, NULL);
        weft_close(fd);
    }
    return weft_close(self->listener);
}

static int start(struct server *server, weft_scope *scope)
{
    int fd = server->listener = weft_tcp_listen("127.0.0.1:0");
    int err = fd < 0 ? fd : weft_local_addr(fd, server->address, sizeof(server->address));
    return err < 0 ? err : weft_scope_spawn(scope, serve, server);
}

struct request {
    const struct server *to;
    weft_time after;
    char digit;
};

static int ask(void *arg)
{
    const struct request *request = arg;
    char name;

    weft_sleep(request->after); // if the race is decided by then, the next call fails at once
    int fd = weft_tcp_dial(request->to->address);
    if (fd < 0)
        return fd;
    int err = weft_write_all(fd, &request->digit, 1, NULL);
    if (err == 0)
        err = weft_read_full(fd, &name, 1, NULL);
    weft_close(fd);
    return err < 0 ? err : name;
}

// hedge returns the first answer; an error if there is none.
static int hedge(char digit)
{
    struct request requests[] = { { &a, 0, digit }, { &b, WEFT_MS(10), digit } };
    weft_scope race;
    int err = 0;

    weft_scope_open(&race, WEFT_SCOPE_RACE);
    for (int i = 0; i < 2 && err == 0; i++)
        err = weft_scope_spawn(&race, ask, &requests[i]);
    int first = weft_scope_close(&race); // when the loser has hung up
    return first ? first : err;          // 0: no request could be started
}

static int run(void *arg)
{
    weft_scope servers;
    (void)arg;

    weft_scope_open(&servers, WEFT_SCOPE_FAIL_FAST);
    int err = start(&a, &servers);
    if (err == 0)
        err = start(&b, &servers);
    for (char digit = '0'; digit <= '9' && err >= 0; digit++) {
        weft_time begin = weft_now();
        if ((err = hedge(digit)) > 0)
            printf("request %c: %c answers after %.1f ms\n", digit, err, (double)(weft_now() - begin) / 1e6);
    }
    weft_scope_cancel(&servers);
    weft_scope_close(&servers);
    return err;
}

int main(void)
{
    int err = weft_run(NULL, run, NULL);
    return err < 0 ? fprintf(stderr, "hedge: %s\n", weft_strerror(err)) > 0 : 0;
}
