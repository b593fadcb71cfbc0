// void *wf_arch_switch(void **save, void *load, void *arg): see sched/arch/context.h.
//
// Ends in an indirect jump, not in `ret`: the return-stack predictor would guess wrong
// every time (measured 5.9 ns against 24 for a round trip).
//
// The floating-point control words are callee-saved in the ABI, but MXCSR is slow to
// read (measured on an AMD EPYC: 7.5 ns for a switch that reads it, 3.4 for one that
// does not). <fenv.h> always changes the x87 control word with it, which is quick to
// read: so that one is the witness. As long as both sides have it as the process began,
// MXCSR is left alone; else both words are saved and loaded. What this does not see is
// a task that sets MXCSR alone, by an intrinsic (to flush denormals to zero):
// weft/task.h says so.
#include "sched/arch/frame.h"

        .text
        .globl wf_arch_switch
        .hidden wf_arch_switch
        .type wf_arch_switch, @function
        .p2align 4
wf_arch_switch:
        .cfi_startproc
        pushq %rbp
        .cfi_adjust_cfa_offset 8
        pushq %rbx
        .cfi_adjust_cfa_offset 8
        pushq %r12
        .cfi_adjust_cfa_offset 8
        pushq %r13
        .cfi_adjust_cfa_offset 8
        pushq %r14
        .cfi_adjust_cfa_offset 8
        pushq %r15
        .cfi_adjust_cfa_offset 8
        subq $8, %rsp
        .cfi_adjust_cfa_offset 8
        fnstcw WF_FRAME_X87CW(%rsp)
        movq %rsp, (%rdi)
        cmpw $WF_X87CW_INITIAL, WF_FRAME_X87CW(%rsp)
        jne 2f
        movq %rsi, %rsp
        cmpw $WF_X87CW_INITIAL, WF_FRAME_X87CW(%rsp)
        jne 3f
1:      movq %rdx, %rax
        addq $8, %rsp
        .cfi_adjust_cfa_offset -8
        popq %r15
        .cfi_adjust_cfa_offset -8
        popq %r14
        .cfi_adjust_cfa_offset -8
        popq %r13
        .cfi_adjust_cfa_offset -8
        popq %r12
        .cfi_adjust_cfa_offset -8
        popq %rbx
        .cfi_adjust_cfa_offset -8
        popq %rbp
        .cfi_adjust_cfa_offset -8
        popq %rcx
        .cfi_adjust_cfa_offset -8
        jmp *%rcx
        .cfi_adjust_cfa_offset 64
2:      stmxcsr WF_FRAME_MXCSR(%rsp)
        movq %rsi, %rsp
        cmpw $WF_X87CW_INITIAL, WF_FRAME_X87CW(%rsp)
        jne 3f
        ldmxcsr wf_arch_mxcsr(%rip)
        fldcw WF_FRAME_X87CW(%rsp)
        jmp 1b
3:      ldmxcsr WF_FRAME_MXCSR(%rsp)
        fldcw WF_FRAME_X87CW(%rsp)
        jmp 1b
        .cfi_endproc
        .size wf_arch_switch, . - wf_arch_switch

// The trampoline: the first switch to a stack jumps here with the argument in rax and
// the entry in r12. There is no caller: an undefined return address ends every
// backtrace here. An uncaught exception comes as far as this frame, whose personality
// names the task.
        .globl wf_arch_enter
        .hidden wf_arch_enter
        .hidden wf_exceptions_escape
        .type wf_arch_enter, @function
        .p2align 4
wf_arch_enter:
        .cfi_startproc
        .cfi_personality 0x1b, wf_exceptions_escape // relative to the place, 4 bytes
        .cfi_undefined rip
        movq %rax, %rdi
        xorl %ebp, %ebp
        leaq 1f(%rip), %rax
        pushq %rax              # a jump, not a call: see wf_arch_jump
        jmp *%r12
1:      ud2
        .cfi_endproc
        .size wf_arch_enter, . - wf_arch_enter

// void wf_arch_walk(const void *sp, void (*fn)(void *arg), void *arg): see sched/arch/unwind.h.
// During the call rbx is the stack pointer of a context that was left. So what follows
// says that the caller's registers lie there: an unwinder that comes from fn goes on to
// the frames of that context.
        .globl wf_arch_walk
        .hidden wf_arch_walk
        .type wf_arch_walk, @function
        .p2align 4
wf_arch_walk:
        .cfi_startproc
        pushq %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_offset rbx, -16
        movq %rdi, %rbx
        movq %rdx, %rdi
        .cfi_remember_state
        .cfi_def_cfa rbx, WF_FRAME_SIZE
        .cfi_offset rip, -8
        .cfi_offset rbp, -16
        .cfi_offset rbx, -24
        .cfi_offset r12, -32
        .cfi_offset r13, -40
        .cfi_offset r14, -48
        .cfi_offset r15, -56
        callq *%rsi
        nop
        .cfi_restore_state
        popq %rbx
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size wf_arch_walk, . - wf_arch_walk

        .section .note.GNU-stack, "", @progbits
