// The common part of tests of channels and selects: channels of numbers, and tasks that
// send or receive one.
#ifndef WF_TESTS_CHANS_H
#define WF_TESTS_CHANS_H

#include <errno.h>

#include "tests/support/tasks.h"

static inline weft_chan *new_chan(size_t elem_size, size_t capacity)
{
    weft_chan *c = NULL;
    assert_int_equal(weft_chan_new(&c, elem_size, capacity), 0);
    return c;
}

static inline weft_chan *new_numbers(size_t capacity)
{
    return new_chan(sizeof(int), capacity);
}

static inline int try_send(weft_chan *c, int n)
{
    return weft_chan_try_send(c, &n);
}

// try_recv returns the number, or an error; the numbers of these tests are not
// negative.
static inline int try_recv(weft_chan *c)
{
    int n = -1, err = weft_chan_try_recv(c, &n);
    return err ? err : n;
}

static inline int send_number(weft_chan *c, int n)
{
    return weft_chan_send(c, &n);
}

static inline int recv_number(weft_chan *c)
{
    int n = -1, err = weft_chan_recv(c, &n);
    if (err)
        assert_int_equal(n, -1); // untouched
    return err ? err : n;
}

// A task that sends a number, or receives one.
struct end {
    weft_chan *c;
    int n;
};

static inline int send_end(void *arg)
{
    struct end *e = arg;
    return send_number(e->c, e->n);
}

static inline int recv_end(void *arg)
{
    struct end *e = arg;
    return recv_number(e->c);
}

// start_send and start_recv return when the task waits.
static inline weft_task *start_send(struct end *e)
{
    weft_task *t = spawn(send_end, e);
    wait_parked(t, "weft_chan_send");
    return t;
}

static inline weft_task *start_recv(struct end *e)
{
    weft_task *t = spawn(recv_end, e);
    wait_parked(t, "weft_chan_recv");
    return t;
}

#endif
