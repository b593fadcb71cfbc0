// The harness itself, on which every other test depends.
#include <stdlib.h>

#include "tests/support/harness.h"

static void same_seed_and_stream_give_the_same_sequence(void **state)
{
    struct wf_test_rand a = wf_test_rand(3), b = wf_test_rand(3);
    (void)state;

    for (int i = 0; i < 1000; i++)
        assert_int_equal(wf_test_below(&a, 1u << 30), wf_test_below(&b, 1u << 30));
}

static void streams_differ(void **state)
{
    struct wf_test_rand a = wf_test_rand(0), b = wf_test_rand(1);
    int same = 0;
    (void)state;

    for (int i = 0; i < 1000; i++)
        same += wf_test_below(&a, 1u << 30) == wf_test_below(&b, 1u << 30);
    assert_in_range(same, 0, 5);
}

static void draws_stay_below_the_bound(void **state)
{
    struct wf_test_rand r = wf_test_rand(0);
    unsigned seen = 0;
    (void)state;

    for (int i = 0; i < 1000; i++) {
        uint32_t drawn = wf_test_below(&r, 7);
        assert_in_range(drawn, 0, 6);
        seen |= 1u << drawn;
    }
    assert_int_equal(seen, 0x7f);
}

static void rounds_follow_the_scale_and_never_vanish(void **state)
{
    (void)state;

    setenv("WEFT_TEST_SCALE", "10", 1);
    assert_int_equal(wf_test_rounds(500), 50);
    assert_int_equal(wf_test_rounds(5), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_and_stream_give_the_same_sequence),
        cmocka_unit_test(streams_differ),
        cmocka_unit_test(draws_stay_below_the_bound),
        cmocka_unit_test(rounds_follow_the_scale_and_never_vanish),
    };
    return wf_test_run(tests);
}
