//! Memory as a vector. An access outside of it, or to memory that the kernel has no business in, panics.
use crate::cores::{CORES_MAX, CoreId};
use crate::machine::{CacheOp, Machine, Remote, to_kernel};
use std::string::String;
use std::vec;
use std::vec::Vec;

/// Physical address of the arena.
pub(super) const BASE: u64 = 0x4000_0000;

/// What a core has of its own.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Registers {
    pub(super) user_root: (u64, u64),
    pub(super) timer_open: bool,
    pub(super) fpu_open: bool,
}

#[derive(Clone)]
pub(super) struct Arena {
    pub(super) words: Vec<u64>,
    pub(super) output: String,
    /// Answers of `irq_waiting`: after so many looks an interrupt waits.
    pub(super) interrupt_after: Option<u64>,
    pub(super) looks: core::cell::Cell<u64>,
    pub(super) masked: Vec<bool>,
    /// The core that is in the kernel, and the registers of each.
    pub(super) here: usize,
    pub(super) cores: [Registers; CORES_MAX],
    /// What words were before: a store at a time, to be undone.
    pub(super) undo: Option<Vec<(usize, u64)>>,
    pub(super) forgotten: u64,
    pub(super) raised: Vec<(u64, u64)>,
    pub(super) routes: Vec<(u64, CoreId)>,
    /// What was asked of other cores.
    pub(super) remote: Vec<(CoreId, Remote)>,
    /// Cores that were interrupted.
    pub(super) interrupted: Vec<CoreId>,
}

impl Arena {
    pub(super) fn new(bytes: u64) -> Self {
        Self {
            words: vec![0; (bytes / 8) as usize],
            output: String::new(),
            interrupt_after: None,
            looks: core::cell::Cell::new(0),
            masked: vec![true; 1020],
            here: 0,
            cores: [Registers::default(); CORES_MAX],
            undo: None,
            forgotten: 0,
            raised: Vec::new(),
            routes: Vec::new(),
            remote: Vec::new(),
            interrupted: Vec::new(),
        }
    }

    fn own(&mut self) -> &mut Registers {
        &mut self.cores[self.here]
    }

    pub(super) fn bytes(&self) -> u64 {
        self.words.len() as u64 * 8
    }

    fn index(&self, at: u64) -> usize {
        assert!(at.is_multiple_of(8), "unaligned {at:#x}");
        let offset = at.checked_sub(to_kernel(BASE)).unwrap_or_else(|| panic!("below the arena: {at:#x}"));
        assert!(offset < self.bytes(), "beyond the arena: {at:#x}");
        (offset / 8) as usize
    }
}

impl Machine for Arena {
    fn load(&self, at: u64) -> u64 {
        self.words[self.index(at)]
    }
    fn store(&mut self, at: u64, value: u64) {
        let i = self.index(at);
        if let Some(undo) = &mut self.undo {
            undo.push((i, self.words[i]));
        }
        self.words[i] = value;
    }
    fn zero(&mut self, at: u64, bytes: u64) {
        let i = self.index(at);
        assert!(self.undo.is_none(), "what is undone makes no objects");
        self.words[i..i + (bytes / 8) as usize].fill(0);
    }
    fn clean(&mut self, at: u64, bytes: u64) {
        self.index(at);
        self.index(at + bytes - 8);
    }
    fn tables_written(&mut self) {}
    fn forget_page(&mut self, _: u64, _: u64) {
        self.forgotten += 1;
    }
    fn forget_asid(&mut self, _: u64) {
        self.forgotten += 1;
    }
    fn set_user_root(&mut self, root: u64, asid: u64) {
        self.own().user_root = (root, asid);
    }
    fn set_next_user_root(&mut self, root: u64, asid: u64) {
        self.own().user_root = (root, asid);
    }
    fn user_cache(&mut self, _: CacheOp, start: u64, end: u64) {
        assert!(start < end && self.cores[self.here].user_root.0 != 0);
    }
    fn irq_mask(&mut self, irq: u64, masked: bool) {
        self.masked[irq as usize] = masked;
    }
    fn irq_trigger(&mut self, irq: u64, _: bool) {
        assert!(irq < 1020);
    }
    fn irq_route(&mut self, irq: u64, core: CoreId) {
        assert!((32..1020).contains(&irq));
        self.routes.push((irq, core));
    }
    fn remote(&mut self, core: CoreId, request: Remote) {
        assert_ne!(core.index(), self.here, "a core asks itself");
        match request {
            Remote::Stall => {}
            Remote::DropUserRoot => self.cores[core.index()].user_root = (0, 0),
            Remote::SaveFpu { area } => self.store(area, 1),
        }
        self.remote.push((core, request));
    }
    fn interrupt_core(&mut self, core: CoreId) {
        self.interrupted.push(core);
    }
    fn irq_waiting(&self) -> bool {
        self.looks.set(self.looks.get() + 1);
        self.interrupt_after.is_some_and(|after| self.looks.get() > after)
    }
    fn irq_raise(&mut self, irq: u64, core: u64) {
        self.raised.push((irq, core));
    }
    fn tick_rearm(&mut self) {}
    fn timer_access(&mut self, allowed: bool) {
        self.own().timer_open = allowed;
    }
    fn fpu_access(&mut self, allowed: bool) {
        self.own().fpu_open = allowed;
    }
    fn fpu_save(&mut self, area: u64) {
        assert!(self.own().fpu_open);
        self.store(area, 1);
    }
    fn fpu_load(&mut self, area: u64) {
        assert!(self.own().fpu_open);
        self.load(area);
    }
    fn put_char(&mut self, byte: u8) {
        self.output.push(char::from(byte));
    }
    fn halt(&mut self) -> ! {
        panic!("halted")
    }
}
