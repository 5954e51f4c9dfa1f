//! The accessors of `accessors.s`, as the base image's records refer to them.

use bus_space::{BarrierFlags, BusHandle, BusTag};

core::arch::global_asm!(include_str!("accessors.s"));

/// Declares the accessors of one width.
macro_rules! accessors {
    ($type:ty: $read:ident $write:ident $peek:ident $poke:ident $($in:ident)+; $($out:ident)+) => {
        unsafe extern "C" {
            /// The default of the symbol of this name without the underscore.
            pub fn $read(tag: BusTag, handle: BusHandle, offset: u64) -> $type;
            /// The default of the symbol of this name without the underscore.
            pub fn $write(tag: BusTag, handle: BusHandle, offset: u64, value: $type);
            /// The default of the symbol of this name without the underscore.
            pub fn $peek(tag: BusTag, handle: BusHandle, offset: u64, value: *mut $type) -> i32;
            /// The default of the symbol of this name without the underscore.
            pub fn $poke(tag: BusTag, handle: BusHandle, offset: u64, value: $type) -> i32;
            $(
                /// The default of the symbol of this name without the underscore.
                pub fn $in(tag: BusTag, handle: BusHandle, offset: u64, data: *mut $type, count: u64);
            )+
            $(
                /// The default of the symbol of this name without the underscore.
                pub fn $out(tag: BusTag, handle: BusHandle, offset: u64, data: *const $type, count: u64);
            )+
        }
    };
}

accessors! { u8:
    _bus_space_read_1 _bus_space_write_1 _bus_space_peek_1 _bus_space_poke_1
    _bus_space_read_multi_1 _bus_space_read_region_1;
    _bus_space_write_multi_1 _bus_space_write_region_1
}
accessors! { u16:
    _bus_space_read_2 _bus_space_write_2 _bus_space_peek_2 _bus_space_poke_2
    _bus_space_read_multi_2 _bus_space_read_region_2;
    _bus_space_write_multi_2 _bus_space_write_region_2
}
accessors! { u32:
    _bus_space_read_4 _bus_space_write_4 _bus_space_peek_4 _bus_space_poke_4
    _bus_space_read_multi_4 _bus_space_read_region_4;
    _bus_space_write_multi_4 _bus_space_write_region_4
}
accessors! { u64:
    _bus_space_read_8 _bus_space_write_8 _bus_space_peek_8 _bus_space_poke_8
    _bus_space_read_multi_8 _bus_space_read_region_8;
    _bus_space_write_multi_8 _bus_space_write_region_8
}

unsafe extern "C" {
    /// The default of the symbol of this name without the underscore.
    pub fn _bus_space_barrier(tag: BusTag, handle: BusHandle, offset: u64, length: u64, flags: BarrierFlags);
}
