//! The register block of the TCB invocations.
use crate::Word;
use core::mem::offset_of;

/// Words of a [`UserContext`].
pub const USER_CONTEXT_WORDS: usize = 36;
/// Words of a [`UserContext`] that CopyRegisters counts as frame registers: pc to x30.
pub const FRAME_REGISTERS: usize = 17;

/// What Read- and WriteRegisters carry, in message order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
#[allow(missing_docs, reason = "registers")]
pub struct UserContext {
    pub pc: Word,
    pub sp: Word,
    pub spsr: Word,
    pub x0: Word,
    pub x1: Word,
    pub x2: Word,
    pub x3: Word,
    pub x4: Word,
    pub x5: Word,
    pub x6: Word,
    pub x7: Word,
    pub x8: Word,
    pub x16: Word,
    pub x17: Word,
    pub x18: Word,
    pub x29: Word,
    pub x30: Word,
    pub x9: Word,
    pub x10: Word,
    pub x11: Word,
    pub x12: Word,
    pub x13: Word,
    pub x14: Word,
    pub x15: Word,
    pub x19: Word,
    pub x20: Word,
    pub x21: Word,
    pub x22: Word,
    pub x23: Word,
    pub x24: Word,
    pub x25: Word,
    pub x26: Word,
    pub x27: Word,
    pub x28: Word,
    pub tpidr_el0: Word,
    pub tpidrro_el0: Word,
}

impl UserContext {
    /// The registers in message order.
    pub const fn to_words(&self) -> [Word; USER_CONTEXT_WORDS] {
        [
            self.pc,
            self.sp,
            self.spsr,
            self.x0,
            self.x1,
            self.x2,
            self.x3,
            self.x4,
            self.x5,
            self.x6,
            self.x7,
            self.x8,
            self.x16,
            self.x17,
            self.x18,
            self.x29,
            self.x30,
            self.x9,
            self.x10,
            self.x11,
            self.x12,
            self.x13,
            self.x14,
            self.x15,
            self.x19,
            self.x20,
            self.x21,
            self.x22,
            self.x23,
            self.x24,
            self.x25,
            self.x26,
            self.x27,
            self.x28,
            self.tpidr_el0,
            self.tpidrro_el0,
        ]
    }

    /// The registers from message order.
    pub const fn from_words(words: &[Word; USER_CONTEXT_WORDS]) -> Self {
        Self {
            pc: words[0],
            sp: words[1],
            spsr: words[2],
            x0: words[3],
            x1: words[4],
            x2: words[5],
            x3: words[6],
            x4: words[7],
            x5: words[8],
            x6: words[9],
            x7: words[10],
            x8: words[11],
            x16: words[12],
            x17: words[13],
            x18: words[14],
            x29: words[15],
            x30: words[16],
            x9: words[17],
            x10: words[18],
            x11: words[19],
            x12: words[20],
            x13: words[21],
            x14: words[22],
            x15: words[23],
            x19: words[24],
            x20: words[25],
            x21: words[26],
            x22: words[27],
            x23: words[28],
            x24: words[29],
            x25: words[30],
            x26: words[31],
            x27: words[32],
            x28: words[33],
            tpidr_el0: words[34],
            tpidrro_el0: words[35],
        }
    }
}

const _: () = assert!(size_of::<UserContext>() == USER_CONTEXT_WORDS * 8);
const _: () = assert!(offset_of!(UserContext, x8) == 11 * 8);
const _: () = assert!(offset_of!(UserContext, x16) == 12 * 8);
const _: () = assert!(offset_of!(UserContext, x30) == 16 * 8);
const _: () = assert!(offset_of!(UserContext, x9) == FRAME_REGISTERS * 8);
const _: () = assert!(offset_of!(UserContext, x19) == 24 * 8);
const _: () = assert!(offset_of!(UserContext, tpidrro_el0) == 35 * 8);
