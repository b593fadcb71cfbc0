// A connection. Each call is a loop around one step, a call of OpenSSL that does not
// wait:
//
//      lock --> the step, and at once what it says --> unlock
//        ^                                               |  it wants to read, or to write
//        +------------------- weft_poll <----------------+
//
// Two locks:
//   lock  around each call of OpenSSL, whose objects are for one thread at a time. A
//         parked task never holds it, so a reader that waits for the peer does not
//         block a writer.
//   turn  a writer has it for a whole call with its waits. After an incomplete write
//         OpenSSL must get the same bytes again, and no other bytes before.
//
// What a write leaves. OpenSSL seals a record before it sends it. If the task is
// cancelled while the socket has no room, the peer may have a part of the record: the
// rest must follow, or the peer cannot decipher anything later. So the connection keeps
// a copy of the bytes of the step (`rest`; at most RECORD of them), and each later call
// that writes first repeats that step. The length alone would not suffice: how many of
// the bytes are sealed depends on the size of records, which OpenSSL does not tell.
#ifndef WF_TLS_CONNECTION_H
#define WF_TLS_CONNECTION_H

#include <weft/tls.h>

#include "extra/tls/socket.h"

struct weft_tls {
    SSL *ssl;                    // L: OpenSSL's
    struct wf_tls_socket socket; // L
    int read_error, write_error; // L: 0, or what ended the direction
    weft_mutex lock;             // L

    weft_mutex turn;        // T: of the writers
    char *rest;             // T: the rest of a cancelled write, or NULL
    size_t rest_at, rest_n; // T: the part of it that must still be sent
    bool ending, ended;     // T: the end is begun; it is sent
};

// wf_tls_readable waits until a read would not wait. Returns: 0; an error.
int wf_tls_readable(weft_tls *t, short events);

// wf_tls_write_part is weft_tls_write; `more`: the caller writes more bytes right after
// these, so the kernel need not send these alone.
ssize_t wf_tls_write_part(weft_tls *t, const void *buf, size_t n, bool more);

#endif
