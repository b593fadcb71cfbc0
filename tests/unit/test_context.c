// The context switch: the one the library is built with, and the portable one beside
// it.
#include <execinfo.h>
#include <fenv.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// The portable switch under names of its own.
#define wf_arch_init portable_init
#define wf_arch_switch portable_switch
#define wf_arch_make portable_make
#define wf_arch_walk portable_walk
#define wf_arch_layout portable_layout
#include "sched/arch/switch_ucontext.c"
#undef wf_arch_init
#undef wf_arch_switch
#undef wf_arch_make
#undef wf_arch_walk
#undef wf_arch_layout

#include "base/compiler.h"
#include "tests/support/harness.h"

void wf_arch_init(void);
void *wf_arch_switch(void **save, void *load, void *arg);
void *wf_arch_make(void *top, void (*entry)(void *arg));
extern void wf_arch_enter(void) __attribute__((weak)); // there is one if the library switches by assembly

static const struct arch {
    void *(*make)(void *top, void (*entry)(void *arg));
    void *(*swap)(void **save, void *load, void *arg);
} archs[] = { { wf_arch_make, wf_arch_switch }, { portable_make, portable_switch } };

enum { STACK = 256 << 10 };

static const struct arch *arch; // the one under test
static void *here, *there;      // where the test's own stack, and the other one, were left
static char *stack;

static void *go(void *arg)
{
    return arch->swap(&here, there, arg);
}

static void *come_back(void *arg)
{
    return arch->swap(&there, here, arg);
}

// for_each_arch runs `fact` with a fresh stack that begins in `entry`, once for each
// way to switch.
static void for_each_arch(void (*entry)(void *arg), void (*fact)(void))
{
    for (size_t i = 0; i < wf_countof(archs); i++) {
        arch = &archs[i];
        stack = aligned_alloc(4096, STACK);
        assert_non_null(stack);
        there = arch->make(stack + STACK, entry);
        fact();
        free(stack);
    }
}

// --- there and back ------------------------------------------------------------------

static void add_one(void *arg)
{
    char *frame = __builtin_frame_address(0);
    assert_int_equal((uintptr_t)frame % 16, 0);
    assert_true(frame > stack && frame < stack + STACK);
    for (;;)
        arg = come_back((char *)arg + 1);
}

static void count_to_1000(void)
{
    char *n = NULL;
    for (uintptr_t i = 1; i <= 1000; i++) {
        n = go(n);
        assert_int_equal((uintptr_t)n, i);
    }
}

static void each_switch_takes_its_argument_along(void **state)
{
    (void)state;
    for_each_arch(add_one, count_to_1000);
}

// --- registers -----------------------------------------------------------------------

// loaded_switch fills the callee-saved registers from `in`, switches, and stores in
// `out` what is in them then.
#if defined(__x86_64__)
enum { REGISTERS = 6 };
__asm__(".text\n"
        "loaded_switch:\n"
        "    push %rbx\n    push %rbp\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
        "    push %r9\n"
        "    mov 0(%r8), %rbx\n    mov 8(%r8), %rbp\n    mov 16(%r8), %r12\n"
        "    mov 24(%r8), %r13\n    mov 32(%r8), %r14\n    mov 40(%r8), %r15\n"
        "    call *%rcx\n"
        "    pop %r9\n"
        "    mov %rbx, 0(%r9)\n    mov %rbp, 8(%r9)\n    mov %r12, 16(%r9)\n"
        "    mov %r13, 24(%r9)\n    mov %r14, 32(%r9)\n    mov %r15, 40(%r9)\n"
        "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbp\n    pop %rbx\n"
        "    ret\n");
#elif defined(__aarch64__)
enum { REGISTERS = 18 };
__asm__(".text\n"
        ".p2align 2\n"
        "loaded_switch:\n"
        "    sub sp, sp, #176\n"
        "    stp x19, x20, [sp]\n    stp x21, x22, [sp, #16]\n    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n    stp x27, x28, [sp, #64]\n    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n    stp d14, d15, [sp, #144]\n    str x5, [sp, #160]\n"
        "    ldp x19, x20, [x4]\n    ldp x21, x22, [x4, #16]\n    ldp x23, x24, [x4, #32]\n"
        "    ldp x25, x26, [x4, #48]\n    ldp x27, x28, [x4, #64]\n"
        "    ldp d8, d9, [x4, #80]\n    ldp d10, d11, [x4, #96]\n"
        "    ldp d12, d13, [x4, #112]\n    ldp d14, d15, [x4, #128]\n"
        "    blr x3\n"
        "    ldr x5, [sp, #160]\n"
        "    stp x19, x20, [x5]\n    stp x21, x22, [x5, #16]\n    stp x23, x24, [x5, #32]\n"
        "    stp x25, x26, [x5, #48]\n    stp x27, x28, [x5, #64]\n"
        "    stp d8, d9, [x5, #80]\n    stp d10, d11, [x5, #96]\n"
        "    stp d12, d13, [x5, #112]\n    stp d14, d15, [x5, #128]\n"
        "    ldp x19, x20, [sp]\n    ldp x21, x22, [sp, #16]\n    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n    ldp x27, x28, [sp, #64]\n    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #176\n"
        "    ret\n");
#endif

#if defined(__x86_64__) || defined(__aarch64__)
void *loaded_switch(void **save, void *load, void *arg, void *(*swap)(void **, void *, void *), const uint64_t *in,
                    uint64_t *out);

static void fill(uint64_t *registers, uint64_t with)
{
    for (uint64_t i = 0; i < REGISTERS; i++)
        registers[i] = with + i;
}

// ruin puts something else into every register, again and again.
static void ruin(void *arg)
{
    uint64_t in[REGISTERS], out[REGISTERS];

    for (uint64_t with = UINT64_C(0xbad0000000000000);; with += 0x100) {
        fill(in, with);
        arg = loaded_switch(&there, here, arg, arch->swap, in, out);
        assert_memory_equal(in, out, sizeof(in));
    }
}

static void switch_with_full_registers(void)
{
    uint64_t in[REGISTERS], out[REGISTERS];

    for (uint64_t with = UINT64_C(0x600d000000000000), i = 0; i < 10; i++, with += 0x100) {
        fill(in, with);
        memset(out, 0, sizeof(out));
        assert_ptr_equal(loaded_switch(&here, there, &with, arch->swap, in, out), &with);
        assert_memory_equal(in, out, sizeof(in));
    }
}

static void callee_saved_registers_are_kept_on_both_sides(void **state)
{
    (void)state;
    for_each_arch(ruin, switch_with_full_registers);
}
#endif

// --- floating-point modes ------------------------------------------------------------

static const int modes[] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };

// rounds_as tells whether both units (where there are two) round as `mode` says.
static bool rounds_as(int mode)
{
    volatile double one = 1, three = 3;
    volatile long double long_one = 1, long_three = 3;
    static double third[4];
    static long double long_third[4];
    static bool known;

    for (int m = 0; m < 4 && !known; m++) {
        int before = fegetround();
        fesetround(modes[m]);
        third[m] = one / -three;
        long_third[m] = long_one / -long_three;
        fesetround(before);
    }
    known = true;
    for (int m = 0; m < 4; m++)
        if (modes[m] == mode)
            return fegetround() == mode && one / -three == third[m] && long_one / -long_three == long_third[m];
    return false;
}

// Each value of `arg` is a mode to set; what the last one set must still be there.
static void set_modes(void *arg)
{
    int mode = FE_TONEAREST;

    for (;;) {
        assert_true(rounds_as(mode));
        mode = *(int *)arg;
        assert_int_equal(fesetround(mode), 0);
        arg = come_back(arg);
    }
}

// Every pair of modes, so with each way of the switch: neither side differs from the
// beginning, one, the other, both.
static void set_every_pair_of_modes(void)
{
    for (int mine = 0; mine < 4; mine++) {
        for (int other = 0; other < 4; other++) {
            assert_int_equal(fesetround(modes[mine]), 0);
            go((void *)(uintptr_t)&modes[other]);
            assert_true(rounds_as(modes[mine]));
            assert_int_equal(fesetround(modes[other]), 0);
            go((void *)(uintptr_t)&modes[other]);
            assert_true(rounds_as(modes[other]));
        }
    }
    fesetround(FE_TONEAREST);
}

static void rounding_modes_are_kept_on_both_sides(void **state)
{
    (void)state;
    for_each_arch(set_modes, set_every_pair_of_modes);
}

static void begin_in_nearest(void *arg)
{
    assert_true(rounds_as(FE_TONEAREST));
    for (;;)
        arg = come_back(arg);
}

static void begin_while_rounding_up(void)
{
    fesetround(FE_UPWARD);
    if (arch->make == wf_arch_make && wf_arch_enter) // ucontext's begin with the modes of their maker
        there = arch->make(stack + STACK, begin_in_nearest);
    go(NULL);
    assert_true(rounds_as(FE_UPWARD));
    fesetround(FE_TONEAREST);
}

static void a_fresh_stack_begins_with_the_modes_of_the_beginning(void **state)
{
    (void)state;
    for_each_arch(begin_in_nearest, begin_while_rounding_up);
}

// --- backtraces ----------------------------------------------------------------------

static volatile int depth_reached;

static WF_NOINLINE int backtrace_from(int depth)
{
    void *frames[100];
    int n = depth == 0 ? backtrace(frames, wf_countof(frames)) : backtrace_from(depth - 1);
    depth_reached = depth; // after the call, so that it cannot be a tail call
    return n;
}

static void measure(void *arg)
{
    for (;;) {
        *(int *)arg = backtrace_from(*(int *)arg);
        arg = come_back(arg);
    }
}

static void look_from_two_depths(void)
{
    int shallow = 2, deep = 40;
    go(&shallow);
    go(&deep);
    assert_in_range(shallow, 3, 10); // it sees those that there are, and ends
    assert_int_equal(deep - shallow, 38);
}

static void a_backtrace_ends_where_the_stack_began(void **state)
{
    void *frames[1];
    (void)state;
    backtrace(frames, 1); // the first call loads a library
    for_each_arch(measure, look_from_two_depths);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_switch_takes_its_argument_along),
#if defined(__x86_64__) || defined(__aarch64__)
        cmocka_unit_test(callee_saved_registers_are_kept_on_both_sides),
#endif
        cmocka_unit_test(rounding_modes_are_kept_on_both_sides),
        cmocka_unit_test(a_fresh_stack_begins_with_the_modes_of_the_beginning),
        cmocka_unit_test(a_backtrace_ends_where_the_stack_began),
    };
    wf_arch_init();
    return wf_test_run(tests);
}
