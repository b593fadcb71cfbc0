// The start of every test program: it prints a seed, and starts a watchdog that prints
// what the tasks wait for.
//
//   int main(void)
//   {
//       const struct CMUnitTest tests[] = {
//           cmocka_unit_test(wake_while_running_is_not_lost),
//       };
//       return wf_test_run(tests);
//   }
//
// A failed assertion aborts, so cmocka's assertions may be used in tasks, too.
// (Otherwise cmocka would longjmp from a task's stack, perhaps to another thread's.)
#ifndef WF_TESTS_HARNESS_H
#define WF_TESTS_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <weft/base.h>

// wf_test_run runs a group of tests.  Returns: what main should return.
#define wf_test_run(tests) (wf_test_begin(), cmocka_run_group_tests_name(wf_test_name(), tests, NULL, NULL))

// wf_test_begin prints the seed and starts the watchdog: a few seconds before
// WEFT_TEST_TIMEOUT (seconds, set by ctest; unset or 0: no watchdog) it dumps the tasks
// of every runtime that wf_test_watch named, and aborts.
void wf_test_begin(void);
const char *wf_test_name(void);

// wf_test_watch names a runtime to the watchdog, wf_test_unwatch takes it back before
// it is freed. In a program that has only weft_run, its first task says
// wf_test_watch(weft_rt_current()), and wf_test_unwatch before it returns.
// Context: any thread.
void wf_test_watch(weft_rt *rt);
void wf_test_unwatch(weft_rt *rt);

// wf_test_skip ends a test that cannot be made here, and says why.
#define wf_test_skip(reason) (print_message("skipped: %s\n", reason), skip())

// wf_test_seed is this run's seed: WEFT_TEST_SEED, else from the clock.
uint64_t wf_test_seed(void);

// A random sequence of its own for each `stream`, the same for the same seed.
struct wf_test_rand {
    uint64_t state;
};
struct wf_test_rand wf_test_rand(uint64_t stream);
uint32_t wf_test_below(struct wf_test_rand *r, uint32_t n); // from [0, n)

// wf_test_rounds is how many times a stress test repeats: `rounds`, more or less by
// WEFT_TEST_SCALE (percent; set lower by ctest where everything is slow: valgrind, an
// emulated processor).  At least 1.
unsigned wf_test_rounds(unsigned rounds);

// wf_test_long is the same for a test that is worth running for longer now and then:
// WEFT_ROUNDS, else as above.
unsigned wf_test_long(unsigned rounds);

#endif
