// The adapter of librdkafka against the mock cluster that it contains: brokers on loopback, in this process.
#include "examples/adapters/kafka_adapter.h"

#include "tests/adapters/crowd.h"

enum { TASKS = 4, CLIENTS = 5, MESSAGES = 100, ALL = TASKS * CLIENTS * MESSAGES };

static rd_kafka_conf_t *mock_conf(void)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    assert_int_equal(rd_kafka_conf_set(conf, "test.mock.num.brokers", "1", why, sizeof(why)), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "log_level", "0", why, sizeof(why)), RD_KAFKA_CONF_OK);
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    return conf;
}

// reports returns how many messages were delivered that the event reports.
static int reports(rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message;
    int n = 0;

    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
        while ((message = rd_kafka_event_message_next(event))) {
            assert_int_equal(message->err, RD_KAFKA_RESP_ERR_NO_ERROR);
            n++;
        }
    rd_kafka_event_destroy(event);
    return n;
}

static void produce(struct kafka *k)
{
    rd_kafka_topic_t *topic = rd_kafka_topic_new(k->client, "weft", NULL);

    assert_non_null(topic);
    for (int i = 0; i < MESSAGES; i++)
        assert_int_equal(
            rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, &i, sizeof(i), NULL, 0, NULL), 0);
    rd_kafka_topic_destroy(topic);
}

static int client(void *arg)
{
    rd_kafka_event_t *event;
    struct kafka k;
    char why[256];
    int err = 0;

    for (int i = 0; i < CLIENTS && err == 0; i++) {
        int delivered = 0;
        assert_int_equal(kafka_open(&k, RD_KAFKA_PRODUCER, mock_conf(), why, sizeof(why)), 0);
        produce(&k);
        while (delivered < MESSAGES && (err = kafka_next(&k, &event)) == 0)
            delivered += reports(event);
        atomic_fetch_add((atomic_int *)arg, delivered);
        kafka_close(&k);
    }
    return err;
}

static void messages_of_clients_that_come_and_go(void **state)
{
    struct crowd crowd = { TASKS, client, "messages", ALL };
    (void)state;
    assert_int_equal(run_tasks(check_crowd, &crowd), 0);
}

static int wait_in_vain(void *arg)
{
    rd_kafka_event_t *event;
    weft_scope limit;
    struct kafka k;
    char why[256];
    int err;
    (void)arg;

    assert_int_equal(kafka_open(&k, RD_KAFKA_PRODUCER, mock_conf(), why, sizeof(why)), 0);
    soon(&limit);
    while ((err = kafka_next(&k, &event)) == 0)
        rd_kafka_event_destroy(event);
    assert_int_equal(err, -ETIMEDOUT);
    assert_null(event);
    kafka_close(&k);
    weft_scope_close(&limit);
    return 0;
}

static void waiting_is_cut_short(void **state)
{
    (void)state;
    assert_int_equal(run_tasks(wait_in_vain, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_clients_that_come_and_go),
        cmocka_unit_test(waiting_is_cut_short),
    };
    return wf_test_run(tests);
}
