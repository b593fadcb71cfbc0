// The adapter of libpq against PostgreSQL.
//
//   test_pq CONNINFO
#include "examples/adapters/pq_adapter.h"

#include "tests/adapters/crowd.h"

enum { TASKS = 32, CONNECTIONS = 5, QUERIES = 30, ALL = TASKS * CONNECTIONS * QUERIES, LARGE = 300000 };

static const char *conninfo;

// ask has a text sent back: every tenth is larger than a socket's buffer, so that it goes in pieces, both ways.
static int ask(PGconn *conn, int number)
{
    int size = number % 10 ? 10 : LARGE, err = 0;
    char *text = malloc((size_t)size + 1);
    PGresult *result = NULL;

    assert_non_null(text);
    snprintf(text, (size_t)size + 1, "%0*d", size, number);
    err = pq_query(conn, "select $1::text", 1, (const char *const *)&text, &result);
    if (err == 0) {
        assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
        assert_string_equal(PQgetvalue(result, 0, 0), text);
    }
    PQclear(result);
    free(text);
    return err;
}

// give_up is cut short in the middle of a query.
static void give_up(PGconn *conn)
{
    PGresult *result;
    weft_scope limit;

    soon(&limit);
    int err = pq_query(conn, "select pg_sleep(600)", 0, NULL, &result);
    weft_scope_close(&limit);
    assert_true(err == -ETIMEDOUT || err == -ECANCELED);
    assert_null(result);
}

static int client(void *arg)
{
    int err = 0;

    for (int i = 0; i < CONNECTIONS && err == 0; i++) {
        PGconn *conn;
        err = pq_open(&conn, conninfo);
        for (int n = 0; n < QUERIES && err == 0; n++)
            if ((err = ask(conn, n)) == 0)
                atomic_fetch_add((atomic_int *)arg, 1);
        if (err == 0)
            give_up(conn);
        else
            print_error("%s: %s\n", weft_strerror(err), PQerrorMessage(conn));
        PQfinish(conn);
    }
    return err;
}

static void queries_on_connections_that_come_and_go(void **state)
{
    struct crowd crowd = { TASKS, client, "queries", ALL };
    (void)state;
    assert_int_equal(run_tasks(check_crowd, &crowd), 0);
}

static int open_one_after_the_other(void *arg)
{
    char several[256];
    PGconn *conn;
    (void)arg;

    // port 1 refuses: libpq goes on to the next host, with another socket
    snprintf(several, sizeof(several), "hostaddr=127.0.0.1,127.0.0.1,127.0.0.1 port=1,1,%s user=%s dbname=postgres",
             getenv("PGPORT"), getenv("PGUSER"));
    for (int i = 0; i < 20; i++) {
        int err = pq_open(&conn, several);
        if (err < 0)
            print_error("%s: %s\n", weft_strerror(err), PQerrorMessage(conn));
        assert_int_equal(err, 0);
        assert_int_equal(ask(conn, i), 0);
        PQfinish(conn);
    }
    return 0;
}

static void open_tries_one_host_after_the_other(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(open_one_after_the_other, NULL), 0);
}

static int open_in_vain(void *arg)
{
    char address[64], to[128];
    weft_scope limit;
    PGconn *conn;
    (void)arg;

    assert_int_equal(pq_open(&conn, "hostaddr=127.0.0.1 port=1"), -ECONNREFUSED);
    assert_non_null(strstr(PQerrorMessage(conn), "refused"));
    PQfinish(conn);
    assert_int_equal(pq_open(&conn, "nonsense=1"), -ECONNREFUSED);
    PQfinish(conn);

    int mute = mute_listener(address, sizeof(address));
    snprintf(to, sizeof(to), "hostaddr=127.0.0.1 port=%s sslmode=disable", strrchr(address, ':') + 1);
    soon(&limit);
    assert_int_equal(pq_open(&conn, to), -ETIMEDOUT);
    weft_scope_close(&limit);
    PQfinish(conn);
    weft_close(mute);
    return 0;
}

static void open_fails_and_is_cut_short(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(open_in_vain, NULL), 0);
}

static int lose_connection(void *arg)
{
    PGresult *result;
    PGconn *conn;
    (void)arg;

    assert_int_equal(pq_open(&conn, conninfo), 0);
    assert_int_equal(pq_query(conn, "select no_such_column", 0, NULL, &result), 0);
    assert_int_equal(PQresultStatus(result), PGRES_FATAL_ERROR);
    PQclear(result);
    assert_int_equal(ask(conn, 1), 0); // the connection is as good as before

    int err = pq_query(conn, "select pg_terminate_backend(pg_backend_pid())", 0, NULL, &result);
    assert_true(err == -ECONNRESET || PQresultStatus(result) == PGRES_FATAL_ERROR);
    PQclear(result);
    assert_int_equal(ask(conn, 1), -ECONNRESET);
    PQfinish(conn);
    return 0;
}

static void the_server_ends_a_connection(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(lose_connection, NULL), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_on_connections_that_come_and_go),
        cmocka_unit_test(open_tries_one_host_after_the_other),
        cmocka_unit_test(open_fails_and_is_cut_short),
        cmocka_unit_test(the_server_ends_a_connection),
    };
    assert_int_equal(argc, 2);
    conninfo = argv[1];
    return wf_test_run(tests);
}
