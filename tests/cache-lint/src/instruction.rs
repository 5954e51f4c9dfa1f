//! The few A64 instructions that the rule is about (Arm ARM C6 and C5.3).

/// What an instruction means for caches and for the order of fetches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Writes a data line back at least to the point of unification: DC CVAU, CVAC, CVAP, CIVAC.
    CleanLine,
    /// Zeroes a block: a store that QEMU does not report as one.
    ZeroBlock,
    /// IC IVAU.
    InvalidateLine,
    /// IC IALLU: this core only.
    InvalidateHere,
    /// IC IALLUIS: every core of the domain.
    InvalidateEverywhere,
    /// A DSB that waits for maintenance by the whole inner-shareable domain.
    Barrier,
    /// ISB, exception return, or an instruction that takes an exception.
    Synchronise,
    /// A write of TTBR0_EL1.
    LowerRoot,
    /// A write of TTBR1_EL1.
    UpperRoot,
}

/// The numbers of [`Kind`], as they travel through QEMU.
const KINDS: [Kind; 9] = [
    Kind::CleanLine,
    Kind::ZeroBlock,
    Kind::InvalidateLine,
    Kind::InvalidateHere,
    Kind::InvalidateEverywhere,
    Kind::Barrier,
    Kind::Synchronise,
    Kind::LowerRoot,
    Kind::UpperRoot,
];

/// An instruction that matters, with the register that it reads (31: none).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Instruction {
    pub(crate) kind: Kind,
    pub(crate) register: u8,
}

impl Instruction {
    /// As one small number.
    pub(crate) fn packed(self) -> usize {
        let kind = KINDS.iter().position(|kind| *kind == self.kind).unwrap_or_default();
        kind << 8 | usize::from(self.register)
    }

    /// From [`Self::packed`].
    pub(crate) fn unpacked(number: usize) -> Option<Self> {
        let kind = *KINDS.get(number >> 8)?;
        Some(Self { kind, register: u8::try_from(number & 0xff).ok()? })
    }
}

/// `SYS #op1, Cn, Cm, #op2, Xt` without its register.
const fn sys(op1: u32, cn: u32, cm: u32, op2: u32) -> u32 {
    0xd508_0000 | op1 << 16 | cn << 12 | cm << 8 | op2 << 5
}

const DC_CVAC: u32 = sys(3, 7, 10, 1);
const DC_CVAU: u32 = sys(3, 7, 11, 1);
const DC_CVAP: u32 = sys(3, 7, 12, 1);
const DC_CIVAC: u32 = sys(3, 7, 14, 1);
const DC_ZVA: u32 = sys(3, 7, 4, 1);
const IC_IVAU: u32 = sys(3, 7, 5, 1);
const IC_IALLU: u32 = sys(0, 7, 5, 0);
const IC_IALLUIS: u32 = sys(0, 7, 1, 0);
const MSR_TTBR0_EL1: u32 = 0xd518_2000;
const MSR_TTBR1_EL1: u32 = 0xd518_2020;
const NOP: u32 = 0xd503_201f;

/// `instruction` is a DSB that completes cache maintenance: it waits for all accesses (not only loads or stores), and
/// for more than this core's own shareability domain.
const fn is_full_barrier(bits: u32) -> bool {
    let option = bits >> 8 & 0xf;
    bits & 0xffff_f0ff == 0xd503_309f && option & 3 == 3 && option >> 2 != 1
}

const fn is_isb(bits: u32) -> bool {
    bits & 0xffff_f0ff == 0xd503_30df
}

/// SVC, HVC, SMC or BRK.
const fn is_exception(bits: u32) -> bool {
    matches!(bits & 0xffe0_001f, 0xd400_0001..=0xd400_0003 | 0xd420_0000)
}

const fn is_exception_return(bits: u32) -> bool {
    matches!(bits, 0xd69f_03e0 | 0xd69f_0bff | 0xd69f_0fff)
}

/// What an instruction means, if it matters.
pub(crate) fn decode(bits: u32) -> Option<Instruction> {
    let register = (bits & 0x1f) as u8;
    let kind = match bits & !0x1f {
        DC_CVAC | DC_CVAU | DC_CVAP | DC_CIVAC => Kind::CleanLine,
        DC_ZVA => Kind::ZeroBlock,
        IC_IVAU => Kind::InvalidateLine,
        IC_IALLU => Kind::InvalidateHere,
        IC_IALLUIS => Kind::InvalidateEverywhere,
        MSR_TTBR0_EL1 => Kind::LowerRoot,
        MSR_TTBR1_EL1 => Kind::UpperRoot,
        _ if is_full_barrier(bits) => Kind::Barrier,
        _ if is_isb(bits) || is_exception_return(bits) || is_exception(bits) => Kind::Synchronise,
        _ => return None,
    };
    Some(Instruction { kind, register })
}

/// May this instruction be replaced, or replace another such one, while cores execute it (Arm ARM B2.2.5: B, BL, BRK,
/// HVC, ISB, NOP, SMC, SVC)?
pub(crate) const fn is_patchable(bits: u32) -> bool {
    bits & 0x7c00_0000 == 0x1400_0000 || is_exception(bits) || is_isb(bits) || bits == NOP
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodings as an assembler prints them.
    #[test]
    fn encodings() {
        let kind = |bits| decode(bits).map(|instruction| instruction.kind);
        assert_eq!(
            decode(0xd50b_7b29),
            Some(Instruction { kind: Kind::CleanLine, register: 9 }),
            "dc cvau, x9"
        );
        assert_eq!(kind(0xd50b_7a20), Some(Kind::CleanLine), "dc cvac, x0");
        assert_eq!(kind(0xd50b_7e20), Some(Kind::CleanLine), "dc civac, x0");
        assert_eq!(kind(0xd508_7620), None, "dc ivac, x0");
        assert_eq!(kind(0xd50b_7423), Some(Kind::ZeroBlock), "dc zva, x3");
        assert_eq!(kind(0xd50b_7520), Some(Kind::InvalidateLine), "ic ivau, x0");
        assert_eq!(kind(0xd508_751f), Some(Kind::InvalidateHere), "ic iallu");
        assert_eq!(kind(0xd508_711f), Some(Kind::InvalidateEverywhere), "ic ialluis");
        assert_eq!(kind(0xd503_3b9f), Some(Kind::Barrier), "dsb ish");
        assert_eq!(kind(0xd503_3f9f), Some(Kind::Barrier), "dsb sy");
        assert_eq!(kind(0xd503_3a9f), None, "dsb ishst");
        assert_eq!(kind(0xd503_379f), None, "dsb nsh");
        assert_eq!(kind(0xd503_3bbf), None, "dmb ish");
        assert_eq!(kind(0xd503_3fdf), Some(Kind::Synchronise), "isb");
        assert_eq!(kind(0xd69f_03e0), Some(Kind::Synchronise), "eret");
        assert_eq!(kind(0xd400_0001), Some(Kind::Synchronise), "svc #0");
        assert_eq!(kind(0xd518_2000), Some(Kind::LowerRoot), "msr ttbr0_el1, x0");
        assert_eq!(kind(0xd518_2025), Some(Kind::UpperRoot), "msr ttbr1_el1, x5");
        assert_eq!(kind(0xf900_0020), None, "str x0, [x1]");
    }

    #[test]
    fn what_may_be_patched() {
        for bits in [0x1400_0000, 0x97ff_ffff, 0xd420_0020, NOP, 0xd400_0001, 0xd400_0002, 0xd503_3fdf] {
            assert!(is_patchable(bits), "{bits:#x}");
        }
        for bits in [0xd65f_03c0, 0xd280_0540, 0, 0x5400_0000, 0x3400_0000] {
            assert!(!is_patchable(bits), "{bits:#x}");
        }
    }

    #[test]
    fn a_number_carries_an_instruction() {
        for kind in KINDS {
            let instruction = Instruction { kind, register: 30 };
            assert_eq!(Instruction::unpacked(instruction.packed()), Some(instruction));
        }
        assert_eq!(Instruction::unpacked(KINDS.len() << 8), None);
    }
}
