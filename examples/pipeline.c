// A pipeline of three stages: count | square, in several tasks | add. Small channels
// connect the stages, and a stage that is too fast waits for the next one. So only a
// few numbers are in the pipeline at once, however many pass through.
//
//   pipeline 1000000
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft.h>

enum { ROOM = 8, SQUARERS = 4 };
enum { MOST = ROOM + SQUARERS + ROOM + 1 }; // in the channels, in the squarers, and one not yet counted

static struct {
    weft_chan *numbers, *squares;
    size_t count;          // how many numbers to send
    atomic_size_t arrived; // numbers at the end so far
    size_t on_the_way;     // the most at once
    size_t right, sum;     // of the squares: expected, actual
} line;

static int count_up(void *arg)
{
    int err = 0;
    (void)arg;

    for (size_t n = 1; n <= line.count && err == 0; n++) {
        err = weft_chan_send(line.numbers, &n); // waits for room
        size_t now = n - atomic_load(&line.arrived);
        line.on_the_way = now > line.on_the_way ? now : line.on_the_way;
        line.right += n * n;
    }
    weft_chan_close(line.numbers); // the numbers in it are still received
    return err;
}

static int square(void *arg)
{
    size_t n;
    int err = 0;
    (void)arg;

    while (err == 0 && (err = weft_chan_recv(line.numbers, &n)) == 0) {
        n *= n;
        err = weft_chan_send(line.squares, &n);
    }
    return err == -EPIPE ? 0 : err; // closed and drained: the work is done
}

// square_all is a stage of several tasks. When its scope is closed, the tasks have
// ended, and no more squares follow.
static int square_all(void *arg)
{
    weft_scope squarers;
    int err = 0;
    (void)arg;

    weft_scope_open(&squarers, WEFT_SCOPE_FAIL_FAST);
    for (int i = 0; i < SQUARERS && err == 0; i++)
        err = weft_scope_spawn(&squarers, square, NULL);
    int first = weft_scope_close(&squarers);
    weft_chan_close(line.squares);
    return err < 0 ? err : first;
}

static int run(void *arg)
{
    weft_scope stages; // if one stage fails, the others are cancelled
    size_t n;
    (void)arg;

    weft_scope_open(&stages, WEFT_SCOPE_FAIL_FAST);
    int err = weft_scope_spawn(&stages, count_up, NULL);
    if (err == 0)
        err = weft_scope_spawn(&stages, square_all, NULL);
    if (err < 0)
        weft_scope_cancel(&stages);
    while (weft_chan_recv(line.squares, &n) == 0) { // the last stage is this task itself
        line.sum += n;
        atomic_fetch_add(&line.arrived, 1);
    }
    int first = weft_scope_close(&stages);
    return err < 0 ? err : first;
}

int main(int argc, char **argv)
{
    line.count = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    int err = weft_chan_new(&line.numbers, sizeof(size_t), ROOM);
    if (err == 0)
        err = weft_chan_new(&line.squares, sizeof(size_t), ROOM);
    if (err == 0)
        err = weft_run(NULL, run, NULL);
    weft_chan_unref(line.numbers);
    weft_chan_unref(line.squares);
    if (err < 0)
        return fprintf(stderr, "pipeline: %s\n", weft_strerror(err)) > 0;
    printf("%zu arrived, at most %zu were on the way, the sum is %zu\n", line.arrived, line.on_the_way, line.sum);
    return line.arrived != line.count || line.on_the_way > MOST || line.sum != line.right;
}
