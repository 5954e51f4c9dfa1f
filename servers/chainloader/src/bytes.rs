//! What the compiler calls to move bytes, one at a time. Assembly.
//!
//! Without an MMU all memory is device memory, where an access that is not aligned faults (Arm ARM B2.5.2); the usual
//! versions make such accesses.
core::arch::global_asm!(
    r#"
    .section .text.bytes, "ax"
    .global memcpy
    .global memmove
    .global memset
    .global memcmp
    .global bcmp
memmove:
    // Upwards, unless the bytes would be written over before they are read.
    sub     x3, x0, x1
    cmp     x3, x2
    b.lo    3f
memcpy:
    mov     x3, x0
1:  cbz     x2, 2f
    ldrb    w4, [x1], #1
    strb    w4, [x3], #1
    sub     x2, x2, #1
    b       1b
2:  ret
3:  cbz     x2, 2b
    sub     x2, x2, #1
    ldrb    w4, [x1, x2]
    strb    w4, [x0, x2]
    b       3b

memset:
    mov     x3, x0
4:  cbz     x2, 2b
    strb    w1, [x3], #1
    sub     x2, x2, #1
    b       4b

memcmp:
bcmp:
    mov     x3, x0
    mov     w0, #0
5:  cbz     x2, 2b
    ldrb    w4, [x3], #1
    ldrb    w5, [x1], #1
    sub     x2, x2, #1
    subs    w0, w4, w5
    b.eq    5b
    ret
"#
);
