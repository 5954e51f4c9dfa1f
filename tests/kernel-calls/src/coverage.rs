//! What was invoked, and what the kernel said.
use microkernel_abi::{SMP, label};

/// Labels that are counted: 0 and every one that there is.
pub const LABELS: usize = label_index(label::LAST) + 1;
/// Answers that are counted: success and every error.
pub const ANSWERS: usize = 11;

/// Answers by label.
#[derive(Clone, Debug)]
pub struct Coverage {
    counts: [[u32; ANSWERS]; LABELS],
}

impl Default for Coverage {
    fn default() -> Self {
        Self::new()
    }
}

impl Coverage {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: [[0; ANSWERS]; LABELS] }
    }

    /// Counts an answer, if it is one of the kernel's.
    pub fn record(&mut self, label: u64, answer: u64) {
        let row = usize::try_from(label).ok().and_then(|label| self.counts.get_mut(label));
        let count = row.and_then(|row| row.get_mut(usize::try_from(answer).ok()?));
        if let Some(count) = count {
            *count = count.saturating_add(1);
        }
    }

    /// Takes another one's counts in.
    pub fn add(&mut self, other: &Self) {
        for (row, more) in self.counts.iter_mut().zip(&other.counts) {
            row.iter_mut().zip(more).for_each(|(count, more)| *count = count.saturating_add(*more));
        }
    }

    /// The answers to one label.
    #[must_use]
    pub fn of(&self, label: usize) -> &[u32; ANSWERS] {
        &self.counts[label % LABELS]
    }

    /// How often each answer was given.
    #[must_use]
    pub fn totals(&self) -> [u32; ANSWERS] {
        let mut totals = [0_u32; ANSWERS];
        for row in &self.counts {
            totals.iter_mut().zip(row).for_each(|(total, count)| *total = total.saturating_add(*count));
        }
        totals
    }
}

/// A label that is small, as a place.
const fn label_index(label: u64) -> usize {
    assert!(label < 256);
    #[expect(clippy::cast_possible_truncation, reason = "just asserted to be small")]
    {
        label as usize
    }
}

/// What an error is called.
#[must_use]
pub const fn answer_name(answer: usize) -> &'static str {
    const NAMES: [&str; ANSWERS] = [
        "ok",
        "argument",
        "cap",
        "illegal",
        "range",
        "align",
        "lookup",
        "truncated",
        "delete",
        "revoke",
        "memory",
    ];
    NAMES[answer % ANSWERS]
}

/// What an invocation is called.
#[must_use]
pub const fn label_name(label: usize) -> &'static str {
    match label as u64 {
        label::UNTYPED_RETYPE => "Untyped_Retype",
        label::TCB_READ_REGISTERS => "TCB_ReadRegisters",
        label::TCB_WRITE_REGISTERS => "TCB_WriteRegisters",
        label::TCB_COPY_REGISTERS => "TCB_CopyRegisters",
        label::TCB_CONFIGURE => "TCB_Configure",
        label::TCB_SET_PRIORITY => "TCB_SetPriority",
        label::TCB_SET_MC_PRIORITY => "TCB_SetMCPriority",
        label::TCB_SET_SCHED_PARAMS => "TCB_SetSchedParams",
        label::TCB_SET_IPC_BUFFER => "TCB_SetIPCBuffer",
        label::TCB_SET_SPACE => "TCB_SetSpace",
        label::TCB_SUSPEND => "TCB_Suspend",
        label::TCB_RESUME => "TCB_Resume",
        label::TCB_BIND_NOTIFICATION => "TCB_BindNotification",
        label::TCB_UNBIND_NOTIFICATION => "TCB_UnbindNotification",
        label::TCB_SET_TLS_BASE => "TCB_SetTLSBase",
        label::TCB_SET_FLAGS => "TCB_SetFlags",
        label::CNODE_REVOKE => "CNode_Revoke",
        label::CNODE_DELETE => "CNode_Delete",
        label::CNODE_CANCEL_BADGED_SENDS => "CNode_CancelBadgedSends",
        label::CNODE_COPY => "CNode_Copy",
        label::CNODE_MINT => "CNode_Mint",
        label::CNODE_MOVE => "CNode_Move",
        label::CNODE_MUTATE => "CNode_Mutate",
        label::CNODE_ROTATE => "CNode_Rotate",
        label::CNODE_SAVE_CALLER => "CNode_SaveCaller",
        label::IRQ_ISSUE_IRQ_HANDLER => "IRQControl_Get",
        label::IRQ_ACK_IRQ => "IRQHandler_Ack",
        label::IRQ_SET_IRQ_HANDLER => "IRQHandler_SetNotification",
        label::IRQ_CLEAR_IRQ_HANDLER => "IRQHandler_Clear",
        label::DOMAIN_SET_SET => "DomainSet_Set",
        label::DOMAIN_SCHEDULE_CONFIGURE => "DomainSet_ScheduleConfigure",
        label::DOMAIN_SCHEDULE_SET_START => "DomainSet_ScheduleSetStart",
        label::VSPACE_CLEAN_DATA => "VSpace_Clean_Data",
        label::VSPACE_INVALIDATE_DATA => "VSpace_Invalidate_Data",
        label::VSPACE_CLEAN_INVALIDATE_DATA => "VSpace_CleanInvalidate_Data",
        label::VSPACE_UNIFY_INSTRUCTION => "VSpace_Unify_Instruction",
        label::PAGE_TABLE_MAP => "PageTable_Map",
        label::PAGE_TABLE_UNMAP => "PageTable_Unmap",
        label::PAGE_MAP => "Page_Map",
        label::PAGE_UNMAP => "Page_Unmap",
        label::PAGE_CLEAN_DATA => "Page_Clean_Data",
        label::PAGE_INVALIDATE_DATA => "Page_Invalidate_Data",
        label::PAGE_CLEAN_INVALIDATE_DATA => "Page_CleanInvalidate_Data",
        label::PAGE_UNIFY_INSTRUCTION => "Page_Unify_Instruction",
        label::PAGE_GET_ADDRESS => "Page_GetAddress",
        label::ASID_CONTROL_MAKE_POOL => "ASIDControl_MakePool",
        label::ASID_POOL_ASSIGN => "ASIDPool_Assign",
        label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER => "IRQControl_GetTrigger",
        label::IRQ_ISSUE_SGI_SIGNAL => "IRQControl_IssueSGISignal",
        label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER_CORE if SMP => "IRQControl_GetTriggerCore",
        label::TCB_SET_AFFINITY if SMP => "TCB_SetAffinity",
        _ => "(no such label)",
    }
}
