//! The kernel's own translation tables: the direct map.
//!
//! RAM read-write and never executable, the kernel's text read-execute, its constants read-only, the
//! page below the stack missing, the kernel's devices as device memory. Made once, then never changed.
use crate::cache::address;
use crate::registers;
use core::arch::asm;
use core::cell::UnsafeCell;
use microkernel_core::machine::{to_kernel, to_physical};

/// Table pages: the root, one level 1, and a few below.
const TABLES_MAX: usize = 24;
const ENTRIES: usize = 512;
const BLOCK: u64 = 2 << 20;
const PAGE: u64 = 4096;

const VALID: u64 = 1;
const TABLE: u64 = 3;
const PAGE_ENTRY: u64 = 3;
const DEVICE: u64 = 1 << 2;
const READ_ONLY: u64 = 1 << 7;
const SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// What a part of the direct map is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Read, write.
    Memory,
    /// Read, execute.
    Text,
    /// Read.
    Constant,
    /// Device registers.
    Device,
}

impl Kind {
    const fn bits(self) -> u64 {
        match self {
            Self::Memory => ACCESSED | SHAREABLE | PXN | UXN,
            Self::Text => ACCESSED | SHAREABLE | READ_ONLY | UXN,
            Self::Constant => ACCESSED | SHAREABLE | READ_ONLY | PXN | UXN,
            Self::Device => ACCESSED | DEVICE | PXN | UXN,
        }
    }
}

#[repr(C, align(4096))]
struct TablePage(UnsafeCell<[u64; ENTRIES]>);

// SAFETY: written by one core during boot through `Builder` only, afterwards by nobody.
unsafe impl Sync for TablePage {}

static PAGES: [TablePage; TABLES_MAX] = [const { TablePage(UnsafeCell::new([0; ENTRIES])) }; TABLES_MAX];
/// What TTBR0 points to when there is no address space.
static EMPTY: TablePage = TablePage(UnsafeCell::new([0; ENTRIES]));

/// Physical address of a root without entries.
#[inline(always)]
pub(crate) fn empty_root() -> u64 {
    to_physical(core::ptr::from_ref(&EMPTY).addr() as u64)
}

/// No table page is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfTables;

/// Makes the tables.
pub struct Builder {
    used: usize,
}

impl Builder {
    /// Starts with an empty root.
    ///
    /// # Safety
    /// Called once, during boot.
    pub unsafe fn new() -> Self {
        Self { used: 1 }
    }

    fn page(index: usize) -> u64 {
        core::ptr::from_ref(&PAGES[index]).addr() as u64
    }

    fn load(at: u64) -> u64 {
        // SAFETY: `at` is an entry of `PAGES` (callers walk from the root), which only this builder touches.
        unsafe { core::ptr::with_exposed_provenance::<u64>(address(at)).read() }
    }

    fn store(at: u64, value: u64) {
        // SAFETY: as in `load`.
        unsafe { core::ptr::with_exposed_provenance_mut::<u64>(address(at)).write(value) };
    }

    /// The entry for `virt` at the level that covers `bits` of address, tables made on the way.
    fn entry(&mut self, virt: u64, bits: u64) -> Result<u64, OutOfTables> {
        let mut table = Self::page(0);
        let mut at_bits = 39;
        loop {
            let at = table + (virt >> at_bits) % ENTRIES as u64 * 8;
            if at_bits == bits {
                return Ok(at);
            }
            let value = Self::load(at);
            table = if value & TABLE == TABLE {
                to_kernel(value & ADDRESS)
            } else {
                if self.used >= TABLES_MAX {
                    return Err(OutOfTables);
                }
                let page = Self::page(self.used);
                self.used += 1;
                Self::store(at, to_physical(page) | TABLE);
                page
            };
            at_bits -= 9;
        }
    }

    /// Maps 2 MiB blocks of the direct map that cover a physical range.
    pub fn map_blocks(&mut self, start: u64, end: u64, kind: Kind) -> Result<(), OutOfTables> {
        let mut at = start & !(BLOCK - 1);
        while at < end {
            let entry = self.entry(to_kernel(at), 21)?;
            // A block with pages of its own stays as it is.
            if Self::load(entry) & TABLE != TABLE {
                Self::store(entry, at | kind.bits() | VALID);
            }
            at += BLOCK;
        }
        Ok(())
    }

    /// Maps pages of the direct map.
    pub fn map_pages(&mut self, start: u64, end: u64, kind: Kind) -> Result<(), OutOfTables> {
        for at in (start..end).step_by(address(PAGE)) {
            let entry = self.entry(to_kernel(at), 12)?;
            Self::store(entry, at | kind.bits() | PAGE_ENTRY);
        }
        Ok(())
    }

    /// Takes a page out.
    pub fn unmap_page(&mut self, at: u64) -> Result<(), OutOfTables> {
        let entry = self.entry(to_kernel(at), 12)?;
        Self::store(entry, 0);
        Ok(())
    }

    /// Makes the tables the machine's, and the lower half empty.
    ///
    /// # Safety
    /// The running code, its data and its stack are mapped, as they were.
    pub unsafe fn activate(self) {
        // SAFETY: the caller's promise.
        unsafe { take() };
    }
}

/// Makes the kernel's tables this core's, and the lower half empty.
///
/// # Safety
/// The tables are complete, and map the running code, its data and its stack as they were.
pub(crate) unsafe fn take() {
    let root = to_physical(Builder::page(0));
    registers::set_ttbr0_el1(empty_root());
    // SAFETY: the caller's promise. The stores to the tables are complete before the root changes (DSB, Arm ARM
    // D8.2.6); both roots give the same translation to what is running; the old ones are then forgotten.
    unsafe {
        asm!(
            "dsb ish",
            "msr ttbr1_el1, {root}",
            "isb",
            "tlbi vmalle1",
            "dsb ish",
            "isb",
            root = in(reg) root,
            options(nostack, preserves_flags)
        );
    }
}
