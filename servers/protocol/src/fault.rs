//! Faults of link-domain threads: what kind, and where.

use core::fmt;

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// What kind of fault a thread met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum FaultClass {
    /// The bus answered an access with an error.
    Bus,
    /// An access to an address where nothing is mapped.
    NotMapped,
    /// A load or store that the mapping does not allow.
    Permission,
    /// A fetch from where nothing may be executed: no text, or an address that is none of an instruction.
    Fetch,
    /// An access that has to be aligned and is not.
    Alignment,
    /// An instruction that is none, or not for this level. A module that panics executes one.
    Instruction,
    /// A breakpoint.
    Breakpoint,
    /// A call into the kernel that it does not have.
    Syscall,
    /// A capability that is not there.
    Capability,
    /// The call took longer than its budget; nothing faulted.
    Overrun,
    /// Anything else.
    Other,
}

/// The exception class of a syndrome (Arm ARM, ESR_EL1.EC).
const fn exception_class(syndrome: u64) -> u64 {
    syndrome >> 26 & 0x3f
}

impl FaultClass {
    /// The class of a memory fault, by its syndrome (Arm ARM, ISS of data and instruction aborts, DFSC).
    #[must_use]
    pub const fn of_memory(syndrome: u64) -> Self {
        const FETCH_ABORTS: [u64; 2] = [0x20, 0x21];
        let class = exception_class(syndrome);
        if class == FETCH_ABORTS[0] || class == FETCH_ABORTS[1] {
            return Self::Fetch;
        }
        match syndrome & 0x3f {
            0x00..=0x07 => Self::NotMapped,
            0x0c..=0x0f => Self::Permission,
            0x10 => Self::Bus,
            0x21 => Self::Alignment,
            _ => Self::Other,
        }
    }

    /// The class of an exception, by its syndrome.
    #[must_use]
    pub const fn of_exception(syndrome: u64) -> Self {
        match exception_class(syndrome) {
            // Unknown reason, which undefined instructions are; trapped system registers; illegal state.
            0x00 | 0x0e | 0x18 => Self::Instruction,
            0x22 => Self::Fetch,
            0x26 => Self::Alignment,
            0x30..=0x35 | 0x3c => Self::Breakpoint,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for FaultClass {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Bus => "bus",
            Self::NotMapped => "not-mapped",
            Self::Permission => "permission",
            Self::Fetch => "fetch",
            Self::Alignment => "alignment",
            Self::Instruction => "instruction",
            Self::Breakpoint => "breakpoint",
            Self::Syscall => "syscall",
            Self::Capability => "capability",
            Self::Overrun => "overrun",
            Self::Other => "other",
        })
    }
}

/// The last fault of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct FaultRow {
    /// What kind.
    pub class: FaultClass,
    /// The program counter.
    pub pc: u64,
    /// The address that was accessed, 0 if there is none.
    pub address: u64,
    /// The syndrome, or what the kernel says instead.
    pub status: u64,
}

#[cfg(test)]
mod tests {
    use super::FaultClass as Class;

    #[test]
    fn syndromes_are_told_apart() {
        // As QEMU's `virt` raises them from EL0.
        assert_eq!(Class::of_memory(0x9200_0010), Class::Bus);
        assert_eq!(Class::of_memory(0x9200_0050), Class::Bus);
        assert_eq!(Class::of_memory(0x9200_0047), Class::NotMapped);
        assert_eq!(Class::of_memory(0x9200_004f), Class::Permission);
        assert_eq!(Class::of_memory(0x9200_0021), Class::Alignment);
        assert_eq!(Class::of_memory(0x8200_000f), Class::Fetch);
        assert_eq!(Class::of_exception(0x0200_0000), Class::Instruction);
        assert_eq!(Class::of_exception(0x8a00_0000), Class::Fetch);
        assert_eq!(Class::of_exception(0xf200_0001), Class::Breakpoint);
    }
}
