//! A booted kernel in an arena, and system calls of its threads.
use super::arena::{Arena, BASE};
use crate::boot::{BootInput, boot};
use crate::cap::View;
use crate::fastpath::{Message, Short};
use crate::fdt::Range;
use crate::handle::{Slot, Tcb};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::tcb::{Reg, SLOT_CSPACE};
use microkernel_abi::bootinfo::BootInfo;
use microkernel_abi::message::MessageInfo;
use microkernel_abi::{init_cap, label, syscall};

pub(super) struct World {
    pub(super) k: Kernel<Arena>,
    pub(super) root: Tcb,
    /// The largest untyped, and log2 of its size.
    pub(super) untyped: u64,
    pub(super) untyped_bits: u64,
    /// The next free slot of the root CNode.
    pub(super) free: u64,
    /// System calls take the short way where there is one, and are counted: Call, ReplyRecv.
    pub(super) short: Option<(u64, u64)>,
}

pub(super) const ROOT: u64 = init_cap::CNODE;
const IMAGE: u64 = 0x10_0000;

impl World {
    pub(super) fn new() -> Self {
        Self::with_cores(1)
    }

    pub(super) fn with_cores(cores: usize) -> Self {
        let arena = Arena::new(4 << 20);
        let ram = [
            Range { start: BASE, end: BASE + IMAGE },
            Range { start: BASE + IMAGE + 0x2000, end: BASE + (4 << 20) },
        ];
        let input = BootInput {
            ram: &ram,
            devices: &[Range { start: 0x900_0000, end: 0xa00_0000 }],
            image: Range { start: BASE + IMAGE, end: BASE + IMAGE + 0x2000 },
            image_va: 0x40_0000,
            entry: 0x40_0100,
            fdt: &[0xff; 100],
            irqs: 288,
            cores,
        };
        let mut k = boot(arena, &input).expect("boots");
        let root = k.leave().expect("the root task runs");
        let mut world = Self { k, root, untyped: 0, untyped_bits: 0, free: 0, short: None };
        let info = world.boot_info();
        let count = (info.untyped.end - info.untyped.start) as usize;
        let (i, desc) = info.untyped_list[..count]
            .iter()
            .enumerate()
            .filter(|(_, desc)| desc.is_device == 0)
            .max_by_key(|(_, desc)| desc.size_bits)
            .unwrap();
        world.untyped = info.untyped.start + i as u64;
        world.untyped_bits = desc.size_bits.into();
        world.free = info.empty.start;
        world
    }

    /// The boot information, as the root task sees it.
    pub(super) fn boot_info(&self) -> BootInfo {
        let View::Frame { base, .. } = self.k.view(self.slot(init_cap::BOOT_INFO_FRAME)) else { panic!() };
        let word = |offset: usize| self.k.m.load(base + offset as u64);
        let region = |offset: usize| microkernel_abi::bootinfo::SlotRegion {
            start: word(offset),
            end: word(offset + 8),
        };
        let mut info = BootInfo {
            extra_len: word(0),
            node_id: word(8),
            num_nodes: word(16),
            num_io_pt_levels: word(24),
            ipc_buffer: word(32),
            empty: region(40),
            shared_frames: region(56),
            user_image_frames: region(72),
            user_image_paging: region(88),
            io_space_caps: region(104),
            extra_bi_pages: region(120),
            init_thread_cnode_size_bits: word(136),
            init_thread_domain: word(144),
            untyped: region(152),
            untyped_list: [Default::default(); 230],
        };
        for (i, desc) in info.untyped_list.iter_mut().enumerate() {
            desc.paddr = word(168 + i * 16);
            desc.size_bits = word(168 + i * 16 + 8) as u8;
            desc.is_device = (word(168 + i * 16 + 8) >> 8) as u8;
        }
        info
    }

    /// A slot of the root CNode.
    pub(super) fn slot(&self, index: u64) -> Slot {
        let View::CNode { base, .. } = self.k.view(self.root.slot(SLOT_CSPACE)) else {
            panic!("no root CNode")
        };
        Slot::at(base).offset(index)
    }

    pub(super) fn view(&self, index: u64) -> View {
        self.k.view(self.slot(index))
    }

    pub(super) fn next_slot(&mut self) -> u64 {
        self.free += 1;
        self.free - 1
    }

    pub(super) fn reg(&self, tcb: Tcb, n: u64) -> u64 {
        self.k.reg(tcb, Reg::x(n))
    }

    /// The running thread's message: words and extra capabilities.
    pub(super) fn write_message(&mut self, words: &[u64], caps: &[u64]) {
        let tcb = self.k.current().unwrap();
        for (i, &word) in words.iter().enumerate() {
            let buffer = self.k.buffer(tcb, true);
            self.k.set_message_word(tcb, buffer, i as u64, word);
        }
        if let Some(buffer) = self.k.buffer(tcb, true) {
            for (i, &cap) in caps.iter().enumerate() {
                self.k.m.store(buffer + 976 + i as u64 * 8, cap);
            }
        }
    }

    /// The running thread makes a system call. Who runs afterwards?
    pub(super) fn syscall(&mut self, number: i64, cptr: u64, info: MessageInfo) -> Option<Tcb> {
        let tcb = self.k.current().unwrap();
        self.k.set_reg(tcb, Reg::X7, number.cast_unsigned());
        self.k.set_reg(tcb, Reg::X0, cptr);
        self.k.set_reg(tcb, Reg::X1, info.0);
        // As the exception entry does: the next instruction, and the svc itself.
        let pc = self.k.reg(tcb, Reg::PC);
        self.k.set_reg(tcb, Reg::FAULT_PC, pc);
        self.k.set_reg(tcb, Reg::PC, pc.wrapping_add(4));
        if let Some((calls, replies)) = &mut self.short {
            let words = core::array::from_fn(|i| self.k.reg(tcb, Reg::x(2 + i as u64)));
            let message = Message { capability: cptr, info: info.0, words };
            match self.k.fast_syscall(number.cast_unsigned(), message) {
                Short::Done(next) => {
                    *if number == syscall::CALL { calls } else { replies } += 1;
                    if self.k.access_differs(next) {
                        self.k.switch_access(next);
                    }
                    assert_eq!(self.k.current(), Some(next));
                    return Some(next);
                }
                Short::Invocation(tcb, slot) => {
                    self.k.invocation(tcb, slot);
                    return self.k.leave();
                }
                Short::Not => {}
            }
        }
        self.k.syscall();
        self.k.leave()
    }

    /// The running thread invokes a capability by Call; the label of the reply.
    pub(super) fn invoke(&mut self, cptr: u64, label: u64, words: &[u64], caps: &[u64]) -> u64 {
        let tcb = self.k.current().unwrap();
        self.write_message(words, caps);
        self.syscall(syscall::CALL, cptr, MessageInfo::new(label, 0, caps.len() as u64, words.len() as u64));
        MessageInfo(self.reg(tcb, 1)).label()
    }

    pub(super) fn retype(&mut self, from: u64, kind: u64, bits: u64, slot: u64, count: u64) -> u64 {
        self.invoke(from, label::UNTYPED_RETYPE, &[kind, bits, 0, 0, slot, count], &[ROOT])
    }

    pub(super) fn make(&mut self, kind: u64, bits: u64) -> u64 {
        let slot = self.next_slot();
        assert_eq!(self.retype(self.untyped, kind, bits, slot, 1), 0);
        slot
    }

    pub(super) fn mint(&mut self, source: u64, dest: u64, rights: u64, badge: u64) -> u64 {
        self.invoke(ROOT, label::CNODE_MINT, &[dest, 64, source, 64, rights, badge], &[ROOT])
    }

    pub(super) fn copy(&mut self, source: u64, dest: u64) -> u64 {
        self.invoke(ROOT, label::CNODE_COPY, &[dest, 64, source, 64, 15], &[ROOT])
    }

    pub(super) fn delete(&mut self, slot: u64) -> u64 {
        self.invoke(ROOT, label::CNODE_DELETE, &[slot, 64], &[])
    }

    pub(super) fn revoke(&mut self, slot: u64) -> u64 {
        self.invoke(ROOT, label::CNODE_REVOKE, &[slot, 64], &[])
    }

    /// Makes a thread in the root task's spaces, with a buffer of its own, and lets it run.
    pub(super) fn thread(&mut self, priority: u64) -> (u64, Tcb) {
        let (tcb, frame) = (self.make(1, 0), self.make(7, 0));
        assert_eq!(
            self.invoke(tcb, label::TCB_CONFIGURE, &[0, 0, 0, 0x1000], &[ROOT, init_cap::VSPACE, frame]),
            0
        );
        assert_eq!(self.invoke(tcb, label::TCB_SET_SCHED_PARAMS, &[254, priority], &[init_cap::TCB]), 0);
        let View::Thread { tcb: handle } = self.view(tcb) else { panic!("a thread was made") };
        (tcb, handle)
    }
}
