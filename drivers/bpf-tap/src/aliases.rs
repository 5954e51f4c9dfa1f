//! The symbols of bpf(4): what packets go through is provided, attaching is refined.

use bpf::Packet;
use bpf::capture::LINK_TYPES;
use kmod_api::below::{super_bpf_attach, super_bpf_change_type, super_bpf_detach};
use kmod_api::symbols::{bpf_attach, bpf_change_type, bpf_detach, bpf_mtap, bpf_mtap2, bpf_peers_present};
use kmod_api::{Errno, refine_alias, strong_alias};

use crate::state::{set, with};

/// Records an attachment, unless no capture file can carry its packets.
#[unsafe(no_mangle)]
unsafe extern "C" fn bpf_tap_attach(interface: u32, link_type: u32, header: u32, listeners: *mut u64) -> i32 {
    if link_type >= LINK_TYPES {
        return Errno::EINVAL.number();
    }
    // SAFETY: the caller's arguments go on unchanged.
    unsafe { super_bpf_attach(interface, link_type, header, listeners) }
}
refine_alias!(bpf_attach => bpf_tap_attach, fault = 14);

/// Forgets an interface: nobody hears it from now on.
#[unsafe(no_mangle)]
unsafe extern "C" fn bpf_tap_detach(interface: u32) {
    // Under the lock, so that nobody opens a listener in between.
    let done = with(|state| {
        state.sync();
        set(&state.tap.quiet_of(interface));
        // SAFETY: the symbol takes any number.
        unsafe { super_bpf_detach(interface) };
        Ok(())
    });
    if done.is_err() {
        // SAFETY: as above.
        unsafe { super_bpf_detach(interface) };
    }
}
refine_alias!(bpf_detach => bpf_tap_detach);

/// Changes an interface's link type, unless no capture file can carry its packets.
#[unsafe(no_mangle)]
unsafe extern "C" fn bpf_tap_change_type(interface: u32, link_type: u32, header: u32) -> i32 {
    if link_type >= LINK_TYPES {
        return Errno::EINVAL.number();
    }
    // SAFETY: the symbol takes any numbers.
    unsafe { super_bpf_change_type(interface, link_type, header) }
}
refine_alias!(bpf_change_type => bpf_tap_change_type, fault = 14);

/// The bytes that a driver shows.
///
/// # Safety
/// `length` bytes at `at` are readable and nobody changes them during the call, or `length` is 0.
unsafe fn bytes<'a>(at: *const u8, length: u64) -> &'a [u8] {
    match usize::try_from(length) {
        Ok(length) if length > 0 && !at.is_null() => {
            // SAFETY: the caller's promise.
            unsafe { core::slice::from_raw_parts(at, length) }
        }
        _ => &[],
    }
}

/// A packet in one piece.
#[unsafe(no_mangle)]
unsafe extern "C" fn bpf_tap_mtap(attachment: u64, packet: *const u8, length: u64, direction: u32) {
    // SAFETY: the promise of who calls `bpf_mtap`.
    let packet = unsafe { bytes(packet, length) };
    hear(attachment, &Packet::new(packet), direction);
}
strong_alias!(bpf_mtap => bpf_tap_mtap);

/// A packet with a header that lies elsewhere.
#[unsafe(no_mangle)]
unsafe extern "C" fn bpf_tap_mtap2(
    attachment: u64,
    header: *const u8,
    header_length: u64,
    packet: *const u8,
    length: u64,
    direction: u32,
) {
    // SAFETY: the promise of who calls `bpf_mtap2`.
    let header = unsafe { bytes(header, header_length) };
    // SAFETY: as above.
    let packet = unsafe { bytes(packet, length) };
    hear(attachment, &Packet::with_header(header, packet), direction);
}
strong_alias!(bpf_mtap2 => bpf_tap_mtap2);

fn hear(attachment: u64, packet: &Packet<'_>, direction: u32) {
    // From inside of itself a packet is not heard, which a capture may miss; the packet goes on.
    let _ = with(|state| {
        state.packet(attachment, packet, direction);
        Ok(())
    });
}

/// Whether anybody listens to an attachment.
#[unsafe(no_mangle)]
unsafe extern "C" fn bpf_tap_peers_present(attachment: u64) -> u32 {
    let heard = with(|state| {
        state.sync();
        Ok(!state.is_passing() && u32::try_from(attachment).is_ok_and(|number| state.tap.is_heard(number)))
    });
    u32::from(heard.unwrap_or(false))
}
strong_alias!(bpf_peers_present => bpf_tap_peers_present);
