//! A machine of a few instructions: enough for gates, slots, veneers and the functions that `module` writes.
//!
//! It fetches only from text and writes only to data, so a branch into the wrong section, or into reclaimed memory, ends
//! the run. Calls really happen here: arguments, results, return addresses and the shadow stack are those of the words
//! that the linker wrote.

use linker_core::{Refused, TextSpace, Va};
use std::collections::{BTreeMap, BTreeSet};

/// What a page may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Fetched and read; written by the linker only.
    Text,
    /// Read.
    Constants,
    /// Read and written.
    Data,
}

/// Memory of a link domain, in pages.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pages: BTreeMap<u64, Page>,
    /// Words of text that were written since the last publication.
    unpublished: BTreeSet<u64>,
    /// Counts down; the write that finds zero is refused, once.
    pub refuse_after: Option<usize>,
}

/// A page and what it may be used for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    access: Access,
    bytes: Box<[u8; PAGE_SIZE]>,
}

const PAGE_SIZE: usize = 4096;

/// Why the machine stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Fetched from what is no text.
    Fetch(u64),
    /// Read from nothing.
    Read(u64),
    /// Wrote to what is not data.
    Write(u64),
    /// An instruction that the machine does not know, `UDF` and `BRK` among them.
    Undefined(u64, u32),
    /// A word that was written but not published was fetched.
    Stale(u64),
    /// More than [`STEPS_MAX`].
    TooLong,
}

/// Instructions of one run.
pub const STEPS_MAX: usize = 10_000;

/// Where a run begins and ends: no memory is there.
pub const OUTSIDE: u64 = 0xdead_0000;

/// The thread's block, and its shadow stack behind it.
const THREAD: u64 = 0x1700_0000;
const SHADOW: u64 = THREAD + 256;
const STACK_TOP: u64 = 0x1710_1000;

impl Memory {
    /// Makes pages of zeros: all that the range touches and that are not there yet.
    pub fn map(&mut self, start: u64, size: u64, access: Access) {
        for page in pages(start, size) {
            self.pages.entry(page).or_insert_with(|| Page { access, bytes: Box::new([0; PAGE_SIZE]) });
        }
    }

    /// Fills bytes of pages that are there.
    ///
    /// # Panics
    /// Where a page is not.
    pub fn fill(&mut self, at: u64, bytes: &[u8]) {
        for (byte, at) in bytes.iter().zip(at..) {
            *self.byte(at).expect("the page was made before") = *byte;
        }
    }

    /// Takes pages away.
    pub fn unmap(&mut self, start: u64, size: u64) {
        for page in pages(start, size) {
            self.pages.remove(&page);
        }
    }

    /// The pages outside a range, with their contents and permissions.
    pub fn pages_outside(&self, range: std::ops::Range<u64>) -> impl Iterator<Item = (u64, &Page)> {
        let address = |page: &u64| page * PAGE_SIZE as u64;
        self.pages
            .iter()
            .filter(move |(page, _)| !range.contains(&address(page)))
            .map(|(page, held)| (*page, held))
    }

    /// Reads 64 bits.
    #[must_use]
    pub fn read_64(&self, at: u64) -> Option<u64> {
        Some(u64::from(self.word(at)?.1) | u64::from(self.word(at.wrapping_add(4))?.1) << 32)
    }

    fn word(&self, at: u64) -> Option<(Access, u32)> {
        let page = self.pages.get(&(at / PAGE_SIZE as u64))?;
        let offset = usize::try_from(at % PAGE_SIZE as u64).ok()?;
        let bytes = page.bytes.get(offset..)?.first_chunk()?;
        Some((page.access, u32::from_le_bytes(*bytes)))
    }

    fn byte(&mut self, at: u64) -> Option<&mut u8> {
        let offset = usize::try_from(at % PAGE_SIZE as u64).ok()?;
        self.pages.get_mut(&(at / PAGE_SIZE as u64))?.bytes.get_mut(offset)
    }

    fn write_64(&mut self, at: u64, value: u64) -> Result<(), Stop> {
        if self.word(at).is_none_or(|(access, _)| access != Access::Data) || !at.is_multiple_of(8) {
            return Err(Stop::Write(at));
        }
        self.fill(at, &value.to_le_bytes());
        Ok(())
    }
}

/// The numbers of the pages that a range touches.
fn pages(start: u64, size: u64) -> std::ops::Range<u64> {
    let first = start / PAGE_SIZE as u64;
    let last = (start + size).div_ceil(PAGE_SIZE as u64);
    if size == 0 { first..first } else { first..last }
}

impl TextSpace for Memory {
    fn read(&self, at: Va) -> Option<u32> {
        self.word(at.0).filter(|(access, _)| *access == Access::Text).map(|(_, word)| word)
    }

    fn write(&mut self, at: Va, bits: u32) -> Result<(), Refused> {
        if self.refuse_after == Some(0) {
            self.refuse_after = None;
            return Err(Refused);
        }
        self.refuse_after = self.refuse_after.map(|left| left - 1);
        self.read(at).filter(|_| at.0.is_multiple_of(4)).ok_or(Refused)?;
        self.fill(at.0, &bits.to_le_bytes());
        self.unpublished.insert(at.0);
        Ok(())
    }

    fn publish(&mut self) {
        self.unpublished.clear();
    }

    fn synchronise(&mut self) {
        // One thread at a time runs here.
    }
}

/// A thread that runs in a memory.
#[derive(Debug)]
pub struct Machine<'m> {
    memory: &'m mut Memory,
    registers: [u64; 32],
    pc: u64,
    /// Where the run began, and where calls and jumps went, in order.
    pub went: Vec<u64>,
}

impl<'m> Machine<'m> {
    /// A thread with a stack, a thread block and an empty shadow stack.
    pub fn new(memory: &'m mut Memory) -> Self {
        memory.map(THREAD, 4096, Access::Data);
        memory.map(STACK_TOP - 4096, 4096, Access::Data);
        let mut registers = [0; 32];
        registers[31] = STACK_TOP;
        let machine = Self { memory, registers, pc: OUTSIDE, went: Vec::new() };
        machine.memory.write_64(THREAD + 8, SHADOW).expect("the thread block has just been mapped");
        machine
    }

    /// Calls `entry` with one argument and runs until it returns, or until `until` is reached.
    ///
    /// # Errors
    /// [`Stop`].
    ///
    /// # Panics
    /// Where stack or shadow stack are not what they were: a gate or a function has lost count.
    pub fn call(&mut self, entry: u64, argument: u64, until: u64) -> Result<u64, Stop> {
        self.registers[0] = argument;
        self.registers[30] = OUTSIDE;
        self.pc = entry;
        self.went.push(entry);
        for _ in 0..STEPS_MAX {
            if self.pc == OUTSIDE || self.pc == until {
                assert_eq!(self.registers[31], STACK_TOP, "the stack is balanced");
                assert_eq!(self.memory.read_64(THREAD + 8), Some(SHADOW), "entrances are exits");
                return Ok(self.registers[0]);
            }
            self.step()?;
        }
        Err(Stop::TooLong)
    }

    /// Takes the thread away.
    pub fn finish(self) {
        self.memory.unmap(THREAD, 4096);
        self.memory.unmap(STACK_TOP - 4096, 4096);
    }

    fn step(&mut self) -> Result<(), Stop> {
        let pc = self.pc;
        if self.memory.unpublished.contains(&pc) {
            return Err(Stop::Stale(pc));
        }
        let word = self.memory.read(Va(pc)).ok_or(Stop::Fetch(pc))?;
        self.pc = pc + 4;
        if self.branch(pc, word) || self.arithmetic(pc, word) || self.memory_access(word)? {
            return Ok(());
        }
        Err(Stop::Undefined(pc, word))
    }

    fn branch(&mut self, pc: u64, word: u32) -> bool {
        let link = match word & 0xfc00_0000 {
            0x1400_0000 => false,
            0x9400_0000 => true,
            _ => return self.branch_to_register(pc, word),
        };
        self.go(pc, pc.wrapping_add_signed(signed(word, 25, 0) * 4), link);
        true
    }

    fn branch_to_register(&mut self, pc: u64, word: u32) -> bool {
        let target = self.registers[index(word, 5)];
        match word & 0xffff_fc1f {
            0xd61f_0000 => self.go(pc, target, false),
            0xd63f_0000 => self.go(pc, target, true),
            // Returns are not recorded.
            0xd65f_0000 => self.pc = target,
            _ => return word == 0xd503_201f,
        }
        true
    }

    fn go(&mut self, pc: u64, target: u64, link: bool) {
        if link {
            self.registers[30] = pc + 4;
        }
        self.went.push(target);
        self.pc = target;
    }

    fn arithmetic(&mut self, pc: u64, word: u32) -> bool {
        let (rd, rn) = (index(word, 0), index(word, 5));
        let adr = signed(word, 23, 5) * 4 + i64::from(word >> 29 & 3);
        let half = u64::from(word >> 5 & 0xffff) << (16 * (word >> 21 & 3));
        let clear = !(0xffffu64 << (16 * (word >> 21 & 3)));
        let immediate = u64::from(word >> 10 & 0xfff);
        self.registers[rd] = match word {
            _ if word & 0x9f00_0000 == 0x1000_0000 => pc.wrapping_add_signed(adr),
            _ if word & 0x9f00_0000 == 0x9000_0000 => (pc & !0xfff).wrapping_add_signed(adr * 4096),
            _ if word & 0xffc0_0000 == 0x9100_0000 => self.registers[rn].wrapping_add(immediate),
            _ if word & 0xff80_0000 == 0xd280_0000 => half,
            _ if word & 0xff80_0000 == 0x5280_0000 => half,
            _ if word & 0xff80_0000 == 0xf280_0000 => self.registers[rd] & clear | half,
            // lsl #n is ubfm #(64 - n), #(63 - n).
            _ if word & 0xffc0_0000 == 0xd340_0000 && (word >> 10 & 63) + 1 == word >> 16 & 63 => {
                self.registers[rn] << (64 - (word >> 16 & 63))
            }
            // mrs tpidr_el0
            _ if word & 0xffff_ffe0 == 0xd53b_d040 => THREAD,
            _ => return false,
        };
        true
    }

    fn memory_access(&mut self, word: u32) -> Result<bool, Stop> {
        let (rt, rn) = (index(word, 0), index(word, 5));
        let base = self.registers[rn];
        let unsigned = u64::from(word >> 10 & 0xfff) * 8;
        let single = signed(word, 20, 12);
        let pair = signed(word, 21, 15) * 8;
        let (load, registers, offset, index) = match word {
            _ if word & 0xffc0_0000 == 0xf940_0000 => (true, vec![rt], unsigned.cast_signed(), Index::None),
            _ if word & 0xffc0_0000 == 0xf900_0000 => (false, vec![rt], unsigned.cast_signed(), Index::None),
            _ if word & 0xffe0_0c00 == 0xf840_0c00 => (true, vec![rt], single, Index::Before),
            _ if word & 0xffc0_0000 == 0xa880_0000 => (false, vec![rt, index(word, 10)], pair, Index::After),
            _ if word & 0xffc0_0000 == 0xa8c0_0000 => (true, vec![rt, index(word, 10)], pair, Index::After),
            _ if word & 0xffc0_0000 == 0xa980_0000 => (false, vec![rt, index(word, 10)], pair, Index::Before),
            _ => return Ok(false),
        };
        let moved = base.wrapping_add_signed(offset);
        let at = if index == Index::After { base } else { moved };
        for (register, place) in registers.into_iter().zip((at..).step_by(8)) {
            if load {
                self.registers[register] = self.memory.read_64(place).ok_or(Stop::Read(place))?;
            } else {
                self.memory.write_64(place, self.registers[register])?;
            }
        }
        if index != Index::None {
            self.registers[rn] = moved;
        }
        Ok(true)
    }
}

/// When the base register moves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    None,
    Before,
    After,
}

/// The register number at bit `low`.
fn index(word: u32, low: u32) -> usize {
    (word >> low & 31) as usize
}

/// Bits `high..=low` as a signed number.
fn signed(word: u32, high: u32, low: u32) -> i64 {
    i64::from((word << (31 - high)).cast_signed() >> (31 - high + low))
}
