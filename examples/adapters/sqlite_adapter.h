// SQLite from tasks: it has no non-blocking interface, so each call runs on a thread of
// the blocking pool.
//
//     sqlite3 *db;
//     int err = db_open(&db, "data.db");
//     if (err == SQLITE_OK)
//         err = db_exec(db, "begin immediate; update t set n = n + 1; commit", NULL, NULL);
//     db_close(db);
//
// One task at a time may use a connection: its own, or one that tasks share under a
// weft_mutex, which parks the task and not the thread. A transaction belongs to the
// connection, so a task that shares one holds the mutex from begin to commit; one
// db_exec is best. (If it fails before its commit, the transaction stays open: roll it
// back.) Tasks that write should take a common weft_mutex even if each has its own
// connection: SQLite admits one writer at a time, and the others would block threads of
// the pool.
//
// Cancel: a statement that has begun is finished, and its result reported
// (sqlite3_interrupt, from any thread or task, ends it earlier). A statement that has
// not begun never runs. db_close rolls back an open transaction.
#ifndef ADAPTER_SQLITE_H
#define ADAPTER_SQLITE_H

#include <sqlite3.h>

typedef int db_row(void *arg, int columns, char **values, char **names); // sqlite3_exec's: runs in the pool

// Both return SQLITE_OK, an error of SQLite (above 0), or one of weft_blocking (below
// 0: nothing has run). db_close must follow db_open, even after an error.
int db_open(sqlite3 **out, const char *path);
int db_exec(sqlite3 *db, const char *sql, db_row *row, void *arg);

// A cancel does not end db_close. *db may be NULL.
void db_close(sqlite3 *db);

#endif
