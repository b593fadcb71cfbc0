// The adapter of SQLite, on a database in a file.
#include "examples/adapters/sqlite_adapter.h"

#include "tests/adapters/crowd.h"

enum { TASKS = 16, CONNECTIONS = 20, WRITES = 5, ALL = TASKS * CONNECTIONS * WRITES };

struct store {
    char folder[32], path[64];
    weft_mutex writing, sharing;
    sqlite3 *shared; // under `sharing`
    atomic_int written;
};

static int to_int(void *arg, int columns, char **values, char **names)
{
    (void)names;
    assert_int_equal(columns, 1);
    *(int *)arg = (int)strtol(values[0], NULL, 10);
    return 0;
}

static int read_int(sqlite3 *db, const char *sql)
{
    int value = -1;
    assert_int_equal(db_exec(db, sql, to_int, &value), SQLITE_OK);
    return value;
}

static void store_begin(struct store *s)
{
    *s = (struct store){ "/tmp/weft-sqlite-XXXXXX", "", WEFT_MUTEX_INIT, WEFT_MUTEX_INIT, NULL, 0 };
    assert_non_null(mkdtemp(s->folder));
    snprintf(s->path, sizeof(s->path), "%s/db", s->folder);
    assert_int_equal(db_open(&s->shared, s->path), SQLITE_OK);
    assert_int_equal(db_exec(s->shared, "pragma journal_mode = wal; pragma synchronous = off", NULL, NULL), SQLITE_OK);
    assert_int_equal(db_exec(s->shared, "create table t (n); insert into t values (0)", NULL, NULL), SQLITE_OK);
}

static void store_end(struct store *s)
{
    db_close(s->shared);
    assert_int_equal(unlink(s->path), 0); // the last connection has removed the log
    assert_int_equal(rmdir(s->folder), 0);
}

// write_once reads and writes in one transaction: on a connection of its own, beside other writers.
static int write_once(struct store *s, sqlite3 *db)
{
    int err = weft_mutex_lock(&s->writing);
    if (err < 0)
        return err;
    err = db_exec(db, "begin immediate; update t set n = n + 1; commit", NULL, NULL);
    weft_mutex_unlock(&s->writing);
    if (err == SQLITE_OK)
        atomic_fetch_add(&s->written, 1);
    return err == SQLITE_OK || err < 0 ? err : -EIO;
}

static int look_at_shared(struct store *s)
{
    int err = weft_mutex_lock(&s->sharing);
    if (err < 0)
        return err;
    assert_true(read_int(s->shared, "select n from t") >= 0);
    weft_mutex_unlock(&s->sharing);
    return 0;
}

static int client(void *arg)
{
    struct store *s = arg;
    int err = 0;

    for (int i = 0; i < CONNECTIONS && err == 0; i++) {
        sqlite3 *db;
        err = db_open(&db, s->path) ? -EIO : 0;
        for (int n = 0; n < WRITES && err == 0; n++)
            err = write_once(s, db);
        if (err == 0)
            err = look_at_shared(s);
        db_close(db);
    }
    return err;
}

static int write_from_many_tasks(void *arg)
{
    struct store s;
    (void)arg;

    store_begin(&s);
    int err = crowd(TASKS, client, &s);
    check_all("transactions", err, &s.written, ALL);
    assert_int_equal(read_int(s.shared, "select n from t"), ALL);
    store_end(&s);
    return 0;
}

static void transactions_on_connections_that_come_and_go(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(write_from_many_tasks, NULL), 0);
}

// A transaction that a cancel leaves open is rolled back, in a task that may not park any more.
static int leave_open(void *arg)
{
    struct store *s = arg;
    sqlite3 *db;

    assert_int_equal(db_open(&db, s->path), SQLITE_OK);
    assert_int_equal(db_exec(db, "begin immediate; update t set n = 7", NULL, NULL), SQLITE_OK);
    weft_task_cancel(weft_self());
    assert_int_equal(db_exec(db, "commit", NULL, NULL), -ECANCELED);
    db_close(db);
    return 0;
}

static int cancel_in_transaction(void *arg)
{
    struct store s;
    (void)arg;

    store_begin(&s);
    assert_int_equal(join(spawn(leave_open, &s)), 0);
    assert_int_equal(read_int(s.shared, "select n from t"), 0);
    assert_int_equal(db_exec(s.shared, "update t set n = 8", NULL, NULL), SQLITE_OK); // the lock is free
    store_end(&s);
    return 0;
}

static void a_cancel_rolls_back(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(cancel_in_transaction, NULL), 0);
}

#define ENDLESS "with recursive n(i) as (values(1) union all select i + 1 from n) select count(*) from n"

static int query_without_end(void *arg)
{
    return db_exec(arg, ENDLESS, NULL, NULL);
}

// The statement may not have begun when it is first interrupted.
static int interrupt(void *arg)
{
    struct store s;
    (void)arg;

    store_begin(&s);
    weft_task *t = spawn(query_without_end, s.shared);
    while (!weft_task_done(t)) {
        assert_int_equal(weft_sleep(WEFT_MS(1)), 0);
        sqlite3_interrupt(s.shared);
    }
    assert_int_equal(join(t), SQLITE_INTERRUPT);
    assert_int_equal(read_int(s.shared, "select n from t"), 0); // the next statement is not interrupted
    store_end(&s);
    return 0;
}

static void a_statement_is_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(interrupt, NULL), 0);
}

static int see_failures(void *arg)
{
    sqlite3 *db;
    (void)arg;

    assert_int_equal(db_open(&db, "/no/such/folder/db"), SQLITE_CANTOPEN);
    db_close(db);
    assert_int_equal(db_open(&db, ":memory:"), SQLITE_OK);
    assert_int_equal(db_exec(db, "nonsense", NULL, NULL), SQLITE_ERROR);
    assert_non_null(strstr(sqlite3_errmsg(db), "nonsense"));
    db_close(db);
    return 0;
}

static void failures_are_reported(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(see_failures, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transactions_on_connections_that_come_and_go),
        cmocka_unit_test(a_cancel_rolls_back),
        cmocka_unit_test(a_statement_is_interrupted),
        cmocka_unit_test(failures_are_reported),
    };
    return wf_test_run(tests);
}
