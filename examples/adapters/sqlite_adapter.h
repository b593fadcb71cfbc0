// SQLite from tasks: it has no non-blocking interface, so each call runs on a thread of
// the blocking pool.
//
//     sqlite3 *db;
//     int err = db_open(&db, "data.db");
//     if (err == SQLITE_OK)
//         err = db_exec(db, "begin immediate; update t set n = n + 1; commit", NULL, NULL);
//     db_close(db);
//
// A connection is one task's at a time: of its own, or one that it shares under a
// weft_mutex, which parks the task and no thread. A transaction belongs to the
// connection, so a task that shares one holds the mutex from begin to commit; best is
// one db_exec. (One that fails before its commit leaves the transaction open:
// rollback.) Tasks that write should take a weft_mutex for that even with connections
// of their own: SQLite lets one write at a time, and the others would wait on threads
// of the pool.
//
// Cancel: a statement that has begun is finished, and its result reported
// (sqlite3_interrupt, from any thread or task, ends it earlier). One that has not begun
// never runs. What a task leaves open db_close rolls back.
#ifndef ADAPTER_SQLITE_H
#define ADAPTER_SQLITE_H

#include <sqlite3.h>

typedef int db_row(void *arg, int columns, char **values, char **names); // sqlite3_exec's: runs in the pool

// The two return SQLITE_OK, an error of SQLite (above 0), or one of weft_blocking
// (below 0: nothing has run). db_close must follow db_open, whatever that returns.
int db_open(sqlite3 **out, const char *path);
int db_exec(sqlite3 *db, const char *sql, db_row *row, void *arg);

// db_close is not cut short by a cancel. *db may be NULL.
void db_close(sqlite3 *db);

#endif
