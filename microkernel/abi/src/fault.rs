//! Fault messages: labels, lengths and positions.

/// A capability address did not resolve.
pub const CAP_FAULT: u64 = 1;
/// x7 holds no known system call.
pub const UNKNOWN_SYSCALL: u64 = 2;
/// An undefined instruction or the like.
pub const USER_EXCEPTION: u64 = 3;
/// A memory access or fetch failed.
pub const VM_FAULT: u64 = 5;

/// Words of an unknown-system-call fault: x0–x7, fault IP, SP, LR, SPSR, number.
pub const UNKNOWN_SYSCALL_LENGTH: usize = 13;
/// Words of a user exception: IP, SP, SPSR, number, code.
pub const USER_EXCEPTION_LENGTH: usize = 5;
/// Words of a VM fault: IP, address, prefetch, FSR.
pub const VM_FAULT_LENGTH: usize = 4;
/// Words of an unknown-system-call reply that are written back.
pub const UNKNOWN_SYSCALL_REPLY_LENGTH: usize = 12;
/// Words of a user-exception reply that are written back.
pub const USER_EXCEPTION_REPLY_LENGTH: usize = 3;
