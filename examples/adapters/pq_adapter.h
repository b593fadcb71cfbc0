// PostgreSQL from tasks: libpq's non-blocking interface, and weft_poll where it would
// wait.
//
//     PGconn *conn;
//     PGresult *result = NULL;
//     const char *text = "weft";
//     int err = pq_open(&conn, "hostaddr=127.0.0.1 user=me");
//     if (err == 0)
//         err = pq_query(conn, "select upper($1)", 1, &text, &result);
//     if (err == 0 && PQresultStatus(result) == PGRES_TUPLES_OK)
//         puts(PQgetvalue(result, 0, 0));
//     PQclear(result);
//     PQfinish(conn);
//
// One task at a time may use a connection. After a call that failed or was cancelled,
// the connection is in the middle of its protocol: only PQfinish may follow. The server
// continues the query until it notices that.
#ifndef ADAPTER_PQ_H
#define ADAPTER_PQ_H

#include <libpq-fe.h>

// pq_open connects. PQfinish(*out) must follow, even after an error. Use hostaddr,
// because to look up a host's name blocks the thread.
//
// Returns: 0; -ECONNREFUSED, and PQerrorMessage(*out) says why; -ENOMEM; an error of
// weft_poll.
int pq_open(PGconn **out, const char *conninfo);

// pq_query runs `sql` with `n` text arguments, $1 to $n in it. PQclear(*out) must
// follow, even after an error. An error in the query is a result, too: see
// PQresultStatus.
//
// Returns: 0; -ECONNRESET, and PQerrorMessage(conn) says why; an error of weft_poll.
int pq_query(PGconn *conn, const char *sql, int n, const char *const *args, PGresult **out);

#endif
