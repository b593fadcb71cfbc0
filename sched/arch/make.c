// The first frame of a stack, as the assembly's switch expects it.
#include "sched/arch/frame.h"
#include "sched/arch/context.h"

#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/layout.h"
#include "sched/arch/unwind.h"

void wf_arch_enter(void); // the trampoline, in assembly

#if defined(__x86_64__)

struct frame {
    uint32_t mxcsr;
    uint16_t x87cw, pad;
    uint64_t r15, r14, r13;
    void (*entry)(void *); // r12
    uint64_t rbx, rbp;
    void (*pc)(void);
};
_Static_assert(offsetof(struct frame, mxcsr) == WF_FRAME_MXCSR, "frame.h");
_Static_assert(offsetof(struct frame, x87cw) == WF_FRAME_X87CW, "frame.h");
_Static_assert(offsetof(struct frame, entry) == WF_FRAME_ENTRY, "frame.h");
_Static_assert(offsetof(struct frame, pc) == WF_FRAME_PC, "frame.h");

uint32_t wf_arch_mxcsr = 0x1f80; // the MXCSR that goes with the initial x87 control word

void wf_arch_init(void)
{
    __asm__ volatile("stmxcsr %0" : "=m"(wf_arch_mxcsr));
}

// A new task begins with the initial floating-point modes of the process.
static void control_words(struct frame *f)
{
    f->x87cw = WF_X87CW_INITIAL;
}

#elif defined(__aarch64__)

struct frame {
    void (*entry)(void *); // x19
    uint64_t x20_to_x28[9];
    uint64_t fp;
    void (*pc)(void); // x30
    uint64_t d8_to_d15[8];
    uint64_t fpcr, pad;
};
_Static_assert(offsetof(struct frame, entry) == WF_FRAME_X19, "frame.h");
_Static_assert(offsetof(struct frame, fp) == WF_FRAME_FP, "frame.h");
_Static_assert(offsetof(struct frame, d8_to_d15) == WF_FRAME_D8, "frame.h");
_Static_assert(offsetof(struct frame, fpcr) == WF_FRAME_FPCR, "frame.h");

void wf_arch_init(void)
{
}

static void control_words(struct frame *f)
{
    f->fpcr = 0;
}

#endif
_Static_assert(sizeof(struct frame) == WF_FRAME_SIZE, "frame.h");

const struct wf_layout wf_arch_layout[] = {
    { "frame.size", sizeof(struct frame) },
#if defined(__x86_64__)
    { "frame.r15", offsetof(struct frame, r15) },
    { "frame.r14", offsetof(struct frame, r14) },
    { "frame.r13", offsetof(struct frame, r13) },
    { "frame.r12", offsetof(struct frame, entry) },
    { "frame.rbx", offsetof(struct frame, rbx) },
    { "frame.rbp", offsetof(struct frame, rbp) },
    { "frame.rip", offsetof(struct frame, pc) },
#elif defined(__aarch64__)
    { "frame.x19", WF_FRAME_X19 },
    { "frame.x20", WF_FRAME_X19 + 8 },
    { "frame.x21", WF_FRAME_X19 + 16 },
    { "frame.x22", WF_FRAME_X19 + 24 },
    { "frame.x23", WF_FRAME_X19 + 32 },
    { "frame.x24", WF_FRAME_X19 + 40 },
    { "frame.x25", WF_FRAME_X19 + 48 },
    { "frame.x26", WF_FRAME_X19 + 56 },
    { "frame.x27", WF_FRAME_X19 + 64 },
    { "frame.x28", WF_FRAME_X19 + 72 },
    { "frame.x29", WF_FRAME_FP },
    { "frame.x30", WF_FRAME_FP + 8 },
    { "frame.pc", WF_FRAME_FP + 8 },
#endif
    WF_LAYOUT_END,
};

void *wf_arch_make(void *top, void (*entry)(void *arg))
{
    // The trampoline finds the stack aligned to 16 when the frame is popped.
    uintptr_t end = (uintptr_t)top & ~(uintptr_t)15;
    struct frame *f = (struct frame *)(end - sizeof(struct frame));

    wf_debug_assert((uintptr_t)f % _Alignof(struct frame) == 0);
    memset(f, 0, sizeof(*f));
    control_words(f);
    f->entry = entry;
    f->pc = wf_arch_enter;
    return f;
}
