//! Object methods: each fills the IPC buffer, calls, and returns the error of the reply.
//!
//! Parameters are in the ABI's order; capabilities go to the extra-capability words, bytes share no
//! word except where the ABI packs flags (register invocations). `memory` has the methods of frames, tables and address
//! spaces.
mod memory;

pub use memory::seL4_ARM_Page_GetAddress_ret;

use crate::{
    seL4_Bool, seL4_CNode, seL4_CPtr, seL4_CapRights, seL4_DomainSet, seL4_Error, seL4_IPCBuffer,
    seL4_IRQControl, seL4_IRQHandler, seL4_MessageInfo, seL4_TCB, seL4_Uint8, seL4_Untyped, seL4_UserContext,
    seL4_Word,
};
use microkernel_abi::{label, registers::USER_CONTEXT_WORDS};

/// What `seL4_TCB_SetFlags` returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct seL4_TCB_SetFlags_ret {
    /// The error.
    pub error: seL4_Error::Type,
    /// The flags afterwards.
    pub flags: seL4_Word,
}

impl seL4_IPCBuffer {
    /// Calls `service` with these words and capabilities.
    fn invoke(
        &mut self,
        service: seL4_CPtr,
        label: u64,
        words: &[seL4_Word],
        caps: &[seL4_CPtr],
    ) -> seL4_Error::Type {
        self.msg[..words.len()].copy_from_slice(words);
        self.invoke_prepared(service, label, words.len(), caps)
    }

    fn invoke_prepared(
        &mut self,
        service: seL4_CPtr,
        label: u64,
        words: usize,
        caps: &[seL4_CPtr],
    ) -> seL4_Error::Type {
        self.caps_or_badges[..caps.len()].copy_from_slice(caps);
        let info = self.seL4_Call(service, seL4_MessageInfo::new(label, 0, caps.len() as u64, words as u64));
        seL4_Error::Type::try_from(info.get_label()).unwrap_or(seL4_Error::Type::MAX)
    }

    /// Makes objects out of untyped memory.
    #[allow(clippy::too_many_arguments, reason = "the ABI's")]
    pub fn seL4_Untyped_Retype(
        &mut self,
        service: seL4_Untyped,
        type_: seL4_Word,
        size_bits: seL4_Word,
        root: seL4_CNode,
        node_index: seL4_Word,
        node_depth: seL4_Word,
        node_offset: seL4_Word,
        num_objects: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(
            service,
            label::UNTYPED_RETYPE,
            &[type_, size_bits, node_index, node_depth, node_offset, num_objects],
            &[root],
        )
    }

    /// Sets the priority, at most the authority's MCP.
    pub fn seL4_TCB_SetPriority(
        &mut self,
        service: seL4_TCB,
        authority: seL4_TCB,
        priority: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, label::TCB_SET_PRIORITY, &[priority], &[authority])
    }

    /// Sets the maximum controlled priority.
    pub fn seL4_TCB_SetMCPriority(
        &mut self,
        service: seL4_TCB,
        authority: seL4_TCB,
        mcp: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, label::TCB_SET_MC_PRIORITY, &[mcp], &[authority])
    }

    /// Sets maximum controlled priority and priority.
    pub fn seL4_TCB_SetSchedParams(
        &mut self,
        service: seL4_TCB,
        authority: seL4_TCB,
        mcp: seL4_Word,
        priority: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, label::TCB_SET_SCHED_PARAMS, &[mcp, priority], &[authority])
    }

    /// Sets fault endpoint, spaces and IPC buffer.
    #[allow(clippy::too_many_arguments, reason = "the ABI's")]
    pub fn seL4_TCB_Configure(
        &mut self,
        service: seL4_TCB,
        fault_ep: seL4_Word,
        cspace_root: seL4_CNode,
        cspace_root_data: seL4_Word,
        vspace_root: seL4_CPtr,
        vspace_root_data: seL4_Word,
        buffer: seL4_Word,
        bufferFrame: seL4_CPtr,
    ) -> seL4_Error::Type {
        self.invoke(
            service,
            label::TCB_CONFIGURE,
            &[fault_ep, cspace_root_data, vspace_root_data, buffer],
            &[cspace_root, vspace_root, bufferFrame],
        )
    }

    /// Sets the IPC buffer.
    pub fn seL4_TCB_SetIPCBuffer(
        &mut self,
        service: seL4_TCB,
        buffer: seL4_Word,
        bufferFrame: seL4_CPtr,
    ) -> seL4_Error::Type {
        self.invoke(service, label::TCB_SET_IPC_BUFFER, &[buffer], &[bufferFrame])
    }

    /// Sets fault endpoint and spaces.
    pub fn seL4_TCB_SetSpace(
        &mut self,
        service: seL4_TCB,
        fault_ep: seL4_Word,
        cspace_root: seL4_CNode,
        cspace_root_data: seL4_Word,
        vspace_root: seL4_CPtr,
        vspace_root_data: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(
            service,
            label::TCB_SET_SPACE,
            &[fault_ep, cspace_root_data, vspace_root_data],
            &[cspace_root, vspace_root],
        )
    }

    /// Makes a thread inactive.
    pub fn seL4_TCB_Suspend(&mut self, service: seL4_TCB) -> seL4_Error::Type {
        self.invoke(service, label::TCB_SUSPEND, &[], &[])
    }

    /// Makes a thread runnable.
    pub fn seL4_TCB_Resume(&mut self, service: seL4_TCB) -> seL4_Error::Type {
        self.invoke(service, label::TCB_RESUME, &[], &[])
    }

    /// Binds a notification, delivered at any receive.
    pub fn seL4_TCB_BindNotification(
        &mut self,
        service: seL4_TCB,
        notification: seL4_CPtr,
    ) -> seL4_Error::Type {
        self.invoke(service, label::TCB_BIND_NOTIFICATION, &[], &[notification])
    }

    /// Unbinds the notification.
    pub fn seL4_TCB_UnbindNotification(&mut self, service: seL4_TCB) -> seL4_Error::Type {
        self.invoke(service, label::TCB_UNBIND_NOTIFICATION, &[], &[])
    }

    /// Moves a thread to a core. It stops where it runs at once, and has seen everything when it runs again: its
    /// context is synchronised. With one core there is no such method (`seL4_IllegalOperation`).
    pub fn seL4_TCB_SetAffinity(&mut self, service: seL4_TCB, affinity: seL4_Word) -> seL4_Error::Type {
        self.invoke(service, label::TCB_SET_AFFINITY, &[affinity], &[])
    }

    /// Sets tpidr_el0.
    pub fn seL4_TCB_SetTLSBase(&mut self, service: seL4_TCB, tls_base: seL4_Word) -> seL4_Error::Type {
        self.invoke(service, label::TCB_SET_TLS_BASE, &[tls_base], &[])
    }

    /// Deletes everything derived from a capability.
    pub fn seL4_CNode_Revoke(
        &mut self,
        service: seL4_CNode,
        index: seL4_Word,
        depth: seL4_Uint8,
    ) -> seL4_Error::Type {
        self.invoke(service, label::CNODE_REVOKE, &[index, depth.into()], &[])
    }

    /// Deletes a capability.
    pub fn seL4_CNode_Delete(
        &mut self,
        service: seL4_CNode,
        index: seL4_Word,
        depth: seL4_Uint8,
    ) -> seL4_Error::Type {
        self.invoke(service, label::CNODE_DELETE, &[index, depth.into()], &[])
    }

    /// Cancels sends with the capability's badge.
    pub fn seL4_CNode_CancelBadgedSends(
        &mut self,
        service: seL4_CNode,
        index: seL4_Word,
        depth: seL4_Uint8,
    ) -> seL4_Error::Type {
        self.invoke(service, label::CNODE_CANCEL_BADGED_SENDS, &[index, depth.into()], &[])
    }

    /// Copies a capability with these rights at most.
    #[allow(clippy::too_many_arguments, reason = "the ABI's")]
    pub fn seL4_CNode_Copy(
        &mut self,
        service: seL4_CNode,
        dest_index: seL4_Word,
        dest_depth: seL4_Uint8,
        src_root: seL4_CNode,
        src_index: seL4_Word,
        src_depth: seL4_Uint8,
        rights: seL4_CapRights,
    ) -> seL4_Error::Type {
        self.invoke(
            service,
            label::CNODE_COPY,
            &[dest_index, dest_depth.into(), src_index, src_depth.into(), rights.into_word()],
            &[src_root],
        )
    }

    /// Copies a capability with a badge or guard.
    #[allow(clippy::too_many_arguments, reason = "the ABI's")]
    pub fn seL4_CNode_Mint(
        &mut self,
        service: seL4_CNode,
        dest_index: seL4_Word,
        dest_depth: seL4_Uint8,
        src_root: seL4_CNode,
        src_index: seL4_Word,
        src_depth: seL4_Uint8,
        rights: seL4_CapRights,
        badge: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(
            service,
            label::CNODE_MINT,
            &[dest_index, dest_depth.into(), src_index, src_depth.into(), rights.into_word(), badge],
            &[src_root],
        )
    }

    /// Moves a capability.
    pub fn seL4_CNode_Move(
        &mut self,
        service: seL4_CNode,
        dest_index: seL4_Word,
        dest_depth: seL4_Uint8,
        src_root: seL4_CNode,
        src_index: seL4_Word,
        src_depth: seL4_Uint8,
    ) -> seL4_Error::Type {
        self.invoke(
            service,
            label::CNODE_MOVE,
            &[dest_index, dest_depth.into(), src_index, src_depth.into()],
            &[src_root],
        )
    }

    /// Moves a capability and sets its badge or guard.
    #[allow(clippy::too_many_arguments, reason = "the ABI's")]
    pub fn seL4_CNode_Mutate(
        &mut self,
        service: seL4_CNode,
        dest_index: seL4_Word,
        dest_depth: seL4_Uint8,
        src_root: seL4_CNode,
        src_index: seL4_Word,
        src_depth: seL4_Uint8,
        badge: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(
            service,
            label::CNODE_MUTATE,
            &[dest_index, dest_depth.into(), src_index, src_depth.into(), badge],
            &[src_root],
        )
    }

    /// Moves source to pivot and pivot to destination.
    #[allow(clippy::too_many_arguments, reason = "the ABI's")]
    pub fn seL4_CNode_Rotate(
        &mut self,
        service: seL4_CNode,
        dest_index: seL4_Word,
        dest_depth: seL4_Uint8,
        dest_badge: seL4_Word,
        pivot_root: seL4_CNode,
        pivot_index: seL4_Word,
        pivot_depth: seL4_Uint8,
        pivot_badge: seL4_Word,
        src_root: seL4_CNode,
        src_index: seL4_Word,
        src_depth: seL4_Uint8,
    ) -> seL4_Error::Type {
        self.invoke(
            service,
            label::CNODE_ROTATE,
            &[
                dest_index,
                dest_depth.into(),
                dest_badge,
                pivot_index,
                pivot_depth.into(),
                pivot_badge,
                src_index,
                src_depth.into(),
            ],
            &[pivot_root, src_root],
        )
    }

    /// Saves the reply capability.
    pub fn seL4_CNode_SaveCaller(
        &mut self,
        service: seL4_CNode,
        index: seL4_Word,
        depth: seL4_Uint8,
    ) -> seL4_Error::Type {
        self.invoke(service, label::CNODE_SAVE_CALLER, &[index, depth.into()], &[])
    }

    /// Makes an interrupt handler capability.
    pub fn seL4_IRQControl_Get(
        &mut self,
        service: seL4_IRQControl,
        irq: seL4_Word,
        root: seL4_CNode,
        index: seL4_Word,
        depth: seL4_Uint8,
    ) -> seL4_Error::Type {
        self.invoke(service, label::IRQ_ISSUE_IRQ_HANDLER, &[irq, index, depth.into()], &[root])
    }

    /// Makes an interrupt handler capability and sets the trigger (1: edge).
    pub fn seL4_IRQControl_GetTrigger(
        &mut self,
        service: seL4_IRQControl,
        irq: seL4_Word,
        trigger: seL4_Word,
        root: seL4_CNode,
        index: seL4_Word,
        depth: seL4_Uint8,
    ) -> seL4_Error::Type {
        self.invoke(
            service,
            label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER,
            &[irq, trigger, index, depth.into()],
            &[root],
        )
    }

    /// As `seL4_IRQControl_GetTrigger`, for a private interrupt of core `target`, or a shared one that goes there. With
    /// one core there is no such method (`seL4_IllegalOperation`).
    #[expect(clippy::too_many_arguments, reason = "as many as in the ABI")]
    pub fn seL4_IRQControl_GetTriggerCore(
        &mut self,
        service: seL4_IRQControl,
        irq: seL4_Word,
        trigger: seL4_Word,
        root: seL4_CNode,
        index: seL4_Word,
        depth: seL4_Uint8,
        target: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(
            service,
            label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER_CORE,
            &[irq, trigger, index, depth.into(), target],
            &[root],
        )
    }

    /// Makes a capability that raises a software interrupt.
    pub fn seL4_IRQControl_IssueSGISignal(
        &mut self,
        service: seL4_IRQControl,
        irq: seL4_Word,
        target: seL4_Word,
        root: seL4_CNode,
        index: seL4_Word,
        depth: seL4_Uint8,
    ) -> seL4_Error::Type {
        self.invoke(service, label::IRQ_ISSUE_SGI_SIGNAL, &[irq, target, index, depth.into()], &[root])
    }

    /// Unmasks the interrupt.
    pub fn seL4_IRQHandler_Ack(&mut self, service: seL4_IRQHandler) -> seL4_Error::Type {
        self.invoke(service, label::IRQ_ACK_IRQ, &[], &[])
    }

    /// Sets what the interrupt signals.
    pub fn seL4_IRQHandler_SetNotification(
        &mut self,
        service: seL4_IRQHandler,
        notification: seL4_CPtr,
    ) -> seL4_Error::Type {
        self.invoke(service, label::IRQ_SET_IRQ_HANDLER, &[], &[notification])
    }

    /// Takes the notification away.
    pub fn seL4_IRQHandler_Clear(&mut self, service: seL4_IRQHandler) -> seL4_Error::Type {
        self.invoke(service, label::IRQ_CLEAR_IRQ_HANDLER, &[], &[])
    }

    /// Sets a thread's scheduling domain.
    pub fn seL4_DomainSet_Set(
        &mut self,
        service: seL4_DomainSet,
        domain: seL4_Uint8,
        thread: seL4_TCB,
    ) -> seL4_Error::Type {
        self.invoke(service, label::DOMAIN_SET_SET, &[domain.into()], &[thread])
    }

    /// Sets and clears TCB flags.
    pub fn seL4_TCB_SetFlags(
        &mut self,
        service: seL4_TCB,
        clear: seL4_Word,
        set: seL4_Word,
    ) -> seL4_TCB_SetFlags_ret {
        let error = self.invoke(service, label::TCB_SET_FLAGS, &[clear, set], &[]);
        seL4_TCB_SetFlags_ret { error, flags: self.msg[0] }
    }

    /// Reads the first `count` registers of another thread.
    #[inline]
    pub fn seL4_TCB_ReadRegisters(
        &mut self,
        service: seL4_TCB,
        suspend_source: seL4_Bool,
        arch_flags: seL4_Uint8,
        count: seL4_Word,
        regs: &mut seL4_UserContext,
    ) -> seL4_Error::Type {
        let flags = seL4_Word::from(suspend_source & 1) | seL4_Word::from(arch_flags) << 8;
        let error = self.invoke(service, label::TCB_READ_REGISTERS, &[flags, count], &[]);
        if error == seL4_Error::seL4_NoError {
            let count = usize::try_from(count).unwrap_or(USER_CONTEXT_WORDS).min(USER_CONTEXT_WORDS);
            match self.msg.first_chunk::<USER_CONTEXT_WORDS>().filter(|_| count == USER_CONTEXT_WORDS) {
                // All of them, which is what most ask for: nothing of what was there is kept.
                Some(words) => *regs = seL4_UserContext::from_words(words),
                None => {
                    let mut words = regs.to_words();
                    words[..count].copy_from_slice(&self.msg[..count]);
                    *regs = seL4_UserContext::from_words(&words);
                }
            }
        }
        error
    }

    /// Reads all registers of another thread, which stay where the kernel puts them: in the order of
    /// [`seL4_UserContext::to_words`], until the buffer is used again. It is for whoever looks at many threads.
    ///
    /// # Errors
    /// The kernel's.
    #[inline]
    pub fn seL4_TCB_ReadRegisters_in_place(
        &mut self,
        service: seL4_TCB,
        suspend_source: seL4_Bool,
        arch_flags: seL4_Uint8,
    ) -> Result<&[seL4_Word; USER_CONTEXT_WORDS], seL4_Error::Type> {
        let flags = seL4_Word::from(suspend_source & 1) | seL4_Word::from(arch_flags) << 8;
        let words = &[flags, USER_CONTEXT_WORDS as seL4_Word];
        let error = self.invoke(service, label::TCB_READ_REGISTERS, words, &[]);
        match self.msg.first_chunk() {
            Some(words) if error == seL4_Error::seL4_NoError => Ok(words),
            _ => Err(error),
        }
    }

    /// Writes the first `count` registers of another thread.
    pub fn seL4_TCB_WriteRegisters(
        &mut self,
        service: seL4_TCB,
        resume_target: seL4_Bool,
        arch_flags: seL4_Uint8,
        count: seL4_Word,
        regs: &seL4_UserContext,
    ) -> seL4_Error::Type {
        self.msg[0] = seL4_Word::from(resume_target & 1) | seL4_Word::from(arch_flags) << 8;
        self.msg[1] = count;
        self.msg[2..2 + USER_CONTEXT_WORDS].copy_from_slice(&regs.to_words());
        self.invoke_prepared(service, label::TCB_WRITE_REGISTERS, 2 + USER_CONTEXT_WORDS, &[])
    }

    /// Copies registers between threads.
    #[allow(clippy::too_many_arguments, reason = "the ABI's")]
    pub fn seL4_TCB_CopyRegisters(
        &mut self,
        service: seL4_TCB,
        source: seL4_TCB,
        suspend_source: seL4_Bool,
        resume_target: seL4_Bool,
        transfer_frame: seL4_Bool,
        transfer_integer: seL4_Bool,
        arch_flags: seL4_Uint8,
    ) -> seL4_Error::Type {
        let flags = seL4_Word::from(suspend_source & 1)
            | seL4_Word::from(resume_target & 1) << 1
            | seL4_Word::from(transfer_frame & 1) << 2
            | seL4_Word::from(transfer_integer & 1) << 3
            | seL4_Word::from(arch_flags) << 8;
        self.invoke(service, label::TCB_COPY_REGISTERS, &[flags], &[source])
    }
}
