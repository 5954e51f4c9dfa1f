//! What is looked at: the registers and stack of a thread that does not run meanwhile.

use core::ops::Range;

use crate::tables::Tables;

/// General registers of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Program counter.
    pub pc: u64,
    /// Stack pointer.
    pub sp: u64,
    /// x0 to x30.
    pub x: [u64; 31],
}

impl Registers {
    /// The link register: the return address, until a function saves it.
    #[must_use]
    pub const fn link(&self) -> u64 {
        self.x[30]
    }
}

/// A record of a shadow stack: a counted gate that was entered and not left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Where the gate returns to.
    pub caller: u64,
    /// The gate.
    pub gate: u64,
}

/// Numbers that may be return addresses into a piece of text: from the start, so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hull {
    /// The first.
    pub start: u64,
    /// How many follow it.
    pub size: u64,
}

impl Hull {
    /// Those of text that lies in a range: a return address stands one instruction behind its call.
    #[must_use]
    pub const fn around(text: &Range<u64>) -> Self {
        Self { start: text.start, size: text.end.saturating_sub(text.start).saturating_add(3) }
    }

    /// Whether a number is one of them.
    #[must_use]
    #[inline]
    pub const fn contains(self, word: u64) -> bool {
        word.wrapping_sub(self.start) <= self.size
    }

    /// Whether a word of a list is one of them, as `load` reads it.
    #[must_use]
    #[inline(always)]
    pub fn any_of<T>(self, words: &[T], load: impl Fn(&T) -> u64) -> bool {
        // Eight at a time, all of them outside: a subtraction and a comparison for each, and one branch.
        let outside = |word: &T| !self.contains(load(word));
        let (eights, rest) = words.as_chunks::<8>();
        let all_outside = |[a, b, c, d, e, f, g, h]: &[T; 8]| {
            let low = outside(a) & outside(b) & outside(c) & outside(d);
            low & outside(e) & outside(f) & outside(g) & outside(h)
        };
        !(eights.iter().all(all_outside) && rest.iter().all(outside))
    }
}

/// Words of memory, by address.
pub trait Memory {
    /// The 64-bit word at an address that is a multiple of 8; none where the memory is not known.
    fn word(&self, at: u64) -> Option<u64>;

    /// Whether a word of a range that begins on a multiple of 8 is one of these; what is not known is left out.
    fn any_in(&self, range: Range<u64>, hull: Hull) -> bool {
        self.words(range).any(|word| hull.contains(word))
    }

    /// The words of a range that begins on a multiple of 8, the lowest first; what is not known is left out.
    fn words(&self, range: Range<u64>) -> impl Iterator<Item = u64> {
        range.step_by(8).filter_map(|at| self.word(at))
    }
}

/// A thread, as it stood at one moment.
///
/// Whoever makes one sees to it that registers, stack and records are of the same moment.
#[derive(Debug)]
pub struct Snapshot<'a, M> {
    /// Its registers.
    pub registers: Registers,
    /// The lowest address of its stack.
    pub stack_start: u64,
    /// One behind the highest.
    pub stack_end: u64,
    /// Its stack's words, at least.
    pub memory: &'a M,
    /// The records of its shadow stack, the oldest first.
    pub records: &'a [Record],
}

impl<M> Snapshot<'_, M> {
    /// The part of the stack from an address on; all of it if the address lies outside.
    #[must_use]
    pub const fn stack_from(&self, at: u64) -> Range<u64> {
        part_from(&(self.stack_start..self.stack_end), at)
    }

    /// Whether a frame may begin there.
    #[must_use]
    pub const fn on_stack(&self, at: u64) -> bool {
        at >= self.stack_start && at <= self.stack_end && at.is_multiple_of(8)
    }
}

/// The part of a stack from an address on; all of it if the address lies outside.
#[must_use]
#[inline]
pub const fn part_from(stack: &Range<u64>, at: u64) -> Range<u64> {
    // A stack ends on a page, so that rounding up does not leave it.
    let start = if at < stack.start || at > stack.end { stack.start } else { (at + 7) & !7 };
    start..stack.end
}

/// What stands at an address.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// Text with unwind tables.
    Tabled(Tables<'a>),
    /// Text without.
    Bare,
    /// A counted gate: which of its words.
    Gate(usize),
    /// An address slot or a veneer: it changes neither the stack pointer nor the link register.
    Thunk,
    /// No text that is known.
    Nowhere,
}

/// The text of a link domain.
pub trait Code {
    /// What stands at an address.
    fn place(&self, at: u64) -> Place<'_>;
    /// The instruction at an address.
    fn instruction(&self, at: u64) -> Option<u32>;
}

/// An activation of a function: where it is and what it will find in its registers when control comes back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it is, or where it goes on once the frames inside of it have returned.
    pub pc: u64,
    /// Its stack pointer there.
    pub sp: u64,
    /// x0 to x30 there. Only the callee-saved ones (x19 to x29) mean something in an outer frame.
    pub x: [u64; 31],
    /// Where the values of d8 to d15 lie, as far as a frame inside of it has saved them; elsewhere they are still in
    /// the register.
    pub d: [Option<u64>; 8],
    /// It is the one that executes.
    pub innermost: bool,
}

impl Frame {
    /// The innermost frame.
    #[must_use]
    pub const fn innermost(registers: &Registers) -> Self {
        Self { pc: registers.pc, sp: registers.sp, x: registers.x, d: [None; 8], innermost: true }
    }

    /// The instruction that the frame is at: the call, for an outer one. What follows a call that does not return
    /// may belong to another function.
    #[must_use]
    pub const fn at(&self) -> u64 {
        if self.innermost { self.pc } else { self.pc.wrapping_sub(4) }
    }
}
