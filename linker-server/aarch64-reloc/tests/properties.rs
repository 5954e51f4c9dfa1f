//! Goal: a relocation changes its field and nothing else, and a refused one changes nothing.
//!
//! Method: any kind on any bytes at any place (oracle O1 and O2 of the reliability rules), against the field masks of
//! the Arm ARM as written down here.

use aarch64_reloc::{RelocError, RelocKind, apply};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;

/// Which bits may change, independent of `RelocKind::field_mask`.
fn changeable(kind: RelocKind) -> u64 {
    let bits = |high: u32, low: u32| ((1u64 << (high - low + 1)) - 1) << low;
    match kind {
        RelocKind::Abs64 | RelocKind::Prel64 => u64::MAX,
        RelocKind::Abs32 | RelocKind::Prel32 => bits(31, 0),
        RelocKind::AdrPrelLo21 | RelocKind::AdrPrelPgHi21 | RelocKind::AdrPrelPgHi21Nc => {
            bits(30, 29) | bits(23, 5)
        }
        RelocKind::Tstbr14 => bits(18, 5),
        RelocKind::Condbr19 => bits(23, 5),
        RelocKind::Jump26 | RelocKind::Call26 => bits(25, 0),
        _ => bits(21, 10),
    }
}

/// A word that the kind may stand on, mostly.
fn word(kind: RelocKind) -> impl Strategy<Value = u64> {
    let opcode = match kind {
        RelocKind::AdrPrelLo21 => 0x1000_0000,
        RelocKind::AdrPrelPgHi21 | RelocKind::AdrPrelPgHi21Nc => 0x9000_0000,
        RelocKind::AddAbsLo12Nc => 0x9100_0000,
        RelocKind::Ldst8AbsLo12Nc => 0x3940_0000,
        RelocKind::Ldst16AbsLo12Nc => 0x7940_0000,
        RelocKind::Ldst32AbsLo12Nc => 0xb940_0000,
        RelocKind::Ldst64AbsLo12Nc => 0xf940_0000,
        RelocKind::Ldst128AbsLo12Nc => 0x3dc0_0000,
        RelocKind::Tstbr14 => 0x3600_0000,
        RelocKind::Condbr19 => 0x3400_0000,
        RelocKind::Jump26 => 0x1400_0000,
        RelocKind::Call26 => 0x9400_0000,
        _ => 0,
    };
    (any::<u64>(), any::<bool>()).prop_map(
        move |(noise, sound)| {
            if sound { (noise & changeable(kind)) | opcode } else { noise }
        },
    )
}

fn case() -> impl Strategy<Value = (RelocKind, u64, u64, u64, usize)> {
    select(&RelocKind::ALL[..]).prop_flat_map(|kind| {
        let place = any::<u64>().prop_map(|place| place & !3);
        let near = (-(1i64 << 28)..(1 << 28)).prop_map(|offset| offset & !3);
        (place, near, word(kind), 0usize..12).prop_map(move |(place, near, old, size)| {
            (kind, place, place.wrapping_add_signed(near), old, size)
        })
    })
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(100_000))]

    #[test]
    fn only_the_field_changes((kind, place, value, old, size) in case()) {
        let mut bytes = [0x5a; 12];
        bytes[..8].copy_from_slice(&old.to_le_bytes());
        let before = bytes;
        let result = apply(kind, place, value, &mut bytes[..size]);
        let changed = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte] ^ before[at + byte]));
        match result {
            Ok(()) => {
                prop_assert_eq!(changed(0) & !changeable(kind), 0);
                prop_assert_eq!(&bytes[8..], &before[8..]);
            }
            Err(error) => {
                prop_assert_eq!(bytes, before);
                let short = u64::try_from(size).is_ok_and(|size| size < kind.width());
                prop_assert_eq!(short, matches!(error, RelocError::Truncated(..)));
            }
        }
    }

    #[test]
    fn a_branch_word_survives_decoding(word in any::<u32>()) {
        if let Some(branch) = aarch64_reloc::Branch::decode(word) {
            prop_assert_eq!(branch.encode(), word);
            prop_assert!(aarch64_reloc::insn::is_patchable(word));
        }
    }
}
