// A connection. Each call is a loop around one step, a call of OpenSSL that does not
// wait:
//
//      lock --> the step, and at once what it says --> unlock
//        ^                                               |  it wants to read, or to write
//        +------------------- weft_poll <----------------+
//
// Two locks:
//   lock  around each call of OpenSSL, whose objects are for one thread at a time. It is
//         never held by a task that is parked, so a reader that waits for the peer does
//         not keep a writer out.
//   turn  is a writer's, for a whole call with its waits. OpenSSL must be given the same
//         bytes again after a write that was not complete, and nothing else before.
//
// What a write leaves. OpenSSL seals a record before it sends it. If the task is cut
// short while the socket has no room, part of the record may be with the peer: the rest
// must follow, or nothing that comes later can be deciphered. So the connection keeps a
// copy of the bytes that the step was made with (`rest`; at most RECORD of them), and
// each later call that writes makes that step again first. The copy is needed, not just
// its length: how many of the bytes are sealed depends on the size of records, which
// OpenSSL does not tell.
#ifndef WF_TLS_CONNECTION_H
#define WF_TLS_CONNECTION_H

#include <weft/tls.h>

#include "extra/tls/socket.h"

struct weft_tls {
    SSL *ssl;                    // L: OpenSSL's
    struct wf_tls_socket socket; // L
    int read_error, write_error; // L: 0, or what ended the direction
    weft_mutex lock;             // L

    weft_mutex turn;        // T: of those that write
    char *rest;             // T: what a write that was cut short has left, or NULL
    size_t rest_at, rest_n; // T: what of it is still to be sent
    bool ending, ended;     // T: the end has been begun; it has been sent
};

// wf_tls_readable waits until a read would not.  Returns: 0; an error.
int wf_tls_readable(weft_tls *t, short events);

#endif
