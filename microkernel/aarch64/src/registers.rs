//! System registers, one function each.
use core::arch::asm;
use microkernel_abi::SMP;
use microkernel_core::CoreId;

/// Defines `pub(crate) fn $read() -> u64`.
macro_rules! read {
    ($(#[$doc:meta])* $name:ident, $register:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name() -> u64 {
            let value: u64;
            // SAFETY: reading this register has no effect beyond the result.
            unsafe { asm!(concat!("mrs {}, ", $register), out(reg) value, options(nomem, nostack, preserves_flags)) };
            value
        }
    };
}

/// Defines `pub(crate) fn $write(value: u64)` for registers that change nothing Rust relies on.
macro_rules! write {
    ($(#[$doc:meta])* $name:ident, $register:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub(crate) fn $name(value: u64) {
            // SAFETY: the register affects EL0, the timers or floating point only: no memory or state that
            // compiled kernel code (soft-float, upper half) depends on.
            unsafe { asm!(concat!("msr ", $register, ", {}"), in(reg) value, options(nostack, preserves_flags)) };
        }
    };
}

read! {
    /// Interrupts waiting for this core.
    isr_el1, "isr_el1"
}
read! {
    /// Ticks of the generic timer per second.
    cntfrq_el0, "cntfrq_el0"
}
read! {
    /// The physical counter.
    cntpct_el0, "cntpct_el0"
}
read! {
    /// Cache line sizes.
    ctr_el0, "ctr_el0"
}
read! {
    /// Block size of DC ZVA.
    dczid_el0, "dczid_el0"
}
read! {
    /// Which core this is.
    mpidr_el1, "mpidr_el1"
}
read! {
    /// GICv3: takes the next interrupt of group 1.
    icc_iar1_el1, "icc_iar1_el1"
}
write! {
    /// GICv3: ends an interrupt of group 1.
    set_icc_eoir1_el1, "icc_eoir1_el1"
}
write! {
    /// GICv3: system registers are used.
    set_icc_sre_el1, "icc_sre_el1"
}
write! {
    /// GICv3: the priority that an interrupt must have.
    set_icc_pmr_el1, "icc_pmr_el1"
}
write! {
    /// GICv3: how interrupts are ended.
    set_icc_ctlr_el1, "icc_ctlr_el1"
}
write! {
    /// GICv3: group 1 on or off.
    set_icc_igrpen1_el1, "icc_igrpen1_el1"
}
write! {
    /// GICv3: raises a software interrupt of group 1.
    set_icc_sgi1r_el1, "icc_sgi1r_el1"
}
write! {
    /// Virtual timer: ticks from now.
    set_cntv_tval_el0, "cntv_tval_el0"
}
write! {
    /// Virtual timer: control.
    set_cntv_ctl_el0, "cntv_ctl_el0"
}
write! {
    /// Physical timer: control.
    set_cntp_ctl_el0, "cntp_ctl_el0"
}
write! {
    /// What EL0 may do with counters and timers.
    set_cntkctl_el1, "cntkctl_el1"
}
read! {
    /// What traps on floating-point use.
    cpacr_el1, "cpacr_el1"
}
read! {
    /// The top of this core's stack in the kernel.
    tpidr_el1, "tpidr_el1"
}
write! {
    /// What traps on floating-point use.
    set_cpacr_el1, "cpacr_el1"
}
write! {
    /// Debug: nothing of it is used.
    set_mdscr_el1, "mdscr_el1"
}
write! {
    /// Performance counters: whether EL0 may use them.
    set_pmuserenr_el0, "pmuserenr_el0"
}
write! {
    /// The lower half: root and ASID.
    set_ttbr0_el1, "ttbr0_el1"
}

/// Context synchronisation.
#[inline(always)]
pub(crate) fn isb() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// A hint that this core waits for another one (for emulators: run that one).
#[inline(always)]
pub(crate) fn relax() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// DSB ISHST: stores before it are seen by the other cores before anything after it, device registers included.
#[inline(always)]
pub(crate) fn dsb_ishst() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
}

/// Sleeps until an interrupt is pending, masked or not.
#[inline(always)]
pub(crate) fn wfi() {
    // SAFETY: WFI has no effect but time; the barrier orders earlier stores before sleeping.
    unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
}

/// Which core this is: the word at the top of its kernel stack.
#[inline(always)]
pub(crate) fn this_core() -> CoreId {
    if !SMP {
        return CoreId::BOOT;
    }
    let top = core::ptr::with_exposed_provenance::<usize>(crate::cache::address(tpidr_el1()));
    // SAFETY: TPIDR_EL1 is the top of this core's stack since before Rust ran on it, and its number stands there.
    let index = unsafe { top.read() };
    CoreId::new(index).unwrap_or(CoreId::BOOT)
}
