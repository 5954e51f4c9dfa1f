//! From the loader to Rust: EL3 or EL2 to EL1, first translation tables, stack. Assembly.
//!
//! The image starts with a branch; the header for the root task follows at 0x40. On entry the MMU is
//! off, x0 holds the device tree's address. The first tables map memory of the one GiB that the image is in,
//! twice: where it is, so that the next instruction exists, and in the direct map. They map no device: a
//! processor may look ahead in whatever is mapped as memory.
//!
//! The image says in `EL3_GICV2` where a GICv2 is, for an entry at EL3: distributor and processor interface, two words,
//! physical addresses; 0 if there is none.
use crate::gicv2;
use core::arch::global_asm;
use microkernel_abi::image::{HEADER_OFFSET, HEADER_SIZE};
use microkernel_core::cores::CORES_MAX;

global_asm!(
    r#"
    .section .head, "ax"
    .global _start
_start:
    b       start
    .balign {header_offset}
    .global image_header
image_header:
    .zero   {header_size}

    .section .text.start, "ax"
start:
    msr     daifset, #0xf
    mov     x19, x0
    ldr     x20, =upper_half
    // One core only; a loader that holds none lets all come this way. The others wait until they are called (`cores`).
    mrs     x1, mpidr_el1
    and     x1, x1, #0xff
    cbnz    x1, pen

    // x20: where to go on, with the kernel's addresses. Further cores come this way, too (`secondary`).
    .global to_upper_half
to_upper_half:
    mrs     x1, CurrentEL
    cmp     x1, #(3 << 2)
    b.ne    below_el3

    // EL3: the lower levels are non-secure and AArch64, HVC works, nothing traps; then leave for EL2h.
    mov     x1, #{scr}
    msr     scr_el3, x1
    msr     cptr_el3, xzr
    // A GICv2 with the security extensions gives the lower levels the interrupts of group 1 only, and lets EL3 only say
    // which those are (Arm IHI 0048B, 4.3.4): all of them, at any priority that the lower levels choose (4.4.2). Without
    // them both groups are everybody's, and group 0 is the one that the kernel enables.
    adrp    x1, EL3_GICV2
    add     x1, x1, :lo12:EL3_GICV2
    ldp     x2, x3, [x1]
    cbz     x2, 3f
    ldr     w4, [x2, #{typer}]
    tbz     w4, #{secure}, 3f
    and     w4, w4, #0x1f
    mov     w5, #-1
    add     x6, x2, #{group}
1:  str     w5, [x6], #4
    subs    w4, w4, #1
    b.pl    1b
    mov     w5, #0xff
    str     w5, [x3, #{mask}]
    mov     w5, #3
    str     w5, [x3]
    str     w5, [x2]
    dsb     sy
3:
    mov     x1, #0x3c9
    msr     spsr_el3, x1
    adr     x1, below_el3
    msr     elr_el3, x1
    eret

below_el3:
    mrs     x1, CurrentEL
    cmp     x1, #(2 << 2)
    b.ne    at_el1

    // EL2: give EL1 AArch64, the counters and the physical timer, no traps; then leave for EL1h.
    mov     x1, #(1 << 31)
    msr     hcr_el2, x1
    mov     x1, #3
    msr     cnthctl_el2, x1
    msr     cntvoff_el2, xzr
    mov     x1, #0x33ff
    msr     cptr_el2, x1
    msr     hstr_el2, xzr
    mrs     x1, midr_el1
    msr     vpidr_el2, x1
    mrs     x1, mpidr_el1
    msr     vmpidr_el2, x1
    // A GICv3's processor interface: system registers, for EL1 too (ID_AA64PFR0_EL1.GIC, ICC_SRE_EL2).
    mrs     x1, id_aa64pfr0_el1
    ubfx    x1, x1, #24, #4
    cbz     x1, 1f
    mov     x1, #0xf
    msr     icc_sre_el2, x1
    isb
    msr     ich_hcr_el2, xzr
1:  mov     x1, #0x3c5
    msr     spsr_el2, x1
    adr     x1, at_el1
    msr     elr_el2, x1
    eret

at_el1:
    // boot_l0[0] -> boot_l1; boot_l1[this GiB] -> boot_l2; there 2 MiB blocks: normal memory, inner shareable, accessed.
    adrp    x1, boot_l0
    add     x1, x1, :lo12:boot_l0
    // The tables are made once.
    ldr     x2, =upper_half
    cmp     x2, x20
    b.ne    mmu_on
    adrp    x2, boot_l1
    add     x2, x2, :lo12:boot_l1
    orr     x3, x2, #3
    str     x3, [x1]
    adr     x4, _start
    lsr     x4, x4, #30
    adrp    x3, boot_l2
    add     x3, x3, :lo12:boot_l2
    orr     x5, x3, #3
    str     x5, [x2, x4, lsl #3]
    lsl     x5, x4, #30
    mov     x6, #0x701
    orr     x5, x5, x6
    ldr     x6, =__early_blocks
2:  str     x5, [x3], #8
    add     x5, x5, #(1 << 21)
    subs    x6, x6, #1
    b.ne    2b
    dsb     sy

mmu_on:
    // MAIR: 0 normal write-back, 1 Device-nGnRnE.
    mov     x3, #0xff
    msr     mair_el1, x3
    // TCR: 48-bit halves, 4 KiB granules, inner-shareable write-back walks, 16-bit ASIDs, all the addresses there are.
    ldr     x3, ={tcr}
    mrs     x4, id_aa64mmfr0_el1
    and     x4, x4, #7
    orr     x3, x3, x4, lsl #32
    msr     tcr_el1, x3
    msr     ttbr0_el1, x1
    msr     ttbr1_el1, x1
    // Nothing that was cached before is valid (Arm ARM D8.14: TLB contents are unknown at reset).
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    ldr     x3, ={sctlr}
    msr     sctlr_el1, x3
    // The new regime applies from here on (Arm ARM D8.2.1: context synchronisation after SCTLR_EL1.M).
    isb
    br      x20

upper_half:
    ldr     x1, =__stack_top
    mov     sp, x1
    msr     tpidr_el1, x1
    ldr     x1, =vectors
    msr     vbar_el1, x1
    isb
    mov     x0, x19
    mov     x29, xzr
    mov     x30, xzr
    bl      kernel_main
sleep:
    wfi
    b       sleep

    // The caches are off here, so the word is read from memory. An event between the load and WFE is not lost: it is kept
    // in the event register, and WFE goes on at once (Arm ARM D1.6.1).
pen:
    cmp     x1, #{cores}
    b.hs    sleep
    adrp    x2, START_PEN
    add     x2, x2, :lo12:START_PEN
1:  ldr     x3, [x2, x1, lsl #3]
    cbnz    x3, 2f
    wfe
    b       1b
2:  br      x3

    .section .bss.boot_tables, "aw", %nobits
    .balign 4096
boot_l0:
    .zero   4096
boot_l1:
    .zero   4096
boot_l2:
    .zero   4096
"#,
    cores = const CORES_MAX,
    typer = const gicv2::D_TYPER,
    secure = const gicv2::D_TYPER_SECURE,
    group = const gicv2::D_GROUP,
    mask = const gicv2::C_MASK,
    header_offset = const HEADER_OFFSET,
    header_size = const HEADER_SIZE,
    tcr = const TCR,
    sctlr = const SCTLR,
    scr = const SCR,
);

/// SCR_EL3: NS, RES1, HCE, RW.
const SCR: u64 = 1 | 3 << 4 | 1 << 8 | 1 << 10;

/// T0SZ = T1SZ = 16; walks of both halves write-back write-allocate, inner shareable; TG1 = 4 KiB; AS = 16 bits.
const TCR: u64 = {
    let half = 16 | 1 << 8 | 1 << 10 | 3 << 12;
    half | half << 16 | 2 << 30 | 1 << 36
};

/// RES1 bits; MMU, caches, stack alignment checks; EL0 may use DC ZVA, CTR_EL0, WFI, WFE and cache maintenance.
const SCTLR: u64 = {
    let reserved = 1 << 11 | 1 << 20 | 1 << 22 | 1 << 23 | 1 << 28 | 1 << 29;
    let mmu = 1;
    let caches = 1 << 2 | 1 << 12;
    let stack_alignment = 1 << 3 | 1 << 4;
    let el0 = 1 << 14 | 1 << 15 | 1 << 16 | 1 << 18 | 1 << 26;
    reserved | mmu | caches | stack_alignment | el0
};
