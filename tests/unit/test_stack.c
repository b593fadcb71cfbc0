// Stacks: sizes, guards, pools and the depot, memory given back, and refusals by the
// system.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/mem.h"
#include "sched/stacks/stack.h"
#include "tests/support/harness.h"
#include "tests/support/status.h"

enum { SMALL = WF_STACK_CLASS_MIN, LARGE = 26 /* 64 MiB: one stack a slab */ };

static struct wf_depot depot;
static struct wf_stack_pool pool, other;

static int setup(void **state)
{
    (void)state;
    depot = (struct wf_depot){ 0 };
    pool = other = (struct wf_stack_pool){ 0 };
    wf_depot_init(&depot);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wf_depot_fini(&depot);
    return 0;
}

static struct wf_stack *take(struct wf_stack_pool *from, uint8_t size_class)
{
    struct wf_stack *stack = wf_stack_take(from, &depot, size_class);
    assert_non_null(stack);
    assert_int_equal(stack->size_class, size_class);
    return stack;
}

static void a_class_is_the_smallest_power_of_two_that_suffices(void **state)
{
    (void)state;
    assert_int_equal(wf_stack_class(0), WF_STACK_CLASS_MIN);
    assert_int_equal(wf_stack_class(1), WF_STACK_CLASS_MIN);
    assert_int_equal(wf_stack_class(16384), 14);
    assert_int_equal(wf_stack_class(16385), 15);
    assert_int_equal(wf_stack_class(65536), 16);
    assert_int_equal(wf_stack_class((size_t)256 << 20), 28);
    assert_int_equal(wf_stack_class(((size_t)256 << 20) + 1), -1);
    assert_int_equal(wf_stack_class(SIZE_MAX), -1);
}

static void all_of_a_stack_may_be_used(void **state)
{
    (void)state;
    for (uint8_t c = WF_STACK_CLASS_MIN; c <= 20; c++) {
        struct wf_stack *stack = take(&pool, c);
        char *end = stack->base + wf_stack_size(stack);
        assert_true((char *)stack->top > end - 16 * WF_CACHE_LINE && (char *)stack->top <= end);
        assert_int_equal((uintptr_t)stack->top % WF_CACHE_LINE, 0);
        memset(stack->base, 0xee, wf_stack_size(stack));
        wf_stack_give(&pool, &depot, stack);
        pool = (struct wf_stack_pool){ 0 }; // a pool is for one class: the stacks stay the slab's
    }
}

static void stacks_do_not_overlap(void **state)
{
    enum { N = 40 }; // more than are carved at a time
    struct wf_stack *stacks[N];
    (void)state;
    for (int i = 0; i < N; i++) {
        stacks[i] = take(&pool, SMALL);
        memset(stacks[i]->base, i, wf_stack_size(stacks[i]));
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(stacks[i]->base[0], i);
        assert_int_equal(stacks[i]->base[wf_stack_size(stacks[i]) - 1], i);
        wf_stack_give(&pool, &depot, stacks[i]);
    }
}

// Tasks that stop at the same call depth must not all meet in the same cache sets.
static void neighbours_begin_in_different_cache_sets(void **state)
{
    struct wf_stack *stacks[8];
    (void)state;
    for (int i = 0; i < 8; i++) {
        stacks[i] = take(&pool, SMALL);
        for (int j = 0; j < i; j++)
            assert_int_not_equal((uintptr_t)stacks[i]->top % 4096, (uintptr_t)stacks[j]->top % 4096);
    }
    for (int i = 0; i < 8; i++)
        wf_stack_give(&pool, &depot, stacks[i]);
}

// child_ends_by touches `at` in a child of fork.  Returns: the signal that ended it, 0
// if it went well.
static int signal_of_touching(char *at)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile char *)at = 1;
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void expect_guard(const struct wf_stack *stack)
{
    assert_int_equal(signal_of_touching(stack->base - WF_STACK_GUARD), SIGSEGV);
    assert_int_equal(signal_of_touching(stack->base - WF_STACK_GUARD / 2), SIGSEGV);
    assert_int_equal(signal_of_touching(stack->base - 1), SIGSEGV);
    assert_int_equal(signal_of_touching(stack->base), 0);
}

static void below_a_stack_lies_a_guard(void **state)
{
    (void)state;
    for (int by_mprotect = 0; by_mprotect < 2; by_mprotect++) {
        depot.mprotect_guards = depot.mprotect_guards || by_mprotect;
        struct wf_stack *first = take(&pool, (uint8_t)(SMALL + by_mprotect));
        struct wf_stack *stack = take(&pool, (uint8_t)(SMALL + by_mprotect));
        expect_guard(first);
        expect_guard(stack);
        wf_stack_give(&pool, &depot, stack);
        wf_stack_give(&pool, &depot, first);
        pool = (struct wf_stack_pool){ 0 };
    }
}

// A slab may be made before it is known that advice does not help, and used after that.
static void a_slab_goes_on_by_mprotect(void **state)
{
    (void)state;
    depot.mprotect_guards = false; // believed so
    wf_mem_fail_at(3 + 5, false);  // the sixth guard
    for (int i = 0; i < 5; i++)
        take(&pool, SMALL);
    wf_mem_fail_at(0, false);
    depot.mprotect_guards = true;
    expect_guard(take(&pool, SMALL));
}

static void advice_is_believed_where_it_was_seen_to_work(void **state)
{
    struct wf_stack *stack = take(&pool, SMALL);
    uint32_t word = 0;
    (void)state;

    assert_true(wf_futex_faults(stack->base - sizeof(word)));
    assert_true(wf_futex_faults(stack->base - WF_STACK_GUARD));
    assert_false(wf_futex_faults(&word));
#ifdef WF_EMULATED
    assert_true(depot.mprotect_guards);
#endif
    wf_stack_give(&pool, &depot, stack);
}

static size_t resident_kib(void)
{
    return (size_t)status_number("VmRSS");
}

enum { MAY_NOT = 77, A_SLAB_KIB = 64 << 10 };

static void lock_and_take(void)
{
    if (mlockall(MCL_FUTURE) < 0)
        _exit(MAY_NOT);
    setup(NULL);
    size_t before = resident_kib();
    struct wf_stack *stack = wf_stack_take(&pool, &depot, 16);
    if (!stack)
        _exit(MAY_NOT); // that much
    _exit(resident_kib() - before < A_SLAB_KIB / 4 ? 0 : 1);
}

static void of_locked_memory_there_is_no_more_than_stacks(void **state)
{
    int status;
    (void)state;

#if defined(WF_ASAN) || defined(WF_TSAN) || defined(WF_VALGRIND) || defined(WF_EMULATED)
    wf_test_skip("the tool maps memory of its own");
#endif
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        lock_and_take();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == MAY_NOT)
        wf_test_skip("the process may not lock memory");
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void the_guard_knows_its_addresses(void **state)
{
    (void)state;
    struct wf_stack *stack = take(&pool, SMALL);
    assert_false(wf_stack_guards(stack, stack->base - WF_STACK_GUARD - 1));
    assert_true(wf_stack_guards(stack, stack->base - WF_STACK_GUARD));
    assert_true(wf_stack_guards(stack, stack->base - 1));
    assert_false(wf_stack_guards(stack, stack->base));
    wf_stack_give(&pool, &depot, stack);
}

static void the_stack_just_given_is_the_next_taken(void **state)
{
    (void)state;
    struct wf_stack *first = take(&pool, SMALL), *second = take(&pool, SMALL);
    wf_stack_give(&pool, &depot, first);
    wf_stack_give(&pool, &depot, second);
    assert_ptr_equal(take(&pool, SMALL), second);
    assert_ptr_equal(take(&pool, SMALL), first);
    wf_stack_give(&pool, &depot, first);
    wf_stack_give(&pool, &depot, second);
}

static void a_pool_keeps_so_many_and_the_depot_serves_others_with_the_rest(void **state)
{
    enum { N = 3 * WF_STACK_POOL_MAX };
    struct wf_stack *stacks[N];
    (void)state;
    for (int i = 0; i < N; i++)
        stacks[i] = take(&pool, SMALL);
    for (int i = 0; i < N; i++) {
        wf_stack_give(&pool, &depot, stacks[i]);
        assert_true(pool.count <= WF_STACK_POOL_MAX);
    }
    unsigned kept = pool.count;
    wf_mem_fail_at(1, true); // nothing new may be made
    for (unsigned i = 0; i < N - kept; i++)
        stacks[i] = take(&other, SMALL);
    assert_null(wf_stack_take(&other, &depot, SMALL));
    wf_mem_fail_at(0, false);
    for (unsigned i = 0; i < N - kept; i++)
        wf_stack_give(&other, &depot, stacks[i]);
}

static void of_large_stacks_a_pool_keeps_one(void **state)
{
    struct wf_stack *stacks[3];
    (void)state;
    for (int i = 0; i < 3; i++)
        stacks[i] = take(&pool, LARGE);
    for (int i = 0; i < 3; i++)
        wf_stack_give(&pool, &depot, stacks[i]);
    assert_int_equal(pool.count, 1);
}

enum { WAVE = 5 };

static void use_many(struct wf_stack **stacks)
{
    for (int i = 0; i < WAVE; i++) {
        stacks[i] = take(&pool, LARGE);
        stacks[i]->base[0] = 1;
    }
    for (int i = 0; i < WAVE; i++)
        wf_stack_give(&pool, &depot, stacks[i]);
}

static int count_cold(struct wf_stack **stacks)
{
    int cold = 0;
    for (int i = 0; i < WAVE; i++)
        cold += stacks[i]->base[0] == 0;
    return cold;
}

static void memory_that_nobody_has_used_for_long_goes_back_and_the_guard_stays(void **state)
{
    const int64_t second = 1000000000;
    struct wf_stack *stacks[WAVE];
    (void)state;

    use_many(stacks);
    assert_true(wf_depot_trim(&depot, 10 * second));
    assert_true(wf_depot_trim(&depot, 11 * second)); // not yet
    assert_int_equal(count_cold(stacks), 0);
    for (int64_t now = 12; wf_depot_trim(&depot, now * second); now++) // some at a time
        assert_true(now < 12 + WAVE);
    assert_in_range(count_cold(stacks), 1, WAVE - 2); // some stay, for tasks that come soon
    for (int i = 0; i < WAVE; i++)
        expect_guard(stacks[i]);
}

static void memory_that_is_used_meanwhile_stays(void **state)
{
    const int64_t second = 1000000000;
    struct wf_stack *stacks[WAVE];
    (void)state;

    for (int wave = 1; wave < 10; wave++) {
        use_many(stacks);
        assert_true(wf_depot_trim(&depot, wave * second));
        assert_int_equal(count_cold(stacks), 0);
    }
}

// At each possible refusal by the system the pool returns a stack or none; later it
// returns one again; and nothing leaks.
static void without_memory_there_is_none_and_nothing_breaks(void **state)
{
    bool taken = false;

    teardown(state);
    for (long at = 1; !taken; at++) {
        setup(state);
        wf_mem_fail_at(at, true);
        struct wf_stack *stack = wf_stack_take(&pool, &depot, SMALL);
        taken = stack != NULL;
        assert_int_equal(taken, at > 3); // the slab, its memory, the first guard
        wf_mem_fail_at(0, false);
        if (!taken)
            stack = take(&pool, SMALL);
        wf_stack_give(&pool, &depot, stack);
        teardown(state);
    }
    setup(state);
}

static void a_guard_that_is_refused_later_leaves_those_that_were_made(void **state)
{
    (void)state;
    wf_mem_fail_at(3 + 5, false); // the sixth guard
    for (int i = 0; i < 5; i++)
        take(&pool, SMALL);
    assert_null(pool.free);
    wf_mem_fail_at(0, false);
    take(&pool, SMALL);
}

#define FACT(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FACT(a_class_is_the_smallest_power_of_two_that_suffices),
        FACT(all_of_a_stack_may_be_used),
        FACT(stacks_do_not_overlap),
        FACT(neighbours_begin_in_different_cache_sets),
        FACT(below_a_stack_lies_a_guard),
        FACT(a_slab_goes_on_by_mprotect),
        FACT(advice_is_believed_where_it_was_seen_to_work),
        FACT(of_locked_memory_there_is_no_more_than_stacks),
        FACT(the_guard_knows_its_addresses),
        FACT(the_stack_just_given_is_the_next_taken),
        FACT(a_pool_keeps_so_many_and_the_depot_serves_others_with_the_rest),
        FACT(of_large_stacks_a_pool_keeps_one),
        FACT(memory_that_nobody_has_used_for_long_goes_back_and_the_guard_stays),
        FACT(memory_that_is_used_meanwhile_stays),
        FACT(without_memory_there_is_none_and_nothing_breaks),
        FACT(a_guard_that_is_refused_later_leaves_those_that_were_made),
    };
    return wf_test_run(tests);
}
