//! Linker-owned text: the words of gates, address slots and veneers, and who owns which piece of it.

use core::ops::Range;

pub use aarch64_reloc::NOP;
use aarch64_reloc::insn::RET;

use crate::LINKER_TEXT_SIZE_MAX;
use crate::branch::{Branch, OutOfRange, Va};

/// Bytes of a counted gate.
pub const GATE_SIZE: u64 = 48;
/// Bytes that an address slot or a veneer takes.
pub const UNIT_SIZE: u64 = 16;
/// Units of a gate.
pub(crate) const GATE_UNITS: usize = 3;
const _: () = assert!(GATE_UNITS as u64 * UNIT_SIZE == GATE_SIZE);
/// Units of a stub.
pub(crate) const STUB_UNITS: usize = 2;
const UNITS_MAX: usize = LINKER_TEXT_SIZE_MAX / 16;

/// Where a gate's `bl implementation` stands, in words.
pub const GATE_CALL_WORD: usize = 5;
/// Where a gate's epilogue holds the NOP that CATCH may replace by a branch to a tail, in words.
pub const GATE_NOP_WORD: usize = 10;

/// Words of the landing pad.
pub const LANDING_PAD_WORDS: usize = 17;
/// Bytes that it takes.
pub const LANDING_PAD_SIZE: u64 = 80;
const _: () = assert!(LANDING_PAD_WORDS as u64 * 4 <= LANDING_PAD_SIZE);

// `brk #0`: what stands where nothing should run.
const BRK: u32 = 0xd420_0000;

/// The words of a counted gate that stands at `at`.
///
/// It keeps a record {caller's return address, gate} on the shadow stack whose top is at `[tpidr_el0, #8]`, and uses
/// only x15 to x17, so that arguments and results of every kind pass through.
pub fn gate(at: Va, implementation: Va) -> Result<[u32; 12], OutOfRange> {
    let call = Branch::encode(at.plus(GATE_CALL_WORD as u64 * 4), implementation, true)?;
    Ok([
        0xd53b_d050, // mrs x16, tpidr_el0
        0xf940_0611, // ldr x17, [x16, #8]
        0x10ff_ffcf, // adr x15, gate
        0xa881_3e3e, // stp x30, x15, [x17], #16
        0xf900_0611, // str x17, [x16, #8]
        call.bits(), // bl implementation
        0xd53b_d050, // mrs x16, tpidr_el0
        0xf940_0611, // ldr x17, [x16, #8]
        0xf85f_0e3e, // ldr x30, [x17, #-16]!
        0xf900_0611, // str x17, [x16, #8]
        NOP,
        RET,
    ])
}

/// The words of the landing pad: where a call returns whose callee has faulted.
///
/// The registers that a thread is resumed with do not include the vector registers (seL4 manual, `TCB_WriteRegisters`),
/// of which AAPCS64 6.1.2 has d8 to d15 kept. The pad loads those that bit 0 to 7 of x17 name from eight words at x16,
/// and returns.
#[must_use]
pub fn landing_pad() -> [u32; LANDING_PAD_WORDS] {
    let mut words = [RET; LANDING_PAD_WORDS];
    for (number, pair) in (0..8).zip(words.chunks_exact_mut(2)) {
        pair[0] = 0x3600_0051 | number << 19; // tbz w17, #number, over the next one
        pair[1] = 0xfd40_0208 | number << 10 | number; // ldr d(8 + number), [x16, #8 * number]
    }
    words
}

/// Words of the exit tail.
pub const EXIT_TAIL_WORDS: usize = 9;
/// Bytes that it takes.
pub const EXIT_TAIL_SIZE: u64 = 48;
const _: () = assert!(EXIT_TAIL_WORDS as u64 * 4 <= EXIT_TAIL_SIZE);
/// `seL4_SysSend` of the AArch64 ABI without MCS, as the immediate of a MOVN: -3.
const SEND: u32 = 2;

/// The words of the exit tail: where the gates of a leaving module go on once their record is popped.
///
/// It signals the notification in slot `signal` and returns. The result of the call may stand in x0 and x1 (AAPCS64 6.9),
/// which are kept in x9 and x10 meanwhile; a send changes no other register.
#[must_use]
pub const fn exit_tail(signal: u16) -> [u32; EXIT_TAIL_WORDS] {
    [
        0xaa00_03e9,                        // mov x9, x0
        0xaa01_03ea,                        // mov x10, x1
        0xd280_0000 | (signal as u32) << 5, // movz x0, #signal
        0xd280_0001,                        // movz x1, #0: no words
        0x9280_0007 | SEND << 5,            // movn x7, #2
        0xd400_0001,                        // svc #0
        0xaa09_03e0,                        // mov x0, x9
        0xaa0a_03e1,                        // mov x1, x10
        RET,
    ]
}

/// Words of the thread exit.
pub const THREAD_EXIT_WORDS: usize = 12;
/// Bytes that it takes.
pub const THREAD_EXIT_SIZE: u64 = 48;
const _: () = assert!(THREAD_EXIT_WORDS as u64 * 4 <= THREAD_EXIT_SIZE);
/// `seL4_SysReply` and `seL4_SysCall` of the AArch64 ABI without MCS, as immediates of a MOVN: -6 and -1.
const REPLY: u32 = 5;
const CALL: u32 = 0;

/// The words of the thread exit: where a thread that a module has registered returns to.
///
/// It answers whoever still waits for this thread with label `errno`, which does nothing if nobody does, and tells the
/// linker server that it has left: a call with label `left` of the endpoint that its faults go to, slot `first` + 2^`shift`
/// times the thread's number. That call is not answered.
#[must_use]
pub const fn thread_exit(errno: u32, left: u32, first: u32, shift: u32) -> [u32; THREAD_EXIT_WORDS] {
    assert!(errno < 1 << 16 && left < 1 << 16 && first < 1 << 12 && shift < 32, "immediates");
    [
        0xd280_0001 | errno << 5,                                     // movz x1, #errno
        0xd374_cc21,              // lsl x1, x1, #12: the label of a message without words
        0x9280_0007 | REPLY << 5, // movn x7, #5
        0xd400_0001,              // svc #0
        0xd53b_d050,              // mrs x16, tpidr_el0
        0xb940_3200,              // ldr w0, [x16, #48]: the thread block's number
        0xd340_0000 | ((64 - shift) & 63) << 16 | (63 - shift) << 10, // lsl x0, x0, #shift
        0x9100_0000 | first << 10, // add x0, x0, #first
        0xd280_0001 | left << 5,  // movz x1, #left
        0xd374_cc21,              // lsl x1, x1, #12
        0x9280_0007 | CALL << 5,  // movn x7, #0
        0xd400_0001,              // svc #0
    ]
}

/// The word that stands at [`GATE_NOP_WORD`] of a gate while its module leaves: a branch to the exit tail.
pub fn exit_branch(gate: Va, tail: Va) -> Result<Branch, OutOfRange> {
    Branch::encode(gate.plus(GATE_NOP_WORD as u64 * 4), tail, false)
}

/// The words of an address slot: one branch that is patched like a call site.
#[must_use]
pub const fn slot(branch: Branch) -> [u32; 4] {
    [branch.bits(), BRK, BRK, BRK]
}

/// The words of a veneer: it reaches any address below 2^48 and uses only x16, as a veneer may (AAPCS64, 6.1.1).
#[must_use]
pub const fn veneer(target: Va) -> [u32; 4] {
    [
        0xd280_0010 | half_at(target.0, 0) << 5,  // movz x16, #…
        0xf2a0_0010 | half_at(target.0, 16) << 5, // movk x16, #…, lsl #16
        0xf2c0_0010 | half_at(target.0, 32) << 5, // movk x16, #…, lsl #32
        0xd61f_0200,                              // br x16
    ]
}

const fn half_at(address: u64, shift: u32) -> u32 {
    // Sixteen bits are left after the mask.
    ((address >> shift) & 0xffff) as u32
}

/// The words of a stub that a call goes to whose right was revoked: it stores EPERM as the thread's bus status, where
/// layers look for errors, and returns the value that the symbol declares for a fault. It uses only x16 and x17.
#[must_use]
pub const fn denied(answer: u64) -> [u32; 8] {
    erring(1, answer)
}

/// The words of a stub that a callback leads to whose module does not answer: as [`denied`], with EIO.
#[must_use]
pub const fn failing(answer: u64) -> [u32; 8] {
    erring(5, answer)
}

const fn erring(errno: u32, answer: u64) -> [u32; 8] {
    [
        0xd53b_d050,                            // mrs x16, tpidr_el0
        0x5280_0011 | errno << 5,               // mov w17, #errno
        0xb900_3611,                            // str w17, [x16, #52]: the thread block's bus status
        0xd280_0000 | half_at(answer, 0) << 5,  // movz x0, #…
        0xf2a0_0000 | half_at(answer, 16) << 5, // movk x0, #…, lsl #16
        0xf2c0_0000 | half_at(answer, 32) << 5, // movk x0, #…, lsl #32
        0xf2e0_0000 | half_at(answer, 48) << 5, // movk x0, #…, lsl #48
        RET,
    ]
}

/// Who owns each unit of linker-owned text.
///
/// The owner of a gate is the module behind it, of a slot the module that holds it, of a veneer the module to whose
/// alias it leads. So a program counter anywhere in this text names one module that its thread is still inside of.
pub struct LinkerText {
    start: Va,
    count: usize,
    used: usize,
    // Index of the owning module plus one; 0 is free.
    owners: [u8; UNITS_MAX],
}

impl LinkerText {
    /// No window.
    pub const EMPTY: Self = Self { start: Va(0), count: 0, used: 0, owners: [0; UNITS_MAX] };

    /// Gives the window: what exceeds [`LINKER_TEXT_SIZE_MAX`] is not used.
    pub(crate) fn open(&mut self, start: Va, size: usize) {
        assert!(self.used == 0, "a window is given once, before anything is in it");
        self.start = start;
        self.count = (size / 16).min(UNITS_MAX);
    }

    /// The addresses of all units.
    pub(crate) fn window(&self) -> Range<u64> {
        self.start.0..self.address(self.count).0
    }

    /// Bytes in use.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used * 16
    }

    /// The index of the module that owns the unit at an address.
    #[must_use]
    pub fn owner(&self, at: Va) -> Option<u8> {
        self.owners[..self.count].get(self.unit(at)?)?.checked_sub(1)
    }

    fn unit(&self, at: Va) -> Option<usize> {
        usize::try_from(at.0.checked_sub(self.start.0)? / UNIT_SIZE).ok()
    }

    /// The first free run of `units` at or after unit `from`, as its first unit.
    pub(crate) fn find(&self, from: usize, units: usize) -> Option<usize> {
        let owners = &self.owners[..self.count];
        (from..=owners.len().checked_sub(units)?)
            .find(|first| owners[*first..*first + units] == [0; GATE_UNITS][..units])
    }

    /// The address of a unit.
    pub(crate) fn address(&self, unit: usize) -> Va {
        self.start.plus(unit as u64 * UNIT_SIZE)
    }

    pub(crate) fn take(&mut self, at: Va, units: usize, owner: u8) {
        self.set(at, units, 0, owner + 1);
        self.used += units;
    }

    pub(crate) fn release(&mut self, at: Va, units: usize, owner: u8) {
        self.set(at, units, owner + 1, 0);
        self.used -= units;
    }

    fn set(&mut self, at: Va, units: usize, old: u8, new: u8) {
        let first = self.unit(at).expect("a plan allocates inside the window");
        for owner in &mut self.owners[first..first + units] {
            assert!(*owner == old, "a unit changes hands through free only");
            *owner = new;
        }
    }

    /// Units that a module owns: for the invariant function.
    pub(crate) fn units_of(&self, owner: u8) -> usize {
        self.owners.iter().filter(|unit| **unit == owner + 1).count()
    }
}

#[cfg(test)]
mod tests {
    //! Goal: the words are the instructions that the comments say. Method: each field is taken apart again, by the
    //! rules of the Arm ARM; allocation is tried to the last unit.
    use super::{
        GATE_CALL_WORD, GATE_NOP_WORD, GATE_SIZE, GATE_UNITS, LinkerText, exit_branch, exit_tail, gate,
        landing_pad, slot, thread_exit, veneer,
    };
    use crate::branch::{Branch, Va};

    const AT: Va = Va(0x1200_0030);

    #[test]
    fn a_gate_calls_the_implementation_and_pairs_its_record() {
        let target = Va(0x1300_0040);
        let words = gate(AT, target).unwrap();
        assert_eq!(words.len() as u64 * 4, GATE_SIZE);
        let call = Branch::decode(words[GATE_CALL_WORD]).unwrap();
        assert!(call.links());
        assert_eq!(call.target(AT.plus(GATE_CALL_WORD as u64 * 4)), target);
        assert_eq!(words[GATE_NOP_WORD], aarch64_reloc::NOP);
        assert_eq!(words[11], aarch64_reloc::insn::RET);
        // `adr x15` names the gate itself: it is the third instruction.
        assert_eq!(aarch64_reloc::insn::decode_adr(words[2]), Some(-8));
        assert_eq!(words[2] & 31, 15);
        // The same thread pointer and the same word of it on the way in and out.
        assert_eq!((words[0], words[1], words[4]), (words[6], words[7], words[9]));
        // stp x30, x15, [x17], #16 and ldr x30, [x17, #-16]!
        assert_eq!(
            (words[3] & 31, words[3] >> 5 & 31, words[3] >> 10 & 31, words[3] >> 15 & 127),
            (30, 17, 15, 2)
        );
        assert_eq!((words[8] & 31, words[8] >> 5 & 31, words[8] >> 12 & 511), (30, 17, 512 - 16));
        assert!(gate(AT, Va(AT.0 + (1 << 28))).is_err());
    }

    #[test]
    fn a_veneer_reaches_everything() {
        for target in [Va(0), Va(0x1234_5678_9abc), Va(0xffff_ffff_fffc)] {
            let words = veneer(target);
            let part = |index: usize| u64::from(words[index] >> 5 & 0xffff) << (16 * index);
            assert_eq!(part(0) | part(1) | part(2), target.0);
            assert_eq!(words[..3].iter().map(|word| word >> 21 & 3).max(), Some(2));
            assert!(words[..3].iter().all(|word| word & 31 == 16));
            assert_eq!(words[3], 0xd61f_0200);
        }
        let branch = Branch::encode(AT, Va(AT.0 + 64), false).unwrap();
        assert_eq!(slot(branch)[0], branch.bits());
    }

    #[test]
    fn the_ways_out_are_what_an_assembler_makes_of_them() {
        let pad = landing_pad();
        // tbz w17, #3, .+8; ldr d11, [x16, #24]; tbz w17, #7, .+8; ldr d15, [x16, #56]
        assert_eq!((pad[6], pad[7], pad[14], pad[15]), (0x3618_0051, 0xfd40_0e0b, 0x3638_0051, 0xfd40_1e0f));
        assert_eq!(pad[16], aarch64_reloc::insn::RET);
        let tail = exit_tail(8);
        // mov x0, #8; mov x7, #-3; svc #0
        assert_eq!((tail[2], tail[4], tail[5]), (0xd280_0100, 0x9280_0047, 0xd400_0001));
        // What is kept is what is given back.
        assert_eq!(
            [tail[0], tail[1], tail[6], tail[7]],
            [0xaa00_03e9, 0xaa01_03ea, 0xaa09_03e0, 0xaa0a_03e1]
        );
        let exit = thread_exit(19, 48, 16, 3);
        // movz x1, #19; lsl x1, x1, #12; movn x7, #5; ldr w0, [x16, #48]; lsl x0, x0, #3; add x0, x0, #16
        assert_eq!(exit[..3], [0xd280_0261, 0xd374_cc21, 0x9280_00a7]);
        assert_eq!(exit[5..8], [0xb940_3200, 0xd37d_f000, 0x9100_4000]);
        assert_eq!((exit[8], exit[10]), (0xd280_0601, 0x9280_0007));
        let branch = exit_branch(AT, Va(AT.0 + 0x1000)).unwrap();
        assert!(!branch.links());
        assert_eq!(branch.target(AT.plus(GATE_NOP_WORD as u64 * 4)), Va(AT.0 + 0x1000));
    }

    #[test]
    fn every_unit_is_given_out_once() {
        let mut text = std::boxed::Box::new(LinkerText::EMPTY);
        text.open(Va(0x1000), 10 * 16);
        let mut from = 0;
        for gates in 0..3 {
            let unit = text.find(from, GATE_UNITS).unwrap();
            assert_eq!(unit, gates * 3);
            text.take(text.address(unit), GATE_UNITS, 4);
            from = unit;
        }
        assert_eq!(text.find(0, GATE_UNITS), None);
        assert_eq!(text.find(0, 1), Some(9));
        assert_eq!(text.find(10, 1), None);
        text.release(Va(0x1000 + 48), GATE_UNITS, 4);
        assert_eq!(text.find(0, GATE_UNITS), Some(3));
        assert_eq!(
            (text.owner(Va(0x1000)), text.owner(Va(0x1000 + 48)), text.owner(Va(0xfff))),
            (Some(4), None, None)
        );
        assert_eq!(text.owner(Va(0x1000 + 160)), None);
        assert_eq!(text.used(), 96);
    }
}
