//! The first instructions: a stack. Assembly.
use core::arch::global_asm;

global_asm!(
    r#"
    .section .text.start, "ax"
    .global _start
_start:
    adrp    x1, stack_top
    add     x1, x1, :lo12:stack_top
    mov     sp, x1
    mov     x29, xzr
    mov     x30, xzr
    bl      main
    b       .

    .section .bss.stack, "aw", %nobits
    .balign 16
    .zero   65536
stack_top:
    .text
"#
);
