#include "kafka_adapter.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <weft.h>

int kafka_open(struct kafka *k, rd_kafka_type_t type, rd_kafka_conf_t *conf, char *why, size_t size)
{
    static const uint64_t ring = 1;

    k->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (k->bell < 0)
        return -errno;
    k->client = rd_kafka_new(type, conf, why, size);
    if (!k->client) {
        weft_close(k->bell);
        return -EINVAL;
    }
    if (type == RD_KAFKA_CONSUMER)
        rd_kafka_poll_set_consumer(k->client); // all events in one queue
    k->events = type == RD_KAFKA_CONSUMER ? rd_kafka_queue_get_consumer(k->client) : rd_kafka_queue_get_main(k->client);
    rd_kafka_queue_io_event_enable(k->events, k->bell, &ring, sizeof(ring));
    return 0;
}

// An event that arrives after the check of the queue makes the eventfd readable, so the
// read does not park.
int kafka_next(struct kafka *k, rd_kafka_event_t **out)
{
    uint64_t rung;
    ssize_t n = 0;

    while (!(*out = rd_kafka_queue_poll(k->events, 0)) && n >= 0)
        n = weft_read(k->bell, &rung, sizeof(rung));
    return *out ? 0 : (int)n;
}

static int destroy(void *client)
{
    rd_kafka_destroy(client); // waits for threads
    return 0;
}

void kafka_close(struct kafka *k)
{
    rd_kafka_queue_io_event_enable(k->events, -1, NULL, 0);
    rd_kafka_queue_destroy(k->events);
    weft_shield_begin(WEFT_NEVER);
    if (weft_blocking(destroy, k->client) < 0)
        destroy(k->client); // the system refuses the pool a thread
    weft_shield_end();
    weft_close(k->bell);
}
