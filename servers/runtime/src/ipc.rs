//! Typed messages: postcard in the words of a kernel message.
//!
//! A request and its answer are values of a service's `Request` and `Reply`. The label of a typed message is 0.

use sel4_sys::{seL4_CPtr, seL4_MessageInfo};
use serde::Serialize;
use serde::de::DeserializeOwned;
use strata_protocol::caps::slot;
use strata_protocol::message::{MessageError, WORDS_MAX, decode, encode};

use crate::Ipc;

/// Depth at which every CPtr of a process resolves.
pub const DEPTH: u8 = 64;

/// What a receive gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Who sent it, or which signals came.
    pub badge: u64,
    /// The tag; stale when `badge` is that of a signal.
    pub tag: seL4_MessageInfo,
}

/// Sends a request and waits for the answer.
pub fn call<Q: Serialize, A: DeserializeOwned>(
    ipc: &mut Ipc,
    service: seL4_CPtr,
    request: &Q,
) -> Result<A, MessageError> {
    let tag = put(ipc, request, 0)?;
    let answer = ipc.seL4_Call(service, tag);
    get(ipc, answer)
}

/// Sends a request whose answer may carry a capability; `at` is an empty slot of this process for it.
///
/// The answer says whether one came.
pub fn call_for_capability<Q: Serialize, A: DeserializeOwned>(
    ipc: &mut Ipc,
    service: seL4_CPtr,
    request: &Q,
    at: seL4_CPtr,
) -> Result<(A, bool), MessageError> {
    let tag = put(ipc, request, 0)?;
    ipc.set_recv_slot(slot::CNODE, at, DEPTH.into());
    let answer = ipc.seL4_Call(service, tag);
    let came = answer.get_extraCaps() == 1 && answer.get_capsUnwrapped() == 0;
    Ok((get(ipc, answer)?, came))
}

/// Sends a request with capabilities of the service's own endpoint, which it sees as their badges.
///
/// The client's capability must have the right to grant; more than a message carries are left out.
pub fn call_presenting<Q: Serialize, A: DeserializeOwned>(
    ipc: &mut Ipc,
    service: seL4_CPtr,
    request: &Q,
    presented: &[seL4_CPtr],
) -> Result<A, MessageError> {
    let presented = &presented[..presented.len().min(ipc.caps_or_badges.len())];
    let tag = put(ipc, request, presented.len() as u64)?;
    for (index, cap) in presented.iter().enumerate() {
        ipc.set_cap(index, *cap);
    }
    let answer = ipc.seL4_Call(service, tag);
    get(ipc, answer)
}

/// Waits for a request or a signal.
pub fn receive(ipc: &mut Ipc, service: seL4_CPtr) -> Received {
    let (tag, badge) = ipc.seL4_Recv(service, ());
    Received { badge, tag }
}

/// Answers the last caller and waits for the next request or signal.
pub fn reply_receive(ipc: &mut Ipc, service: seL4_CPtr, answer: seL4_MessageInfo) -> Received {
    let (tag, badge) = ipc.seL4_ReplyRecv(service, answer, ());
    Received { badge, tag }
}

/// Reads the value that has just arrived with this tag.
pub fn get<T: DeserializeOwned>(ipc: &Ipc, tag: seL4_MessageInfo) -> Result<T, MessageError> {
    let length = usize::try_from(tag.get_length()).unwrap_or(WORDS_MAX).min(WORDS_MAX);
    // Nobody but this thread and the kernel, in its own system call, writes to the buffer.
    decode(&ipc.msg[..length])
}

/// Writes a value, with as many capabilities as the caller has put into the buffer, and gives its tag.
pub fn put<T: Serialize>(
    ipc: &mut Ipc,
    value: &T,
    capabilities: u64,
) -> Result<seL4_MessageInfo, MessageError> {
    let length = encode(value, &mut ipc.msg)?;
    Ok(seL4_MessageInfo::new(0, 0, capabilities, length as u64))
}
