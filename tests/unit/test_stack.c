// Stacks: sizes, guards, pools and the depot, memory given back, and the system saying no.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "sched/stack.h"
#include "tests/support/harness.h"

// An emulator accepts any advice, and follows none that it does not know: MADV_GUARD_INSTALL makes no guard there.
#ifdef WF_EMULATED
enum { GUARDS_BY_MPROTECT = true };
#else
enum { GUARDS_BY_MPROTECT = false };
#endif

enum { SMALL = WF_STACK_CLASS_MIN, LARGE = 26 /* 64 MiB: one stack a slab */ };

static struct wf_depot depot;
static struct wf_stack_pool pool, other;

static int setup(void **state)
{
    (void)state;
    depot = (struct wf_depot){ 0 };
    pool = other = (struct wf_stack_pool){ 0 };
    wf_depot_init(&depot);
    depot.mprotect_guards = GUARDS_BY_MPROTECT;
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

static size_t page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
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

static void all_of_a_stack_but_its_guard_may_be_used(void **state)
{
    (void)state;
    for (uint8_t c = WF_STACK_CLASS_MIN; c <= 20; c++) {
        struct wf_stack *stack = take(&pool, c);
        char *end = stack->base + wf_stack_size(stack);
        assert_true((char *)stack->top > end - 16 * WF_CACHE_LINE && (char *)stack->top <= end);
        assert_int_equal((uintptr_t)stack->top % WF_CACHE_LINE, 0);
        memset(stack->base + page(), 0xee, wf_stack_size(stack) - page());
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
        memset(stacks[i]->base + page(), i, wf_stack_size(stacks[i]) - page());
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(stacks[i]->base[page()], i);
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

// child_ends_by touches `at` in a child of fork.  Returns: the signal that ended it, 0 if it went well.
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

static void below_a_stack_lies_a_guard(void **state)
{
    (void)state;
    for (int by_mprotect = 0; by_mprotect < 2; by_mprotect++) {
        depot.mprotect_guards = by_mprotect || GUARDS_BY_MPROTECT;
        struct wf_stack *stack = take(&pool, (uint8_t)(SMALL + by_mprotect));
        assert_int_equal(signal_of_touching(stack->base), SIGSEGV);
        assert_int_equal(signal_of_touching(stack->base + page() - 1), SIGSEGV);
        assert_int_equal(signal_of_touching(stack->base + page()), 0);
        wf_stack_give(&pool, &depot, stack);
        pool = (struct wf_stack_pool){ 0 };
    }
}

static void the_guard_knows_its_addresses(void **state)
{
    (void)state;
    struct wf_stack *stack = take(&pool, SMALL);
    assert_false(wf_stack_guards(stack, stack->base - 1));
    assert_true(wf_stack_guards(stack, stack->base));
    assert_true(wf_stack_guards(stack, stack->base + page() - 1));
    assert_false(wf_stack_guards(stack, stack->base + page()));
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
        stacks[i]->base[page()] = 1;
    }
    for (int i = 0; i < WAVE; i++)
        wf_stack_give(&pool, &depot, stacks[i]);
}

static int count_cold(struct wf_stack **stacks)
{
    int cold = 0;
    for (int i = 0; i < WAVE; i++)
        cold += stacks[i]->base[page()] == 0;
    return cold;
}

static void memory_that_nobody_has_used_for_long_goes_back_and_the_guard_stays(void **state)
{
    const int64_t second = 1000000000;
    struct wf_stack *stacks[WAVE];
    (void)state;

    use_many(stacks);
    assert_true(wf_depot_cool(&depot, 10 * second));
    assert_true(wf_depot_cool(&depot, 11 * second)); // not yet
    assert_int_equal(count_cold(stacks), 0);
    for (int64_t now = 12; wf_depot_cool(&depot, now * second); now++) // some at a time
        assert_true(now < 12 + WAVE);
    assert_in_range(count_cold(stacks), 1, WAVE - 2); // some stay, for who comes soon
    for (int i = 0; i < WAVE; i++)
        assert_int_equal(signal_of_touching(stacks[i]->base), SIGSEGV);
}

static void memory_that_is_used_meanwhile_stays(void **state)
{
    const int64_t second = 1000000000;
    struct wf_stack *stacks[WAVE];
    (void)state;

    for (int wave = 1; wave < 10; wave++) {
        use_many(stacks);
        assert_true(wf_depot_cool(&depot, wave * second));
        assert_int_equal(count_cold(stacks), 0);
    }
}

// Wherever the system says no, there is no stack, or one; later there is one again; and nothing leaks.
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
        FACT(all_of_a_stack_but_its_guard_may_be_used),
        FACT(stacks_do_not_overlap),
        FACT(neighbours_begin_in_different_cache_sets),
        FACT(below_a_stack_lies_a_guard),
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
