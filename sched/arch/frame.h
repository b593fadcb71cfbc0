// The frames that the assembly leaves on a stack: offsets for it, and checked against C where the frame is first made.
#ifndef WF_SCHED_ARCH_FRAME_H
#define WF_SCHED_ARCH_FRAME_H

#if defined(__x86_64__)
#define WF_X87CW_INITIAL 0x037f // the kernel's initial value for a thread
#define WF_FRAME_MXCSR 0         // valid only if the x87 control word is not the initial one
#define WF_FRAME_X87CW 4
#define WF_FRAME_ENTRY 32 // r12: the function that the trampoline calls
#define WF_FRAME_PC 56
#define WF_FRAME_SIZE 64
#elif defined(__aarch64__)
#define WF_FRAME_X19 0  // to x28, in pairs; x19: the function that the trampoline calls
#define WF_FRAME_FP 80  // x29, x30
#define WF_FRAME_D8 96  // to d15
#define WF_FRAME_FPCR 160
#define WF_FRAME_SIZE 176
#endif

#endif
