//! Fault messages, decoded.
use crate::{seL4_IPCBuffer, seL4_MessageInfo, seL4_Word};
use microkernel_abi::fault;

/// No fault.
pub const seL4_Fault_NullFault: seL4_Word = 0;
/// A capability address did not resolve.
pub const seL4_Fault_CapFault: seL4_Word = fault::CAP_FAULT;
/// An unknown system call.
pub const seL4_Fault_UnknownSyscall: seL4_Word = fault::UNKNOWN_SYSCALL;
/// An undefined instruction or the like.
pub const seL4_Fault_UserException: seL4_Word = fault::USER_EXCEPTION;
/// A memory access or fetch failed.
pub const seL4_Fault_VMFault: seL4_Word = fault::VM_FAULT;

/// A capability address did not resolve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the ABI's own field names")]
pub struct seL4_CapFault {
    pub ip: seL4_Word,
    pub addr: seL4_Word,
    pub in_recv_phase: seL4_Word,
    pub lookup_failure_type: seL4_Word,
    pub bits_left: seL4_Word,
    pub word5: seL4_Word,
    pub word6: seL4_Word,
}

/// An unknown system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the ABI's own field names")]
pub struct seL4_UnknownSyscall {
    pub x: [seL4_Word; 8],
    pub fault_ip: seL4_Word,
    pub sp: seL4_Word,
    pub lr: seL4_Word,
    pub spsr: seL4_Word,
    pub syscall: seL4_Word,
}

/// An undefined instruction or the like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the ABI's own field names")]
pub struct seL4_UserException {
    pub fault_ip: seL4_Word,
    pub sp: seL4_Word,
    pub spsr: seL4_Word,
    pub number: seL4_Word,
    pub code: seL4_Word,
}

/// A memory access or fetch failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "the ABI's own field names")]
pub struct seL4_VMFault {
    pub ip: seL4_Word,
    pub addr: seL4_Word,
    pub prefetch_fault: seL4_Word,
    /// ESR_EL1 of the fault.
    pub fsr: seL4_Word,
}

/// A fault message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "each holds the fault of its name")]
pub enum seL4_Fault {
    NullFault,
    CapFault(seL4_CapFault),
    UnknownSyscall(seL4_UnknownSyscall),
    UserException(seL4_UserException),
    VMFault(seL4_VMFault),
}

impl seL4_Fault {
    /// Decodes a fault message that was received into `buffer`; `None` for a label that is no fault's.
    pub fn get_from_ipc_buffer(info: seL4_MessageInfo, buffer: &seL4_IPCBuffer) -> Option<Self> {
        let m = &buffer.msg;
        Some(match info.get_label() {
            seL4_Fault_NullFault => Self::NullFault,
            seL4_Fault_CapFault => Self::CapFault(seL4_CapFault {
                ip: m[0],
                addr: m[1],
                in_recv_phase: m[2],
                lookup_failure_type: m[3],
                bits_left: m[4],
                word5: m[5],
                word6: m[6],
            }),
            seL4_Fault_UnknownSyscall => Self::UnknownSyscall(seL4_UnknownSyscall {
                x: [m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]],
                fault_ip: m[8],
                sp: m[9],
                lr: m[10],
                spsr: m[11],
                syscall: m[12],
            }),
            seL4_Fault_UserException => Self::UserException(seL4_UserException {
                fault_ip: m[0],
                sp: m[1],
                spsr: m[2],
                number: m[3],
                code: m[4],
            }),
            seL4_Fault_VMFault => {
                Self::VMFault(seL4_VMFault { ip: m[0], addr: m[1], prefetch_fault: m[2], fsr: m[3] })
            }
            _ => return None,
        })
    }
}
