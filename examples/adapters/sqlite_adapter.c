#include "sqlite_adapter.h"

#include <weft.h>

// A call of SQLite's, as a job for the pool.
struct job {
    sqlite3 *db;
    const char *text;
    db_row *row;
    void *arg;
};

// NOMUTEX, because one task at a time uses the connection. SQLite allows calls from
// different threads.
static int open_job(void *arg)
{
    struct job *job = arg;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

    int err = sqlite3_open_v2(job->text, &job->db, flags, NULL);
    return err ? err : sqlite3_busy_timeout(job->db, 10000); // for other processes
}

int db_open(sqlite3 **out, const char *path)
{
    struct job job = { .text = path };

    int err = weft_blocking(open_job, &job);
    *out = job.db;
    return err;
}

static int exec_job(void *arg)
{
    struct job *job = arg;
    return sqlite3_exec(job->db, job->text, job->row, job->arg, NULL);
}

int db_exec(sqlite3 *db, const char *sql, db_row *row, void *arg)
{
    struct job job = { db, sql, row, arg };
    return weft_blocking(exec_job, &job);
}

static int close_job(void *arg)
{
    return sqlite3_close_v2(arg);
}

void db_close(sqlite3 *db)
{
    weft_shield_begin(WEFT_NEVER);
    if (weft_blocking(close_job, db) < 0)
        close_job(db); // the system refuses the pool a thread: better to block this one than to leak
    weft_shield_end();
}
