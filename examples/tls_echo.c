// The echo server of the README, with TLS.
//
//   tls_echo 127.0.0.1:7000 CERTIFICATE KEY     two files in PEM
//
// docs/tls.md tells how to make them, and how to talk to it.
#include <stdio.h>
#include <weft/tls.h>

static SSL_CTX *ctx;

static int serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buf[4096];
    weft_tls *tls;
    ssize_t n;

    int err = weft_tls_server(&tls, fd, ctx);
    if (err < 0) {
        fprintf(stderr, "tls_echo: %s\n", weft_strerror(err));
        weft_close(fd);
        return err;
    }
    while ((n = weft_tls_read(tls, buf, sizeof(buf))) > 0)
        if ((n = weft_tls_write(tls, buf, (size_t)n)) < 0)
            break;
    weft_tls_close(tls);
    return (int)n;
}

static int server(void *address)
{
    char at[64];
    int listener = weft_tcp_listen(address);
    if (listener < 0)
        return listener;
    if (weft_local_addr(listener, at, sizeof(at)) > 0)
        printf("listening on %s\n", at);
    fflush(stdout);
    for (;;) {
        int fd = weft_accept(listener, NULL, NULL);
        if (fd < 0)
            return fd;
        int err = weft_spawn(NULL, serve, (void *)(intptr_t)fd);
        if (err)
            weft_close(fd);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: tls_echo HOST:PORT CERTIFICATE KEY\n");
        return 2;
    }
    int err = weft_tls_server_ctx(&ctx, argv[2], argv[3]);
    if (err == 0)
        err = weft_run(NULL, server, argv[1]);
    SSL_CTX_free(ctx);
    if (err < 0)
        fprintf(stderr, "tls_echo: %s\n", weft_strerror(err));
    return err < 0;
}
