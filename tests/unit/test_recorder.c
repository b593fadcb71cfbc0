// The flight recorder's rings: single facts, then a writer that overwrites what a reader
// copies; and time stamps.
#include <string.h>

#include "base/mem.h"
#include "base/stamp.h"
#include "sched/recorder.h"
#include "tests/support/harness.h"
#include "tests/support/threads.h"

static struct wf_recorder *recorder;
static struct wf_record_raw copy[WF_RECORD_LEAST];

static void begin(void)
{
    recorder = wf_recorder_new(1, WF_RECORD_LEAST);
    assert_non_null(recorder);
    assert_int_equal(recorder->capacity, WF_RECORD_LEAST);
}

static void put(uint64_t i)
{
    wf_recorder_put(&recorder->ring[0], i, i, i, i);
}

// expect_events requires `n` whole events of `put`, from `first` on.
static void expect_events(uint64_t first, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < WF_RECORD_WORDS; k++)
            assert_int_equal(copy[i].word[k], first + i);
}

static void events_come_back_in_order(void **state)
{
    (void)state;
    begin();
    assert_int_equal(wf_recorder_copy(recorder, 0, copy), 0);
    for (uint64_t i = 0; i < 5; i++)
        put(i);
    assert_int_equal(wf_recorder_copy(recorder, 0, copy), 5);
    expect_events(0, 5);
    assert_int_equal(wf_recorder_copy(recorder, 1, copy), 0);
    wf_recorder_free(recorder);
}

static void old_events_are_overwritten(void **state)
{
    (void)state;
    begin();
    for (uint64_t i = 0; i < 3 * WF_RECORD_LEAST; i++)
        put(i);
    assert_int_equal(wf_recorder_copy(recorder, 0, copy), WF_RECORD_LEAST - 1); // the next one may be under way
    expect_events(2 * WF_RECORD_LEAST + 1, WF_RECORD_LEAST - 1);
    wf_recorder_free(recorder);
}

static void a_ring_has_room_for_what_was_asked(void **state)
{
    static const struct {
        size_t events;
        uint64_t capacity;
    } rows[] = { { 0, 64 }, { 64, 64 }, { 65, 128 }, { 1000, 1024 } };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct wf_recorder *r = wf_recorder_new(2, rows[i].events);
        assert_int_equal(r->capacity, rows[i].capacity);
        assert_int_equal(r->rings, 3);
        wf_recorder_free(r);
    }
    wf_mem_fail_at(1, false);
    assert_null(wf_recorder_new(2, 1));
    wf_mem_fail_at(0, false);
    wf_recorder_free(NULL);
}

// --- [R3] [R4] -------------------------------------------------------------------------

static struct threads threads;
static _Atomic bool enough;

static void *overwrite(void *arg)
{
    (void)arg;
    threads_ready(&threads);
    for (uint64_t i = 0; !wf_load_relaxed(&enough); i++)
        put(i);
    return NULL;
}

static void *copy_often(void *arg)
{
    unsigned kept = 0, rounds = wf_test_rounds(100000);

    (void)arg;
    threads_ready(&threads);
    for (unsigned i = 0; i < rounds || kept == 0; i++) {
        size_t n = wf_recorder_copy(recorder, 0, copy);
        if (n > 0)
            expect_events(copy[0].word[0], n);
        kept += n > 0;
    }
    wf_store_relaxed(&enough, true);
    return NULL;
}

static void a_copy_has_whole_events_while_they_are_overwritten(void **state)
{
    (void)state;
    begin();
    threads_init(&threads, 2);
    threads_add(&threads, overwrite, NULL);
    threads_add(&threads, copy_often, NULL);
    threads_join(&threads);
    wf_recorder_free(recorder);
}

// --- what an event says ----------------------------------------------------------------

static void an_event_says_what_was_packed(void **state)
{
    const struct wf_record_raw raw = { { 7, WF_RECORD_POLL | 2 << 8 | UINT64_C(5) << 32, 11, 13 } };
    const struct wf_record_raw name = { { 0x3736353433323130, UINT64_C(0x6766656463626100) | WF_RECORD_NAME, 3,
                                          0x4645444342413938 } };
    struct wf_record event;
    (void)state;
    wf_record_decode(&raw, &event);
    assert_int_equal(event.kind, WF_RECORD_POLL);
    assert_int_equal(event.stamp, 7);
    assert_int_equal(event.how, 2);
    assert_int_equal(event.n, 5);
    assert_int_equal(event.id, 11);
    assert_int_equal(event.more, 13);
    assert_null(event.text);
    wf_record_decode(&name, &event);
    assert_int_equal(event.kind, WF_RECORD_NAME);
    assert_int_equal(event.id, 3);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    assert_string_equal(event.name, "0123456789ABCDEFabcdefg");
#endif
}

static void stamps_become_nanoseconds(void **state)
{
    const struct wf_moment from = { 1000, 5000000 }, to = { 4000, 5001000 }; // three a nanosecond
    bool counts = wf_stamp_counts();
    (void)state;
    assert_int_equal(wf_stamp_ns(1000, &from, &to), 5000000);
    assert_int_equal(wf_stamp_ns(2500, &from, &to), 5000500);
    assert_int_equal(wf_stamp_ns(700, &from, &to), 4999900);
    assert_int_equal(wf_stamp_ns(4300, &from, &to), 5001100);
    assert_int_equal(wf_stamp_ns(9, &from, &from), 5000000);
    for (int i = 0; i < 2; i++, counts = false) {
        uint64_t before = wf_stamp(counts);
        assert_true(wf_stamp(counts) >= before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_back_in_order),
        cmocka_unit_test(old_events_are_overwritten),
        cmocka_unit_test(a_ring_has_room_for_what_was_asked),
        cmocka_unit_test(a_copy_has_whole_events_while_they_are_overwritten),
        cmocka_unit_test(an_event_says_what_was_packed),
        cmocka_unit_test(stamps_become_nanoseconds),
    };
    return wf_test_run(tests);
}
