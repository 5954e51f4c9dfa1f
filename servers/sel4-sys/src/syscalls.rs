//! System calls.
use crate::svc::{Registers, svc};
use crate::{seL4_CPtr, seL4_IPCBuffer, seL4_MessageInfo, seL4_Uint8, seL4_Word};
use core::ptr::null_mut;
use microkernel_abi::syscall;

/// What a receive gives: tag and badge.
type Received = (seL4_MessageInfo, seL4_Word);

#[inline(always)]
fn send(
    number: i64,
    dest: seL4_CPtr,
    info: seL4_MessageInfo,
    mrs: [seL4_Word; 4],
    buffer: *mut seL4_IPCBuffer,
) {
    svc(number, Registers { x0: dest, x1: info.into_word(), mrs }, buffer);
}

#[inline(always)]
fn exchange(
    number: i64,
    cptr: seL4_CPtr,
    info: seL4_MessageInfo,
    mrs: [seL4_Word; 4],
    buffer: *mut seL4_IPCBuffer,
) -> (Received, [seL4_Word; 4]) {
    let out = svc(number, Registers { x0: cptr, x1: info.into_word(), mrs }, buffer);
    ((seL4_MessageInfo::from_word(out.x1), out.x0), out.mrs)
}

impl seL4_IPCBuffer {
    #[inline(always)]
    fn mrs(&self) -> [seL4_Word; 4] {
        [self.msg[0], self.msg[1], self.msg[2], self.msg[3]]
    }

    #[inline(always)]
    fn set_mrs(&mut self, mrs: [seL4_Word; 4]) {
        self.msg[..4].copy_from_slice(&mrs);
    }

    #[inline(always)]
    fn exchange(&mut self, number: i64, cptr: seL4_CPtr, info: seL4_MessageInfo) -> Received {
        let (received, mrs) = exchange(number, cptr, info, self.mrs(), self);
        self.set_mrs(mrs);
        received
    }

    /// Sends, blocking until somebody receives.
    pub fn seL4_Send(&mut self, dest: seL4_CPtr, msg_info: seL4_MessageInfo) {
        send(syscall::SEND, dest, msg_info, self.mrs(), self);
    }

    /// Sends if somebody waits.
    pub fn seL4_NBSend(&mut self, dest: seL4_CPtr, msg_info: seL4_MessageInfo) {
        send(syscall::NB_SEND, dest, msg_info, self.mrs(), self);
    }

    /// Replies to the last caller.
    pub fn seL4_Reply(&mut self, msg_info: seL4_MessageInfo) {
        send(syscall::REPLY, 0, msg_info, self.mrs(), self);
    }

    /// Signals a notification.
    pub fn seL4_Signal(&mut self, dest: seL4_CPtr) {
        seL4_Signal(dest);
    }

    /// Receives; the second argument stands for MCS's reply object.
    pub fn seL4_Recv(&mut self, src: seL4_CPtr, _reply_authority: ()) -> Received {
        self.exchange(syscall::RECV, src, seL4_MessageInfo::default())
    }

    /// Receives if something is there; the badge is 0 otherwise.
    pub fn seL4_NBRecv(&mut self, src: seL4_CPtr, _reply_authority: ()) -> Received {
        self.exchange(syscall::NB_RECV, src, seL4_MessageInfo::default())
    }

    /// Sends and waits for the reply.
    pub fn seL4_Call(&mut self, dest: seL4_CPtr, msg_info: seL4_MessageInfo) -> seL4_MessageInfo {
        self.exchange(syscall::CALL, dest, msg_info).0
    }

    /// Replies to the last caller, then receives.
    pub fn seL4_ReplyRecv(
        &mut self,
        src: seL4_CPtr,
        msg_info: seL4_MessageInfo,
        _reply_authority: (),
    ) -> Received {
        self.exchange(syscall::REPLY_RECV, src, msg_info)
    }

    /// Waits for a notification.
    pub fn seL4_Wait(&mut self, src: seL4_CPtr) -> ((), seL4_Word) {
        ((), self.seL4_Recv(src, ()).1)
    }

    /// Takes a notification's word if it is not zero.
    pub fn seL4_Poll(&mut self, src: seL4_CPtr) -> Received {
        self.seL4_NBRecv(src, ())
    }

    /// Debug: gives a thread a name, printed by the kernel.
    pub fn seL4_DebugNameThread(&mut self, tcb: seL4_CPtr, name: &[u8]) {
        let words = self.msg.iter_mut();
        for (i, word) in words.enumerate() {
            let mut bytes = [0; 8];
            let from = (i * 8).min(name.len());
            let to = (i * 8 + 8).min(name.len());
            bytes[..to - from].copy_from_slice(&name[from..to]);
            *word = seL4_Word::from_le_bytes(bytes);
        }
        self.msg[119] = 0;
        send(syscall::DEBUG_NAME_THREAD, tcb, seL4_MessageInfo::default(), self.mrs(), self);
    }
}

/// Signals a notification.
pub fn seL4_Signal(dest: seL4_CPtr) {
    send(syscall::SEND, dest, seL4_MessageInfo::default(), [0; 4], null_mut());
}

/// Gives up the rest of the time slice.
pub fn seL4_Yield() {
    send(syscall::YIELD, 0, seL4_MessageInfo::default(), [0; 4], null_mut());
}

/// Sends up to four words without an IPC buffer.
pub fn seL4_SendWithMRsWithoutIPCBuffer(dest: seL4_CPtr, msg_info: seL4_MessageInfo, mrs: [seL4_Word; 4]) {
    send(syscall::SEND, dest, msg_info, mrs, null_mut());
}

/// Calls with up to four words without an IPC buffer.
pub fn seL4_CallWithMRsWithoutIPCBuffer(
    dest: seL4_CPtr,
    msg_info: seL4_MessageInfo,
    mrs: [seL4_Word; 4],
) -> (seL4_MessageInfo, [seL4_Word; 4]) {
    let ((info, _), mrs) = exchange(syscall::CALL, dest, msg_info, mrs, null_mut());
    (info, mrs)
}

/// Receives up to four words without an IPC buffer.
pub fn seL4_RecvWithMRsWithoutIPCBuffer(src: seL4_CPtr) -> (seL4_MessageInfo, seL4_Word, [seL4_Word; 4]) {
    let ((info, badge), mrs) = exchange(syscall::RECV, src, seL4_MessageInfo::default(), [0; 4], null_mut());
    (info, badge, mrs)
}

/// Replies with up to four words without an IPC buffer.
pub fn seL4_ReplyWithMRsWithoutIPCBuffer(msg_info: seL4_MessageInfo, mrs: [seL4_Word; 4]) {
    send(syscall::REPLY, 0, msg_info, mrs, null_mut());
}

/// Debug: writes a character to the kernel's console.
pub fn seL4_DebugPutChar(c: seL4_Uint8) {
    send(syscall::DEBUG_PUT_CHAR, c.into(), seL4_MessageInfo::default(), [0; 4], null_mut());
}

/// Debug: stops the machine.
pub fn seL4_DebugHalt() {
    send(syscall::DEBUG_HALT, 0, seL4_MessageInfo::default(), [0; 4], null_mut());
}

/// Debug: prints the threads.
pub fn seL4_DebugDumpScheduler() {
    send(syscall::DEBUG_DUMP_SCHEDULER, 0, seL4_MessageInfo::default(), [0; 4], null_mut());
}

/// Debug: prints the capability space.
pub fn seL4_DebugSnapshot() {
    send(syscall::DEBUG_SNAPSHOT, 0, seL4_MessageInfo::default(), [0; 4], null_mut());
}

/// Debug: the kind of the capability at an address of the caller's space; 0 for none.
pub fn seL4_DebugCapIdentify(cap: seL4_CPtr) -> seL4_Word {
    svc(syscall::DEBUG_CAP_IDENTIFY, Registers { x0: cap, x1: 0, mrs: [0; 4] }, null_mut()).x0
}

/// Debug, with several cores: the core that a thread belongs to.
pub fn seL4_DebugGetThreadAffinity(tcb: seL4_CPtr) -> seL4_Word {
    svc(syscall::DEBUG_GET_THREAD_AFFINITY, Registers { x0: tcb, x1: 0, mrs: [0; 4] }, null_mut()).x0
}
