//! The aliases: each records, calls the layer below, and completes the record.

use bus_space::ring::flag;
use bus_space::{BarrierFlags, BusHandle, BusTag, MapFlags, Op, Width};
use kmod_api::{below, entrance, refine_alias, strong_alias};

use crate::recorder::{Access, RECORDER, Recording, address_of};

/// Elements of one multi or region call that are recorded at most.
const DATA_MAX: usize = 16;

/// Names for traces of map calls: no width.
const NO_WIDTH: u8 = 0;

/// The functions of one width: read, write, peek, poke, and the four that take several elements.
macro_rules! width {
    ($type:ty, $width:ident;
     $read:ident $read_symbol:ident $read_below:ident;
     $write:ident $write_symbol:ident $write_below:ident;
     $peek:ident $peek_symbol:ident $peek_below:ident;
     $poke:ident $poke_symbol:ident $poke_below:ident;
     $($in:ident $in_symbol:ident $in_below:ident $in_op:ident),+;
     $($out:ident $out_symbol:ident $out_below:ident $out_op:ident),+) => {
        use kmod_api::symbols::{
            $read_symbol, $write_symbol, $peek_symbol, $poke_symbol, $($in_symbol,)+ $($out_symbol,)+
        };

        entrance! {
            fn $read(tag: BusTag, handle: BusHandle, offset: u64) -> $type {
                let recording = RECORDER.begin(&Access::single(tag, handle, offset, Op::Read, Width::$width));
                // SAFETY: the caller's arguments go on unchanged.
                let value = unsafe { below::$read_below(tag, handle, offset) };
                if let Some(recording) = recording {
                    recording.end(u64::from(value), None, 0);
                }
                value
            }
        }
        refine_alias!($read_symbol => $read, fault = Width::$width.all_ones());

        entrance! {
            fn $write(tag: BusTag, handle: BusHandle, offset: u64, value: $type) {
                let mut access = Access::single(tag, handle, offset, Op::Write, Width::$width);
                access.value = u64::from(value);
                let recording = RECORDER.begin(&access);
                // SAFETY: the caller's arguments go on unchanged.
                unsafe { below::$write_below(tag, handle, offset, value) };
                if let Some(recording) = recording {
                    recording.end(u64::from(value), None, 0);
                }
            }
        }
        refine_alias!($write_symbol => $write);

        entrance! {
            fn $peek(tag: BusTag, handle: BusHandle, offset: u64, value: *mut $type) -> i32 {
                let recording = RECORDER.begin(&Access::single(tag, handle, offset, Op::Peek, Width::$width));
                let mut found = 0;
                // SAFETY: the arguments go on unchanged but for the place of the value, which is ours.
                let status = unsafe { below::$peek_below(tag, handle, offset, &raw mut found) };
                if !value.is_null() {
                    // SAFETY: a pointer that is not null is the caller's promise of a place for the value.
                    unsafe { value.write(found) };
                }
                if let Some(recording) = recording {
                    recording.end(u64::from(found), Some(status), 0);
                }
                status
            }
        }
        refine_alias!($peek_symbol => $peek, fault = 14);

        entrance! {
            fn $poke(tag: BusTag, handle: BusHandle, offset: u64, value: $type) -> i32 {
                let mut access = Access::single(tag, handle, offset, Op::Poke, Width::$width);
                access.value = u64::from(value);
                let recording = RECORDER.begin(&access);
                // SAFETY: the caller's arguments go on unchanged.
                let status = unsafe { below::$poke_below(tag, handle, offset, value) };
                if let Some(recording) = recording {
                    recording.end(u64::from(value), Some(status), 0);
                }
                status
            }
        }
        refine_alias!($poke_symbol => $poke, fault = 14);

        $(
            entrance! {
                fn $in(tag: BusTag, handle: BusHandle, offset: u64, data: *mut $type, count: u64) {
                    let mut access = Access::single(tag, handle, offset, Op::$in_op, Width::$width);
                    access.count = count;
                    let recording = RECORDER.begin(&access);
                    // SAFETY: the caller's arguments go on unchanged.
                    unsafe { below::$in_below(tag, handle, offset, data, count) };
                    if let Some(recording) = recording {
                        // SAFETY: the layer below has filled `count` elements there.
                        end_of_several(recording, &access, count, |i| u64::from(unsafe { data.add(i).read() }));
                    }
                }
            }
            refine_alias!($in_symbol => $in);
        )+

        $(
            entrance! {
                fn $out(tag: BusTag, handle: BusHandle, offset: u64, data: *const $type, count: u64) {
                    let mut access = Access::single(tag, handle, offset, Op::$out_op, Width::$width);
                    access.count = count;
                    // SAFETY: the caller promises `count` elements, at least one.
                    access.value = u64::from(unsafe { data.read() });
                    let recording = RECORDER.begin(&access);
                    // SAFETY: the caller's arguments go on unchanged.
                    unsafe { below::$out_below(tag, handle, offset, data, count) };
                    if let Some(recording) = recording {
                        // SAFETY: the caller promises `count` elements.
                        end_of_several(recording, &access, count, |i| u64::from(unsafe { data.add(i).read() }));
                    }
                }
            }
            refine_alias!($out_symbol => $out);
        )+
    };
}

/// Completes a multi or region access and, if wanted, records its elements.
fn end_of_several(recording: Recording, access: &Access, count: u64, element: impl Fn(usize) -> u64) {
    let wants_data = recording.wants_data();
    let recorded = usize::try_from(count).unwrap_or(DATA_MAX).min(DATA_MAX);
    let truncated = if wants_data && recorded as u64 == count { 0 } else { flag::TRUNCATED };
    recording.end(element(0), None, if count > 1 { truncated } else { 0 });
    if !wants_data {
        return;
    }
    let address = address_of(access.tag, access.handle, access.offset);
    let step = match access.op {
        Op::ReadRegion | Op::WriteRegion => u64::from(access.width) << access.tag.stride_shift(),
        _ => 0,
    };
    for i in 0..recorded {
        RECORDER.mark(Op::Data, address + step * i as u64, element(i));
    }
}

width! { u8, One;
    debug_read_1 bus_space_read_1 super_bus_space_read_1;
    debug_write_1 bus_space_write_1 super_bus_space_write_1;
    debug_peek_1 bus_space_peek_1 super_bus_space_peek_1;
    debug_poke_1 bus_space_poke_1 super_bus_space_poke_1;
    debug_read_multi_1 bus_space_read_multi_1 super_bus_space_read_multi_1 ReadMulti,
    debug_read_region_1 bus_space_read_region_1 super_bus_space_read_region_1 ReadRegion;
    debug_write_multi_1 bus_space_write_multi_1 super_bus_space_write_multi_1 WriteMulti,
    debug_write_region_1 bus_space_write_region_1 super_bus_space_write_region_1 WriteRegion
}
width! { u16, Two;
    debug_read_2 bus_space_read_2 super_bus_space_read_2;
    debug_write_2 bus_space_write_2 super_bus_space_write_2;
    debug_peek_2 bus_space_peek_2 super_bus_space_peek_2;
    debug_poke_2 bus_space_poke_2 super_bus_space_poke_2;
    debug_read_multi_2 bus_space_read_multi_2 super_bus_space_read_multi_2 ReadMulti,
    debug_read_region_2 bus_space_read_region_2 super_bus_space_read_region_2 ReadRegion;
    debug_write_multi_2 bus_space_write_multi_2 super_bus_space_write_multi_2 WriteMulti,
    debug_write_region_2 bus_space_write_region_2 super_bus_space_write_region_2 WriteRegion
}
width! { u32, Four;
    debug_read_4 bus_space_read_4 super_bus_space_read_4;
    debug_write_4 bus_space_write_4 super_bus_space_write_4;
    debug_peek_4 bus_space_peek_4 super_bus_space_peek_4;
    debug_poke_4 bus_space_poke_4 super_bus_space_poke_4;
    debug_read_multi_4 bus_space_read_multi_4 super_bus_space_read_multi_4 ReadMulti,
    debug_read_region_4 bus_space_read_region_4 super_bus_space_read_region_4 ReadRegion;
    debug_write_multi_4 bus_space_write_multi_4 super_bus_space_write_multi_4 WriteMulti,
    debug_write_region_4 bus_space_write_region_4 super_bus_space_write_region_4 WriteRegion
}
width! { u64, Eight;
    debug_read_8 bus_space_read_8 super_bus_space_read_8;
    debug_write_8 bus_space_write_8 super_bus_space_write_8;
    debug_peek_8 bus_space_peek_8 super_bus_space_peek_8;
    debug_poke_8 bus_space_poke_8 super_bus_space_poke_8;
    debug_read_multi_8 bus_space_read_multi_8 super_bus_space_read_multi_8 ReadMulti,
    debug_read_region_8 bus_space_read_region_8 super_bus_space_read_region_8 ReadRegion;
    debug_write_multi_8 bus_space_write_multi_8 super_bus_space_write_multi_8 WriteMulti,
    debug_write_region_8 bus_space_write_region_8 super_bus_space_write_region_8 WriteRegion
}

use kmod_api::symbols::{
    bus_space_barrier, bus_space_map, bus_space_subregion, bus_space_trace, bus_space_unmap,
};

entrance! {
    /// Records a map; its address is the bus address asked for, its value the handle.
    fn debug_map(
        tag: BusTag,
        address: u64,
        size: u64,
        flags: MapFlags,
        handle: *mut BusHandle,
    ) -> i32 {
        // No handle exists yet, so the bus address stands in for one; it lies outside every mapping.
        let recording = RECORDER.begin(&Access {
            tag,
            handle: BusHandle::new(address),
            offset: 0,
            op: Op::Map,
            width: NO_WIDTH,
            count: size,
            value: 0,
            flags: if flags.contains(MapFlags::PREFETCHABLE) { flag::PREFETCHABLE } else { 0 },
        });
        // SAFETY: the caller's arguments go on unchanged.
        let status = unsafe { below::super_bus_space_map(tag, address, size, flags, handle) };
        if let Some(recording) = recording {
            // SAFETY: after a success the layer below has written the handle.
            let value = if status == 0 { unsafe { handle.read() }.address() } else { 0 };
            recording.end(value, Some(status), 0);
        }
        status
    }
}
refine_alias!(bus_space_map => debug_map, fault = 14);

entrance! {
    /// Records an unmap; its count is the size.
    fn debug_unmap(tag: BusTag, handle: BusHandle, size: u64) {
        let access =
            Access { tag, handle, offset: 0, op: Op::Unmap, width: NO_WIDTH, count: size, value: 0, flags: 0 };
        let recording = RECORDER.begin(&access);
        // SAFETY: the caller's arguments go on unchanged.
        unsafe { below::super_bus_space_unmap(tag, handle, size) };
        if let Some(recording) = recording {
            recording.end(handle.address(), Some(0), 0);
        }
    }
}
refine_alias!(bus_space_unmap => debug_unmap);

entrance! {
    /// Records a subregion as a map at its offset.
    fn debug_subregion(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        size: u64,
        part: *mut BusHandle,
    ) -> i32 {
        let access =
            Access { tag, handle, offset, op: Op::Map, width: NO_WIDTH, count: size, value: 0, flags: 0 };
        let recording = RECORDER.begin(&access);
        // SAFETY: the caller's arguments go on unchanged.
        let status = unsafe { below::super_bus_space_subregion(tag, handle, offset, size, part) };
        if let Some(recording) = recording {
            // SAFETY: after a success the layer below has written the handle.
            let value = if status == 0 { unsafe { part.read() }.address() } else { 0 };
            recording.end(value, Some(status), 0);
        }
        status
    }
}
refine_alias!(bus_space_subregion => debug_subregion, fault = 14);

entrance! {
    /// Records a barrier; its count is the length of its range.
    fn debug_barrier(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        length: u64,
        flags: BarrierFlags,
    ) {
        let kinds = if flags.orders_reads() { flag::BARRIER_READ } else { 0 }
            | if flags.orders_writes() { flag::BARRIER_WRITE } else { 0 };
        let access = Access {
            tag,
            handle,
            offset,
            op: Op::Barrier,
            width: NO_WIDTH,
            count: length,
            value: 0,
            flags: kinds,
        };
        let recording = RECORDER.begin(&access);
        // SAFETY: the caller's arguments go on unchanged.
        unsafe { below::super_bus_space_barrier(tag, handle, offset, length, flags) };
        if let Some(recording) = recording {
            recording.end(0, Some(0), 0);
        }
    }
}
refine_alias!(bus_space_barrier => debug_barrier);

/// Provides the stub that other layers call: each call becomes a mark whose value is the layer's name.
#[unsafe(no_mangle)]
unsafe extern "C" fn debug_trace(tag: BusTag, handle: BusHandle, offset: u64, layer: u64) {
    if !RECORDER.is_passing() {
        RECORDER.mark(Op::Mark, address_of(tag, handle, offset), layer);
    }
}
strong_alias!(bus_space_trace => debug_trace);
