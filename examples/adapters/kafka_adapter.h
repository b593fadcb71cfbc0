// Kafka from tasks: librdkafka does its work on threads of its own, and says on an
// eventfd that there are events.
//
//     struct kafka k;
//     char why[256];
//     int err = kafka_open(&k, RD_KAFKA_PRODUCER, conf, why, sizeof(why));  // after rd_kafka_conf_set_events
//     ... rd_kafka_produce(topic, ...) takes messages without waiting ...
//     rd_kafka_event_t *event;
//     while ((err = kafka_next(&k, &event)) == 0) {
//         ... rd_kafka_event_type(event): delivery reports, messages, errors ...
//         rd_kafka_event_destroy(event);
//     }
//     kafka_close(&k);
//
// kafka_next is one task's at a time; the client's other functions any task may call,
// if their manual says that they do not block. Those that do (rd_kafka_flush,
// rd_kafka_consumer_close, rd_kafka_query_watermark_offsets, ...) are for
// weft_blocking.
#ifndef ADAPTER_KAFKA_H
#define ADAPTER_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

struct kafka {
    rd_kafka_t *client;
    rd_kafka_queue_t *events;
    int bell; // the eventfd: readable when an event has come to the empty queue
};

// kafka_open makes a client; it owns `conf` from then on, unless it fails.  Returns: 0;
// -EINVAL, and `why` says why; an error of eventfd(2). In both cases there is nothing
// to close.
int kafka_open(struct kafka *k, rd_kafka_type_t type, rd_kafka_conf_t *conf, char *why, size_t size);

// kafka_next waits for an event.  Returns: 0; an error of weft_read: then there is
// none, and none is lost.
int kafka_next(struct kafka *k, rd_kafka_event_t **out);

// kafka_close is not cut short by a cancel. What has not been delivered by then is
// lost.
void kafka_close(struct kafka *k);

#endif
