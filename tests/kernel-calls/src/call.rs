//! One system call, drawn.
use crate::Random;
use microkernel_abi::message::MessageInfo;
use microkernel_abi::{SMP, label, syscall};

/// Message words that a call sets.
pub const WORDS_MAX: usize = 8;
/// Labels are drawn below this: one more than there are.
const LABELS_DRAWN: u64 = label::LAST + 2;

/// Slots that are looked at for a capability of some kind.
const LOOKS_MAX: usize = 12;

/// Kinds of capabilities, in the numbers of `seL4_DebugCapIdentify`.
mod kind {
    pub(super) const FRAME: u64 = 1;
    pub(super) const UNTYPED: u64 = 2;
    pub(super) const PAGE_TABLE: u64 = 3;
    pub(super) const NOTIFICATION: u64 = 6;
    pub(super) const VSPACE: u64 = 9;
    pub(super) const THREAD: u64 = 12;
    pub(super) const IRQ_HANDLER: u64 = 16;
}

/// What there is to name: capability addresses that resolve at depth 64.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the names are the ABI's")]
pub struct Names {
    /// The CNode that everything is in.
    pub cnode: u64,
    /// The first of the slots that everything happens in.
    pub first: u64,
    /// How many of them there are.
    pub count: u64,
    /// Untyped memory.
    pub untyped: u64,
    pub vspace: u64,
    /// A thread with the authority to set priorities.
    pub tcb: u64,
    pub asid_pool: u64,
    pub asid_control: u64,
    pub irq_control: u64,
    pub domain: u64,
    /// User addresses from here on, three times 512 GiB, are nobody's.
    pub base: u64,
}

/// A system call with its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// x7.
    pub number: i64,
    /// x0.
    pub cptr: u64,
    /// The label in x1.
    pub label: u64,
    /// The length in x1.
    pub length: u64,
    /// The number of extra capabilities in x1.
    pub extra: u64,
    /// The first message words.
    pub words: [u64; WORDS_MAX],
    /// The extra capabilities.
    pub caps: [u64; 3],
}

impl Names {
    fn slot(&self, random: &mut Random) -> u64 {
        self.first + random.below(self.count)
    }

    /// A capability address: mostly one of the slots.
    fn cptr(&self, random: &mut Random) -> u64 {
        match random.below(12) {
            0 => self.word(random),
            1 => random.pick(&[self.cnode, self.vspace, self.tcb, self.asid_pool, self.domain]),
            2 => self.untyped,
            _ => self.slot(random),
        }
    }

    /// A slot with a capability of a kind, if a few looks find one.
    fn find(&self, random: &mut Random, kind: u64, kind_of: &impl Fn(u64) -> u64) -> u64 {
        let mut slot = self.slot(random);
        for _ in 0..LOOKS_MAX {
            if kind_of(slot) == kind {
                break;
            }
            slot = self.slot(random);
        }
        slot
    }

    /// Numbers that mean something somewhere, and some that do not.
    fn word(&self, random: &mut Random) -> u64 {
        match random.below(12) {
            0 => random.word(),
            1 => random.pick(&[0, 1, u64::MAX, 1 << 63, 1 << 47, (1 << 47) - 4096, 0xffff_0000_4000_0000]),
            2 => random.below(1 << 13),
            3 => 64,
            4 => random.below(65),
            5 => random.below(16) << 12,
            6 => self.address(random),
            7 => random.below(40),
            8..=10 => self.slot(random),
            _ => random.below(12),
        }
    }

    /// A user address where nothing of anybody's is, aligned to a page; half of them close together.
    fn address(&self, random: &mut Random) -> u64 {
        let page = self.base + (random.below(4) << 12);
        if random.once_in(2) {
            return page;
        }
        page + (random.below(3) << 39 | random.below(2) << 30 | random.below(2) << 21)
    }
}

impl Call {
    /// Draws a call. `kind_of` says what a slot holds, in the numbers of `seL4_DebugCapIdentify`, so that many calls reach
    /// an object that understands them.
    #[must_use]
    pub fn draw(random: &mut Random, names: &Names, kind_of: impl Fn(u64) -> u64) -> Self {
        let number = match random.below(24) {
            0 => random.pick(&[0, -100, 1234, i64::MIN]),
            1 => syscall::NB_RECV,
            2 => syscall::NB_SEND,
            3 => syscall::SEND,
            4 => random.pick(&[syscall::REPLY, syscall::YIELD]),
            5 if random.once_in(4) => random.pick(&[syscall::RECV, syscall::REPLY_RECV]),
            _ => syscall::CALL,
        };
        // Without memory there is soon nothing to call.
        let label = if random.once_in(8) { label::UNTYPED_RETYPE } else { random.below(LABELS_DRAWN) };
        let mut call = Self {
            number,
            cptr: names.cptr(random),
            label,
            length: 8,
            extra: 3,
            words: core::array::from_fn(|_| names.word(random)),
            caps: core::array::from_fn(|_| names.cptr(random)),
        };
        if !random.once_in(4) {
            call.aim(random, names, &kind_of);
            call.shape(random, names, &kind_of);
        }
        if random.once_in(4) {
            call.extra = random.below(4);
            call.length = if random.once_in(2) { random.below(9) } else { random.below(128) };
        }
        // Otherwise well formed but for one word.
        if random.once_in(8) {
            let place = random.below(WORDS_MAX as u64);
            call.words[usize::try_from(place).unwrap_or(0)] = names.word(random);
        }
        if random.once_in(16) {
            call.caps[0] = names.cptr(random);
        }
        call
    }

    /// x1.
    #[must_use]
    pub const fn info(&self) -> MessageInfo {
        MessageInfo::new(self.label, 0, self.extra, self.length)
    }

    /// Finds an object that understands the label.
    fn aim(&mut self, random: &mut Random, names: &Names, kind_of: &impl Fn(u64) -> u64) {
        let kind = match self.label {
            label::TCB_READ_REGISTERS..=label::TCB_SET_FLAGS => kind::THREAD,
            label::IRQ_ACK_IRQ..=label::IRQ_CLEAR_IRQ_HANDLER => kind::IRQ_HANDLER,
            label::PAGE_TABLE_MAP | label::PAGE_TABLE_UNMAP => kind::PAGE_TABLE,
            label::PAGE_MAP..=label::PAGE_GET_ADDRESS => kind::FRAME,
            _ => return,
        };
        self.cptr = names.find(random, kind, kind_of);
    }

    /// Gives the call what its label wants.
    fn shape(&mut self, random: &mut Random, names: &Names, kind_of: &impl Fn(u64) -> u64) {
        let (cnode, depth) = (names.cnode, 64);
        let slot = |random: &mut Random| names.slot(random);
        match self.label {
            label::UNTYPED_RETYPE => {
                let kind = random.below(10);
                let bits = if kind == 0 { 4 + random.below(15) } else { 1 + random.below(4) };
                self.cptr = if random.once_in(3) { slot(random) } else { names.untyped };
                self.words = [kind, bits, 0, 0, slot(random), 1 + random.below(3), 0, 0];
                self.caps[0] = cnode;
            }
            label::CNODE_REVOKE
            | label::CNODE_DELETE
            | label::CNODE_SAVE_CALLER
            | label::CNODE_CANCEL_BADGED_SENDS => {
                self.cptr = cnode;
                self.words[..2].copy_from_slice(&[slot(random), depth]);
            }
            label::CNODE_COPY..=label::CNODE_MUTATE => {
                let data = random.pick(&[0, 5, 6, 60, 62]);
                let rights =
                    if self.label == label::CNODE_MUTATE { data } else { random.pick(&[15, 15, 15, 3, 1]) };
                self.cptr = cnode;
                self.words = [slot(random), depth, slot(random), depth, rights, data, 0, 0];
                self.caps[0] = cnode;
            }
            label::CNODE_ROTATE => {
                self.cptr = cnode;
                self.words = [slot(random), depth, 0, slot(random), depth, 0, slot(random), depth];
                self.caps = [cnode, cnode, 0];
            }
            label::TCB_CONFIGURE => {
                self.words[..4].copy_from_slice(&[slot(random), 0, 0, random.below(2) << 12]);
                self.caps = [cnode, names.vspace, names.find(random, kind::FRAME, kind_of)];
            }
            label::TCB_SET_IPC_BUFFER => {
                self.words[0] = random.below(8) << 9;
                self.caps[0] = names.find(random, kind::FRAME, kind_of);
            }
            label::TCB_BIND_NOTIFICATION | label::IRQ_SET_IRQ_HANDLER => {
                self.caps[0] = names.find(random, kind::NOTIFICATION, kind_of);
            }
            label::TCB_SET_AFFINITY if SMP => self.words[0] = random.below(5),
            label::TCB_COPY_REGISTERS => {
                self.words[0] = random.below(16);
                self.caps[0] = names.find(random, kind::THREAD, kind_of);
            }
            label::TCB_SET_SPACE => {
                self.words[..3].copy_from_slice(&[slot(random), 0, 0]);
                self.caps[..2].copy_from_slice(&[cnode, names.vspace]);
            }
            label::TCB_SET_PRIORITY | label::TCB_SET_MC_PRIORITY | label::TCB_SET_SCHED_PARAMS => {
                self.words[..2].copy_from_slice(&[random.below(100), random.below(100)]);
                self.caps[0] = names.tcb;
            }
            label::TCB_WRITE_REGISTERS => {
                self.words[..2].copy_from_slice(&[random.below(2), random.below(7)]);
            }
            label::TCB_READ_REGISTERS => {
                self.words[..2].copy_from_slice(&[random.below(2), random.below(38)]);
            }
            label::PAGE_MAP | label::PAGE_TABLE_MAP => {
                let unaligned = if random.once_in(8) { 8 } else { 0 };
                self.words[..3].copy_from_slice(&[
                    names.address(random) + unaligned,
                    random.below(4),
                    random.below(8),
                ]);
                self.caps[0] = if random.once_in(4) { slot(random) } else { names.vspace };
            }
            label::PAGE_CLEAN_DATA..=label::PAGE_UNIFY_INSTRUCTION => {
                self.words[..2].copy_from_slice(&[random.below(64), 64 + random.below(64)]);
            }
            label::VSPACE_CLEAN_DATA..=label::VSPACE_UNIFY_INSTRUCTION => {
                let start = names.address(random);
                self.cptr = names.vspace;
                self.words[..2].copy_from_slice(&[start, start + 1 + random.below(64)]);
            }
            label::ASID_POOL_ASSIGN => {
                self.cptr = if random.once_in(4) { slot(random) } else { names.asid_pool };
                self.caps[0] = names.find(random, kind::VSPACE, kind_of);
            }
            label::ASID_CONTROL_MAKE_POOL => {
                self.cptr = names.asid_control;
                self.words[..2].copy_from_slice(&[slot(random), depth]);
                self.caps = [names.find(random, kind::UNTYPED, kind_of), cnode, 0];
            }
            label::IRQ_ISSUE_IRQ_HANDLER => {
                self.cptr = names.irq_control;
                self.words[..3].copy_from_slice(&[34 + random.below(16), slot(random), depth]);
                self.caps[0] = cnode;
            }
            label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER => {
                self.cptr = names.irq_control;
                self.words[..4].copy_from_slice(&[
                    34 + random.below(16),
                    random.below(2),
                    slot(random),
                    depth,
                ]);
                self.caps[0] = cnode;
            }
            label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER_CORE if SMP => {
                self.cptr = names.irq_control;
                let irq = 34 + random.below(16);
                let core = random.below(5);
                self.words[..5].copy_from_slice(&[irq, random.below(2), slot(random), depth, core]);
                self.caps[0] = cnode;
            }
            label::IRQ_ISSUE_SGI_SIGNAL => {
                self.cptr = names.irq_control;
                // Numbers that no core uses among its own.
                self.words[..4].copy_from_slice(&[8 + random.below(9), random.below(9), slot(random), depth]);
                self.caps[0] = cnode;
            }
            label::DOMAIN_SET_SET..=label::DOMAIN_SCHEDULE_SET_START => {
                self.cptr = names.domain;
                self.words[..3].copy_from_slice(&[random.below(3), random.below(2), random.below(3)]);
                self.caps[0] = if random.once_in(2) { names.tcb } else { slot(random) };
            }
            _ => {}
        }
    }
}
