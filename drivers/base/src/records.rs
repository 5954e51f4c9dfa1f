//! The records of the base image: which function answers to each symbol, and what modules may import.
//!
//! The implementations are asked for by their names with an underscore, which nothing else refers to: a call to one goes
//! past every layer.

use bus_default::accessors::{
    _bus_space_barrier, _bus_space_peek_1, _bus_space_peek_2, _bus_space_peek_4, _bus_space_peek_8,
    _bus_space_poke_1, _bus_space_poke_2, _bus_space_poke_4, _bus_space_poke_8, _bus_space_read_1,
    _bus_space_read_2, _bus_space_read_4, _bus_space_read_8, _bus_space_read_multi_1,
    _bus_space_read_multi_2, _bus_space_read_multi_4, _bus_space_read_multi_8, _bus_space_read_region_1,
    _bus_space_read_region_2, _bus_space_read_region_4, _bus_space_read_region_8, _bus_space_write_1,
    _bus_space_write_2, _bus_space_write_4, _bus_space_write_8, _bus_space_write_multi_1,
    _bus_space_write_multi_2, _bus_space_write_multi_4, _bus_space_write_multi_8, _bus_space_write_region_1,
    _bus_space_write_region_2, _bus_space_write_region_4, _bus_space_write_region_8,
};
use bus_default::space::{
    _bus_space_address, _bus_space_device, _bus_space_map, _bus_space_subregion, _bus_space_unmap,
};
use kmod_api::symbols::{
    bench_leaf, bpf_attach, bpf_attachments, bpf_change_type, bpf_detach, bpf_mtap, bpf_mtap2,
    bpf_peers_present, bus_space_address, bus_space_barrier, bus_space_device, bus_space_map,
    bus_space_peek_1, bus_space_peek_2, bus_space_peek_4, bus_space_peek_8, bus_space_poke_1,
    bus_space_poke_2, bus_space_poke_4, bus_space_poke_8, bus_space_read_1, bus_space_read_2,
    bus_space_read_4, bus_space_read_8, bus_space_read_multi_1, bus_space_read_multi_2,
    bus_space_read_multi_4, bus_space_read_multi_8, bus_space_read_region_1, bus_space_read_region_2,
    bus_space_read_region_4, bus_space_read_region_8, bus_space_subregion, bus_space_trace, bus_space_unmap,
    bus_space_write_1, bus_space_write_2, bus_space_write_4, bus_space_write_8, bus_space_write_multi_1,
    bus_space_write_multi_2, bus_space_write_multi_4, bus_space_write_multi_8, bus_space_write_region_1,
    bus_space_write_region_2, bus_space_write_region_4, bus_space_write_region_8, demo_keep, demo_note,
    demo_ping, demo_wait, strata_deregister, strata_event_signal, strata_event_wait, strata_interrupt_done,
    strata_receive, strata_register, strata_reply, strata_thread_start, strata_timer_set, strata_unload,
    strata_wake,
};
use kmod_api::{export, weak_alias};

use crate::packets::{_bpf_attach, _bpf_change_type, _bpf_detach, _bpf_mtap, _bpf_mtap2, _bpf_peers_present};
use crate::stubs::{_bench_leaf, _bus_space_trace, _demo_note, _demo_ping, _demo_wait};

weak_alias!(bus_space_map => _bus_space_map, fault = 14);
weak_alias!(bus_space_unmap => _bus_space_unmap);
weak_alias!(bus_space_subregion => _bus_space_subregion, fault = 14);
weak_alias!(bus_space_barrier => _bus_space_barrier);
weak_alias!(bus_space_read_1 => _bus_space_read_1, fault = 0xff);
weak_alias!(bus_space_read_2 => _bus_space_read_2, fault = 0xffff);
weak_alias!(bus_space_read_4 => _bus_space_read_4, fault = 0xffff_ffff);
weak_alias!(bus_space_read_8 => _bus_space_read_8, fault = u64::MAX);
weak_alias!(bus_space_write_1 => _bus_space_write_1);
weak_alias!(bus_space_write_2 => _bus_space_write_2);
weak_alias!(bus_space_write_4 => _bus_space_write_4);
weak_alias!(bus_space_write_8 => _bus_space_write_8);
weak_alias!(bus_space_peek_1 => _bus_space_peek_1, fault = 14);
weak_alias!(bus_space_peek_2 => _bus_space_peek_2, fault = 14);
weak_alias!(bus_space_peek_4 => _bus_space_peek_4, fault = 14);
weak_alias!(bus_space_peek_8 => _bus_space_peek_8, fault = 14);
weak_alias!(bus_space_poke_1 => _bus_space_poke_1, fault = 14);
weak_alias!(bus_space_poke_2 => _bus_space_poke_2, fault = 14);
weak_alias!(bus_space_poke_4 => _bus_space_poke_4, fault = 14);
weak_alias!(bus_space_poke_8 => _bus_space_poke_8, fault = 14);
weak_alias!(bus_space_read_multi_1 => _bus_space_read_multi_1);
weak_alias!(bus_space_read_multi_2 => _bus_space_read_multi_2);
weak_alias!(bus_space_read_multi_4 => _bus_space_read_multi_4);
weak_alias!(bus_space_read_multi_8 => _bus_space_read_multi_8);
weak_alias!(bus_space_write_multi_1 => _bus_space_write_multi_1);
weak_alias!(bus_space_write_multi_2 => _bus_space_write_multi_2);
weak_alias!(bus_space_write_multi_4 => _bus_space_write_multi_4);
weak_alias!(bus_space_write_multi_8 => _bus_space_write_multi_8);
weak_alias!(bus_space_read_region_1 => _bus_space_read_region_1);
weak_alias!(bus_space_read_region_2 => _bus_space_read_region_2);
weak_alias!(bus_space_read_region_4 => _bus_space_read_region_4);
weak_alias!(bus_space_read_region_8 => _bus_space_read_region_8);
weak_alias!(bus_space_write_region_1 => _bus_space_write_region_1);
weak_alias!(bus_space_write_region_2 => _bus_space_write_region_2);
weak_alias!(bus_space_write_region_4 => _bus_space_write_region_4);
weak_alias!(bus_space_write_region_8 => _bus_space_write_region_8);
weak_alias!(bus_space_trace => _bus_space_trace);
weak_alias!(demo_ping => _demo_ping);
weak_alias!(demo_wait => _demo_wait, fault = 0, may_block);
weak_alias!(demo_note => _demo_note);
weak_alias!(bench_leaf => _bench_leaf);
weak_alias!(bpf_attach => _bpf_attach, fault = 14);
weak_alias!(bpf_detach => _bpf_detach);
weak_alias!(bpf_change_type => _bpf_change_type, fault = 14);
weak_alias!(bpf_mtap => _bpf_mtap);
weak_alias!(bpf_mtap2 => _bpf_mtap2);
weak_alias!(bpf_peers_present => _bpf_peers_present);

export!(bus_space_device => _bus_space_device);
export!(bus_space_address => _bus_space_address);
export!(bpf_attachments => crate::packets::attachments);
export!(strata_event_wait => driver_server::events::wait);
export!(strata_event_signal => driver_server::events::signal);
export!(strata_unload => driver_server::asking::unload);
export!(strata_register => driver_server::registering::register);
export!(strata_deregister => driver_server::registering::deregister);
export!(strata_timer_set => driver_server::registering::timer_set);
export!(strata_thread_start => driver_server::registering::thread_start);
export!(strata_interrupt_done => driver_server::registering::interrupt_done);
export!(strata_wake => driver_server::registering::wake);
export!(strata_receive => driver_server::registering::receive);
export!(strata_reply => driver_server::registering::reply);
export!(demo_keep => driver_server::registering::keep);
