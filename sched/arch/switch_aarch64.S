// void *wf_arch_switch(void **save, void *load, void *arg): see sched/arch/context.h. Saves
// x19 to x30 and d8 to d15 (the callee-saved ones), and FPCR, which is only written if
// it differs.
#include "sched/arch/frame.h"

        .text
        .globl wf_arch_switch
        .hidden wf_arch_switch
        .type wf_arch_switch, %function
        .p2align 4
wf_arch_switch:
        .cfi_startproc
        sub sp, sp, #WF_FRAME_SIZE
        .cfi_adjust_cfa_offset WF_FRAME_SIZE
        stp x19, x20, [sp, #WF_FRAME_X19]
        stp x21, x22, [sp, #WF_FRAME_X19 + 16]
        stp x23, x24, [sp, #WF_FRAME_X19 + 32]
        stp x25, x26, [sp, #WF_FRAME_X19 + 48]
        stp x27, x28, [sp, #WF_FRAME_X19 + 64]
        stp x29, x30, [sp, #WF_FRAME_FP]
        stp d8, d9, [sp, #WF_FRAME_D8]
        stp d10, d11, [sp, #WF_FRAME_D8 + 16]
        stp d12, d13, [sp, #WF_FRAME_D8 + 32]
        stp d14, d15, [sp, #WF_FRAME_D8 + 48]
        mrs x9, fpcr
        str x9, [sp, #WF_FRAME_FPCR]
        mov x10, sp
        str x10, [x0]
        mov sp, x1
        mov x0, x2
        ldr x10, [sp, #WF_FRAME_FPCR]
        cmp x9, x10
        b.eq 1f
        msr fpcr, x10
1:      ldp x19, x20, [sp, #WF_FRAME_X19]
        ldp x21, x22, [sp, #WF_FRAME_X19 + 16]
        ldp x23, x24, [sp, #WF_FRAME_X19 + 32]
        ldp x25, x26, [sp, #WF_FRAME_X19 + 48]
        ldp x27, x28, [sp, #WF_FRAME_X19 + 64]
        ldp x29, x30, [sp, #WF_FRAME_FP]
        ldp d8, d9, [sp, #WF_FRAME_D8]
        ldp d10, d11, [sp, #WF_FRAME_D8 + 16]
        ldp d12, d13, [sp, #WF_FRAME_D8 + 32]
        ldp d14, d15, [sp, #WF_FRAME_D8 + 48]
        add sp, sp, #WF_FRAME_SIZE
        .cfi_adjust_cfa_offset -WF_FRAME_SIZE
        br x30
        .cfi_endproc
        .size wf_arch_switch, . - wf_arch_switch

// The trampoline: the argument is in x0, the entry in x19. An undefined return address
// ends every backtrace here. An uncaught exception comes as far as this frame, whose
// personality names the task.
        .globl wf_arch_enter
        .hidden wf_arch_enter
        .hidden wf_exceptions_escape
        .type wf_arch_enter, %function
        .p2align 4
wf_arch_enter:
        .cfi_startproc
        .cfi_personality 0x1b, wf_exceptions_escape // relative to the place, 4 bytes
        .cfi_undefined x30
        mov x29, xzr
        adr x30, 1f             // a jump, not a call: see wf_arch_jump
        br x19
1:      brk #1
        .cfi_endproc
        .size wf_arch_enter, . - wf_arch_enter

// void wf_arch_walk(const void *sp, void (*fn)(void *arg), void *arg): see sched/arch/unwind.h.
// During the call x19 is the stack pointer of a context that was left. So what follows
// says that the caller's registers lie there: an unwinder that comes from fn goes on to
// the frames of that context.
        .globl wf_arch_walk
        .hidden wf_arch_walk
        .type wf_arch_walk, %function
        .p2align 4
wf_arch_walk:
        .cfi_startproc
        stp x29, x30, [sp, #-32]!
        .cfi_adjust_cfa_offset 32
        .cfi_offset x29, -32
        .cfi_offset x30, -24
        str x19, [sp, #16]
        .cfi_offset x19, -16
        mov x29, sp
        mov x19, x0
        mov x0, x2
        .cfi_remember_state
        .cfi_def_cfa x19, WF_FRAME_SIZE
        .cfi_offset x19, WF_FRAME_X19 - WF_FRAME_SIZE
        .cfi_offset x20, WF_FRAME_X19 + 8 - WF_FRAME_SIZE
        .cfi_offset x21, WF_FRAME_X19 + 16 - WF_FRAME_SIZE
        .cfi_offset x22, WF_FRAME_X19 + 24 - WF_FRAME_SIZE
        .cfi_offset x23, WF_FRAME_X19 + 32 - WF_FRAME_SIZE
        .cfi_offset x24, WF_FRAME_X19 + 40 - WF_FRAME_SIZE
        .cfi_offset x25, WF_FRAME_X19 + 48 - WF_FRAME_SIZE
        .cfi_offset x26, WF_FRAME_X19 + 56 - WF_FRAME_SIZE
        .cfi_offset x27, WF_FRAME_X19 + 64 - WF_FRAME_SIZE
        .cfi_offset x28, WF_FRAME_X19 + 72 - WF_FRAME_SIZE
        .cfi_offset x29, WF_FRAME_FP - WF_FRAME_SIZE
        .cfi_offset x30, WF_FRAME_FP + 8 - WF_FRAME_SIZE
        blr x1
        nop
        .cfi_restore_state
        ldr x19, [sp, #16]
        .cfi_restore x19
        ldp x29, x30, [sp], #32
        .cfi_restore x29
        .cfi_restore x30
        .cfi_adjust_cfa_offset -32
        ret
        .cfi_endproc
        .size wf_arch_walk, . - wf_arch_walk

        .section .note.GNU-stack, "", %progbits
