//! The aliases: each hands its access to the handler.

use bus_space::{BusHandle, BusTag, Width};
use kmod_api::{below, export, refine_alias, thread};

use crate::handler::{HANDLER, device};

/// The functions of one width: read, write, peek, poke, and the four that take several elements.
macro_rules! width {
    ($type:ty, $width:ident;
     $read:ident $read_symbol:ident $read_below:ident;
     $write:ident $write_symbol:ident $write_below:ident;
     $peek:ident $peek_symbol:ident $peek_below:ident;
     $poke:ident $poke_symbol:ident $poke_below:ident;
     $($in:ident $in_symbol:ident $in_below:ident),+;
     $($out:ident $out_symbol:ident $out_below:ident),+) => {
        use kmod_api::symbols::{
            $read_symbol, $write_symbol, $peek_symbol, $poke_symbol, $($in_symbol,)+ $($out_symbol,)+
        };

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $read(tag: BusTag, handle: BusHandle, offset: u64) -> $type {
            // SAFETY: the caller's arguments go on unchanged.
            HANDLER.single((tag, handle, offset), <$type>::MAX, || unsafe { below::$read_below(tag, handle, offset) })
        }
        refine_alias!($read_symbol => $read, fault = Width::$width.all_ones());

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $write(tag: BusTag, handle: BusHandle, offset: u64, value: $type) {
            // SAFETY: the caller's arguments go on unchanged.
            HANDLER.write((tag, handle, offset), || unsafe { below::$write_below(tag, handle, offset, value) });
        }
        refine_alias!($write_symbol => $write);

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $peek(tag: BusTag, handle: BusHandle, offset: u64, value: *mut $type) -> i32 {
            // SAFETY: the caller's arguments go on unchanged.
            HANDLER.probe((tag, handle, offset), || unsafe { below::$peek_below(tag, handle, offset, value) })
        }
        refine_alias!($peek_symbol => $peek, fault = 14);

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $poke(tag: BusTag, handle: BusHandle, offset: u64, value: $type) -> i32 {
            // SAFETY: the caller's arguments go on unchanged.
            HANDLER.probe((tag, handle, offset), || unsafe { below::$poke_below(tag, handle, offset, value) })
        }
        refine_alias!($poke_symbol => $poke, fault = 14);

        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $in(tag: BusTag, handle: BusHandle, offset: u64, data: *mut $type, count: u64) {
                let all_ones = || {
                    for i in 0..usize::try_from(count).unwrap_or(0) {
                        // SAFETY: the caller promises `count` elements.
                        unsafe { data.add(i).write(<$type>::MAX) };
                    }
                };
                // SAFETY: the caller's arguments go on unchanged.
                HANDLER.several((tag, handle, offset), all_ones, || unsafe {
                    below::$in_below(tag, handle, offset, data, count);
                });
            }
            refine_alias!($in_symbol => $in);
        )+

        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $out(tag: BusTag, handle: BusHandle, offset: u64, data: *const $type, count: u64) {
                // SAFETY: the caller's arguments go on unchanged.
                HANDLER.several((tag, handle, offset), || {}, || unsafe {
                    below::$out_below(tag, handle, offset, data, count);
                });
            }
            refine_alias!($out_symbol => $out);
        )+
    };
}

width! { u8, One;
    xh_read_1 bus_space_read_1 super_bus_space_read_1;
    xh_write_1 bus_space_write_1 super_bus_space_write_1;
    xh_peek_1 bus_space_peek_1 super_bus_space_peek_1;
    xh_poke_1 bus_space_poke_1 super_bus_space_poke_1;
    xh_read_multi_1 bus_space_read_multi_1 super_bus_space_read_multi_1,
    xh_read_region_1 bus_space_read_region_1 super_bus_space_read_region_1;
    xh_write_multi_1 bus_space_write_multi_1 super_bus_space_write_multi_1,
    xh_write_region_1 bus_space_write_region_1 super_bus_space_write_region_1
}
width! { u16, Two;
    xh_read_2 bus_space_read_2 super_bus_space_read_2;
    xh_write_2 bus_space_write_2 super_bus_space_write_2;
    xh_peek_2 bus_space_peek_2 super_bus_space_peek_2;
    xh_poke_2 bus_space_poke_2 super_bus_space_poke_2;
    xh_read_multi_2 bus_space_read_multi_2 super_bus_space_read_multi_2,
    xh_read_region_2 bus_space_read_region_2 super_bus_space_read_region_2;
    xh_write_multi_2 bus_space_write_multi_2 super_bus_space_write_multi_2,
    xh_write_region_2 bus_space_write_region_2 super_bus_space_write_region_2
}
width! { u32, Four;
    xh_read_4 bus_space_read_4 super_bus_space_read_4;
    xh_write_4 bus_space_write_4 super_bus_space_write_4;
    xh_peek_4 bus_space_peek_4 super_bus_space_peek_4;
    xh_poke_4 bus_space_poke_4 super_bus_space_poke_4;
    xh_read_multi_4 bus_space_read_multi_4 super_bus_space_read_multi_4,
    xh_read_region_4 bus_space_read_region_4 super_bus_space_read_region_4;
    xh_write_multi_4 bus_space_write_multi_4 super_bus_space_write_multi_4,
    xh_write_region_4 bus_space_write_region_4 super_bus_space_write_region_4
}
width! { u64, Eight;
    xh_read_8 bus_space_read_8 super_bus_space_read_8;
    xh_write_8 bus_space_write_8 super_bus_space_write_8;
    xh_peek_8 bus_space_peek_8 super_bus_space_peek_8;
    xh_poke_8 bus_space_poke_8 super_bus_space_poke_8;
    xh_read_multi_8 bus_space_read_multi_8 super_bus_space_read_multi_8,
    xh_read_region_8 bus_space_read_region_8 super_bus_space_read_region_8;
    xh_write_multi_8 bus_space_write_multi_8 super_bus_space_write_multi_8,
    xh_write_region_8 bus_space_write_region_8 super_bus_space_write_region_8
}

kmod_api::interface! {
    /// What this module offers to others.
    list OFFERED;

    /// The errno number of this thread's last failed access to the device of `handle`, and forgets it.
    fn xh_last_error(tag: BusTag, handle: BusHandle) -> i32;
}
const _: &[kmod_api::symbols::Symbol] = OFFERED;

/// Answers `xh_last_error`.
#[unsafe(no_mangle)]
unsafe extern "C" fn xh_take_last_error(tag: BusTag, handle: BusHandle) -> i32 {
    HANDLER.exceptions.take(thread::id(), device(tag, handle))
}
export!(xh_last_error => xh_take_last_error);
