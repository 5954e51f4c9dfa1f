//! Instructions of the packet filter, as they travel and as they are meant.
//!
//! Encodings: McCanne and Jacobson, "The BSD Packet Filter" (1993), figure 2 and table 1; `MOD` and `XOR` as in libpcap.

/// An instruction as it travels: `struct bpf_insn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip if a condition holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// A constant.
    pub k: u32,
}

impl Instruction {
    /// One without a condition.
    #[must_use]
    pub const fn new(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }

    /// One with a condition.
    #[must_use]
    pub const fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Self {
        Self { code, jt, jf, k }
    }

    /// The bytes of `struct bpf_insn` as one little-endian word.
    #[must_use]
    pub fn bits(self) -> u64 {
        u64::from(self.code) | u64::from(self.jt) << 16 | u64::from(self.jf) << 24 | u64::from(self.k) << 32
    }

    /// The instruction in a word.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        let [c0, c1, jt, jf, k0, k1, k2, k3] = bits.to_le_bytes();
        Self { code: u16::from_le_bytes([c0, c1]), jt, jf, k: u32::from_le_bytes([k0, k1, k2, k3]) }
    }

    /// What it means; `None` for a code that no instruction has.
    #[must_use]
    pub fn meaning(self) -> Option<Meaning> {
        const LD: u16 = 0;
        const LDX: u16 = 1;
        const ST: u16 = 2;
        const STX: u16 = 3;
        const ALU: u16 = 4;
        const JMP: u16 = 5;
        const RET: u16 = 6;
        const MISC: u16 = 7;
        const IMM: u16 = 0x00;
        const ABS: u16 = 0x20;
        const IND: u16 = 0x40;
        const MEM: u16 = 0x60;
        const LEN: u16 = 0x80;
        const MSH: u16 = 0xa0;
        let (code, k) = (self.code, self.k);
        let class = code & 7;
        // A load's size and place, an operation's source, what is returned.
        let (size, mode) = (code & 0x18, code & !0x1f);
        let (source, operation) = (code & 0x08, code & !0x0f);
        let count = match size {
            0x00 => 4,
            0x08 => 2,
            0x10 => 1,
            _ => 0,
        };
        let operand = if source == 0 { Operand::Constant(k) } else { Operand::X };
        Some(match class {
            LD => match (mode, count) {
                (ABS, 1..) => Meaning::Load(Source::At { count }),
                (IND, 1..) => Meaning::Load(Source::Behind { count }),
                (IMM, 4) => Meaning::Load(Source::Constant),
                (LEN, 4) => Meaning::Load(Source::Length),
                (MEM, 4) => Meaning::Load(Source::Memory),
                _ => return None,
            },
            LDX => match (mode, count) {
                (MSH, 1) => Meaning::LoadX(Source::HeaderLength),
                (IMM, 4) => Meaning::LoadX(Source::Constant),
                (LEN, 4) => Meaning::LoadX(Source::Length),
                (MEM, 4) => Meaning::LoadX(Source::Memory),
                _ => return None,
            },
            ST if code == ST => Meaning::Store,
            STX if code == STX => Meaning::StoreX,
            ALU => Meaning::Calculate(
                match operation {
                    0x00 => Operation::Add,
                    0x10 => Operation::Subtract,
                    0x20 => Operation::Multiply,
                    0x30 => Operation::Divide,
                    0x40 => Operation::Or,
                    0x50 => Operation::And,
                    0x60 => Operation::ShiftLeft,
                    0x70 => Operation::ShiftRight,
                    0x80 if source == 0 => Operation::Negate,
                    0x90 => Operation::Remainder,
                    0xa0 => Operation::ExclusiveOr,
                    _ => return None,
                },
                operand,
            ),
            JMP => match operation {
                0x00 if source == 0 => Meaning::Jump,
                0x10 => Meaning::JumpIf(Condition::Equal, operand),
                0x20 => Meaning::JumpIf(Condition::Greater, operand),
                0x30 => Meaning::JumpIf(Condition::GreaterOrEqual, operand),
                0x40 => Meaning::JumpIf(Condition::AnyBit, operand),
                _ => return None,
            },
            RET => match code & !7 {
                0x00 => Meaning::Return(Operand::Constant(k)),
                0x10 => Meaning::Return(Operand::A),
                _ => return None,
            },
            MISC => match code & !7 {
                0x00 => Meaning::CopyAToX,
                0x80 => Meaning::CopyXToA,
                _ => return None,
            },
            _ => return None,
        })
    }
}

/// What an instruction does. `A` and `X` are the two registers of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Loads `A`.
    Load(Source),
    /// Loads `X`.
    LoadX(Source),
    /// Stores `A` at memory word `k`.
    Store,
    /// Stores `X` at memory word `k`.
    StoreX,
    /// `A` becomes the result of `A` and an operand.
    Calculate(Operation, Operand),
    /// Skips `k` instructions.
    Jump,
    /// Skips `jt` or `jf` instructions.
    JumpIf(Condition, Operand),
    /// Ends: so many bytes of the packet are wanted.
    Return(Operand),
    /// `X` becomes `A`.
    CopyAToX,
    /// `A` becomes `X`.
    CopyXToA,
}

/// Where a load takes its value from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `count` bytes of the packet at `k`.
    At {
        /// 1, 2 or 4.
        count: u32,
    },
    /// `count` bytes of the packet at `X + k`.
    Behind {
        /// 1, 2 or 4.
        count: u32,
    },
    /// `k`.
    Constant,
    /// The packet's length.
    Length,
    /// Memory word `k`.
    Memory,
    /// Four times the low four bits of the packet's byte at `k`: the length of an IPv4 header.
    HeaderLength,
}

/// What an operation takes besides `A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A number.
    Constant(u32),
    /// Register `X`.
    X,
    /// Register `A`.
    A,
}

/// Arithmetic modulo 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sum.
    Add,
    /// Difference.
    Subtract,
    /// Product.
    Multiply,
    /// Quotient; a packet for which the divisor is 0 is not wanted.
    Divide,
    /// Remainder; likewise.
    Remainder,
    /// Bitwise and.
    And,
    /// Bitwise or.
    Or,
    /// Bitwise exclusive or.
    ExclusiveOr,
    /// Shift to the left; 32 places and more leave 0.
    ShiftLeft,
    /// Shift to the right; likewise.
    ShiftRight,
    /// The negative of `A`; the operand does not matter.
    Negate,
}

/// What a conditional jump asks of `A` and its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// They are equal.
    Equal,
    /// `A` is greater.
    Greater,
    /// `A` is not less.
    GreaterOrEqual,
    /// A bit is set in both.
    AnyBit,
}
