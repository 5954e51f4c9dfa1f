//! What is called: for each invocation the objects, the values of each word, the capabilities, and what seL4 said.
use super::world::{
    BARE, CHILD, CNODE, EP, EP_BADGED, FRAME, FRAME_READ, FREE, FREE_TOO, HANDLER, IRQ_TAKEN, MAPPED,
    MAPPED_READ, NTFN, NTFN_BOUND, NTFN_READ, OWN_POOL, OWN_TCB, OWN_VSPACE, ROOT, SPACE, TABLE,
    TABLE_COPIED, TABLE_MAPPED, TABLE_TOP, TCB, TCB_READY, UNTYPED, UNTYPED_LARGE, UNTYPED_USED, VA, VA_FAR,
    VA_FREE, VA_NEAR, VA_READ,
};
use microkernel_abi::{USER_TOP, label};
use sel4_sys::{seL4_CapASIDControl, seL4_CapDomain, seL4_CapIRQControl};

/// Values to choose from.
type Values = &'static [u64];

/// An invocation.
pub(super) struct Method {
    pub(super) label: u64,
    /// The capabilities that are invoked.
    pub(super) on: Values,
    /// The values of each word.
    pub(super) words: &'static [Values],
    /// The extra capabilities for each place.
    pub(super) caps: &'static [Values],
    /// The digest of the reference's answers.
    pub(super) digest: u64,
}

const fn method(
    label: u64,
    on: Values,
    words: &'static [Values],
    caps: &'static [Values],
    digest: u64,
) -> Method {
    Method { label, on, words, caps, digest }
}

const MAX: u64 = u64::MAX;
/// One past the last slot of the root CNode.
const BEYOND: u64 = 1 << 13;
const DEPTH: Values = &[64];
const DEPTHS: Values = &[64, 12];
/// An empty slot, one that is taken, none.
const DESTS: Values = &[FREE, EP, BEYOND];
const ROOTS: Values = &[ROOT, EP, CNODE];
const CONTROL: Values = &[seL4_CapIRQControl];
/// Software, private, the kernel's own, the physical timer's, taken, free, none.
const IRQS: Values = &[5, 20, 27, 30, IRQ_TAKEN, 44, 5000, MAX];
/// Ends of ranges inside a page.
const OFFSETS: Values = &[0, 1, 64, 4095, 4096, 4097, MAX];
const STARTS: Values = &[VA, VA + 1, VA + 4095, VA_READ, VA_FREE, VA_FAR, 0, USER_TOP, MAX];
const ENDS: Values =
    &[VA + 1, VA + 64, VA + 4096, VA + 4097, VA_READ + 64, VA_FAR + 4096, 0, USER_TOP, USER_TOP + 1, MAX];
const FRAMES: Values = &[FRAME, MAPPED, MAPPED_READ];
const SPACES: Values = &[SPACE, BARE];
const REGISTER: Values = &[0x55];
/// Space data of a capability space: none, a badge's, a guard that fits and one that does not.
const GUARDS: Values = &[0, 5, 51, 64];
const BUFFERS: Values = &[0, 0x1000, 0x1008, 1 << 63];

/// Everything, by label.
#[rustfmt::skip]
pub(super) const METHODS: &[Method] = &[
    method(label::UNTYPED_RETYPE, &[UNTYPED, UNTYPED_USED],
        &[&[0, 1, 4, 7, 8, 11], &[0, 4, 12, 64], &[0, CNODE], &[0, 64], DESTS, &[0, 1, 257]], &[&[ROOT]], 0x7bd5_0b32_1663_2dd5),
    method(label::TCB_READ_REGISTERS, &[TCB, TCB_READY, OWN_TCB], &[&[0, 1, 0x100], &[0, 1, 4, 36, 37, MAX]], &[], 0x825c_4aba_3dee_6865),
    method(label::TCB_WRITE_REGISTERS, &[TCB, OWN_TCB],
        &[&[0, 1, 0x100], &[0, 1, 4, 5, 37, MAX], REGISTER, REGISTER, &[0, MAX], REGISTER], &[], 0x4c82_f495_4f6f_40e5),
    method(label::TCB_COPY_REGISTERS, &[TCB],
        &[&[0, 1, 2, 4, 8, 15, 0x100, MAX]], &[&[TCB, TCB_READY, EP, FREE]], 0xfcbd_bdd0_63ef_8825),
    method(label::TCB_CONFIGURE, &[TCB],
        &[&[0], GUARDS, &[0], BUFFERS], &[&[ROOT, CNODE, EP, FREE], &[SPACE, BARE, OWN_VSPACE, EP], &[FRAME, FRAME_READ, EP]], 0x0a02_3c23_d687_aba5),
    method(label::TCB_SET_PRIORITY, &[TCB], &[&[0, 1, 255, 256, 1 << 40]], &[&[OWN_TCB, TCB, EP, FREE]], 0x4514_627d_6d19_66e5),
    method(label::TCB_SET_MC_PRIORITY, &[TCB], &[&[0, 1, 255, 256, 1 << 40]], &[&[OWN_TCB, TCB, EP, FREE]], 0x4514_627d_6d19_66e5),
    method(label::TCB_SET_SCHED_PARAMS, &[TCB],
        &[&[0, 1, 255, 256, MAX], &[0, 1, 255, 256, MAX]], &[&[OWN_TCB, TCB, EP, FREE]], 0xf93e_e384_c638_d565),
    method(label::TCB_SET_IPC_BUFFER, &[TCB], &[BUFFERS], &[&[FRAME, FRAME_READ, MAPPED, EP, FREE]], 0x05f4_a22b_80d3_1bd9),
    method(label::TCB_SET_SPACE, &[TCB],
        &[&[0, EP], GUARDS, &[0, 1]], &[&[ROOT, CNODE, EP, FREE], &[SPACE, BARE, OWN_VSPACE, EP]], 0xbd80_3b01_4a18_2125),
    method(label::TCB_SUSPEND, &[TCB, TCB_READY], &[], &[], 0x9f2a_8e74_8d2a_9e25),
    method(label::TCB_RESUME, &[TCB, TCB_READY], &[], &[], 0x9f2a_8e74_8d2a_9e25),
    method(label::TCB_BIND_NOTIFICATION, &[TCB, TCB_READY], &[], &[&[NTFN, NTFN_READ, NTFN_BOUND, EP, FREE]], 0x268c_0d98_c46e_a325),
    method(label::TCB_UNBIND_NOTIFICATION, &[TCB, TCB_READY], &[], &[], 0x8707_3f9c_f464_c7df),
    method(label::TCB_SET_TLS_BASE, &[TCB], &[&[0, 0x1234, 1 << 63, MAX]], &[], 0xeba8_91de_f6ea_4365),
    method(label::TCB_SET_FLAGS, &[TCB], &[&[0, 1, MAX], &[0, 1, 2, MAX]], &[], 0x7603_fe07_30de_e4e5),
    method(label::CNODE_REVOKE, &[ROOT],
        &[&[FREE, EP, EP_BADGED, UNTYPED_USED, BEYOND], &[64, 63, 13, 2, 1, 0, 65, MAX]], &[], 0xfbee_3681_e079_c4f4),
    method(label::CNODE_REVOKE, &[CNODE], &[&[0, 3, 4], &[64, 3, 2, 1, 0]], &[], 0xde41_7025_2434_1bc6),
    method(label::CNODE_DELETE, &[ROOT],
        &[&[FREE, EP, TCB_READY, TABLE_TOP, CHILD, HANDLER, BEYOND], &[64, 63, 2, 0, 65]], &[], 0x5961_c87e_d3ac_9c80),
    method(label::CNODE_DELETE, &[CNODE], &[&[0, 3, 4], &[64, 3, 2, 1, 0]], &[], 0xde41_7025_2434_1bc6),
    method(label::CNODE_CANCEL_BADGED_SENDS, &[ROOT],
        &[&[FREE, EP, EP_BADGED, NTFN, TCB, BEYOND], &[64, 63, 2, 0, 65]], &[], 0x8544_0b24_1f58_15bb),
    method(label::CNODE_COPY, &[ROOT, CNODE],
        &[&[FREE, EP, BEYOND, 1], &[64, 12, 2], &[EP, EP_BADGED, FREE_TOO, UNTYPED_USED, TABLE_MAPPED, TABLE, BARE, SPACE, CNODE, HANDLER, MAPPED],
        DEPTH, &[15, 1, 0, MAX]], &[ROOTS], 0xa7f2_e823_332d_2ce5),
    method(label::CNODE_MINT, &[ROOT],
        &[DESTS, DEPTH, &[EP, EP_BADGED, FREE_TOO, CNODE, NTFN, FRAME, seL4_CapIRQControl], DEPTHS, &[15, 0],
        &[0, 5, 62, 63, MAX]], &[&[ROOT, EP]], 0x9ce2_1406_1619_c805),
    method(label::CNODE_MOVE, &[ROOT, CNODE],
        &[&[FREE, EP, BEYOND, 1], &[64, 12, 2], &[EP, FREE_TOO, UNTYPED_USED, TABLE_MAPPED, BARE, MAPPED, HANDLER], DEPTHS], &[ROOTS], 0x9905_ef02_7a62_c07d),
    method(label::CNODE_MUTATE, &[ROOT],
        &[DESTS, DEPTH, &[EP, EP_BADGED, FREE_TOO, CNODE, NTFN, TCB], DEPTHS, &[0, 5, 62, 63, MAX]], &[&[ROOT, EP]], 0x5954_119e_f5f6_9da0),
    method(label::CNODE_ROTATE, &[ROOT],
        &[&[FREE, EP, NTFN], DEPTH, &[0, 5], &[EP, FREE_TOO, NTFN, TCB], DEPTHS, &[0, 5], &[EP, NTFN, TCB, FREE_TOO], DEPTHS],
        &[&[ROOT], &[ROOT, EP]], 0x4c17_92a1_6e65_f965),
    method(label::CNODE_SAVE_CALLER, &[ROOT], &[&[FREE, EP, BEYOND, 3], &[64, 12, 2, 0]], &[], 0x4ae3_95eb_cbd8_253b),
    method(label::IRQ_ISSUE_IRQ_HANDLER, CONTROL, &[IRQS, DESTS, DEPTHS], &[ROOTS], 0x3480_4263_ebe1_2ae5),
    method(label::IRQ_ACK_IRQ, &[HANDLER], &[], &[], 0xb4a9_16bf_c304_1c9c),
    method(label::IRQ_SET_IRQ_HANDLER, &[HANDLER], &[], &[&[NTFN, NTFN_BOUND, NTFN_READ, EP, FREE]], 0x6d7d_65dd_0ebd_1506),
    method(label::IRQ_CLEAR_IRQ_HANDLER, &[HANDLER], &[], &[], 0xb4a9_16bf_c304_1c9c),
    method(label::DOMAIN_SET_SET, &[seL4_CapDomain], &[&[0, 1, 256, MAX]], &[&[TCB, EP, FREE]], 0x38ea_f1fb_d7db_89dc),
    method(label::DOMAIN_SCHEDULE_CONFIGURE, &[seL4_CapDomain], &[&[0, 1, 300, MAX], &[0, 1, 256, MAX], &[0, 1, MAX]], &[], 0x62b8_a474_1eb1_64fa),
    method(label::DOMAIN_SCHEDULE_SET_START, &[seL4_CapDomain], &[&[0, 1, 300, MAX]], &[], 0x84f6_01a2_4193_abdc),
    method(label::VSPACE_CLEAN_DATA, SPACES, &[STARTS, ENDS], &[], 0x15db_ccca_441d_bbe3),
    method(label::VSPACE_INVALIDATE_DATA, SPACES, &[STARTS, ENDS], &[], 0xce6b_aa20_6ccb_7be3),
    method(label::VSPACE_CLEAN_INVALIDATE_DATA, SPACES, &[STARTS, ENDS], &[], 0x15db_ccca_441d_bbe3),
    method(label::VSPACE_UNIFY_INSTRUCTION, SPACES, &[STARTS, ENDS], &[], 0x15db_ccca_441d_bbe3),
    method(label::PAGE_TABLE_MAP, &[TABLE, TABLE_MAPPED, TABLE_COPIED],
        &[&[VA, VA_NEAR, VA_FAR, VA_FAR + 8, USER_TOP, USER_TOP + 1, MAX], &[0, 3, MAX]], &[&[SPACE, BARE, EP, FREE]], 0x1c10_3a5e_48c0_7d2f),
    method(label::PAGE_TABLE_UNMAP, &[TABLE, TABLE_MAPPED, TABLE_COPIED, TABLE_TOP], &[], &[], 0x7845_6493_387e_06d5),
    method(label::PAGE_MAP, &[FRAME, FRAME_READ, MAPPED],
        &[&[VA, VA_FREE, VA_FREE + 8, VA_NEAR, VA_FAR, USER_TOP - 4095, USER_TOP + 1, MAX - 4095], &[0, 1, 3, MAX], &[0, 3, MAX]],
        &[&[SPACE, BARE, EP, FREE]], 0x48a5_b03d_66a1_e4a5),
    method(label::PAGE_UNMAP, FRAMES, &[], &[], 0x785d_b27a_04bb_179c),
    method(label::PAGE_CLEAN_DATA, FRAMES, &[OFFSETS, OFFSETS], &[], 0xe572_de40_7d95_78e6),
    method(label::PAGE_INVALIDATE_DATA, FRAMES, &[OFFSETS, OFFSETS], &[], 0xc1af_818d_a15d_b366),
    method(label::PAGE_CLEAN_INVALIDATE_DATA, FRAMES, &[OFFSETS, OFFSETS], &[], 0xe572_de40_7d95_78e6),
    method(label::PAGE_UNIFY_INSTRUCTION, FRAMES, &[OFFSETS, OFFSETS], &[], 0xe572_de40_7d95_78e6),
    method(label::PAGE_GET_ADDRESS, FRAMES, &[], &[], 0x741f_ca7e_99a5_9e7d),
    method(label::ASID_CONTROL_MAKE_POOL, &[seL4_CapASIDControl],
        &[DESTS, DEPTHS], &[&[UNTYPED, UNTYPED_LARGE, UNTYPED_USED, EP], ROOTS], 0x15aa_1f70_539b_42a1),
    method(label::ASID_POOL_ASSIGN, &[OWN_POOL], &[], &[&[BARE, SPACE, EP, FREE]], 0x4a97_6232_61da_7f5e),
    method(label::IRQ_ISSUE_IRQ_HANDLER_TRIGGER, CONTROL, &[IRQS, &[0, 1, 2], DESTS, DEPTHS], &[ROOTS], 0x1e1b_3141_fb4f_77e5),
    method(label::IRQ_ISSUE_SGI_SIGNAL, CONTROL, &[&[0, 5, 15, 16, MAX], &[0, 7, 8, 31, MAX], DESTS, DEPTHS], &[ROOTS], 0x4403_18d1_556d_4c05),
];
