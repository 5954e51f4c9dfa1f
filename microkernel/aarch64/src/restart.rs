//! The machine's restart instead of its end, where the boot arguments ask for it. A board whose card has the
//! chainloader waits for the next system then.
use crate::mmio::Registers;
use crate::{entry, psci, registers};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};
use microkernel_core::fdt::Conduit;
use microkernel_core::text::Piece;

/// How a machine is started again.
#[derive(Clone, Copy)]
pub struct Restart(How);

#[derive(Clone, Copy)]
enum How {
    Firmware(Conduit),
    Watchdog(Registers),
}

/// The BCM2835's power management. A write counts with the password in its highest byte only.
const PM_RSTC: u64 = 0x1c;
const PM_WDOG: u64 = 0x24;
const PM_PASSWORD: u32 = 0x5a << 24;
/// PM_RSTC: what the end of the watchdog's time does, and that it resets everything.
const PM_RSTC_CONFIG: u32 = 3 << 4;
const PM_RSTC_FULL_RESET: u32 = 2 << 4;
/// The watchdog's time, in units of 16 us: soon.
const PM_WDOG_SOON: u32 = 10;

impl Restart {
    /// By the firmware.
    ///
    /// # Safety
    /// Firmware with PSCI 0.2 or later answers to this conduit.
    pub const unsafe fn by_firmware(conduit: Conduit) -> Self {
        Self(How::Firmware(conduit))
    }

    /// By the BCM2835's watchdog; the power management's registers at a physical address.
    ///
    /// # Safety
    /// The registers are mapped as device memory in the direct map.
    pub const unsafe fn by_watchdog(physical: u64) -> Self {
        // SAFETY: the caller's promise. Until the machine starts again, the device changes no memory.
        Self(How::Watchdog(unsafe { Registers::new(physical) }))
    }
}

struct Plan(UnsafeCell<Option<Restart>>);

// SAFETY: set once during boot on one core, read afterwards.
unsafe impl Sync for Plan {}

/// How the machine is started again, if it is.
static PLAN: Plan = Plan(UnsafeCell::new(None));

/// When it is at the latest, by the physical counter.
static DEADLINE: AtomicU64 = AtomicU64::new(u64::MAX);

/// From now on the machine starts again where it would stop, and after so many seconds at the latest.
///
/// # Safety
/// Called once, during boot.
pub unsafe fn set_restart(restart: Restart, limit_s: Option<u64>) {
    // SAFETY: boot, one core: nobody reads it meanwhile.
    unsafe { *PLAN.0.get() = Some(restart) };
    if let Some(limit) = limit_s {
        let ticks = registers::cntfrq_el0().saturating_mul(limit);
        DEADLINE.store(registers::cntpct_el0().saturating_add(ticks), Ordering::Relaxed);
    }
}

/// Starts the machine again, if that was asked for. Nothing runs on afterwards, and what was said has been sent.
pub(crate) fn if_asked() {
    // SAFETY: it was written during boot, before anybody could get here on another core.
    let Some(Restart(how)) = (unsafe { *PLAN.0.get() }) else { return };
    entry::finish_saying();
    match how {
        How::Firmware(conduit) => {
            // SAFETY: `by_firmware` was promised firmware; what it ends is over.
            unsafe { psci::call(conduit, [psci::SYSTEM_RESET, 0, 0, 0]) };
        }
        How::Watchdog(power) => {
            power.write(PM_WDOG, PM_PASSWORD | PM_WDOG_SOON);
            let config = power.read(PM_RSTC) & !(0xff << 24 | PM_RSTC_CONFIG);
            power.write(PM_RSTC, PM_PASSWORD | config | PM_RSTC_FULL_RESET);
        }
    }
}

/// Starts the machine again if its time is over.
#[inline(always)]
pub(crate) fn if_overdue() {
    if registers::cntpct_el0() > DEADLINE.load(Ordering::Relaxed) {
        entry::fatal(&[Piece::Text("the time that reset_after gives is over")]);
    }
}
