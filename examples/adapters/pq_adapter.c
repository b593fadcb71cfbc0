#include "pq_adapter.h"

#include <errno.h>
#include <poll.h>
#include <weft.h>

int pq_open(PGconn **out, const char *conninfo)
{
    // Kerberos asks its own servers, which blocks the thread: so it is disabled.
    const char *const keys[] = { "gssencmode", "dbname", NULL }, *const values[] = { "disable", conninfo, NULL };
    PostgresPollingStatusType next = PGRES_POLLING_WRITING; // so PQconnectPoll's manual says
    PGconn *conn = *out = PQconnectStartParams(keys, values, 1);

    if (!conn)
        return -ENOMEM;
    if (PQstatus(conn) == CONNECTION_BAD)
        return -ECONNREFUSED;
    for (; next != PGRES_POLLING_OK; next = PQconnectPoll(conn)) {
        if (next == PGRES_POLLING_FAILED)
            return -ECONNREFUSED;
        // Call PQsocket each time, because libpq opens a new socket for each address
        // that it tries.
        int ready = weft_poll(PQsocket(conn), next == PGRES_POLLING_READING ? POLLIN : POLLOUT);
        if (ready < 0)
            return ready;
    }
    return PQsetnonblocking(conn, 1) == 0 ? 0 : -ENOMEM;
}

// wait_for parks until the connection is ready for one of `events`, and reads the bytes
// that have arrived.
static int wait_for(PGconn *conn, short events)
{
    int ready = weft_poll(PQsocket(conn), events);

    if (ready < 0)
        return ready;
    return ready & ~POLLOUT && !PQconsumeInput(conn) ? -ECONNRESET : 0;
}

// send_all waits for both directions: a server whose answer is not read may stop
// reading the query.
static int send_all(PGconn *conn)
{
    int more, err = 0;

    while (err == 0 && (more = PQflush(conn)) != 0)
        err = more > 0 ? wait_for(conn, POLLIN | POLLOUT) : -ECONNRESET;
    return err;
}

// next_result stores NULL after the last result.
static int next_result(PGconn *conn, PGresult **out)
{
    while (PQisBusy(conn)) {
        int err = wait_for(conn, POLLIN);
        if (err < 0)
            return err;
    }
    *out = PQgetResult(conn);
    return 0;
}

int pq_query(PGconn *conn, const char *sql, int n, const char *const *args, PGresult **out)
{
    PGresult *next = NULL;
    int err = PQsendQueryParams(conn, sql, n, NULL, args, NULL, NULL, 0) ? send_all(conn) : -ECONNRESET;

    *out = NULL;
    while (err == 0 && (err = next_result(conn, &next)) == 0 && next) {
        PQclear(*out); // of several, the last one counts
        *out = next;
    }
    return err;
}
