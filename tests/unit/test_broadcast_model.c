// Broadcast and watch without waits: the messages of a receiver, compared with a model;
// then readers that are overtaken while they copy.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <weft/broadcast.h>
#include <weft/watch.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "base/mem.h"
#include "tests/support/harness.h"
#include "tests/support/threads.h"

static weft_broadcast *new_broadcast(size_t elem_size, size_t capacity)
{
    weft_broadcast *b = NULL;
    assert_int_equal(weft_broadcast_new(&b, elem_size, capacity), 0);
    return b;
}

static weft_receiver *subscribe(weft_broadcast *b)
{
    weft_receiver *r = NULL;
    assert_int_equal(weft_broadcast_subscribe(b, &r), 0);
    return r;
}

static void send_number(weft_broadcast *b, uint64_t n, int receivers)
{
    assert_int_equal(weft_broadcast_send(b, &n), receivers);
}

static void expect_number(weft_receiver *r, uint64_t n)
{
    uint64_t got = ~n, lost = 77;

    assert_int_equal(weft_broadcast_try_recv(r, &got, &lost), 0);
    assert_int_equal(got, n);
    assert_int_equal(lost, 77);
}

static void expect_lost(weft_receiver *r, uint64_t n)
{
    uint64_t got, lost = 0;

    assert_int_equal(weft_broadcast_try_recv(r, &got, &lost), -EOVERFLOW);
    assert_int_equal(lost, n);
}

static void expect_none(weft_receiver *r, int err)
{
    uint64_t got = 55, lost = 77;

    assert_int_equal(weft_broadcast_try_recv(r, &got, &lost), err);
    assert_int_equal(got, 55);
    assert_int_equal(lost, 77);
}

// --- broadcast -----------------------------------------------------------------------

static void every_receiver_gets_every_message_in_order(void **state)
{
    weft_broadcast *b = new_broadcast(sizeof(uint64_t), 8);
    weft_receiver *r[3];
    (void)state;

    for (size_t i = 0; i < wf_countof(r); i++)
        r[i] = subscribe(b);
    for (uint64_t n = 0; n < 8; n++)
        send_number(b, n, 3);
    for (size_t i = 0; i < wf_countof(r); i++) {
        for (uint64_t n = 0; n < 8; n++)
            expect_number(r[i], n);
        expect_none(r[i], -EAGAIN);
        weft_broadcast_unsubscribe(r[i]);
    }
    weft_broadcast_unref(b);
}

static void a_receiver_gets_what_is_sent_from_then_on(void **state)
{
    weft_broadcast *b = new_broadcast(sizeof(uint64_t), 4);
    (void)state;

    send_number(b, 1, 0); // there is no receiver
    weft_receiver *first = subscribe(b);
    expect_none(first, -EAGAIN);
    send_number(b, 2, 1);
    weft_receiver *second = subscribe(b);
    send_number(b, 3, 2);
    expect_number(first, 2);
    expect_number(first, 3);
    expect_number(second, 3);
    weft_broadcast_unsubscribe(first);
    send_number(b, 4, 1);
    expect_number(second, 4);
    weft_broadcast_unsubscribe(second);
    send_number(b, 5, 0);
    weft_broadcast_unref(b);
}

static void a_slow_receiver_is_told_exactly_how_many_it_lost(void **state)
{
    (void)state;
    for (size_t capacity = 1; capacity <= 5; capacity++) {
        weft_broadcast *b = new_broadcast(sizeof(uint64_t), capacity);
        weft_receiver *slow = subscribe(b), *fast = subscribe(b);
        for (uint64_t n = 0; n < 12; n++) {
            send_number(b, n, 2);
            expect_number(fast, n);
        }
        expect_lost(slow, 12 - capacity);
        for (uint64_t n = 12 - capacity; n < 12; n++)
            expect_number(slow, n);
        expect_none(slow, -EAGAIN);
        weft_broadcast_unsubscribe(slow);
        weft_broadcast_unsubscribe(fast);
        weft_broadcast_unref(b);
    }
}

static void who_is_overtaken_twice_is_told_twice(void **state)
{
    weft_broadcast *b = new_broadcast(sizeof(uint64_t), 2);
    weft_receiver *r = subscribe(b);
    (void)state;

    for (uint64_t n = 0; n < 5; n++)
        send_number(b, n, 1);
    expect_lost(r, 3);
    for (uint64_t n = 5; n < 8; n++)
        send_number(b, n, 1);
    expect_lost(r, 3); // 3, 4, 5
    expect_number(r, 6);
    expect_number(r, 7);
    for (uint64_t n = 8; n < 12; n++)
        send_number(b, n, 1);
    assert_int_equal(weft_broadcast_try_recv(r, &(uint64_t){ 0 }, NULL), -EOVERFLOW);
    expect_number(r, 10);
    weft_broadcast_unsubscribe(r);
    weft_broadcast_unref(b);
}

static void what_was_sent_before_the_close_is_still_received(void **state)
{
    weft_broadcast *b = new_broadcast(sizeof(uint64_t), 2);
    weft_receiver *r = subscribe(b);
    (void)state;

    for (uint64_t n = 0; n < 3; n++)
        send_number(b, n, 1);
    weft_broadcast_close(b);
    weft_broadcast_close(b);
    send_number(b, 3, -EPIPE);
    weft_receiver *late = subscribe(b);
    expect_none(late, -EPIPE);
    expect_lost(r, 1);
    expect_number(r, 1);
    expect_number(r, 2);
    expect_none(r, -EPIPE);
    expect_none(r, -EPIPE);
    weft_broadcast_unsubscribe(late);
    weft_broadcast_unsubscribe(r);
    weft_broadcast_unref(b);
}

static void the_last_reference_closes_and_the_last_holder_frees(void **state)
{
    weft_broadcast *b = new_broadcast(sizeof(uint64_t), 4);
    (void)state;

    assert_ptr_equal(weft_broadcast_ref(b), b);
    weft_receiver *r = subscribe(b), *other = subscribe(b);
    weft_broadcast_unref(b);
    send_number(b, 1, 2);
    expect_number(r, 1);
    weft_broadcast_unref(b); // no sender is left
    expect_none(r, -EPIPE);
    expect_number(other, 1);
    expect_none(other, -EPIPE);
    weft_broadcast_unsubscribe(r);
    weft_broadcast_unsubscribe(other);
    weft_broadcast_unsubscribe(NULL);
    weft_broadcast_unref(NULL);
}

static void messages_of_any_size_arrive_whole(void **state)
{
    static const size_t sizes[] = { 1, 2, 7, 8, 9, 15, 16, 17, 64, 1000, 4096, 4097 };
    unsigned char in[4100], out[4100];
    (void)state;

    for (size_t s = 0; s < wf_countof(sizes); s++) {
        size_t size = sizes[s];
        weft_broadcast *b = new_broadcast(size, 3);
        weft_receiver *r = subscribe(b);
        for (unsigned n = 0; n < 7; n++) {
            for (size_t i = 0; i < size; i++)
                in[i] = (unsigned char)(i * 7 + n);
            memset(out, 0xa5, sizeof(out));
            assert_int_equal(weft_broadcast_send(b, in), 1);
            assert_int_equal(weft_broadcast_try_recv(r, out, NULL), 0);
            assert_memory_equal(in, out, size);
            assert_int_equal(out[size], 0xa5); // and not a byte more
        }
        weft_broadcast_unsubscribe(r);
        weft_broadcast_unref(b);
    }
}

static void a_signal_has_no_bytes_and_is_counted(void **state)
{
    weft_broadcast *b = new_broadcast(0, 2);
    weft_receiver *r = subscribe(b);
    (void)state;

    for (int n = 0; n < 3; n++)
        assert_int_equal(weft_broadcast_send(b, NULL), 1);
    assert_int_equal(weft_broadcast_try_recv(r, NULL, NULL), -EOVERFLOW);
    assert_int_equal(weft_broadcast_try_recv(r, NULL, NULL), 0);
    assert_int_equal(weft_broadcast_try_recv(r, NULL, NULL), 0);
    assert_int_equal(weft_broadcast_try_recv(r, NULL, NULL), -EAGAIN);
    weft_broadcast_unsubscribe(r);
    weft_broadcast_unref(b);
}

static void a_broadcast_is_made_whole_or_not_at_all(void **state)
{
    weft_broadcast *none = NULL;
    weft_receiver *nobody = NULL;
    weft_watch *w = NULL;
    (void)state;

    assert_int_equal(weft_broadcast_new(&none, 8, 0), -EINVAL);
    assert_int_equal(weft_broadcast_new(&none, 8, SIZE_MAX), -ENOMEM);
    assert_int_equal(weft_broadcast_new(&none, SIZE_MAX, 1), -ENOMEM);
    assert_int_equal(weft_broadcast_new(&none, SIZE_MAX - 8, SIZE_MAX), -ENOMEM);
    assert_int_equal(weft_broadcast_new(&none, SIZE_MAX / 16, 16), -ENOMEM);
    assert_int_equal(weft_watch_new(&w, SIZE_MAX, NULL), -ENOMEM);
    wf_mem_fail_at(1, true);
    assert_int_equal(weft_broadcast_new(&none, 8, 8), -ENOMEM);
    assert_int_equal(weft_watch_new(&w, 8, NULL), -ENOMEM);
    wf_mem_fail_at(0, false);
    assert_null(none);
    assert_null(w);

    weft_broadcast *b = new_broadcast(8, 8);
    wf_mem_fail_at(1, true);
    assert_int_equal(weft_broadcast_subscribe(b, &nobody), -ENOMEM);
    wf_mem_fail_at(0, false);
    assert_null(nobody);
    send_number(b, 1, 0); // it does not count
    weft_broadcast_unref(b);
}

// --- against a model -----------------------------------------------------------------

enum { SEATS = 5 };

// The model: every message that was sent is its own number; a receiver is the next one
// that is due to it.
struct model {
    weft_broadcast *b;
    uint64_t capacity, sent, watched; // watched: messages that had a receiver, so that the ring has them
    weft_receiver *seat[SEATS];
    uint64_t due[SEATS]; // in numbers of the ring
    uint64_t ring[4096]; // what is in the ring, by number
    bool closed;
};

static int taken_seats(const struct model *m)
{
    int n = 0;
    for (int i = 0; i < SEATS; i++)
        n += m->seat[i] != NULL;
    return n;
}

static void model_send(struct model *m)
{
    uint64_t message = ++m->sent;

    send_number(m->b, message, m->closed ? -EPIPE : taken_seats(m));
    if (!m->closed && taken_seats(m) && m->watched < wf_countof(m->ring))
        m->ring[m->watched++] = message;
}

static void model_sit_or_stand(struct model *m, unsigned i)
{
    if (m->seat[i]) {
        weft_broadcast_unsubscribe(m->seat[i]);
        m->seat[i] = NULL;
    } else {
        m->seat[i] = subscribe(m->b);
        m->due[i] = m->watched;
    }
}

static void model_receive(struct model *m, unsigned i)
{
    if (!m->seat[i])
        return;
    if (m->watched > m->capacity && m->due[i] < m->watched - m->capacity) {
        expect_lost(m->seat[i], m->watched - m->capacity - m->due[i]);
        m->due[i] = m->watched - m->capacity;
    } else if (m->due[i] < m->watched) {
        expect_number(m->seat[i], m->ring[m->due[i]++]);
    } else {
        expect_none(m->seat[i], m->closed ? -EPIPE : -EAGAIN);
    }
}

static void play(struct model *m, struct wf_test_rand *rand)
{
    m->capacity = 1 + wf_test_below(rand, 9);
    m->b = new_broadcast(sizeof(uint64_t), m->capacity);
    for (unsigned steps = 1 + wf_test_below(rand, 300); steps > 0; steps--) {
        unsigned i = wf_test_below(rand, SEATS), what = wf_test_below(rand, 100);
        if (what < 50)
            model_receive(m, i);
        else if (what < 90)
            model_send(m);
        else if (what < 99)
            model_sit_or_stand(m, i);
        else if (wf_test_below(rand, 3) == 0) {
            weft_broadcast_close(m->b);
            m->closed = true;
        }
    }
    weft_broadcast_unref(m->b);
    m->closed = true;
    for (unsigned i = 0; i < SEATS; i++) {
        model_receive(m, i);
        weft_broadcast_unsubscribe(m->seat[i]);
    }
}

static void it_does_what_the_model_does(void **state)
{
    struct wf_test_rand rand = wf_test_rand(1);
    struct model *m = malloc(sizeof(*m));
    (void)state;

    assert_non_null(m);
    for (unsigned rounds = wf_test_rounds(2000); rounds > 0; rounds--) {
        memset(m, 0, sizeof(*m));
        play(m, &rand);
    }
    free(m);
}

// --- watch ---------------------------------------------------------------------------

static void expect_latest(const weft_watch *w, uint64_t value, uint64_t version)
{
    uint64_t got = ~value, v = 0;

    weft_watch_get(w, &got, &v);
    assert_int_equal(got, value);
    assert_int_equal(v, version);
    weft_watch_get(w, &got, NULL);
}

static void a_watch_has_the_latest_value_and_its_version(void **state)
{
    uint64_t value = 40;
    weft_watch *w;
    (void)state;

    assert_int_equal(weft_watch_new(&w, sizeof(value), &value), 0);
    expect_latest(w, 40, 1);
    for (uint64_t n = 2; n < 20; n++) {
        value = 40 + n;
        assert_int_equal(weft_watch_set(w, &value), 0);
        expect_latest(w, 40 + n, n);
    }
    weft_watch_close(w);
    weft_watch_close(w);
    assert_int_equal(weft_watch_set(w, &value), -EPIPE);
    expect_latest(w, 59, 19);
    assert_ptr_equal(weft_watch_ref(w), w);
    weft_watch_unref(w);
    expect_latest(w, 59, 19);
    weft_watch_unref(w);
    weft_watch_unref(NULL);
}

static void without_an_initial_value_it_is_zero(void **state)
{
    unsigned char value[13], zero[13] = { 0 };
    uint64_t version;
    weft_watch *w;
    (void)state;

    assert_int_equal(weft_watch_new(&w, sizeof(value), NULL), 0);
    memset(value, 1, sizeof(value));
    weft_watch_get(w, value, &version);
    assert_memory_equal(value, zero, sizeof(value));
    assert_int_equal(version, 1);
    weft_watch_unref(w);
}

// --- a reader that is overtaken while it copies --------------------------------------

// The reader copies into two pages, the second of which is not there yet: in the middle
// of the copy it takes a fault, whose handler sends the next message over this one.
static struct {
    weft_broadcast *b;
    char *pages;
    size_t page;
    int faults;
} mid;

static void send_in_the_middle(int sig)
{
    (void)sig;

    mid.faults++;
    assert_int_equal(mprotect(mid.pages + mid.page, mid.page, PROT_READ | PROT_WRITE), 0);
    assert_int_equal(weft_broadcast_send(mid.b, (const char[16]){ 2, [8] = 2 }), 1);
}

static void a_reader_that_is_overtaken_while_it_copies_is_told(void **state)
{
    struct sigaction act = { .sa_handler = send_in_the_middle, .sa_flags = SA_NODEFER }, before;
    (void)state;

    mid.page = (size_t)sysconf(_SC_PAGESIZE);
    mid.pages = mmap(NULL, 2 * mid.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(mid.pages, MAP_FAILED);
    assert_int_equal(mprotect(mid.pages + mid.page, mid.page, PROT_NONE), 0);
    mid.b = new_broadcast(16, 1);
    weft_receiver *r = subscribe(mid.b);
    assert_int_equal(weft_broadcast_send(mid.b, (const char[16]){ 1, [8] = 1 }), 1);

    assert_int_equal(sigaction(SIGSEGV, &act, &before), 0);
    uint64_t lost = 0;
    char *elem = mid.pages + mid.page - 8; // its second word lies in the page that is not there
    int got = weft_broadcast_try_recv(r, elem, &lost);
    assert_int_equal(sigaction(SIGSEGV, &before, NULL), 0);

    assert_int_equal(mid.faults, 1);
    assert_int_equal(got, -EOVERFLOW);
    assert_int_equal(lost, 1);
    assert_int_equal(weft_broadcast_try_recv(r, elem, NULL), 0);
    assert_int_equal(elem[0], 2);
    assert_int_equal(elem[8], 2);
    weft_broadcast_unsubscribe(r);
    weft_broadcast_unref(mid.b);
    munmap(mid.pages, 2 * mid.page);
}

// --- many threads --------------------------------------------------------------------

enum { WORDS = 9, READERS = 2, WRITERS = 2 };

static struct threads threads;
static weft_broadcast *hot;
static weft_watch *hot_watch;
static uint32_t messages; // each writer's

enum { MESSAGES_MAX = 40000 };
static uint32_t written[WRITERS][MESSAGES_MAX + 1]; // before the message is sent: not atomic, so that a race is seen

// Each word of a message contains its sender and its number.
static void make(uint64_t *words, uint64_t writer, uint64_t number)
{
    for (int i = 0; i < WORDS; i++)
        words[i] = writer << 32 | number;
}

static uint64_t expect_whole(const uint64_t *words)
{
    for (int i = 1; i < WORDS; i++)
        assert_true(words[i] == words[0]);
    return words[0];
}

static void *write_hot(void *arg)
{
    uint64_t words[WORDS];

    threads_ready(&threads);
    for (uint64_t n = 1; n <= messages; n++) {
        make(words, (uintptr_t)arg, n);
        written[(uintptr_t)arg][n] = (uint32_t)n;
        assert_true(weft_broadcast_send(hot, words) >= 0);
        assert_int_equal(weft_watch_set(hot_watch, words), 0);
        if (n % 64 == 0)
            sched_yield();
    }
    weft_broadcast_unref(hot);
    return NULL;
}

// read_hot: what it gets is whole, and what was written before it is seen; each
// writer's messages are in order, and none is missing that was not counted.
static void *read_hot(void *arg)
{
    weft_receiver *r = arg;
    uint64_t words[WORDS], last[WRITERS] = { 0 }, got = 0, lost = 0, n;
    int err;

    threads_ready(&threads);
    while ((err = weft_broadcast_try_recv(r, words, &n)) != -EPIPE) {
        if (err == 0) {
            uint64_t word = expect_whole(words), writer = word >> 32;
            assert_true(writer < WRITERS && (uint32_t)word > last[writer]);
            last[writer] = (uint32_t)word;
            assert_int_equal(written[writer][(uint32_t)word], (uint32_t)word);
            got++;
        } else if (err == -EOVERFLOW) {
            assert_true(n > 0);
            lost += n;
        } else {
            assert_int_equal(err, -EAGAIN);
            sched_yield();
        }
    }
    assert_int_equal(got + lost, (uint64_t)WRITERS * messages);
    printf("got %llu, lost %llu\n", (unsigned long long)got, (unsigned long long)lost);
    weft_broadcast_unsubscribe(r);
    return NULL;
}

// look_hot: versions do not go back, and a version is the number of values up to it.
static void *look_hot(void *arg)
{
    uint64_t words[WORDS], version = 0, before;
    (void)arg;

    threads_ready(&threads);
    do {
        before = version;
        weft_watch_get(hot_watch, words, &version);
        assert_true(version >= before);
        assert_true((uint32_t)expect_whole(words) <= version);
        if (version == before)
            sched_yield();
    } while (version < (uint64_t)WRITERS * messages + 1);
    weft_watch_unref(hot_watch);
    return NULL;
}

static void run_hot(size_t capacity)
{
    uint64_t words[WORDS] = { 0 };

    messages = wf_test_rounds(20000);
    messages = messages < MESSAGES_MAX ? messages : MESSAGES_MAX;
    memset(written, 0, sizeof(written));
    hot = new_broadcast(sizeof(words), capacity);
    assert_int_equal(weft_watch_new(&hot_watch, sizeof(words), words), 0);
    threads_init(&threads, READERS + WRITERS + 1);
    for (int i = 0; i < READERS; i++)
        threads_add(&threads, read_hot, subscribe(hot));
    for (uintptr_t i = 0; i < WRITERS; i++) {
        weft_broadcast_ref(hot);
        threads_add(&threads, write_hot, (void *)i);
    }
    threads_add(&threads, look_hot, weft_watch_ref(hot_watch));
    weft_broadcast_unref(hot);
    threads_join(&threads);
    weft_watch_unref(hot_watch);
}

static void readers_that_are_overtaken_count_what_they_lose(void **state)
{
    (void)state;
    run_hot(1);
    run_hot(2);
    run_hot(7);
    run_hot(1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_receiver_gets_every_message_in_order),
        cmocka_unit_test(a_receiver_gets_what_is_sent_from_then_on),
        cmocka_unit_test(a_slow_receiver_is_told_exactly_how_many_it_lost),
        cmocka_unit_test(who_is_overtaken_twice_is_told_twice),
        cmocka_unit_test(what_was_sent_before_the_close_is_still_received),
        cmocka_unit_test(the_last_reference_closes_and_the_last_holder_frees),
        cmocka_unit_test(messages_of_any_size_arrive_whole),
        cmocka_unit_test(a_signal_has_no_bytes_and_is_counted),
        cmocka_unit_test(a_broadcast_is_made_whole_or_not_at_all),
        cmocka_unit_test(it_does_what_the_model_does),
        cmocka_unit_test(a_watch_has_the_latest_value_and_its_version),
        cmocka_unit_test(without_an_initial_value_it_is_zero),
        cmocka_unit_test(a_reader_that_is_overtaken_while_it_copies_is_told),
        cmocka_unit_test(readers_that_are_overtaken_count_what_they_lose),
    };
    return wf_test_run(tests);
}
