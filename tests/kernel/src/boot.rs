//! What the kernel tells the root task at the start.
use crate::case;
use sel4_sys::{SEL4_BOOTINFO_HEADER_FDT, seL4_BootInfoHeader, seL4_DebugCapIdentify};

/// First word of a flattened device tree, and the offset of its size (Devicetree Specification 5.2).
const FDT_MAGIC: u32 = 0xd00d_feed;
const PAGE: usize = 4096;
const FRAME: u64 = 1;

case! {
    /// The extra boot information is a run of headers whose lengths add up, and one of them carries the device tree.
    boot_info_carries_the_device_tree, env => {
        let info = env.boot_info;
        let start = core::ptr::from_ref(info).addr() + PAGE;
        let length = usize::try_from(info.extraLen).expect("fits");
        assert!(length != 0, "no extra boot information");
        let (mut at, mut trees) = (0, 0);
        while at < length {
            // SAFETY: the kernel mapped `extraLen` bytes behind the boot information, and `at` is inside, aligned as
            // the lengths of headers are.
            let header = unsafe { &*core::ptr::with_exposed_provenance::<seL4_BootInfoHeader>(start + at) };
            let size = usize::try_from(header.len).expect("fits");
            assert!(size >= size_of::<seL4_BootInfoHeader>() && size.is_multiple_of(8) && at + size <= length);
            if header.id == SEL4_BOOTINFO_HEADER_FDT {
                trees += 1;
                let tree = core::ptr::with_exposed_provenance::<[u32; 2]>(start + at + size_of::<seL4_BootInfoHeader>());
                // SAFETY: as above, behind the header.
                let [magic, total] = unsafe { tree.read() }.map(u32::from_be);
                assert_eq!(magic, FDT_MAGIC);
                assert!(usize::try_from(total).is_ok_and(|total| total + size_of::<seL4_BootInfoHeader>() <= size));
            }
            at += size;
        }
        assert_eq!((at, trees), (length, 1));
        assert_eq!(info.extraBIPages.end - info.extraBIPages.start, info.extraLen.div_ceil(PAGE as u64));
    }
}

case! {
    /// Every slot that is said to hold a frame of the image or of the boot information holds one.
    boot_info_slots_hold_what_they_say, env => {
        let info = env.boot_info;
        for region in [info.userImageFrames, info.extraBIPages] {
            assert!(region.start < region.end && region.end <= info.empty.start);
            for slot in region.start..region.end {
                assert_eq!(seL4_DebugCapIdentify(slot), FRAME);
            }
        }
        assert_eq!(info.empty.end, 1 << info.initThreadCNodeSizeBits);
        assert_eq!(seL4_DebugCapIdentify(info.empty.start + 5), 0);
    }
}
