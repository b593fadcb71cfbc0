// The search for all bytes of a given value among 64.
#include "base/marks.h"
#include "tests/support/harness.h"

static uint64_t count_marks(const char *p, char c)
{
    uint64_t marks = 0;
    for (int i = 0; i < WF_MARKS; i++)
        marks |= (uint64_t)(p[i] == c) << i;
    return marks;
}

static void each_byte_has_its_bit(void **state)
{
    char text[WF_MARKS + 15];
    (void)state;

    for (size_t from = 0; from < 16; from++) {
        memset(text, 'x', sizeof(text));
        assert_true(wf_marks(text + from, '\n') == 0);
        assert_true(wf_marks(text + from, 'x') == UINT64_MAX);
        for (size_t i = 0; i < WF_MARKS; i++) {
            text[from + i] = '\n';
            assert_true(wf_marks(text + from, '\n') == UINT64_C(1) << i);
            text[from + i] = 'x';
        }
    }
}

static void any_text_has_its_marks(void **state)
{
    uint64_t lot = 1;
    char text[WF_MARKS];
    (void)state;

    for (int round = 0; round < 10000; round++) {
        for (size_t i = 0; i < sizeof(text); i++) {
            lot = lot * 6364136223846793005u + 1442695040888963407u;
            text[i] = (char)(lot >> 62 == 0 ? lot >> 40 : 0x80 | (lot >> 61));
        }
        for (int c = 0; c < 256; c += round % 5 + 1)
            assert_true(wf_marks(text, (char)c) == count_marks(text, (char)c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_byte_has_its_bit),
        cmocka_unit_test(any_text_has_its_marks),
    };
    return wf_test_run(tests);
}
