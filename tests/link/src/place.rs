//! A small loader: sections to addresses, relocations applied, and every changed bit accounted for.
//!
//! * O1: bytes that relocation changes lie in the fields of relocations.
//! * O2: instructions keep their opcode bits.
//! * O3: what a field holds afterwards is the address that the judge says, in an own section or a granted symbol.

use crate::judge::{Reference, Ruling};
use aarch64_reloc::{RelocError, apply};
use kmod::{Object, SectionKind, Target};

/// Where the sections of a module go, by [`SectionKind::index`].
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Address of each section.
    pub addresses: [u64; SectionKind::COUNT],
}

/// Where the alias below and imported symbols are said to be: anything within reach of a branch.
const GRANTED: u64 = 0x1000_0000;

/// Index base of the log strings: a small number, as the real loader gives.
const LOG_INDEX_BASE: u64 = 1000;

impl Placement {
    /// Pages of the module window, one section behind the other.
    #[must_use]
    pub fn of(module: &Object<'_>) -> Self {
        let mut addresses = [0; SectionKind::COUNT];
        let mut free = 0x1300_0000u64;
        for kind in SectionKind::ALL {
            addresses[kind.index()] = free;
            let size = module.section(kind).map_or(0, |section| section.size);
            free += size.next_multiple_of(4096).max(4096);
        }
        addresses[SectionKind::Defmt.index()] = LOG_INDEX_BASE;
        Self { addresses }
    }

    fn address(&self, target: Target) -> u64 {
        match target {
            Target::Section(kind, offset) => self.addresses[kind.index()] + offset,
            Target::Super(index) => granted_super(index),
            Target::Import(index) => granted_import(index),
        }
    }
}

/// Applies a section's relocations to a copy of its bytes.
///
/// # Errors
/// The first relocation that does not fit.
pub fn relocated(module: &Object<'_>, kind: SectionKind, at: &Placement) -> Result<Vec<u8>, RelocError> {
    let Some(section) = module.section(kind) else {
        return Ok(Vec::new());
    };
    let mut bytes = section.bytes.to_vec();
    for relocation in module.relocations(kind).map(|relocation| relocation.expect("the module was parsed")) {
        let place = at.addresses[kind.index()] + relocation.offset;
        let start = usize::try_from(relocation.offset).unwrap();
        apply(relocation.kind, place, at.address(relocation.target), &mut bytes[start..])?;
    }
    Ok(bytes)
}

/// Loads the module and checks the oracles; `Ok(false)` where a relocation does not fit.
///
/// # Errors
/// The oracle that does not hold, as a sentence for people.
pub fn load(module: &Object<'_>, rulings: &[Ruling]) -> Result<bool, String> {
    let at = Placement::of(module);
    for kind in SectionKind::ALL {
        let Ok(after) = relocated(module, kind, &at) else {
            return Ok(false);
        };
        check_section(module, kind, &after, rulings, &at)?;
    }
    Ok(true)
}

/// O1, O2 and O3 of one section: what it has become, whoever has linked it.
///
/// # Errors
/// The oracle that does not hold.
pub fn check_section(
    module: &Object<'_>,
    kind: SectionKind,
    after: &[u8],
    rulings: &[Ruling],
    at: &Placement,
) -> Result<(), String> {
    let before = module.section(kind).map_or(&[][..], |section| section.bytes);
    let here = rulings.iter().filter(|ruling| ruling.section == kind);
    check_bytes(before, after, here.clone())?;
    here.into_iter().try_for_each(|ruling| check_field(after, ruling, at, module))
}

/// O1 and O2, from the rulings and the masks of the Arm ARM.
fn check_bytes<'r>(
    before: &[u8],
    after: &[u8],
    rulings: impl Iterator<Item = &'r Ruling>,
) -> Result<(), String> {
    let mut expected = after.to_vec();
    for ruling in rulings {
        let mask = field(ruling.kind).0.to_le_bytes();
        let start = usize::try_from(ruling.offset).map_err(|error| error.to_string())?;
        for (index, mask) in mask.into_iter().enumerate().filter(|(_, mask)| *mask != 0) {
            let (old, new) = (before[start + index], after[start + index]);
            expected[start + index] = (new & !mask) | (old & mask);
        }
    }
    if expected == before { Ok(()) } else { Err("O1, O2: a bit outside the relocations has changed".into()) }
}

/// O3: the field means the address that the judge says.
fn check_field(bytes: &[u8], ruling: &Ruling, at: &Placement, module: &Object<'_>) -> Result<(), String> {
    let address = match &ruling.refers_to {
        Reference::Own(kind, offset) => at.addresses[kind.index()] + offset,
        Reference::Elsewhere(name) => granted(name, module).ok_or("O3: neither own nor granted")?,
    };
    let place = at.addresses[ruling.section.index()] + ruling.offset;
    let start = usize::try_from(ruling.offset).map_err(|error| error.to_string())?;
    let (mask, meaning) = field(ruling.kind);
    let width = if mask > u64::from(u32::MAX) { 8 } else { 4 };
    let word = (0..width).fold(0, |word, byte| word | u64::from(bytes[start + byte]) << (8 * byte));
    if meaning.holds(word & mask, place, address) {
        Ok(())
    } else {
        Err(format!("O3: {ruling:?} became {word:#x} at {place:#x}, wanted {address:#x}"))
    }
}

/// Where the alias below the one with this index is said to be.
#[must_use]
pub const fn granted_super(index: usize) -> u64 {
    GRANTED + 16 * index as u64
}

/// Where the symbol of the import with this index is said to be.
#[must_use]
pub const fn granted_import(index: usize) -> u64 {
    GRANTED + 0x1_0000 + 16 * index as u64
}

fn granted(name: &str, module: &Object<'_>) -> Option<u64> {
    match name.strip_prefix("super_") {
        Some(below) => module.aliases().position(|alias| alias.name == below).map(granted_super),
        None => module.imports().position(|import| import.name == name).map(granted_import),
    }
}

/// How a field is read back.
#[derive(Clone, Copy)]
enum Meaning {
    Absolute,
    Distance(u32),
    /// Words, `bits` of them, at bit `low`.
    Branch(u32, u32),
    Adr,
    Adrp,
    PageOffset(u32),
}

/// Field and meaning of a relocation, by its ELF number; written down here once more so that the crate under test is
/// not its own judge.
fn field(number: u32) -> (u64, Meaning) {
    match number {
        257 => (u64::MAX, Meaning::Absolute),
        258 => (0xffff_ffff, Meaning::Absolute),
        260 => (u64::MAX, Meaning::Distance(64)),
        261 => (0xffff_ffff, Meaning::Distance(32)),
        274 => (0x60ff_ffe0, Meaning::Adr),
        275 | 276 => (0x60ff_ffe0, Meaning::Adrp),
        277 | 278 => (0x003f_fc00, Meaning::PageOffset(0)),
        284 => (0x003f_fc00, Meaning::PageOffset(1)),
        285 => (0x003f_fc00, Meaning::PageOffset(2)),
        286 => (0x003f_fc00, Meaning::PageOffset(3)),
        299 => (0x003f_fc00, Meaning::PageOffset(4)),
        279 => (0x0007_ffe0, Meaning::Branch(14, 5)),
        280 => (0x00ff_ffe0, Meaning::Branch(19, 5)),
        _ => (0x03ff_ffff, Meaning::Branch(26, 0)),
    }
}

impl Meaning {
    fn holds(self, field: u64, place: u64, address: u64) -> bool {
        match self {
            Self::Absolute => field == address,
            Self::Distance(bits) => place.wrapping_add_signed(extend(field, bits)) == address,
            Self::Branch(bits, low) => place.wrapping_add_signed(4 * extend(field >> low, bits)) == address,
            Self::Adr => place.wrapping_add_signed(adr(field)) == address,
            Self::Adrp => (place & !0xfff).wrapping_add_signed(adr(field) * 4096) == address & !0xfff,
            Self::PageOffset(log2) => (field >> 10) << log2 == address & 0xfff,
        }
    }
}

/// The low `bits` bits as a signed number.
fn extend(field: u64, bits: u32) -> i64 {
    (field << (64 - bits)).cast_signed() >> (64 - bits)
}

fn adr(field: u64) -> i64 {
    extend((field >> 5 & 0x7_ffff) << 2 | (field >> 29 & 3), 21)
}
