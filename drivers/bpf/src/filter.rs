//! Filters: programs that have been checked, and the machine that runs them.
//!
//! A program that passes [`Filter::new`] ends after at most as many steps as it has instructions, because every jump leads
//! forward; it reads no memory word outside of the machine and divides by no constant 0. What depends on the packet (its
//! length, a divisor in `X`) is decided when it runs: such a packet is not wanted.

use heapless::Vec;

use crate::instruction::{Condition, Instruction, Meaning, Operand, Operation, Source};
use crate::packet::Packet;

/// Instructions of one program: bpf(4)'s `BPF_MAXINSNS`.
pub const INSTRUCTIONS_MAX: usize = 512;
/// Instructions of a filter that is copied.
pub const STORED_MAX: usize = 64;
/// Words of the machine's memory: bpf(4)'s `BPF_MEMWORDS`. All are 0 when a program begins.
pub const MEMORY_WORDS: usize = 16;
/// Bits of a register.
const BITS: u32 = u32::BITS;

/// Why a program is no filter, and at which instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// It has no instruction.
    Empty,
    /// It has more than [`INSTRUCTIONS_MAX`].
    TooLong,
    /// No instruction has this code.
    Code(usize),
    /// The jump leads out of the program.
    Jump(usize),
    /// There is no such memory word.
    Memory(usize),
    /// The divisor is 0.
    DivisionByZero(usize),
    /// A shift by as many places as a register has, or more.
    Shift(usize),
    /// The last instruction does not return.
    NoReturn,
}

/// A program that may be run on any packet.
///
/// Holding one proves that [`Filter::new`] has found nothing wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter<'a> {
    program: &'a [Instruction],
}

impl<'a> Filter<'a> {
    /// Checks a program.
    ///
    /// # Errors
    /// [`Invalid`]: the first thing that is wrong.
    pub fn new(program: &'a [Instruction]) -> Result<Self, Invalid> {
        if program.len() > INSTRUCTIONS_MAX {
            return Err(Invalid::TooLong);
        }
        for (at, instruction) in program.iter().enumerate() {
            check(*instruction, at, program.len() - at - 1)?;
        }
        match program.last().map(|last| last.meaning()) {
            None => Err(Invalid::Empty),
            Some(Some(Meaning::Return(_))) => Ok(Self { program }),
            Some(_) => Err(Invalid::NoReturn),
        }
    }

    /// Copies the program; `None` where it has more than [`STORED_MAX`] instructions.
    #[must_use]
    pub fn store(&self) -> Option<StoredFilter> {
        Some(StoredFilter { program: Vec::from_slice(self.program).ok()? })
    }

    /// How many bytes of a packet are wanted; 0: the packet is not.
    #[must_use]
    pub fn run(&self, packet: &Packet<'_>) -> u32 {
        let mut machine = Machine { a: 0, x: 0, memory: [0; MEMORY_WORDS] };
        let mut rest = self.program;
        // Every turn takes an instruction off the front of `rest`.
        while let Some((instruction, behind)) = rest.split_first() {
            match machine.step(*instruction, packet) {
                Step::Skip(count) => rest = behind.get(count..).unwrap_or(&[]),
                Step::Done(wanted) => return wanted,
            }
        }
        0
    }
}

/// A filter that has been copied.
///
/// Holding one proves what a [`Filter`] proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFilter {
    program: Vec<Instruction, STORED_MAX>,
}

impl StoredFilter {
    /// The filter.
    #[must_use]
    pub fn as_filter(&self) -> Filter<'_> {
        Filter { program: &self.program }
    }
}

/// Checks one instruction that has `behind` others behind it.
fn check(instruction: Instruction, at: usize, behind: usize) -> Result<(), Invalid> {
    let Instruction { jt, jf, k, .. } = instruction;
    let inside = |count: u32| usize::try_from(count).is_ok_and(|count| count < behind);
    let memory = || usize::try_from(k).is_ok_and(|word| word < MEMORY_WORDS);
    match instruction.meaning() {
        None => Err(Invalid::Code(at)),
        Some(Meaning::Jump) => inside(k).then_some(()).ok_or(Invalid::Jump(at)),
        Some(Meaning::JumpIf(..)) => {
            (inside(jt.into()) && inside(jf.into())).then_some(()).ok_or(Invalid::Jump(at))
        }
        Some(
            Meaning::Load(Source::Memory) | Meaning::LoadX(Source::Memory) | Meaning::Store | Meaning::StoreX,
        ) => memory().then_some(()).ok_or(Invalid::Memory(at)),
        Some(Meaning::Calculate(Operation::Divide | Operation::Remainder, Operand::Constant(0))) => {
            Err(Invalid::DivisionByZero(at))
        }
        Some(Meaning::Calculate(Operation::ShiftLeft | Operation::ShiftRight, Operand::Constant(BITS..))) => {
            Err(Invalid::Shift(at))
        }
        Some(_) => Ok(()),
    }
}

/// The registers and the memory.
struct Machine {
    a: u32,
    x: u32,
    memory: [u32; MEMORY_WORDS],
}

/// What comes after an instruction.
enum Step {
    /// So many are skipped.
    Skip(usize),
    /// The program has ended: so many bytes are wanted.
    Done(u32),
}

impl Machine {
    fn step(&mut self, instruction: Instruction, packet: &Packet<'_>) -> Step {
        let skip = |count: u32| Step::Skip(usize::try_from(count).unwrap_or(usize::MAX));
        let Some(meaning) = instruction.meaning() else { return Step::Done(0) };
        match meaning {
            Meaning::Load(source) => match self.load(source, instruction.k, packet) {
                Some(value) => self.a = value,
                None => return Step::Done(0),
            },
            Meaning::LoadX(source) => match self.load(source, instruction.k, packet) {
                Some(value) => self.x = value,
                None => return Step::Done(0),
            },
            Meaning::Store => self.store(instruction.k, self.a),
            Meaning::StoreX => self.store(instruction.k, self.x),
            Meaning::Calculate(operation, operand) => {
                match calculate(operation, self.a, self.operand(operand)) {
                    Some(value) => self.a = value,
                    None => return Step::Done(0),
                }
            }
            Meaning::Jump => return skip(instruction.k),
            Meaning::JumpIf(condition, operand) => {
                let (a, b) = (self.a, self.operand(operand));
                let holds = match condition {
                    Condition::Equal => a == b,
                    Condition::Greater => a > b,
                    Condition::GreaterOrEqual => a >= b,
                    Condition::AnyBit => a & b != 0,
                };
                return skip(if holds { instruction.jt } else { instruction.jf }.into());
            }
            Meaning::Return(operand) => return Step::Done(self.operand(operand)),
            Meaning::CopyAToX => self.x = self.a,
            Meaning::CopyXToA => self.a = self.x,
        }
        Step::Skip(0)
    }

    const fn operand(&self, operand: Operand) -> u32 {
        match operand {
            Operand::Constant(k) => k,
            Operand::X => self.x,
            Operand::A => self.a,
        }
    }

    fn load(&self, source: Source, k: u32, packet: &Packet<'_>) -> Option<u32> {
        match source {
            Source::At { count } => packet.number(k, count),
            Source::Behind { count } => packet.number(self.x.checked_add(k)?, count),
            Source::Constant => Some(k),
            Source::Length => Some(packet.length()),
            Source::Memory => self.memory.get(usize::try_from(k).ok()?).copied(),
            Source::HeaderLength => Some(u32::from(packet.byte(k)? & 0xf) << 2),
        }
    }

    fn store(&mut self, k: u32, value: u32) {
        if let Some(word) = usize::try_from(k).ok().and_then(|at| self.memory.get_mut(at)) {
            *word = value;
        }
    }
}

/// `None` for a division by 0.
fn calculate(operation: Operation, a: u32, b: u32) -> Option<u32> {
    Some(match operation {
        Operation::Add => a.wrapping_add(b),
        Operation::Subtract => a.wrapping_sub(b),
        Operation::Multiply => a.wrapping_mul(b),
        Operation::Divide => return a.checked_div(b),
        Operation::Remainder => return a.checked_rem(b),
        Operation::And => a & b,
        Operation::Or => a | b,
        Operation::ExclusiveOr => a ^ b,
        Operation::ShiftLeft => a.checked_shl(b).unwrap_or(0),
        Operation::ShiftRight => a.checked_shr(b).unwrap_or(0),
        Operation::Negate => a.wrapping_neg(),
    })
}
