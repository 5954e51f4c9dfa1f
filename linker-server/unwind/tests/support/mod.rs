//! A small world: functions with hand-made unwind tables, and a machine that knows who is inside of what.
#![allow(clippy::unwrap_used)]

use linker_unwind::tables::Entry;
use linker_unwind::{Code, Memory, Place, Record, Registers, Snapshot, Tables};

/// Where the base image lies.
pub(crate) const BASE: u64 = 0x1000_0000;
/// Where the module lies.
pub(crate) const MODULE: u64 = 0x1300_0000;
/// Where the stack lies.
pub(crate) const STACK: u64 = 0x1700_0000;
/// Bytes of it.
pub(crate) const STACK_SIZE: u64 = 0x1000;

/// A step of a table, in DWARF's words.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The rows from here on are for the instructions from this one on.
    At(usize),
    /// The frame address is SP plus so much.
    Frame(u8),
    /// A register lies so many words of 8 bytes below the frame address.
    Saved(u8, u8),
    /// A register is the caller's again.
    Restored(u8),
}

/// Text with tables.
pub(crate) struct Image {
    at: u64,
    words: Vec<u32>,
    frames: Vec<u8>,
    index: Vec<Entry>,
}

impl Image {
    pub(crate) fn new(at: u64) -> Self {
        // Length, id 0, version 1, "zR", code 1, data -8, x30, 1 byte of augmentation: pcrel sdata4; CFA = SP + 0.
        let mut frames = vec![0x10, 0, 0, 0, 0, 0, 0, 0, 1, b'z', b'R', 0, 1, 0x78, 30, 1, 0x1b, 0x0c, 31, 0];
        assert_eq!(frames.len(), 20);
        frames.shrink_to_fit();
        Self { at, words: Vec::new(), frames, index: Vec::new() }
    }

    /// The address of what is added next.
    pub(crate) fn next(&self) -> u64 {
        self.at + self.words.len() as u64 * 4
    }

    /// Adds a function with a table; returns its address.
    pub(crate) fn add(&mut self, words: &[u32], steps: &[Step]) -> u64 {
        let start = self.next();
        self.bare(words);
        let mut program = Vec::new();
        let mut at = 0;
        for step in steps {
            match *step {
                Step::At(index) => {
                    let distance = u8::try_from((index - at) * 4).unwrap();
                    program.extend([0x02, distance]);
                    at = index;
                }
                Step::Frame(size) => {
                    program.push(0x0e);
                    program.push(size & 0x7f | if size > 0x7f { 0x80 } else { 0 });
                    if size > 0x7f {
                        program.push(1);
                    }
                }
                Step::Saved(register, words) => program.extend([0x80 | register, words]),
                Step::Restored(register) => program.push(0xc0 | register),
            }
        }
        while (13 + program.len()) % 4 != 0 {
            program.push(0);
        }
        let entry = self.frames.len();
        let field = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap().to_le_bytes();
        self.frames.extend(field(13 + program.len() as u64));
        self.frames.extend(field(entry as u64 + 4));
        let here = self.frames_at() + entry as u64 + 8;
        self.frames.extend(field(start.wrapping_sub(here)));
        self.frames.extend(field(words.len() as u64 * 4));
        self.frames.push(0);
        self.frames.extend(program);
        let frames = self.frames.clone();
        self.index = vec![[0; 8]; Tables::count(&frames)];
        let count = Tables::index(self.frames_at(), &frames, &mut self.index);
        assert_eq!(count, self.index.len(), "every entry can be read");
        start
    }

    /// Adds a function without a table; returns its address.
    pub(crate) fn bare(&mut self, words: &[u32]) -> u64 {
        let start = self.next();
        self.words.extend(words);
        start
    }

    fn frames_at(&self) -> u64 {
        self.at + 0x10_0000
    }

    pub(crate) fn contains(&self, at: u64) -> bool {
        at >= self.at && at < self.next()
    }
}

/// Base image and module.
pub(crate) struct World {
    pub(crate) base: Image,
    pub(crate) module: Image,
}

impl Code for World {
    fn place(&self, at: u64) -> Place<'_> {
        for image in [&self.base, &self.module] {
            if image.contains(at) {
                return Place::Tabled(Tables::with_index(image.frames_at(), &image.frames, &image.index));
            }
        }
        Place::Nowhere
    }

    fn instruction(&self, at: u64) -> Option<u32> {
        let image = [&self.base, &self.module].into_iter().find(|image| image.contains(at))?;
        image.words.get(usize::try_from((at - image.at) / 4).ok()?).copied()
    }
}

/// `BL`, or `B`, from one address to another.
pub(crate) fn branch(from: u64, to: u64, link: bool) -> u32 {
    let words = to.wrapping_sub(from).cast_signed() / 4;
    let field = u32::try_from(words & 0x3ff_ffff).unwrap();
    field | if link { 0x9400_0000 } else { 0x1400_0000 }
}

/// A thread that executes, and the calls that it has not returned from: whether each runs in the module.
pub(crate) struct Machine {
    pub(crate) registers: Registers,
    pub(crate) stack: Vec<u64>,
    /// Return address of each open call, and whether its callee is in the module.
    calls: Vec<(u64, bool)>,
}

impl Memory for Machine {
    fn word(&self, at: u64) -> Option<u64> {
        self.stack.get(usize::try_from(at.checked_sub(STACK)? / 8).ok()?).copied()
    }
}

impl Machine {
    pub(crate) fn new(pc: u64) -> Self {
        // The stack is full of what earlier calls have left: addresses in the module.
        let stale = vec![MODULE + 4; usize::try_from(STACK_SIZE / 8).unwrap()];
        let registers = Registers { pc, sp: STACK + STACK_SIZE, ..Registers::default() };
        Self { registers, stack: stale, calls: Vec::new() }
    }

    pub(crate) fn snapshot(&self) -> Snapshot<'_, Self> {
        const RECORDS: &[Record] = &[];
        Snapshot {
            registers: self.registers,
            stack_start: STACK,
            stack_end: STACK + STACK_SIZE,
            memory: self,
            records: RECORDS,
        }
    }

    /// The truth: the thread executes in the module or returns into it.
    pub(crate) fn is_inside(&self, world: &World) -> bool {
        let returns = self.calls.iter().any(|(to, _)| world.module.contains(to - 4));
        world.module.contains(self.registers.pc) || returns
    }

    fn store(&mut self, at: u64, value: u64) {
        let index = usize::try_from((at - STACK) / 8).unwrap();
        self.stack[index] = value;
    }

    /// Executes one instruction; `false` once the outermost function returns.
    pub(crate) fn step(&mut self, world: &World) -> bool {
        let word = world.instruction(self.registers.pc).expect("the program runs in its text");
        let pc = self.registers.pc;
        let field = |low: u32, width: u32| word >> low & ((1 << width) - 1);
        let signed = |low: u32, width: u32| (field(low, width) << (32 - width)).cast_signed() >> (32 - width);
        let register = |number: u32| usize::try_from(number).unwrap();
        self.registers.pc = pc + 4;
        match word {
            0xd65f_03c0 => {
                if self.registers.x[30] == 0 {
                    return false;
                }
                self.registers.pc = self.registers.x[30];
                let (to, _) = self.calls.pop().expect("each return has its call");
                assert_eq!(to, self.registers.pc, "functions keep their return address");
            }
            _ if word >> 26 == 0b10_0101 || word >> 26 == 0b00_0101 => {
                self.registers.pc = pc.wrapping_add_signed(i64::from(signed(0, 26)) * 4);
                if word >> 31 == 1 {
                    self.registers.x[30] = pc + 4;
                    self.calls.push((pc + 4, world.module.contains(self.registers.pc)));
                }
            }
            // STP and LDP of 64 bits, all forms.
            _ if word >> 30 == 2 && field(25, 5) == 0b10100 => {
                let offset = i64::from(signed(15, 7)) * 8;
                let (load, form) = (field(22, 1) == 1, field(23, 2));
                let moved = self.registers.sp.wrapping_add_signed(offset);
                let at = if form == 1 { self.registers.sp } else { moved };
                for (number, place) in [(field(0, 5), at), (field(10, 5), at + 8)] {
                    if load {
                        self.registers.x[register(number)] = self.word(place).unwrap();
                    } else {
                        self.store(place, self.registers.x[register(number)]);
                    }
                }
                if form != 2 {
                    self.registers.sp = moved;
                }
            }
            // STR and LDR of 64 bits, unsigned offset.
            _ if word >> 22 == 0x3e4 || word >> 22 == 0x3e5 => {
                let at = self.registers.sp + u64::from(field(10, 12)) * 8;
                if word >> 22 == 0x3e5 {
                    self.registers.x[register(field(0, 5))] = self.word(at).unwrap();
                } else {
                    self.store(at, self.registers.x[register(field(0, 5))]);
                }
            }
            // ADD and SUB of SP with an immediate.
            _ if word & 0xbfc0_03ff == 0x9100_03ff => {
                let amount = u64::from(field(10, 12));
                let sp = self.registers.sp;
                self.registers.sp = if word >> 30 & 1 == 1 { sp - amount } else { sp + amount };
            }
            0xd503_201f => {}
            _ => panic!("{word:#x} is not known to this machine"),
        }
        true
    }
}
