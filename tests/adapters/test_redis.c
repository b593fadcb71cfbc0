// The adapter of hiredis against Redis.
//
//   test_redis ADDRESS-OR-PATH PORT-OR-0
#include "examples/adapters/redis_adapter.h"

#include "tests/adapters/crowd.h"

enum { TASKS = 25, CONNECTIONS = 20, COMMANDS = 200, DEPTH = 20, ALL = TASKS * CONNECTIONS * COMMANDS };

static const char *where;
static int port;
static atomic_int keys;

// count_up sends DEPTH commands at once, and reads the replies: `from` + 1 and so on.
static int count_up(redisContext *c, int key, int from)
{
    redisReply *reply;
    int err = 0;

    for (int i = 0; i < DEPTH; i++)
        assert_int_equal(redisAppendCommand(c, "INCR key:%d", key), REDIS_OK);
    for (int i = 1; i <= DEPTH && err == 0; i++) {
        if ((err = redis_reply(c, &reply)) == 0) {
            assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
            assert_int_equal(reply->integer, from + i);
        }
        freeReplyObject(reply);
    }
    return err;
}

// give_up is cut short while it waits for a reply.
static void give_up(redisContext *c)
{
    redisReply *reply;
    weft_scope limit;

    assert_int_equal(redisAppendCommand(c, "BLPOP never 0"), REDIS_OK);
    soon(&limit);
    int err = redis_reply(c, &reply);
    weft_scope_close(&limit);
    assert_true(err == -ETIMEDOUT || err == -ECANCELED);
    assert_null(reply);
}

static int client(void *arg)
{
    int err = 0, key = atomic_fetch_add(&keys, 1), counted = 0;

    for (int i = 0; i < CONNECTIONS && err == 0; i++) {
        redisContext *c;
        err = redis_open(&c, where, port);
        for (int n = 0; n < COMMANDS && err == 0; n += DEPTH)
            if ((err = count_up(c, key, counted)) == 0) {
                atomic_fetch_add((atomic_int *)arg, DEPTH);
                counted += DEPTH;
            }
        if (err == 0)
            give_up(c);
        else
            print_error("%s: %s\n", weft_strerror(err), c ? c->errstr : "");
        redisFree(c);
    }
    return err;
}

static int command_from_many_tasks(void *arg)
{
    atomic_int answered = 0;
    redisReply *reply;
    redisContext *c;
    (void)arg;

    assert_int_equal(redis_open(&c, where, port), 0);
    assert_int_equal(redisAppendCommand(c, "FLUSHALL"), REDIS_OK);
    assert_int_equal(redis_reply(c, &reply), 0);
    assert_string_equal(reply->str, "OK");
    freeReplyObject(reply);
    redisFree(c);

    int err = crowd(TASKS, client, &answered);
    check_all("commands", err, &answered, ALL);
    return 0;
}

static void commands_on_connections_that_come_and_go(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(command_from_many_tasks, NULL), 0);
}

// More than the sockets' buffers hold, in both directions: sending goes on while replies come.
static int send_much(void *arg)
{
    enum { SIZE = 1 << 20, TIMES = 8 };
    char *text = malloc(SIZE);
    redisReply *reply;
    redisContext *c;
    (void)arg;

    assert_non_null(text);
    memset(text, 'x', SIZE);
    assert_int_equal(redis_open(&c, where, port), 0);
    for (int i = 0; i < TIMES; i++)
        assert_int_equal(redisAppendCommand(c, "ECHO %b", text, (size_t)SIZE), REDIS_OK);
    for (int i = 0; i < TIMES; i++) {
        assert_int_equal(redis_reply(c, &reply), 0);
        assert_int_equal(reply->len, SIZE);
        assert_memory_equal(reply->str, text, SIZE);
        freeReplyObject(reply);
    }
    redisFree(c);
    free(text);
    return 0;
}

static void pipelines_are_larger_than_buffers(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(send_much, NULL), 0);
}

static int see_failures(void *arg)
{
    redisReply *reply;
    redisContext *c;
    (void)arg;

    assert_int_equal(redis_open(&c, "127.0.0.1", 1), -ECONNREFUSED);
    redisFree(c);

    assert_int_equal(redis_open(&c, where, port), 0);
    assert_int_equal(redisAppendCommand(c, "NONSENSE"), REDIS_OK);
    assert_int_equal(redisAppendCommand(c, "QUIT"), REDIS_OK);
    assert_int_equal(redis_reply(c, &reply), 0);
    assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    assert_int_equal(redis_reply(c, &reply), 0);
    freeReplyObject(reply);
    assert_int_equal(redis_reply(c, &reply), -EIO); // the server has closed the connection
    freeReplyObject(reply);
    redisFree(c);
    return 0;
}

static void failures_are_reported(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(see_failures, NULL), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_on_connections_that_come_and_go),
        cmocka_unit_test(pipelines_are_larger_than_buffers),
        cmocka_unit_test(failures_are_reported),
    };
    assert_int_equal(argc, 3);
    where = argv[1];
    port = (int)strtol(argv[2], NULL, 10);
    return wf_test_run(tests);
}
