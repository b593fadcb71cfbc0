// libcurl from tasks. One task uses a multi handle, with any number of transfers;
// weft_select waits for its sockets and its timer.
//
//     struct web web;
//     int err = web_open(&web);
//     if (err == 0) {
//         curl_multi_add_handle(web.multi, easy);            // one transfer or several, and then
//         err = web_perform(&web);                           // all of them: five connections at a time
//     }
//     ... curl_multi_info_read(web.multi, ...) says how each of them went ...
//     web_close(&web);                                       // after curl_multi_remove_handle of each
//
// Connections are kept for the transfers to come until web_close. A call that was
// cancelled leaves transfers half done: remove their handles, which closes their
// connections, and go on or close. Callbacks run inside libcurl and must not park.
// libcurl looks up names on its own thread. Call curl_global_init before weft_run, and
// set CURLOPT_NOSIGNAL.
#ifndef ADAPTER_CURL_H
#define ADAPTER_CURL_H

#include <curl/curl.h>
#include <weft.h>

enum { WEB_SOCKETS = 15 }; // sockets for which one handle waits at a time

struct web {
    CURLM *multi;
    weft_time timer; // when to call libcurl without an event
    struct {
        curl_socket_t fd; // -1: a free place
        short events;
    } sockets[WEB_SOCKETS];
};

// web_open makes the multi handle. web_close must follow, unless web_open fails:
// -ENOMEM.
int web_open(struct web *web);

// web_perform returns when all transfers that were added are over.  Returns: 0; -EIO;
// an error of weft_select.
int web_perform(struct web *web);

void web_close(struct web *web);

#endif
