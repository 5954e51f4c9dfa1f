//! What an instruction does to SP, x29, x30 and the stack: as much as prologues and epilogues need.
//!
//! Encodings follow the Arm Architecture Reference Manual, chapter C4. Whatever is not known here is
//! [`Effect::Other`], with the register that its destination field names, so that a write of x29 or x30 is never
//! overlooked.

/// The number of SP in the fields that can name it.
pub(crate) const SP: u32 = 31;
/// The frame pointer.
pub(crate) const FP: u32 = 29;
/// The link register.
pub(crate) const LINK: u32 = 30;

/// When a load or store changes its base register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writeback {
    /// Never.
    None,
    /// The address is the new value.
    Pre,
    /// The address is the old value.
    Post,
}

/// A load or store with an immediate offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// A load.
    pub(crate) load: bool,
    /// Of 64-bit general registers.
    pub(crate) whole: bool,
    /// The base register; 31 is SP.
    pub(crate) base: u32,
    /// Bytes added to the base.
    pub(crate) offset: i32,
    /// When the base changes.
    pub(crate) writeback: Writeback,
    /// The registers, if they are general ones.
    pub(crate) registers: [Option<u32>; 2],
    /// Bytes that are loaded or stored in all.
    pub(crate) size: i32,
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// `target = source + immediate`, one of them SP or x29 and the other, too.
    Move {
        /// 31 is SP.
        target: u32,
        /// 31 is SP.
        source: u32,
        /// Bytes.
        immediate: i32,
    },
    /// A load or store.
    Access(Access),
    /// `BL`, `BLR`.
    Call,
    /// A branch to this distance, which may or may not be taken.
    Branch {
        /// Bytes.
        offset: i32,
        /// The next instruction may follow.
        conditional: bool,
    },
    /// Nothing follows here: a return, a branch to a register, an instruction that stops.
    End,
    /// SP becomes something that is not followed.
    LosesStack,
    /// Anything else: the general register that it may write.
    Other(Option<u32>),
}

const fn field(word: u32, low: u32, width: u32) -> u32 {
    word >> low & ((1 << width) - 1)
}

/// A field as a two's complement number.
const fn signed(word: u32, low: u32, width: u32) -> i32 {
    (field(word, low, width) << (32 - width)).cast_signed() >> (32 - width)
}

impl Effect {
    /// What a word does.
    pub(crate) const fn of(word: u32) -> Self {
        // Top-level encoding, bits 28 to 25 (Arm ARM C4.1).
        match field(word, 25, 4) {
            0b0000 => Self::End,
            0b1000 | 0b1001 => immediate(word),
            0b1010 | 0b1011 => branch(word),
            0b0100 | 0b0110 | 0b1100 | 0b1110 => access(word),
            0b0101 | 0b1101 => register(word),
            0b0111 | 0b1111 => Self::Other(Some(field(word, 0, 5))),
            _ => Self::LosesStack,
        }
    }
}

/// Data processing, immediate.
const fn immediate(word: u32) -> Effect {
    let (target, source) = (field(word, 0, 5), field(word, 5, 5));
    let add = field(word, 23, 6) == 0b10_0010;
    let sets_flags = field(word, 29, 1) == 1;
    // ADD and SUB (immediate) and the logical instructions can name SP as their target, unless they set flags.
    let logical = field(word, 23, 6) == 0b10_0100;
    if add && !sets_flags {
        let wide = field(word, 31, 1) == 1;
        let known = matches!(target, SP | FP) && matches!(source, SP | FP) && wide;
        if known {
            let shift = if field(word, 22, 1) == 1 { 12 } else { 0 };
            let amount = (field(word, 10, 12) << shift).cast_signed();
            let immediate = if field(word, 30, 1) == 1 { -amount } else { amount };
            return Effect::Move { target, source, immediate };
        }
        if target == SP {
            return Effect::LosesStack;
        }
    }
    // ANDS sets flags: opc is 11.
    if logical && field(word, 29, 2) != 3 && target == SP {
        return Effect::LosesStack;
    }
    Effect::Other(Some(target))
}

/// Data processing, register.
const fn register(word: u32) -> Effect {
    let target = field(word, 0, 5);
    // ADD and SUB (extended register): the only ones here that can name SP as their target.
    let extended = field(word, 24, 5) == 0b0_1011 && field(word, 21, 1) == 1;
    if extended && target == SP && field(word, 29, 1) == 0 {
        return Effect::LosesStack;
    }
    Effect::Other(Some(target))
}

/// Branches, exceptions, system instructions.
const fn branch(word: u32) -> Effect {
    if let Some(branch) = aarch64_reloc::insn::Branch::decode(word) {
        return match branch.kind() {
            aarch64_reloc::insn::BranchKind::Bl => Effect::Call,
            aarch64_reloc::insn::BranchKind::B => {
                Effect::Branch { offset: branch.offset(), conditional: false }
            }
        };
    }
    // CBZ, CBNZ; TBZ, TBNZ; B.cond.
    if field(word, 25, 6) == 0b01_1010 || field(word, 24, 8) == 0b0101_0100 {
        return Effect::Branch { offset: signed(word, 5, 19) * 4, conditional: true };
    }
    if field(word, 25, 6) == 0b01_1011 {
        return Effect::Branch { offset: signed(word, 5, 14) * 4, conditional: true };
    }
    match field(word, 24, 8) {
        // BR, BLR, RET, ERET.
        0b1101_0110 => {
            if field(word, 21, 4) == 1 {
                Effect::Call
            } else {
                Effect::End
            }
        }
        // SVC goes on; HVC, SMC, BRK, HLT and DCPS do not come back for sure.
        0b1101_0100 => {
            if field(word, 0, 5) == 1 && field(word, 21, 3) == 0 {
                Effect::Other(None)
            } else {
                Effect::End
            }
        }
        // Hints, barriers, MSR; MRS and SYSL have a target. Hints may sign x30.
        0b1101_0101 => {
            if word & 0xffff_f01f == 0xd503_201f {
                let signs = matches!(field(word, 5, 7), 7 | 24..=31);
                Effect::Other(if signs { Some(LINK) } else { None })
            } else {
                Effect::Other(Some(field(word, 0, 5)))
            }
        }
        _ => Effect::LosesStack,
    }
}

/// Loads and stores.
const fn access(word: u32) -> Effect {
    let base = field(word, 5, 5);
    let vector = field(word, 26, 1) == 1;
    // Pairs: bits 29 to 27 are 101.
    if field(word, 27, 3) == 0b101 {
        let kind = field(word, 30, 2);
        let scale = if vector {
            2 + kind
        } else if kind == 2 {
            3
        } else {
            2
        };
        let writeback = match field(word, 23, 2) {
            0b01 => Writeback::Post,
            0b11 => Writeback::Pre,
            _ => Writeback::None,
        };
        return Effect::Access(Access {
            load: field(word, 22, 1) == 1,
            whole: !vector && kind == 2,
            base,
            offset: signed(word, 15, 7) << scale,
            writeback,
            registers: if vector { [None; 2] } else { [Some(field(word, 0, 5)), Some(field(word, 10, 5))] },
            size: 2 << scale,
        });
    }
    // One register: bits 29 to 27 are 111.
    if field(word, 27, 3) == 0b111 {
        let size = field(word, 30, 2);
        // Of vector registers, opc<1> makes size 00 one of 128 bits.
        let scale = if vector && field(word, 23, 1) == 1 { 4 } else { size };
        let load = field(word, 22, 2) != 0 && !(vector && field(word, 22, 2) == 2);
        let unsigned = field(word, 24, 2) == 1;
        let register = field(word, 0, 5);
        let registers = if vector { [None; 2] } else { [Some(register), None] };
        let whole = !vector && size == 3;
        let bytes = 1 << scale;
        if unsigned {
            let offset = field(word, 10, 12).cast_signed() << scale;
            return Effect::Access(Access {
                load,
                whole,
                base,
                offset,
                writeback: Writeback::None,
                registers,
                size: bytes,
            });
        }
        if field(word, 24, 2) == 0 && field(word, 21, 1) == 0 {
            let writeback = match field(word, 10, 2) {
                0b01 => Writeback::Post,
                0b11 => Writeback::Pre,
                _ => Writeback::None,
            };
            let offset = signed(word, 12, 9);
            return Effect::Access(Access { load, whole, base, offset, writeback, registers, size: bytes });
        }
        // Register offset, atomics: no write-back, one target.
        return Effect::Other(if vector { None } else { Some(register) });
    }
    // Loads from the program counter, exclusives: one target in the low field, a second one or a status above. SIMD
    // structures may write their base back.
    if vector && base == SP && field(word, 23, 1) == 1 {
        return Effect::LosesStack;
    }
    if field(word, 10, 5) == LINK || field(word, 16, 5) == LINK {
        return Effect::Other(Some(LINK));
    }
    if field(word, 10, 5) == FP || field(word, 16, 5) == FP {
        return Effect::Other(Some(FP));
    }
    Effect::Other(if vector { None } else { Some(field(word, 0, 5)) })
}

#[cfg(test)]
mod tests {
    //! Goal: each form that prologues and epilogues use is read as what it does. Method: words as an assembler makes
    //! them.
    use super::{Access, Effect, FP, LINK, SP, Writeback};

    fn pair(word: u32) -> Access {
        let Effect::Access(access) = Effect::of(word) else { panic!("{word:#x} is an access") };
        access
    }

    #[test]
    fn prologues_and_epilogues_are_read() {
        // stp x29, x30, [sp, #-32]!
        let push = pair(0xa9be_7bfd);
        assert_eq!((push.load, push.base, push.offset, push.writeback), (false, SP, -32, Writeback::Pre));
        assert_eq!((push.registers, push.whole, push.size), ([Some(FP), Some(LINK)], true, 16));
        // ldp x29, x30, [sp], #32
        let pop = pair(0xa8c2_7bfd);
        assert_eq!((pop.load, pop.offset, pop.writeback), (true, 32, Writeback::Post));
        // str x30, [sp, #-16]!
        let one = pair(0xf81f_0ffe);
        assert_eq!((one.load, one.offset, one.writeback, one.size), (false, -16, Writeback::Pre, 8));
        // ldr x30, [sp], #16
        let one = pair(0xf841_07fe);
        assert_eq!((one.load, one.offset, one.writeback), (true, 16, Writeback::Post));
        // str x30, [sp, #8]
        let one = pair(0xf900_07fe);
        assert_eq!((one.offset, one.writeback, one.registers[0]), (8, Writeback::None, Some(LINK)));
        // stp d9, d8, [sp, #-48]!
        let vectors = pair(0x6dbd_23e9);
        assert_eq!((vectors.offset, vectors.registers, vectors.size), (-48, [None; 2], 16));
        // sub sp, sp, #0x1, lsl #12
        let moved = Effect::Move { target: SP, source: SP, immediate: -4096 };
        assert_eq!(Effect::of(0xd140_07ff), moved);
        // mov x29, sp; mov sp, x29
        assert_eq!(Effect::of(0x9100_03fd), Effect::Move { target: FP, source: SP, immediate: 0 });
        assert_eq!(Effect::of(0x9100_03bf), Effect::Move { target: SP, source: FP, immediate: 0 });
        // and sp, x9, #0xffffffffffffffe0; sub sp, sp, x8 (extended)
        assert_eq!(Effect::of(0x927b_e93f), Effect::LosesStack);
        assert_eq!(Effect::of(0xcb28_63ff), Effect::LosesStack);
    }

    #[test]
    fn control_flow_is_read() {
        assert_eq!(Effect::of(0xd65f_03c0), Effect::End); // ret
        assert_eq!(Effect::of(0xd61f_0200), Effect::End); // br x16
        assert_eq!(Effect::of(0xd63f_0100), Effect::Call); // blr x8
        assert_eq!(Effect::of(0x9400_0010), Effect::Call); // bl
        assert_eq!(Effect::of(0x1400_0002), Effect::Branch { offset: 8, conditional: false });
        assert_eq!(Effect::of(0x54ff_ffe0), Effect::Branch { offset: -4, conditional: true }); // b.eq
        assert_eq!(Effect::of(0xb400_0040), Effect::Branch { offset: 8, conditional: true }); // cbz x0
        assert_eq!(Effect::of(0x3607_ffc0), Effect::Branch { offset: -8, conditional: true }); // tbz w0, #0
        assert_eq!(Effect::of(0xd420_0020), Effect::End); // brk #1
        assert_eq!(Effect::of(0x0000_0000), Effect::End); // udf #0
        assert_eq!(Effect::of(0xd400_0001), Effect::Other(None)); // svc #0
        assert_eq!(Effect::of(0xd503_201f), Effect::Other(None)); // nop
        assert_eq!(Effect::of(0xd503_233f), Effect::Other(Some(LINK))); // paciasp
        assert_eq!(Effect::of(0xaa1e_03e8), Effect::Other(Some(8))); // mov x8, x30
        assert_eq!(Effect::of(0xaa08_03fe), Effect::Other(Some(LINK))); // mov x30, x8
        assert_eq!(Effect::of(0xd53b_d050), Effect::Other(Some(16))); // mrs x16, tpidr_el0
    }
}
