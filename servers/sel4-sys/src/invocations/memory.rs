//! Methods of frames, translation tables, address spaces and ASID pools.
use crate::{
    seL4_ARM_ASIDControl, seL4_ARM_ASIDPool, seL4_ARM_Page, seL4_ARM_PageTable, seL4_ARM_VMAttributes,
    seL4_ARM_VSpace, seL4_CNode, seL4_CapRights, seL4_Error, seL4_IPCBuffer, seL4_Uint8, seL4_Untyped,
    seL4_Word,
};
use microkernel_abi::label;

/// What `seL4_ARM_Page_GetAddress` returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct seL4_ARM_Page_GetAddress_ret {
    /// The error.
    pub error: seL4_Error::Type,
    /// The physical address.
    pub paddr: seL4_Word,
}

impl seL4_IPCBuffer {
    /// Cache maintenance on addresses of an address space, within one page.
    pub fn seL4_ARM_VSpace_Clean_Data(
        &mut self,
        service: seL4_ARM_VSpace,
        start: seL4_Word,
        end: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, label::VSPACE_CLEAN_DATA, &[start, end], &[])
    }

    /// Cache maintenance on addresses of an address space, within one page.
    pub fn seL4_ARM_VSpace_Invalidate_Data(
        &mut self,
        service: seL4_ARM_VSpace,
        start: seL4_Word,
        end: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, label::VSPACE_INVALIDATE_DATA, &[start, end], &[])
    }

    /// Cache maintenance on addresses of an address space, within one page.
    pub fn seL4_ARM_VSpace_CleanInvalidate_Data(
        &mut self,
        service: seL4_ARM_VSpace,
        start: seL4_Word,
        end: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, label::VSPACE_CLEAN_INVALIDATE_DATA, &[start, end], &[])
    }

    /// Cache maintenance on addresses of an address space, within one page.
    pub fn seL4_ARM_VSpace_Unify_Instruction(
        &mut self,
        service: seL4_ARM_VSpace,
        start: seL4_Word,
        end: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, label::VSPACE_UNIFY_INSTRUCTION, &[start, end], &[])
    }

    /// Maps a translation table at the next missing level.
    pub fn seL4_ARM_PageTable_Map(
        &mut self,
        service: seL4_ARM_PageTable,
        vspace: seL4_ARM_VSpace,
        vaddr: seL4_Word,
        attr: seL4_ARM_VMAttributes,
    ) -> seL4_Error::Type {
        self.invoke(service, label::PAGE_TABLE_MAP, &[vaddr, attr.0], &[vspace])
    }

    /// Unmaps a translation table.
    pub fn seL4_ARM_PageTable_Unmap(&mut self, service: seL4_ARM_PageTable) -> seL4_Error::Type {
        self.invoke(service, label::PAGE_TABLE_UNMAP, &[], &[])
    }

    /// Maps a frame, or changes its mapping at the same place.
    pub fn seL4_ARM_Page_Map(
        &mut self,
        service: seL4_ARM_Page,
        vspace: seL4_ARM_VSpace,
        vaddr: seL4_Word,
        rights: seL4_CapRights,
        attr: seL4_ARM_VMAttributes,
    ) -> seL4_Error::Type {
        self.invoke(service, label::PAGE_MAP, &[vaddr, rights.into_word(), attr.0], &[vspace])
    }

    /// Unmaps a frame.
    pub fn seL4_ARM_Page_Unmap(&mut self, service: seL4_ARM_Page) -> seL4_Error::Type {
        self.invoke(service, label::PAGE_UNMAP, &[], &[])
    }

    /// Cache maintenance on a mapped frame.
    pub fn seL4_ARM_Page_Clean_Data(
        &mut self,
        service: seL4_ARM_Page,
        start_offset: seL4_Word,
        end_offset: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, label::PAGE_CLEAN_DATA, &[start_offset, end_offset], &[])
    }

    /// Cache maintenance on a mapped frame.
    pub fn seL4_ARM_Page_Invalidate_Data(
        &mut self,
        service: seL4_ARM_Page,
        start_offset: seL4_Word,
        end_offset: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, label::PAGE_INVALIDATE_DATA, &[start_offset, end_offset], &[])
    }

    /// Cache maintenance on a mapped frame.
    pub fn seL4_ARM_Page_CleanInvalidate_Data(
        &mut self,
        service: seL4_ARM_Page,
        start_offset: seL4_Word,
        end_offset: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, label::PAGE_CLEAN_INVALIDATE_DATA, &[start_offset, end_offset], &[])
    }

    /// Cache maintenance on a mapped frame.
    pub fn seL4_ARM_Page_Unify_Instruction(
        &mut self,
        service: seL4_ARM_Page,
        start_offset: seL4_Word,
        end_offset: seL4_Word,
    ) -> seL4_Error::Type {
        self.invoke(service, label::PAGE_UNIFY_INSTRUCTION, &[start_offset, end_offset], &[])
    }

    /// Makes an ASID pool out of a 4 KiB untyped.
    pub fn seL4_ARM_ASIDControl_MakePool(
        &mut self,
        service: seL4_ARM_ASIDControl,
        untyped: seL4_Untyped,
        root: seL4_CNode,
        index: seL4_Word,
        depth: seL4_Uint8,
    ) -> seL4_Error::Type {
        self.invoke(service, label::ASID_CONTROL_MAKE_POOL, &[index, depth.into()], &[untyped, root])
    }

    /// Gives an address space an ASID.
    pub fn seL4_ARM_ASIDPool_Assign(
        &mut self,
        service: seL4_ARM_ASIDPool,
        vspace: seL4_ARM_VSpace,
    ) -> seL4_Error::Type {
        self.invoke(service, label::ASID_POOL_ASSIGN, &[], &[vspace])
    }

    /// The physical address of a frame.
    pub fn seL4_ARM_Page_GetAddress(&mut self, service: seL4_ARM_Page) -> seL4_ARM_Page_GetAddress_ret {
        let error = self.invoke(service, label::PAGE_GET_ADDRESS, &[], &[]);
        seL4_ARM_Page_GetAddress_ret { error, paddr: self.msg[0] }
    }
}
