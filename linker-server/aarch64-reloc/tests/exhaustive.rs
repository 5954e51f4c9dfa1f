//! Goal: every immediate of every field goes in, comes out, and touches no other bit; the first address out of range
//! is refused on each side.
//!
//! Method: run through all values of each field and read them back with decoders written here, from the Arm ARM's
//! field tables, not from the crate under test.
#![allow(clippy::unwrap_used)]

use aarch64_reloc::insn::{self, BRANCH_RANGE};
use aarch64_reloc::{Branch, BranchKind, BranchPair, RelocError, RelocKind, apply};

/// Far from both ends of the address space, page-aligned.
const HERE: u64 = 0x0000_7000_0000_0000;

/// Bits `high..=low` of a word as a signed number.
fn signed(word: u32, high: u32, low: u32) -> i64 {
    let bits = high - low + 1;
    let value = i64::from((word >> low) & u32::try_from((1u64 << bits) - 1).unwrap());
    if value >> (bits - 1) == 1 { value - (1 << bits) } else { value }
}

/// Bits `high..=low` of a word.
fn unsigned(word: u32, high: u32, low: u32) -> u64 {
    u64::from(word >> low) & ((1 << (high - low + 1)) - 1)
}

fn relocate(kind: RelocKind, place: u64, value: u64, old: u32) -> Result<u32, RelocError> {
    let mut bytes = old.to_le_bytes();
    apply(kind, place, value, &mut bytes).map(|()| u32::from_le_bytes(bytes))
}

/// Both ways of making the word agree, the word means what was asked for, and opcode bits stay.
fn branch_story(kind: BranchKind, reloc: RelocKind, opcode: u32) {
    for word_offset in -(1i64 << 25)..(1 << 25) {
        let to = HERE.wrapping_add_signed(word_offset * 4);
        let branch = Branch::between(kind, HERE, to).unwrap();
        let word = branch.encode();
        assert_eq!(word & 0xfc00_0000, opcode);
        assert_eq!(Branch::word_between(kind, HERE, to), Some(word));
        assert_eq!(signed(word, 25, 0), word_offset);
        assert_eq!(Branch::decode(word), Some(branch));
        assert_eq!(branch.target(HERE), to);
        // The old immediate does not matter: the addend is in the relocation.
        assert_eq!(relocate(reloc, HERE, to, opcode | 0x02aa_aaab), Ok(word));
    }
    for to in [HERE.wrapping_add(BRANCH_RANGE), HERE.wrapping_sub(BRANCH_RANGE + 4)] {
        assert_eq!(Branch::between(kind, HERE, to), None);
        assert_eq!(Branch::word_between(kind, HERE, to), None);
        assert_eq!(relocate(reloc, HERE, to, opcode), Err(RelocError::OutOfRange(reloc, HERE)));
    }
    for off in 1..4 {
        assert_eq!(Branch::between(kind, HERE, HERE + off), None);
        assert_eq!(Branch::word_between(kind, HERE, HERE + off), None);
        assert_eq!(relocate(reloc, HERE, HERE + off, opcode), Err(RelocError::MisalignedValue(reloc, HERE)));
    }
}

/// A pair of branches is what the two are alone, and reaches from wherever both do: tried around each end of the reach,
/// for targets on either side of each other, up to the ends of the address space.
#[test]
fn pairs_of_branches() {
    let far = BRANCH_RANGE - 4;
    for one in [HERE, 0x1000, u64::MAX - 0xfff] {
        for apart in [0, 4, 0x1000, far, 2 * BRANCH_RANGE - 8, 2 * BRANCH_RANGE - 4, 2 * BRANCH_RANGE, 2, 7] {
            for (one, other) in [(one, one.saturating_add(apart)), (one.saturating_add(apart), one)] {
                let pair = BranchPair::new(one, other);
                for end in [
                    one,
                    other,
                    one.wrapping_add(far),
                    other.wrapping_sub(far),
                    one.wrapping_sub(BRANCH_RANGE),
                    other.wrapping_add(BRANCH_RANGE),
                ] {
                    for step in 0..32u64 {
                        let from = end.wrapping_add(step).wrapping_sub(16);
                        let alone = |to| {
                            Branch::word_between(BranchKind::Bl, from, to).filter(|_| from.is_multiple_of(4))
                        };
                        let both = alone(one).zip(alone(other));
                        let words = pair.words(BranchKind::Bl, from);
                        assert!(words.is_none() || words == both, "{one:#x} {other:#x} from {from:#x}");
                        // Only an end of the address space may be left out.
                        let near_an_end = !(BRANCH_RANGE..=u64::MAX - 2 * BRANCH_RANGE).contains(&from);
                        assert!(words == both || near_an_end, "{one:#x} {other:#x} from {from:#x}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_bl() {
    branch_story(BranchKind::Bl, RelocKind::Call26, 0x9400_0000);
}

#[test]
fn every_b() {
    branch_story(BranchKind::B, RelocKind::Jump26, 0x1400_0000);
}

#[test]
fn every_other_opcode_is_no_branch() {
    for opcode in 0..64u32 {
        let word = opcode << 26 | 0x0123_4567;
        assert_eq!(Branch::decode(word).is_some(), opcode == 0b00_0101 || opcode == 0b10_0101);
    }
    assert!(insn::is_patchable(insn::NOP) && !insn::is_patchable(insn::RET));
}

/// immhi:immlo of ADR and ADRP.
fn adr_field(word: u32) -> i64 {
    signed(word, 23, 5) * 4 + i64::try_from(unsigned(word, 30, 29)).unwrap()
}

#[test]
fn every_adrp() {
    let place = HERE + 0x7fc;
    for pages in -(1i64 << 20)..(1 << 20) {
        let to = HERE.wrapping_add_signed(pages << 12) + 0xabc;
        let word = insn::adrp(17, place, to).unwrap();
        assert_eq!(word & 0x9f00_001f, 0x9000_0011);
        assert_eq!(adr_field(word), pages);
        assert_eq!(insn::decode_adrp(word), Some(pages << 12));
        assert_eq!(insn::decode_adr(word), None);
        for kind in [RelocKind::AdrPrelPgHi21, RelocKind::AdrPrelPgHi21Nc] {
            assert_eq!(relocate(kind, place, to, 0x90ab_cdf1), Ok(word));
        }
    }
    let (above, below) = (HERE.wrapping_add(1 << 32), HERE.wrapping_sub((1 << 32) + 1));
    for to in [above, below] {
        assert_eq!(insn::adrp(0, place, to), None);
        let refused = Err(RelocError::OutOfRange(RelocKind::AdrPrelPgHi21, place));
        assert_eq!(relocate(RelocKind::AdrPrelPgHi21, place, to, 0x9000_0000), refused);
        assert!(relocate(RelocKind::AdrPrelPgHi21Nc, place, to, 0x9000_0000).is_ok());
    }
    assert_eq!(insn::adrp(32, place, place), None);
}

#[test]
fn every_adr() {
    for offset in -(1i64 << 20)..(1 << 20) {
        let to = HERE.wrapping_add_signed(offset);
        let word = insn::adr(3, HERE, to).unwrap();
        assert_eq!(word & 0x9f00_001f, 0x1000_0003);
        assert_eq!(adr_field(word), offset);
        assert_eq!(insn::decode_adr(word), Some(offset));
        assert_eq!(insn::decode_adrp(word), None);
        assert_eq!(relocate(RelocKind::AdrPrelLo21, HERE, to, 0x7055_5543), Ok(word));
    }
    for to in [HERE + (1 << 20), HERE - (1 << 20) - 1] {
        assert_eq!(insn::adr(0, HERE, to), None);
        let refused = Err(RelocError::OutOfRange(RelocKind::AdrPrelLo21, HERE));
        assert_eq!(relocate(RelocKind::AdrPrelLo21, HERE, to, 0x1000_0000), refused);
    }
}

/// One instruction of each LO12 form: kind, log2 of the access, opcode word.
const LO12: [(RelocKind, u32, u32); 15] = [
    (RelocKind::AddAbsLo12Nc, 0, 0x9100_0000),     // add x
    (RelocKind::AddAbsLo12Nc, 0, 0x1100_0000),     // add w
    (RelocKind::Ldst8AbsLo12Nc, 0, 0x3940_0000),   // ldrb
    (RelocKind::Ldst8AbsLo12Nc, 0, 0x3900_0000),   // strb
    (RelocKind::Ldst8AbsLo12Nc, 0, 0x3980_0000),   // ldrsb x
    (RelocKind::Ldst8AbsLo12Nc, 0, 0x3d40_0000),   // ldr b
    (RelocKind::Ldst16AbsLo12Nc, 1, 0x7940_0000),  // ldrh
    (RelocKind::Ldst16AbsLo12Nc, 1, 0x7d40_0000),  // ldr h
    (RelocKind::Ldst32AbsLo12Nc, 2, 0xb940_0000),  // ldr w
    (RelocKind::Ldst32AbsLo12Nc, 2, 0xb980_0000),  // ldrsw
    (RelocKind::Ldst32AbsLo12Nc, 2, 0xbd40_0000),  // ldr s
    (RelocKind::Ldst64AbsLo12Nc, 3, 0xf940_0000),  // ldr x
    (RelocKind::Ldst64AbsLo12Nc, 3, 0xfd00_0000),  // str d
    (RelocKind::Ldst128AbsLo12Nc, 4, 0x3dc0_0000), // ldr q
    (RelocKind::Ldst128AbsLo12Nc, 4, 0x3d80_0000), // str q
];

#[test]
fn every_lo12() {
    for (kind, log2, opcode) in LO12 {
        for offset in 0..4096u64 {
            let result = relocate(kind, HERE, HERE + (5 << 32) + offset, opcode | 0x003f_fc00 | 0x25);
            if offset % (1 << log2) == 0 {
                let word = result.unwrap();
                assert_eq!(word & !0x003f_fc00, opcode | 0x25);
                assert_eq!(unsigned(word, 21, 10) << log2, offset);
            } else {
                assert_eq!(result, Err(RelocError::MisalignedValue(kind, HERE)));
            }
        }
    }
    for immediate in 0..4096u32 {
        let word = insn::add_immediate(16, 17, immediate).unwrap();
        assert_eq!((unsigned(word, 21, 10), word & !0x003f_fc00), (u64::from(immediate), 0x9100_0230));
    }
    assert_eq!(insn::add_immediate(16, 17, 4096), None);
    assert_eq!(insn::br(16), Some(0xd61f_0200));
}

#[test]
fn every_lo12_form_takes_only_its_own_instructions() {
    for (kind, ..) in LO12 {
        for (other, _, opcode) in LO12 {
            assert_eq!(kind.accepts(opcode), kind == other, "{kind:?} on {opcode:#x}");
        }
    }
}

#[test]
fn every_conditional_branch() {
    // b.ne, cbz w, cbnz x.
    for opcode in [0x5400_0001u32, 0x3400_0005, 0xb500_001f] {
        for words in -(1i64 << 18)..(1 << 18) {
            let to = HERE.wrapping_add_signed(words * 4);
            let word = relocate(RelocKind::Condbr19, HERE, to, opcode | 0x00ff_ffe0).unwrap();
            assert_eq!((signed(word, 23, 5), word & !0x00ff_ffe0), (words, opcode));
        }
        for to in [HERE + (1 << 20), HERE - (1 << 20) - 4] {
            let refused = Err(RelocError::OutOfRange(RelocKind::Condbr19, HERE));
            assert_eq!(relocate(RelocKind::Condbr19, HERE, to, opcode), refused);
        }
        let refused = Err(RelocError::MisalignedValue(RelocKind::Condbr19, HERE));
        assert_eq!(relocate(RelocKind::Condbr19, HERE, HERE + 2, opcode), refused);
    }
}

#[test]
fn every_test_branch() {
    // tbz w0, #3; tbnz x7, #63.
    for opcode in [0x3618_0000u32, 0xb7f8_0007] {
        for words in -(1i64 << 13)..(1 << 13) {
            let to = HERE.wrapping_add_signed(words * 4);
            let word = relocate(RelocKind::Tstbr14, HERE, to, opcode | 0x0007_ffe0).unwrap();
            assert_eq!((signed(word, 18, 5), word & !0x0007_ffe0), (words, opcode));
        }
        for to in [HERE + (1 << 15), HERE - (1 << 15) - 4] {
            let refused = Err(RelocError::OutOfRange(RelocKind::Tstbr14, HERE));
            assert_eq!(relocate(RelocKind::Tstbr14, HERE, to, opcode), refused);
        }
    }
}

#[test]
fn data_kinds_at_their_borders() {
    let mut wide = [0u8; 8];
    apply(RelocKind::Abs64, HERE, 0x0123_4567_89ab_cdef, &mut wide).unwrap();
    assert_eq!(u64::from_le_bytes(wide), 0x0123_4567_89ab_cdef);
    apply(RelocKind::Prel64, HERE, HERE - 8, &mut wide).unwrap();
    assert_eq!(u64::from_le_bytes(wide).cast_signed(), -8);

    // AAELF64: -2^31 <= X < 2^32.
    for (value, word) in [
        (0, Some(0)),
        (0xffff_ffff, Some(0xffff_ffff)),
        (0x1_0000_0000, None),
        (-0x8000_0000i64, Some(0x8000_0000)),
        (-0x8000_0001, None),
    ] {
        let absolute = relocate(RelocKind::Abs32, HERE, value.cast_unsigned(), 0x5555_5555);
        assert_eq!(absolute.ok(), word);
        let relative = relocate(RelocKind::Prel32, HERE, HERE.wrapping_add_signed(value), 0xaaaa_aaaa);
        assert_eq!(relative.ok(), word);
    }
}

#[test]
fn instructions_stand_at_multiples_of_four() {
    for kind in RelocKind::ALL.into_iter().filter(|kind| kind.is_instruction()) {
        for off in 1..4 {
            let refused = Err(RelocError::MisalignedPlace(kind, HERE + off));
            assert_eq!(relocate(kind, HERE + off, HERE, 0), refused);
        }
        assert_eq!(relocate(kind, HERE, HERE, insn::NOP), Err(RelocError::WrongInstruction(kind, HERE)));
    }
}

#[test]
fn numbers_and_kinds_are_one_to_one() {
    let known = (0..2048).filter_map(RelocKind::from_elf).collect::<Vec<_>>();
    assert_eq!(known.len(), RelocKind::ALL.len());
    for kind in RelocKind::ALL {
        assert_eq!(RelocKind::from_elf(kind.elf()), Some(kind));
    }
}
