// A replacement for cmocka in cross builds, for which there is no package: only the
// assertions and the runner that weft's tests use. The first failure aborts, as it does
// with the real one (tests/support/harness.h).
#ifndef WF_TESTS_CROSS_CMOCKA_H
#define WF_TESTS_CROSS_CMOCKA_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
    int (*setup)(void **state);
    int (*teardown)(void **state);
};

#define cmocka_unit_test(f) cmocka_unit_test_setup_teardown(f, NULL, NULL)
#define cmocka_unit_test_setup_teardown(f, setup, teardown) \
    { #f, f, setup, teardown }

#define WF_CMOCKA_HERE __FILE__, __LINE__

static inline void wf_cmocka_true(_Bool holds, const char *what, const char *file, int line)
{
    if (holds)
        return;
    fprintf(stderr, "%s:%d: error: Failure! %s\n", file, line, what);
    abort();
}

// `equal`: must they be equal, or different?
static inline void wf_cmocka_equal(_Bool equal, uintmax_t a, uintmax_t b, const char *file, int line)
{
    if ((a == b) == equal)
        return;
    fprintf(stderr, "%s:%d: error: Failure! %#" PRIxMAX " %s %#" PRIxMAX "\n", file, line, a, equal ? "!=" : "==", b);
    abort();
}

static inline void wf_cmocka_range(uintmax_t v, uintmax_t low, uintmax_t high, const char *file, int line)
{
    if (v >= low && v <= high)
        return;
    fprintf(stderr, "%s:%d: error: Failure! %ju is not in %ju..%ju\n", file, line, v, low, high);
    abort();
}

#define assert_true(c) wf_cmocka_true((c) != 0, #c " is false", WF_CMOCKA_HERE)
#define assert_false(c) wf_cmocka_true((c) == 0, #c " is true", WF_CMOCKA_HERE)
#define assert_null(p) wf_cmocka_true((p) == NULL, #p " is not null", WF_CMOCKA_HERE)
#define assert_non_null(p) wf_cmocka_true((p) != NULL, #p " is null", WF_CMOCKA_HERE)
#define assert_int_equal(a, b) wf_cmocka_equal(1, (uintmax_t)(a), (uintmax_t)(b), WF_CMOCKA_HERE)
#define assert_int_not_equal(a, b) wf_cmocka_equal(0, (uintmax_t)(a), (uintmax_t)(b), WF_CMOCKA_HERE)
#define assert_ptr_equal(a, b) wf_cmocka_equal(1, (uintptr_t)(a), (uintptr_t)(b), WF_CMOCKA_HERE)
#define assert_ptr_not_equal(a, b) wf_cmocka_equal(0, (uintptr_t)(a), (uintptr_t)(b), WF_CMOCKA_HERE)
#define assert_string_equal(a, b) wf_cmocka_true(strcmp(a, b) == 0, #a " is not " #b, WF_CMOCKA_HERE)
#define assert_string_not_equal(a, b) wf_cmocka_true(strcmp(a, b) != 0, #a " is " #b, WF_CMOCKA_HERE)
#define assert_memory_equal(a, b, n) wf_cmocka_true(memcmp(a, b, n) == 0, #a " is not " #b, WF_CMOCKA_HERE)
#define assert_in_range(v, low, high) \
    wf_cmocka_range((uintmax_t)(v), (uintmax_t)(low), (uintmax_t)(high), WF_CMOCKA_HERE)
#define fail() wf_cmocka_true(0, "", WF_CMOCKA_HERE)
#define fail_msg(...) (fprintf(stderr, __VA_ARGS__), fail())
#define skip() longjmp(wf_cmocka_skipped, 1)
#define print_message(...) printf(__VA_ARGS__)
#define print_error(...) fprintf(stderr, __VA_ARGS__)

static jmp_buf wf_cmocka_skipped;

static inline int wf_cmocka_run(const char *group, const struct CMUnitTest *tests, size_t n)
{
    printf("%s: %zu tests\n", group, n);
    for (volatile size_t i = 0; i < n; i++) {
        void *state = NULL;
        printf("%s\n", tests[i].name);
        fflush(stdout);
        if (tests[i].setup)
            assert_int_equal(tests[i].setup(&state), 0);
        if (setjmp(wf_cmocka_skipped) == 0)
            tests[i].test(&state);
        else
            printf("skipped\n");
        if (tests[i].teardown)
            assert_int_equal(tests[i].teardown(&state), 0);
    }
    return 0;
}

#define cmocka_run_group_tests_name(group, tests, setup, teardown) \
    wf_cmocka_run(group, tests, sizeof(tests) / sizeof((tests)[0]))

#endif
