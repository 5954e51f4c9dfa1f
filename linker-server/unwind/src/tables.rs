//! Unwind tables: from an address to the row that says where the caller's frame is.
//!
//! DWARF 4, section 6.4 and "AADWARF64" (register numbers: 0 to 30 are x0 to x30, 31 is SP, 72 to 79 are d8 to d15). A
//! register that a row does not name still holds the caller's value.

use gimli::{
    BaseAddresses, CfaRule, CommonInformationEntry, EhFrame, EndianSlice, FrameDescriptionEntry,
    LittleEndian, Register, RegisterRule, UnwindContext, UnwindContextStorage, UnwindSection, UnwindTableRow,
};

/// Bytes of an entry of an index.
pub const ENTRY_SIZE: usize = 8;
/// Bytes of the head of `.eh_frame_hdr` in the form that linkers write.
const HEADER_SIZE: usize = 12;
/// Its version and encodings: section pointer relative to itself, count, and a table relative to the header, all of
/// four bytes (LSB core specification, 10.6.2).
const HEADER_FORM: [u8; 4] = [1, 0x1b, 0x03, 0x3b];

const FIRST_SAVED: u16 = 19;
const STACK_POINTER: u16 = 31;
const FIRST_SAVED_VECTOR: u16 = 72;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Room for one row without an allocator: x19 to x30 and d8 to d15 are 20 rules.
struct Room;

impl UnwindContextStorage<usize> for Room {
    type Rules = [(Register, RegisterRule<usize>); 32];
    type Stack = [UnwindTableRow<usize, Self>; 4];
}

/// An entry of an index: where a function starts and where its description lies, both relative to the index's base.
pub type Entry = [u8; ENTRY_SIZE];

fn entry(start: i32, description: i32) -> Entry {
    let mut entry = [0; ENTRY_SIZE];
    entry[..4].copy_from_slice(&start.to_le_bytes());
    entry[4..].copy_from_slice(&description.to_le_bytes());
    entry
}

fn fields(entry: &Entry) -> (i32, i32) {
    let [a, b, c, d, e, f, g, h] = *entry;
    (i32::from_le_bytes([a, b, c, d]), i32::from_le_bytes([e, f, g, h]))
}

/// The unwind tables of one image, with an index by address.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    frames: &'a [u8],
    frames_at: u64,
    index: &'a [Entry],
    base: u64,
}

impl<'a> Tables<'a> {
    /// Tables with the index that a linker has made: `.eh_frame` and `.eh_frame_hdr`, with their addresses.
    ///
    /// None where the header has another form.
    #[must_use]
    pub fn with_header(
        (frames_at, frames): (u64, &'a [u8]),
        (header_at, header): (u64, &'a [u8]),
    ) -> Option<Self> {
        let (head, rest) = header.split_at_checked(HEADER_SIZE)?;
        let count = u32::from_le_bytes(head[8..].try_into().ok()?);
        let (index, _) = rest.as_chunks();
        let index = index.get(..usize::try_from(count).ok()?)?;
        (head[..4] == HEADER_FORM).then_some(Self { frames, frames_at, index, base: header_at })
    }

    /// Tables with an index that [`Tables::index`] has made.
    #[must_use]
    pub const fn with_index(frames_at: u64, frames: &'a [u8], index: &'a [Entry]) -> Self {
        Self { frames, frames_at, index, base: frames_at }
    }

    /// How many functions the tables describe at most: the room that an index takes.
    #[must_use]
    pub fn count(frames: &[u8]) -> usize {
        let mut count = 0;
        let mut rest = frames;
        while let Some((length, body)) = rest.split_first_chunk() {
            let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
            let Some(after) = body.get(length..) else { break };
            // A pointer to its common entry, where a common entry has 0; a length of 0 ends the section.
            count += usize::from(length >= 4 && body[..4] != [0; 4]);
            rest = after;
        }
        count
    }

    /// Makes the index of tables that have been relocated to `frames_at`; returns how many entries it has. What
    /// cannot be read, and what finds no room, is left out: such a function counts as one without a table.
    pub fn index(frames_at: u64, frames: &[u8], index: &mut [Entry]) -> usize {
        let section = section(frames);
        let bases = bases(frames_at);
        let mut entries = section.entries(&bases);
        let mut count = 0;
        while let Ok(Some(found)) = entries.next() {
            let gimli::CieOrFde::Fde(partial) = found else { continue };
            let Ok(function) = partial.parse(cie) else { continue };
            let start = i32::try_from(function.initial_address().wrapping_sub(frames_at).cast_signed());
            let description = i32::try_from(function.offset());
            if let (Ok(start), Ok(description), Some(place)) = (start, description, index.get_mut(count)) {
                *place = entry(start, description);
                count += 1;
            }
        }
        index[..count].sort_unstable_by_key(|entry| fields(entry).0);
        count
    }

    /// The function that an address lies in.
    #[must_use]
    pub fn function(&self, at: u64) -> Option<Function<'a>> {
        let relative = i32::try_from(at.cast_signed().wrapping_sub(self.base.cast_signed())).ok()?;
        let after = self.index.partition_point(|entry| fields(entry).0 <= relative);
        let function = self.at_index(after.checked_sub(1)?)?;
        (at >= function.start && at < function.end).then_some(function)
    }

    /// Every function, by ascending address.
    pub fn functions(&self) -> impl Iterator<Item = Function<'a>> + '_ {
        (0..self.index.len()).filter_map(|index| self.at_index(index))
    }

    fn at_index(&self, index: usize) -> Option<Function<'a>> {
        let (_, description) = fields(self.index.get(index)?);
        let at = self.base.checked_add_signed(description.into())?.checked_sub(self.frames_at)?;
        let offset = usize::try_from(at).ok().filter(|offset| *offset < self.frames.len())?;
        let description =
            section(self.frames).fde_from_offset(&bases(self.frames_at), offset.into(), cie).ok()?;
        let start = description.initial_address();
        let end = start.checked_add(description.len())?;
        Some(Function { start, end, frames: self.frames, frames_at: self.frames_at, description })
    }
}

fn section(frames: &[u8]) -> EhFrame<Slice<'_>> {
    let mut section = EhFrame::new(frames, LittleEndian);
    section.set_address_size(8);
    section
}

fn bases(frames_at: u64) -> BaseAddresses {
    BaseAddresses::default().set_eh_frame(frames_at)
}

fn cie<'a>(
    section: &EhFrame<Slice<'a>>,
    bases: &BaseAddresses,
    offset: gimli::EhFrameOffset,
) -> gimli::Result<CommonInformationEntry<Slice<'a>>> {
    section.cie_from_offset(bases, offset)
}

/// Where the caller's value of a register is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// Still in the register.
    #[default]
    Same,
    /// In memory, at this distance from the frame address.
    At(i64),
    /// Somewhere that this crate does not follow.
    Elsewhere,
}

/// A row of a table: the frame address and what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The register that the frame address (the caller's stack pointer) is computed from: 31 is SP.
    pub register: u16,
    /// What is added to it.
    pub offset: i64,
    /// x19 to x30.
    pub x: [Rule; 12],
    /// d8 to d15.
    pub d: [Rule; 8],
}

impl Row {
    /// Where the return address is.
    #[must_use]
    pub const fn link(&self) -> Rule {
        self.x[11]
    }

    /// Whether the frame address is computed from SP.
    #[must_use]
    pub const fn from_stack_pointer(&self) -> bool {
        self.register == STACK_POINTER
    }

    fn of(row: &UnwindTableRow<usize, Room>) -> Option<Self> {
        let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { return None };
        let (register, offset) = (register.0, *offset);
        if register > STACK_POINTER {
            return None;
        }
        let mut own = Self { register, offset, x: [Rule::Same; 12], d: [Rule::Same; 8] };
        for (register, rule) in row.registers() {
            let rule = match rule {
                RegisterRule::Undefined | RegisterRule::SameValue => Rule::Same,
                RegisterRule::Offset(offset) => Rule::At(*offset),
                _ => Rule::Elsewhere,
            };
            let general = register.0.checked_sub(FIRST_SAVED).map(usize::from);
            let vector = register.0.checked_sub(FIRST_SAVED_VECTOR).map(usize::from);
            if let Some(place) = general.and_then(|index| own.x.get_mut(index)) {
                *place = rule;
            } else if let Some(place) = vector.and_then(|index| own.d.get_mut(index)) {
                *place = rule;
            }
        }
        Some(own)
    }
}

/// A function with its table.
#[derive(Clone, Debug)]
pub struct Function<'a> {
    /// Its first instruction.
    pub start: u64,
    /// One behind its last.
    pub end: u64,
    frames: &'a [u8],
    frames_at: u64,
    description: FrameDescriptionEntry<Slice<'a>>,
}

impl Function<'_> {
    /// The row for an address in it.
    #[must_use]
    pub fn row(&self, at: u64) -> Option<Row> {
        let mut context = UnwindContext::<usize, Room>::new_in();
        let (section, bases) = (section(self.frames), bases(self.frames_at));
        let row = self.description.unwind_info_for_address(&section, &bases, &mut context, at).ok()?;
        Row::of(row)
    }

    /// Calls `each` with every row and the addresses that it is for, in ascending order; `None` where the table
    /// cannot be read to its end.
    pub fn rows(&self, mut each: impl FnMut(u64, u64, Row)) -> Option<()> {
        let mut context = UnwindContext::<usize, Room>::new_in();
        let (section, bases) = (section(self.frames), bases(self.frames_at));
        let mut rows = self.description.rows(&section, &bases, &mut context).ok()?;
        while let Some(row) = rows.next_row().ok()? {
            each(row.start_address(), row.end_address(), Row::of(row)?);
        }
        Some(())
    }
}
