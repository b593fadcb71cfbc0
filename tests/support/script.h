// A stream that does what a test says: what a reader gets, in which pieces, and which
// calls fail; and how much of what a writer gives it takes.
#ifndef WF_TESTS_SCRIPT_H
#define WF_TESTS_SCRIPT_H

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <weft/stream.h>

#include "tests/support/harness.h"

enum { SCRIPT_ROOM = 1 << 20 };

struct script {
    const char *in; // what there is to read
    size_t n, at;
    size_t piece;   // how many bytes a read brings, and a writev takes, at most; 0: all
    int fail;       // what the next call returns, once, if below 0
    size_t fail_at; // only when so much was read, or written; 0: at once

    char *out; // what was written: SCRIPT_ROOM bytes, or NULL
    size_t written;
    const void *last; // the last piece of the last writev

    unsigned reads, polls, writes; // calls
    size_t asked;                  // how many bytes the last read was asked for
    const weft_reader *reader;     // a poll makes sure that this one has no buffer
};

static inline int script_fails(struct script *s, size_t at)
{
    int err = s->fail;

    if (err == 0 || at < s->fail_at)
        return 0;
    s->fail = 0;
    return err;
}

// script_room is how many bytes a call may move, when `at` have been moved.
static inline size_t script_room(const struct script *s, size_t at)
{
    size_t room = s->piece > 0 ? s->piece : SIZE_MAX;
    return s->fail != 0 && at < s->fail_at && room > s->fail_at - at ? s->fail_at - at : room;
}

static inline size_t script_least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline ssize_t script_read(void *self, void *buf, size_t n)
{
    struct script *s = self;
    int err = script_fails(s, s->at);

    s->reads++;
    s->asked = n;
    assert_true(n > 0);
    if (err < 0)
        return err;
    n = script_least(script_least(n, s->n - s->at), script_room(s, s->at));
    memcpy(buf, s->in + s->at, n);
    s->at += n;
    return (ssize_t)n;
}

static inline ssize_t script_writev(void *self, const struct iovec *v, int n)
{
    struct script *s = self;
    int err = script_fails(s, s->written);
    size_t room = script_room(s, s->written), sum = 0;

    s->writes++;
    if (err < 0)
        return err;
    for (int i = 0; i < n; i++) {
        size_t part = script_least(v[i].iov_len, room - sum);
        assert_true(part <= SCRIPT_ROOM - s->written);
        if (part > 0)
            memcpy(s->out + s->written, v[i].iov_base, part);
        s->written += part;
        s->last = v[i].iov_base;
        sum += part;
    }
    return (ssize_t)sum;
}

static inline int script_poll(void *self, short events)
{
    struct script *s = self;

    s->polls++;
    if (s->reader)
        assert_null(s->reader->weft_buf);
    return events;
}

static const weft_stream_ops script_ops = {
    .size = sizeof(weft_stream_ops),
    .read = script_read,
    .writev = script_writev,
    .poll = script_poll,
};

static inline weft_stream script_stream(struct script *s)
{
    return (weft_stream){ &script_ops, s };
}

// script_of is a script that brings this text.
static inline struct script script_of(const char *text, size_t piece)
{
    return (struct script){ .in = text, .n = strlen(text), .piece = piece };
}

#endif
