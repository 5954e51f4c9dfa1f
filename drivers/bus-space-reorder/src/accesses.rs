//! The aliases: single writes are held, everything else goes through behind what must precede it.

use bus_space::{BarrierFlags, BusHandle, BusTag, MapFlags, Width};
use kmod_api::symbols::{bus_space_barrier, bus_space_map, bus_space_unmap};
use kmod_api::{below, refine_alias};

use crate::holder::{HOLDER, Place};

/// The functions of one width: read, write, peek, poke, and the four that take several elements.
macro_rules! width {
    ($type:ty, $width:ident;
     $read:ident $read_symbol:ident $read_below:ident;
     $write:ident $write_symbol:ident $write_below:ident;
     $peek:ident $peek_symbol:ident $peek_below:ident;
     $poke:ident $poke_symbol:ident $poke_below:ident;
     $($several:ident $several_symbol:ident $several_below:ident $pointer:ty, $reads:literal $stretch:expr);+) => {
        use kmod_api::symbols::{$read_symbol, $write_symbol, $peek_symbol, $poke_symbol, $($several_symbol),+};

        #[unsafe(no_mangle)]
        #[allow(
            clippy::cast_possible_truncation,
            clippy::unnecessary_cast,
            reason = "the value has this width, and one of the widths is that of a word"
        )]
        unsafe extern "C" fn $read(tag: BusTag, handle: BusHandle, offset: u64) -> $type {
            let place = Place { tag, handle, offset, size: Width::$width.bytes() };
            // SAFETY: the caller's arguments; another offset only where the holder knows it inside the mapping.
            HOLDER.read(place, |offset| unsafe { below::$read_below(tag, handle, offset) }.into()) as $type
        }
        refine_alias!($read_symbol => $read, fault = Width::$width.all_ones());

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $write(tag: BusTag, handle: BusHandle, offset: u64, value: $type) {
            let place = Place { tag, handle, offset, size: Width::$width.bytes() };
            if !HOLDER.write(place, value.into()) {
                // SAFETY: the caller's arguments go on unchanged.
                unsafe { below::$write_below(tag, handle, offset, value) };
            }
        }
        refine_alias!($write_symbol => $write);

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $peek(tag: BusTag, handle: BusHandle, offset: u64, value: *mut $type) -> i32 {
            let place = Place { tag, handle, offset, size: Width::$width.bytes() };
            // SAFETY: the caller's arguments go on unchanged.
            HOLDER.through(place, true, || unsafe { below::$peek_below(tag, handle, offset, value) })
        }
        refine_alias!($peek_symbol => $peek, fault = 14);

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $poke(tag: BusTag, handle: BusHandle, offset: u64, value: $type) -> i32 {
            let place = Place { tag, handle, offset, size: Width::$width.bytes() };
            // SAFETY: the caller's arguments go on unchanged.
            HOLDER.through(place, false, || unsafe { below::$poke_below(tag, handle, offset, value) })
        }
        refine_alias!($poke_symbol => $poke, fault = 14);

        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $several(tag: BusTag, handle: BusHandle, offset: u64, data: $pointer, count: u64) {
                let stretch: fn(u64) -> u64 = $stretch;
                let size = (Width::$width.bytes() << tag.stride_shift()).saturating_mul(stretch(count));
                let place = Place { tag, handle, offset, size };
                // SAFETY: the caller's arguments go on unchanged.
                HOLDER.through(place, $reads, || unsafe { below::$several_below(tag, handle, offset, data, count) });
            }
            refine_alias!($several_symbol => $several);
        )+
    };
}

width! { u8, One;
    reorder_read_1 bus_space_read_1 super_bus_space_read_1;
    reorder_write_1 bus_space_write_1 super_bus_space_write_1;
    reorder_peek_1 bus_space_peek_1 super_bus_space_peek_1;
    reorder_poke_1 bus_space_poke_1 super_bus_space_poke_1;
    reorder_read_multi_1 bus_space_read_multi_1 super_bus_space_read_multi_1 *mut u8, true |_| 1;
    reorder_read_region_1 bus_space_read_region_1 super_bus_space_read_region_1 *mut u8, true |count| count;
    reorder_write_multi_1 bus_space_write_multi_1 super_bus_space_write_multi_1 *const u8, false |_| 1;
    reorder_write_region_1 bus_space_write_region_1 super_bus_space_write_region_1 *const u8, false |count| count
}
width! { u16, Two;
    reorder_read_2 bus_space_read_2 super_bus_space_read_2;
    reorder_write_2 bus_space_write_2 super_bus_space_write_2;
    reorder_peek_2 bus_space_peek_2 super_bus_space_peek_2;
    reorder_poke_2 bus_space_poke_2 super_bus_space_poke_2;
    reorder_read_multi_2 bus_space_read_multi_2 super_bus_space_read_multi_2 *mut u16, true |_| 1;
    reorder_read_region_2 bus_space_read_region_2 super_bus_space_read_region_2 *mut u16, true |count| count;
    reorder_write_multi_2 bus_space_write_multi_2 super_bus_space_write_multi_2 *const u16, false |_| 1;
    reorder_write_region_2 bus_space_write_region_2 super_bus_space_write_region_2 *const u16, false |count| count
}
width! { u32, Four;
    reorder_read_4 bus_space_read_4 super_bus_space_read_4;
    reorder_write_4 bus_space_write_4 super_bus_space_write_4;
    reorder_peek_4 bus_space_peek_4 super_bus_space_peek_4;
    reorder_poke_4 bus_space_poke_4 super_bus_space_poke_4;
    reorder_read_multi_4 bus_space_read_multi_4 super_bus_space_read_multi_4 *mut u32, true |_| 1;
    reorder_read_region_4 bus_space_read_region_4 super_bus_space_read_region_4 *mut u32, true |count| count;
    reorder_write_multi_4 bus_space_write_multi_4 super_bus_space_write_multi_4 *const u32, false |_| 1;
    reorder_write_region_4 bus_space_write_region_4 super_bus_space_write_region_4 *const u32, false |count| count
}
width! { u64, Eight;
    reorder_read_8 bus_space_read_8 super_bus_space_read_8;
    reorder_write_8 bus_space_write_8 super_bus_space_write_8;
    reorder_peek_8 bus_space_peek_8 super_bus_space_peek_8;
    reorder_poke_8 bus_space_poke_8 super_bus_space_poke_8;
    reorder_read_multi_8 bus_space_read_multi_8 super_bus_space_read_multi_8 *mut u64, true |_| 1;
    reorder_read_region_8 bus_space_read_region_8 super_bus_space_read_region_8 *mut u64, true |count| count;
    reorder_write_multi_8 bus_space_write_multi_8 super_bus_space_write_multi_8 *const u64, false |_| 1;
    reorder_write_region_8 bus_space_write_region_8 super_bus_space_write_region_8 *const u64, false |count| count
}

/// Orders what is held, then tells the layer below.
#[unsafe(no_mangle)]
unsafe extern "C" fn reorder_barrier(
    tag: BusTag,
    handle: BusHandle,
    offset: u64,
    length: u64,
    flags: BarrierFlags,
) {
    HOLDER.barrier(Place { tag, handle, offset, size: length }, flags);
    // SAFETY: the caller's arguments go on unchanged.
    unsafe { below::super_bus_space_barrier(tag, handle, offset, length, flags) };
}
refine_alias!(bus_space_barrier => reorder_barrier);

/// Maps, and remembers which mappings are relaxed.
#[unsafe(no_mangle)]
unsafe extern "C" fn reorder_map(
    tag: BusTag,
    address: u64,
    size: u64,
    flags: MapFlags,
    handle: *mut BusHandle,
) -> i32 {
    // SAFETY: the caller's arguments go on unchanged.
    let status = unsafe { below::super_bus_space_map(tag, address, size, flags, handle) };
    if status == 0 && flags.is_relaxed() {
        // SAFETY: after a success the layer below has written the handle.
        HOLDER.mapped(unsafe { handle.read() }, size);
    }
    status
}
refine_alias!(bus_space_map => reorder_map, fault = 14);

/// Carries out what is held for the device, then unmaps.
#[unsafe(no_mangle)]
unsafe extern "C" fn reorder_unmap(tag: BusTag, handle: BusHandle, size: u64) {
    HOLDER.unmapping(tag, handle);
    // SAFETY: the caller's arguments go on unchanged.
    unsafe { below::super_bus_space_unmap(tag, handle, size) };
}
refine_alias!(bus_space_unmap => reorder_unmap);
