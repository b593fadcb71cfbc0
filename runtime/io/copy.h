// A copy, and what its ways share: copy.c has the calls and the ways of streams,
// copy_file.c those of files, which use threads. For these two files only.
#ifndef WF_RUNTIME_IO_COPY_H
#define WF_RUNTIME_IO_COPY_H

#include "base/assert.h"
#include "runtime/io/pipe.h"
#include "runtime/io/ready.h"

enum {
    WF_COPY_JOB = 1 << 20,      // bytes of a job of the pool, for whose end a cancel waits
    WF_COPY_FILE_JOB = 1 << 22, // the same, from file to file
    WF_COPY_SPARE = 512,        // bytes of the buffer if no other can be allocated
};

// The kinds of descriptors. WF_COPY_PACKETS: a socket that does not stream.
enum wf_copy_kind { WF_COPY_OTHER, WF_COPY_PACKETS, WF_COPY_FILE, WF_COPY_FIFO, WF_COPY_SOCKET };

struct wf_copy {
    struct weft_rt *rt;
    struct wf_ready in, out;
    enum wf_copy_kind from, to;
    uint64_t left;    // bytes that are not taken yet
    uint64_t done;    // bytes written
    size_t held;      // bytes taken and not written, in a buffer or a pipe
    bool splices;     // as far as is known
    bool bulk;        // the last piece was large
    size_t n;         // of the next system call
    off_t *at;        // of sendfile; NULL: the file's position
    wf_ready_try *fn; // see wf_copy_on_both
    struct wf_pipe pipe;
};

static inline bool wf_copy_is_done(const struct wf_copy *c)
{
    return c->left == 0;
}

static inline size_t wf_copy_lesser(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

// wf_copy_note_moved counts the bytes of a call that has both taken and written them.
static inline void wf_copy_note_moved(struct wf_copy *c, ssize_t n)
{
    wf_debug_assert(n > 0 && (uint64_t)n <= c->left);
    c->left -= (uint64_t)n;
    c->done += (uint64_t)n;
}

// wf_copy_begin_step begins each step.
static inline void wf_copy_begin_step(struct wf_ready *r)
{
    r->edge = 0;
    r->parked = false;
    r->pause = 0;
}

// wf_copy_in_pool makes a call on the blocking pool, or on this thread if the system
// refuses one: then the call delays other tasks, but does not fail. wf_copy_on_both makes
// c->fn on this thread, while the caller holds `in`.
ssize_t wf_copy_in_pool(struct wf_copy *c, wf_ready_try *fn);
ssize_t wf_copy_on_both(int fd, void *copy);

// wf_copy_move_position moves the source file's position.
// Returns: the new position; an error.
off_t wf_copy_move_position(struct wf_copy *c, off_t by);

// wf_copy_files copies from file to file, as far as the kernel can.
// Returns: 0: go on through a buffer; an error.
ssize_t wf_copy_files(struct wf_copy *c);

// wf_copy_send_rest sends a file to a socket, from the file's position on, and advances
// it. wf_copy_send_file is weft_sendfile after the checks of its arguments.
ssize_t wf_copy_send_rest(struct wf_copy *c);
ssize_t wf_copy_send_file(struct wf_copy *c, off_t *offset, size_t n);

#endif
