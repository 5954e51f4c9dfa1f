//! The way into the kernel and out of it. Assembly.
//!
//! While a thread runs, SP_EL1 points at its register block, so entering is storing. The kernel's
//! stack top is in TPIDR_EL1; the kernel keeps nothing on its stack between two entries.
//!
//! `save` leaves x0 to x7 as they were: a system call's message goes on in registers. Handlers return the register block
//! to continue with.
use core::arch::global_asm;
use microkernel_core::tcb::Reg;

// The stores below go by pairs: these places are fixed.
const _: () = assert!(Reg::x(30).offset() == 240 && Reg::SP.offset() == 248);
const _: () = assert!(Reg::PC.offset() == 256 && Reg::SPSR.offset() == 264);
const _: () = assert!(Reg::TPIDR.offset() == 272 && Reg::TPIDRRO.offset() == 280);
const _: () = assert!(Reg::FAULT_PC.offset() == 288);

global_asm!(
    r#"
    .macro save
    stp     x0, x1, [sp, #0]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    mrs     x8, sp_el0
    stp     x30, x8, [sp, #240]
    mrs     x9, elr_el1
    mrs     x10, spsr_el1
    stp     x9, x10, [sp, #256]
    mrs     x11, tpidr_el0
    str     x11, [sp, #272]
    .endm

    .macro kernel_stack
    mrs     x8, tpidr_el1
    mov     sp, x8
    .endm

    .macro vector target
    .balign 0x80
    b       \target
    .endm

    .section .text.vectors, "ax"
    .balign 0x800
    .global vectors
vectors:
    // From EL1: the kernel itself failed.
    vector  el1_failed
    vector  el1_failed
    vector  el1_failed
    vector  el1_failed
    vector  el1_failed
    vector  el1_failed
    vector  el1_failed
    vector  el1_failed
    // From EL0, AArch64.
    vector  el0_sync
    vector  el0_irq
    vector  el0_irq
    vector  el0_serror
    // From EL0, AArch32: never entered.
    vector  el1_failed
    vector  el1_failed
    vector  el1_failed
    vector  el1_failed

el0_sync:
    save
    mrs     x12, esr_el1
    lsr     x13, x12, #26
    cmp     x13, #0x15
    b.ne    1f
    // ELR is behind the svc; if it must run again, it is four bytes back.
    sub     x9, x9, #4
    str     x9, [sp, #288]
    kernel_stack
    // x0 to x7 are the thread's own.
    bl      kernel_syscall
    b       leave
1:  str     x9, [sp, #288]
    kernel_stack
    mov     x0, x12
    mrs     x1, far_el1
    bl      kernel_fault
    b       leave

el0_serror:
    save
    str     x9, [sp, #288]
    kernel_stack
    mrs     x0, esr_el1
    bl      kernel_serror
    b       leave

el0_irq:
    save
    str     x9, [sp, #288]
    kernel_stack
    bl      kernel_interrupt

    // x0: the register block of the thread that runs next. Also the way into the first thread.
    .global leave
leave:
    mov     sp, x0
    ldp     x19, x20, [sp, #256]
    msr     elr_el1, x19
    msr     spsr_el1, x20
    ldp     x30, x21, [sp, #240]
    msr     sp_el0, x21
    ldp     x22, x23, [sp, #272]
    msr     tpidr_el0, x22
    msr     tpidrro_el0, x23
    ldp     x0, x1, [sp, #0]
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    eret

el1_failed:
    // What the stack pointer is worth is unknown: start over on the kernel's stack.
    mrs     x0, esr_el1
    mrs     x1, far_el1
    mrs     x2, elr_el1
    mrs     x3, spsr_el1
    mrs     x4, tpidr_el1
    mov     sp, x4
    bl      kernel_failed
2:  wfi
    b       2b
"#
);
