//! `super_` symbols: the alias below the caller's own.
//!
//! They are resolved for each module alone and never enter a global table: two layers with the same `super_` symbol reach
//! different aliases. Only a module that refines the symbol may refer to one; declaring is free.

use bus_space::{BarrierFlags, BusHandle, BusTag, MapFlags};

use crate::symbols;

macro_rules! below {
    ($(fn $name:ident = $symbol:ident($($arg:ident: $type:ty),*) $(-> $ret:ty)?;)+) => {
        unsafe extern "C" {
            $(
                #[doc = concat!("`", stringify!($symbol), "` as the layer below answers it.")]
                pub fn $name($($arg: $type),*) $(-> $ret)?;
            )+
        }
        // The declarations above and the symbols have the same types.
        $(const _: symbols::$symbol = $name;)+
    };
}

below! {
    fn super_bus_space_map = bus_space_map(
        tag: BusTag,
        address: u64,
        size: u64,
        flags: MapFlags,
        handle: *mut BusHandle
    ) -> i32;
    fn super_bus_space_unmap = bus_space_unmap(tag: BusTag, handle: BusHandle, size: u64);
    fn super_bus_space_subregion = bus_space_subregion(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        size: u64,
        part: *mut BusHandle
    ) -> i32;
    fn super_bus_space_barrier = bus_space_barrier(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        length: u64,
        flags: BarrierFlags
    );
    fn super_bus_space_read_1 = bus_space_read_1(tag: BusTag, handle: BusHandle, offset: u64) -> u8;
    fn super_bus_space_read_2 = bus_space_read_2(tag: BusTag, handle: BusHandle, offset: u64) -> u16;
    fn super_bus_space_read_4 = bus_space_read_4(tag: BusTag, handle: BusHandle, offset: u64) -> u32;
    fn super_bus_space_read_8 = bus_space_read_8(tag: BusTag, handle: BusHandle, offset: u64) -> u64;
    fn super_bus_space_write_1 = bus_space_write_1(tag: BusTag, handle: BusHandle, offset: u64, value: u8);
    fn super_bus_space_write_2 = bus_space_write_2(tag: BusTag, handle: BusHandle, offset: u64, value: u16);
    fn super_bus_space_write_4 = bus_space_write_4(tag: BusTag, handle: BusHandle, offset: u64, value: u32);
    fn super_bus_space_write_8 = bus_space_write_8(tag: BusTag, handle: BusHandle, offset: u64, value: u64);
    fn super_bus_space_peek_1 = bus_space_peek_1(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        value: *mut u8
    ) -> i32;
    fn super_bus_space_peek_2 = bus_space_peek_2(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        value: *mut u16
    ) -> i32;
    fn super_bus_space_peek_4 = bus_space_peek_4(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        value: *mut u32
    ) -> i32;
    fn super_bus_space_peek_8 = bus_space_peek_8(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        value: *mut u64
    ) -> i32;
    fn super_bus_space_poke_1 = bus_space_poke_1(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        value: u8
    ) -> i32;
    fn super_bus_space_poke_2 = bus_space_poke_2(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        value: u16
    ) -> i32;
    fn super_bus_space_poke_4 = bus_space_poke_4(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        value: u32
    ) -> i32;
    fn super_bus_space_poke_8 = bus_space_poke_8(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        value: u64
    ) -> i32;
    fn super_bus_space_read_multi_1 = bus_space_read_multi_1(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *mut u8,
        count: u64
    );
    fn super_bus_space_read_multi_2 = bus_space_read_multi_2(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *mut u16,
        count: u64
    );
    fn super_bus_space_read_multi_4 = bus_space_read_multi_4(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *mut u32,
        count: u64
    );
    fn super_bus_space_read_multi_8 = bus_space_read_multi_8(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *mut u64,
        count: u64
    );
    fn super_bus_space_write_multi_1 = bus_space_write_multi_1(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *const u8,
        count: u64
    );
    fn super_bus_space_write_multi_2 = bus_space_write_multi_2(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *const u16,
        count: u64
    );
    fn super_bus_space_write_multi_4 = bus_space_write_multi_4(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *const u32,
        count: u64
    );
    fn super_bus_space_write_multi_8 = bus_space_write_multi_8(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *const u64,
        count: u64
    );
    fn super_bus_space_read_region_1 = bus_space_read_region_1(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *mut u8,
        count: u64
    );
    fn super_bus_space_read_region_2 = bus_space_read_region_2(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *mut u16,
        count: u64
    );
    fn super_bus_space_read_region_4 = bus_space_read_region_4(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *mut u32,
        count: u64
    );
    fn super_bus_space_read_region_8 = bus_space_read_region_8(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *mut u64,
        count: u64
    );
    fn super_bus_space_write_region_1 = bus_space_write_region_1(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *const u8,
        count: u64
    );
    fn super_bus_space_write_region_2 = bus_space_write_region_2(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *const u16,
        count: u64
    );
    fn super_bus_space_write_region_4 = bus_space_write_region_4(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *const u32,
        count: u64
    );
    fn super_bus_space_write_region_8 = bus_space_write_region_8(
        tag: BusTag,
        handle: BusHandle,
        offset: u64,
        data: *const u64,
        count: u64
    );

    fn super_demo_ping = demo_ping(value: u64) -> u64;
    fn super_demo_wait = demo_wait(value: u64) -> u64;
    fn super_demo_note = demo_note(note: u64) -> u64;
    fn super_bench_leaf = bench_leaf(value: u64) -> u64;

    fn super_bpf_attach = bpf_attach(
        interface: u32,
        link_type: u32,
        header: u32,
        listeners: *mut u64
    ) -> i32;
    fn super_bpf_detach = bpf_detach(interface: u32);
    fn super_bpf_change_type = bpf_change_type(interface: u32, link_type: u32, header: u32) -> i32;
    fn super_bpf_mtap = bpf_mtap(attachment: u64, packet: *const u8, length: u64, direction: u32);
    fn super_bpf_mtap2 = bpf_mtap2(
        attachment: u64,
        header: *const u8,
        header_length: u64,
        packet: *const u8,
        length: u64,
        direction: u32
    );
    fn super_bpf_peers_present = bpf_peers_present(attachment: u64) -> u32;
}
