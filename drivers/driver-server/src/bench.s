// The loops of the bench server. Each round of "direct" and "opsvector" differs from a round of "empty" by the call
// alone; the vector is reached as drivers reach theirs, from a pointer to a structure that holds the vector's address.

.macro BEGIN_LOOP name
    .section .text.\name, "ax"
    .balign 64
    .global \name
    .type \name, %function
\name:
    .cfi_startproc
    stp x29, x30, [sp, #-64]!
    .cfi_def_cfa_offset 64
    .cfi_offset x29, -64
    .cfi_offset x30, -56
    stp x19, x20, [sp, #16]
    .cfi_offset x19, -48
    .cfi_offset x20, -40
    stp x21, x22, [sp, #32]
    .cfi_offset x21, -32
    .cfi_offset x22, -24
    str x23, [sp, #48]
    .cfi_offset x23, -16
    mov x19, x0
    mov x20, x1
    mov x21, x2
    mov x22, x3
.endm

.macro END_LOOP name
    subs x19, x19, #1
    b.ne 1b
    ldr x23, [sp, #48]
    ldp x21, x22, [sp, #32]
    ldp x19, x20, [sp, #16]
    ldp x29, x30, [sp], #64
    .cfi_def_cfa_offset 0
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
    .size \name, . - \name
.endm

BEGIN_LOOP strata_bench_empty
1:
END_LOOP strata_bench_empty

BEGIN_LOOP strata_bench_direct
1:  bl _bench_leaf
END_LOOP strata_bench_direct

BEGIN_LOOP strata_bench_symbol
1:  bl bench_leaf
END_LOOP strata_bench_symbol

BEGIN_LOOP strata_bench_wait
1:  bl demo_wait
END_LOOP strata_bench_wait

BEGIN_LOOP strata_bench_opsvector
    adrp x23, strata_bench_object
    add x23, x23, :lo12:strata_bench_object
1:  ldr x16, [x23]
    ldr x16, [x16, #8]
    blr x16
END_LOOP strata_bench_opsvector

BEGIN_LOOP strata_bench_read_4
1:  mov x0, x20
    mov x1, x21
    mov x2, x22
    bl bus_space_read_4
END_LOOP strata_bench_read_4

BEGIN_LOOP strata_bench_read_4_opsvector
    adrp x23, strata_bench_object
    add x23, x23, :lo12:strata_bench_object
1:  mov x0, x20
    mov x1, x21
    mov x2, x22
    ldr x16, [x23]
    ldr x16, [x16, #16]
    blr x16
END_LOOP strata_bench_read_4_opsvector

    .section .text._bench_leaf, "ax"
    .balign 64
    .global _bench_leaf
    .type _bench_leaf, %function
_bench_leaf:
    .cfi_startproc
    add x0, x0, #1
    ret
    .cfi_endproc
    .size _bench_leaf, . - _bench_leaf

// The vector of operations, and an object that points to it.
    .section .data.strata_bench, "aw"
    .balign 64
strata_bench_vector:
    .quad 0
    .quad _bench_leaf
    .quad _bus_space_read_4
    .global strata_bench_object
    .type strata_bench_object, %object
strata_bench_object:
    .quad strata_bench_vector
    .size strata_bench_object, 8
