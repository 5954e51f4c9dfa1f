//! The physical timer's registers, which the kernel leaves to the thread that owns the interrupt.

use core::arch::asm;

/// The physical timer (`CNTP_*`).
pub(crate) struct PhysicalTimer(());

const ENABLE: u64 = 1;

impl PhysicalTimer {
    /// The timer; this process makes one of it.
    pub(crate) const fn take() -> Self {
        Self(())
    }

    /// Lets the timer's interrupt come when the counter reaches `ticks` (of CNTVCT), or never for 0.
    pub(crate) fn set(&mut self, ticks: u64) {
        if ticks == 0 {
            return self.stop();
        }
        // The comparator counts physical time. The two counters run at one rate, a fixed offset apart.
        let compare = physical_ticks().wrapping_sub(strata_runtime::clock::ticks()).wrapping_add(ticks);
        // SAFETY: sets the comparator of a timer that no other thread uses; worst case is an early interrupt.
        unsafe { asm!("msr cntp_cval_el0, {}", in(reg) compare, options(nomem, nostack, preserves_flags)) };
        self.control(ENABLE);
    }

    /// No interrupt comes.
    pub(crate) fn stop(&mut self) {
        self.control(0);
    }

    fn control(&mut self, value: u64) {
        // SAFETY: enables or disables a timer that no other thread uses; the barrier makes the interrupt line follow
        // before the next instruction.
        unsafe {
            asm!("msr cntp_ctl_el0, {}", "isb", in(reg) value, options(nomem, nostack, preserves_flags))
        };
    }
}

fn physical_ticks() -> u64 {
    let ticks;
    // SAFETY: reads a counter that the ABI profile lets EL0 read.
    unsafe { asm!("isb", "mrs {}, cntpct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
    ticks
}
