//! What the kernel's logic needs from the machine: words of memory and a few operations.
//!
//! Objects live in memory that users retyped, so the core reaches them word by word through this
//! trait and keeps no references. On the target `load` and `store` are single instructions into the
//! direct map; on the host they index an arena.

use crate::cores::CoreId;

/// The kernel address of physical address 0: the direct map is `physical | DIRECT_MAP`.
pub const DIRECT_MAP: u64 = 0xffff_0000_0000_0000;

/// The physical address under a direct-map address.
pub const fn to_physical(kernel: u64) -> u64 {
    kernel & !DIRECT_MAP
}

/// The direct-map address of a physical address.
pub const fn to_kernel(physical: u64) -> u64 {
    physical | DIRECT_MAP
}

/// Cache maintenance that a user may ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CacheOp {
    /// Write dirty lines back to the point of coherency.
    Clean,
    /// Drop lines.
    Invalidate,
    /// Write back, then drop.
    CleanInvalidate,
    /// Make written instructions visible to fetches.
    Unify,
}

/// What one core asks of another, which does it without the kernel's lock: while it waits for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remote {
    /// Be in the kernel, with the running thread's registers in its TCB.
    Stall,
    /// Leave the user's translation tables: as [`Machine::set_user_root`] with 0.
    DropUserRoot,
    /// Write the floating-point registers to an area.
    SaveFpu {
        /// Kernel address.
        area: u64,
    },
}

/// The machine under the kernel.
///
/// Addresses are kernel addresses ([`DIRECT_MAP`]) unless a name says otherwise. The core calls
/// `load`, `store`, `zero` and `clean` only with addresses inside objects that capabilities name, so
/// always inside RAM that the boot gave away.
pub trait Machine {
    /// Reads the word at an 8-byte aligned kernel address.
    fn load(&self, at: u64) -> u64;
    /// Writes the word at an 8-byte aligned kernel address.
    fn store(&mut self, at: u64, value: u64);
    /// Zeroes whole words.
    fn zero(&mut self, at: u64, bytes: u64);
    /// Writes data-cache lines back to the point of coherency, so that uncached mappings and devices see them.
    fn clean(&mut self, at: u64, bytes: u64);

    /// Makes translation-table stores visible to table walks, after entries became valid.
    fn tables_written(&mut self);
    /// After an entry was made invalid: forgets the translation of one page.
    fn forget_page(&mut self, asid: u64, va: u64);
    /// After tables were taken out: forgets all translations of an address space.
    fn forget_asid(&mut self, asid: u64);
    /// Makes an address space current. `root` is physical; 0 is the empty address space.
    fn set_user_root(&mut self, root: u64, asid: u64);
    /// As [`Machine::set_user_root`], but not before user mode runs, and never the empty one.
    fn set_next_user_root(&mut self, root: u64, asid: u64);
    /// Cache maintenance on user addresses of the *current* address space; the range lies in one mapped page.
    fn user_cache(&mut self, op: CacheOp, start: u64, end: u64);

    /// Makes another core do something now, and returns when it is done; what that core wrote before is visible.
    /// That core leaves user mode for it, and stays in the kernel until this entry is over.
    fn remote(&mut self, core: CoreId, request: Remote);
    /// Makes another core enter the kernel soon.
    fn interrupt_core(&mut self, core: CoreId);

    /// Masks or unmasks an interrupt; one below 32 is this core's own.
    fn irq_mask(&mut self, irq: u64, masked: bool);
    /// Sets edge or level.
    fn irq_trigger(&mut self, irq: u64, edge: bool);
    /// Sets which core a shared interrupt goes to.
    fn irq_route(&mut self, irq: u64, core: CoreId);
    /// Is any unmasked interrupt waiting for the processor, or another core to get into the kernel?
    fn irq_waiting(&self) -> bool;
    /// Raises a software interrupt on a core.
    fn irq_raise(&mut self, irq: u64, core: u64);
    /// Rearms the kernel's tick.
    fn tick_rearm(&mut self);
    /// May EL0 touch the physical timer's registers?
    fn timer_access(&mut self, allowed: bool);

    /// May EL0 use the floating-point registers?
    fn fpu_access(&mut self, allowed: bool);
    /// Writes the floating-point registers to an area, or reads them from it. Access is enabled.
    fn fpu_save(&mut self, area: u64);
    /// See [`Machine::fpu_save`].
    fn fpu_load(&mut self, area: u64);

    /// Writes to the debug console.
    fn put_char(&mut self, byte: u8);
    /// Stops the machine.
    fn halt(&mut self) -> !;
}
