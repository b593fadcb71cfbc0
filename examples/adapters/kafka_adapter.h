// Kafka from tasks: librdkafka works on its own threads, and makes an eventfd readable
// when there are events.
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
// One task at a time may call kafka_next. Any task may call the client's other
// functions that do not block. Those that block (rd_kafka_flush,
// rd_kafka_consumer_close, rd_kafka_query_watermark_offsets, ...) belong in
// weft_blocking.
#ifndef ADAPTER_KAFKA_H
#define ADAPTER_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

struct kafka {
    rd_kafka_t *client;
    rd_kafka_queue_t *events;
    int bell; // the eventfd: readable when an event has arrived in the empty queue
};

// kafka_open makes a client; it owns `conf` from then on, unless it fails.  Returns: 0;
// -EINVAL, with the reason in `why`; an error of eventfd(2). After an error there is
// nothing to close.
int kafka_open(struct kafka *k, rd_kafka_type_t type, rd_kafka_conf_t *conf, char *why, size_t size);

// kafka_next waits for an event. Returns: 0; an error of weft_read: then *out is not
// set, and no event is lost.
int kafka_next(struct kafka *k, rd_kafka_event_t **out);

// A cancel does not end kafka_close. Messages that are not delivered by then are lost.
void kafka_close(struct kafka *k);

#endif
