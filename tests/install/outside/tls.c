#include <stdio.h>
#include <sys/socket.h>
#include <weft/tls.h>

static int serve(void *arg)
{
    weft_tls *tls;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method()); // without a certificate
    int err = weft_tls_server(&tls, *(int *)arg, ctx);

    SSL_CTX_free(ctx);
    return err;
}

static int body(void *arg)
{
    SSL_CTX *ctx;
    weft_tls *tls;
    weft_task *server;
    int fd[2];
    (void)arg;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0 || weft_tls_client_ctx(&ctx) < 0)
        return -1;
    int err = weft_spawn(&server, serve, &fd[0]);
    if (err < 0)
        return err;
    int client = weft_tls_client(&tls, fd[1], ctx, "localhost");
    weft_join(server, &err);
    SSL_CTX_free(ctx);
    return client == WEFT_TLS_ALERT && err == WEFT_TLS_PROTOCOL ? 42 : client;
}

int main(void)
{
    weft_config config = WEFT_CONFIG_INIT;
    int result = weft_run(&config, body, NULL);

    printf("%d\n", result);
    return result == 42 ? 0 : 1;
}
