//! Random system calls, faults and interrupts: the kernel refuses or obeys, and its invariants hold.
use super::world::{ROOT, World};
use crate::fault::UserFault;
use crate::tcb::Reg;
use microkernel_abi::message::MessageInfo;
use microkernel_abi::{init_cap, label, syscall};

/// A small generator: reproducible by its seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 20) % n
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Numbers that mean something somewhere, and some that do not.
    fn word(&mut self, world: &World) -> u64 {
        match self.below(12) {
            0 => self.next(),
            1 => self.pick(&[0, 1, u64::MAX, 1 << 63, 1 << 47, (1 << 47) - 4096, 0xffff_0000_4000_0000]),
            2 => self.below(1 << 13),
            3 => 64,
            4 => self.below(65),
            5 => self.below(16) << 12,
            6 => 0x40_0000 + self.below(8) * 4096,
            7 => self.below(4) << 39 | self.below(4) << 30 | self.below(4) << 21,
            8..=10 => world.free - 40 + self.below(60),
            _ => self.below(12),
        }
    }

    fn cptr(&mut self, world: &World) -> u64 {
        match self.below(10) {
            0 => self.word(world),
            1 => self.below(16),
            2 => ROOT,
            3 => world.untyped,
            _ => world.free - 40 + self.below(60),
        }
    }
}

/// Arguments that are likely to be accepted, by label.
fn message(r: &mut Random, world: &World, label: u64, words: &mut [u64; 8], caps: &mut [u64; 3]) {
    let slot = |r: &mut Random| world.free - 40 + r.below(60);
    match label {
        label::UNTYPED_RETYPE => {
            let kind = r.below(10);
            let bits = if kind == 0 { 4 + r.below(15) } else { 1 + r.below(4) };
            *words = [kind, bits, 0, 0, slot(r), 1 + r.below(3), 0, 0];
            caps[0] = ROOT;
        }
        label::CNODE_REVOKE
        | label::CNODE_DELETE
        | label::CNODE_SAVE_CALLER
        | label::CNODE_CANCEL_BADGED_SENDS => {
            words[..2].copy_from_slice(&[slot(r), 64]);
        }
        label::CNODE_COPY..=label::CNODE_MUTATE => {
            let badge = r.pick(&[0, 5, 6, 60, 62]);
            *words = [
                slot(r),
                64,
                slot(r),
                64,
                if label == label::CNODE_MUTATE { badge } else { 15 },
                badge,
                0,
                0,
            ];
            caps[0] = ROOT;
        }
        label::CNODE_ROTATE => {
            *words = [slot(r), 64, 0, slot(r), 64, 0, slot(r), 64];
            *caps = [ROOT, ROOT, 0];
        }
        label::TCB_CONFIGURE => {
            words[..4].copy_from_slice(&[slot(r), 0, 0, r.below(2) << 12]);
            *caps = [ROOT, init_cap::VSPACE, slot(r)];
        }
        label::TCB_SET_PRIORITY | label::TCB_SET_MC_PRIORITY => {
            words[0] = r.below(255);
            caps[0] = init_cap::TCB;
        }
        label::PAGE_MAP | label::PAGE_TABLE_MAP => {
            words[0] = r.below(3) << 39 | r.below(2) << 21 | r.below(4) << 12;
            words[1..3].copy_from_slice(&[r.below(4), r.below(8)]);
            let other = slot(r);
            caps[0] = r.pick(&[init_cap::VSPACE, other]);
        }
        _ => {}
    }
}

fn step(world: &mut World, r: &mut Random) {
    let Some(tcb) = world.k.current() else {
        // Idle: the root task is helped up by the only thing that comes from outside.
        world.k.interrupt(r.pick(&[27, 30, 33]));
        world.k.leave();
        if world.k.current().is_none() {
            world.k.resume(world.root);
            world.k.leave();
        }
        return;
    };
    match r.below(20) {
        0 => world.k.interrupt(r.pick(&[27, 30, 33, 5, 287, 288, 1019])),
        1 => world.k.user_fault(match r.below(3) {
            0 => UserFault::Memory { address: r.next(), syndrome: r.next(), fetch: r.below(2) == 0 },
            1 => UserFault::Exception { syndrome: r.next() },
            _ => UserFault::FloatingPoint { syndrome: 7 << 26 },
        }),
        _ => {
            let number = match r.below(12) {
                0 => -(r.below(10) as i64),
                1 => syscall::NB_RECV,
                2 => syscall::NB_SEND,
                _ => syscall::CALL,
            };
            // Halting is what it says; it ends the machine.
            let number =
                if matches!(number, syscall::DEBUG_HALT | syscall::DEBUG_SNAPSHOT) { 0 } else { number };
            let label = r.below(53);
            let mut words: [u64; 8] = core::array::from_fn(|_| r.word(world));
            let mut caps: [u64; 3] = core::array::from_fn(|_| r.cptr(world));
            if r.below(4) != 0 {
                message(r, world, label, &mut words, &mut caps);
            }
            world.write_message(&words, &caps);
            // Everybody's hands stay off the slots by which the test itself sees the world.
            let cptr = match label {
                label::UNTYPED_RETYPE if r.below(3) != 0 => world.untyped,
                label::CNODE_REVOKE..=label::CNODE_SAVE_CALLER if r.below(3) != 0 => ROOT,
                label::IRQ_ISSUE_IRQ_HANDLER | 49 | 50 if r.below(3) != 0 => init_cap::IRQ_CONTROL,
                label::ASID_POOL_ASSIGN if r.below(3) != 0 => init_cap::ASID_POOL,
                _ => r.cptr(world),
            };
            let harmful =
                matches!(label, label::CNODE_REVOKE..=label::CNODE_SAVE_CALLER) && words[0] < world.free - 40;
            let own = cptr == init_cap::TCB && (label::TCB_CONFIGURE..=label::TCB_SUSPEND).contains(&label);
            if harmful || own {
                return;
            }
            let info = MessageInfo::new(label, 0, r.below(4), r.below(128));
            let info = if r.below(3) == 0 { info } else { MessageInfo::new(label, 0, 3, 8) };
            world.k.set_reg(tcb, Reg::X7, number.cast_unsigned());
            world.syscall(number, cptr, info);
            return;
        }
    }
    world.k.leave();
}

fn run(seed: u64, steps: usize) {
    let mut world = World::new();
    // Free slots around which everything happens, and something to begin with.
    world.free += 40;
    for kind in [1, 2, 3, 4, 7, 9, 6] {
        world.make(kind, 3);
    }
    let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    world.k.m.interrupt_after = Some(r.below(500));
    for i in 0..steps {
        step(&mut world, &mut r);
        if i % 16 == 0 {
            world.check();
            world.k.m.looks.set(0);
        }
        // A program can move its own root CNode away; what it can reach then is nothing.
        let root = world.root.slot(crate::tcb::SLOT_CSPACE);
        let alive = |slot| matches!(world.k.view(slot), crate::cap::View::CNode { .. });
        if !alive(root) || !alive(world.slot(ROOT)) {
            return;
        }
        world.k.m.output.clear();
    }
    world.check();
}

#[test]
fn random_calls() {
    for seed in 1..=40 {
        run(seed, 1500);
    }
}

/// Longer, for a night: `cargo test --release -p microkernel-core -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn many_random_calls() {
    for seed in 1000..3000 {
        run(seed, 4000);
    }
}
