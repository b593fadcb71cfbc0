// weft began with the question how asyncio works underneath. A minimal event loop is an
// echo server whose tasks give the loop their socket and "read" or "write", and
// continue when the socket is ready:
//
//     def handle(sock):                    # a generator is a task
//         while True:
//             yield sock, "read"           # the loop keeps {sock: task}, and selects
//             data = sock.recv(4096)
//             yield sock, "write"
//             sock.sendall(data)
//
// Nothing else is needed. In asyncio the pair goes to loop.add_reader, a Future
// represents "ready", and the Task resumes the generator when the future completes. In
// weft a task has a stack, so `yield` is a function that can be called at any depth:
// weft_poll. The future is a word of the descriptor, the reactor completes it, and any
// thread may resume the task.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <weft.h>

static int handle(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char data[1024];
    ssize_t n;

    // Try first: usually the bytes are there, and the loop is not needed.
    while ((n = weft_recv(fd, data, sizeof(data), MSG_DONTWAIT)) != 0) {
        if (n == -EAGAIN && weft_poll(fd, POLLIN) > 0) // yield sock, "read"
            continue;
        if (n < 0)
            break;
        for (ssize_t at = 0; at < n;) {
            ssize_t put = weft_send(fd, data + at, (size_t)(n - at), MSG_DONTWAIT);
            if (put < 0 && (put != -EAGAIN || weft_poll(fd, POLLOUT) < 0)) // yield sock, "write"
                return weft_close(fd);
            at += put > 0 ? put : 0;
        }
    }
    return weft_close(fd);
}

static int serve(void *arg)
{
    char at[64];
    int fd, listener = weft_tcp_listen(arg);

    if (listener < 0 || weft_local_addr(listener, at, sizeof(at)) < 0)
        return listener;
    dprintf(1, "listening on %s\n", at);
    while ((fd = weft_accept(listener, NULL, NULL)) >= 0) // weft_accept contains the same two lines
        if (weft_spawn(NULL, handle, (void *)(intptr_t)fd) < 0)
            weft_close(fd);
    return fd;
}

int main(int argc, char **argv)
{
    int err = weft_run(NULL, serve, argc > 1 ? argv[1] : "127.0.0.1:7000");
    return err < 0 ? fprintf(stderr, "origin_echo: %s\n", weft_strerror(err)) > 0 : 0;
}
