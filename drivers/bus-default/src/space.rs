//! The defaults of map, unmap and subregion, and the exports that tell where a handle lies.

use bus_space::{BusHandle, BusTag, MapFlags};
use kmod_api::Errno;

use crate::windows;

/// Reserves the range for its caller and gives the address at which the linker server has mapped the device.
///
/// LINEAR is refused: accesses past every layer are what this system exists to avoid.
///
/// # Safety
/// `handle` is valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _bus_space_map(
    _tag: BusTag,
    address: u64,
    size: u64,
    flags: MapFlags,
    handle: *mut BusHandle,
) -> i32 {
    if flags.contains(MapFlags::LINEAR) {
        return Errno::EINVAL.number();
    }
    let Some(place) = windows::by_physical(address) else { return Errno::ENODEV.number() };
    if !place.window.contains(place.offset, size) {
        return Errno::ERANGE.number();
    }
    if place.window.reserve(place.offset, size).is_none() {
        return Errno::EBUSY.number();
    }
    let found = BusHandle::new(place.window.address() + place.offset);
    // SAFETY: the caller promises a place for the handle.
    unsafe { handle.write(found) };
    0
}

/// Ends the reservation.
///
/// # Panics
/// When the range is not mapped: bus_space(9) calls that a bug, and nothing sensible can follow.
///
/// # Safety
/// No copy of the handle is used afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _bus_space_unmap(_tag: BusTag, handle: BusHandle, size: u64) {
    let released =
        windows::by_address(handle.address()).and_then(|place| place.window.release(place.offset, size));
    assert!(released.is_some(), "unmap of what is not mapped");
}

/// A handle of a part of a mapping.
///
/// # Safety
/// `part` is valid for a write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _bus_space_subregion(
    tag: BusTag,
    handle: BusHandle,
    offset: u64,
    size: u64,
    part: *mut BusHandle,
) -> i32 {
    let start = handle.at(tag, offset);
    let inside = windows::by_address(handle.address()).is_some_and(|place| {
        start >= handle.address() && place.window.contains(start - handle.address() + place.offset, size)
    });
    if !inside {
        return Errno::ERANGE.number();
    }
    // SAFETY: the caller promises a place for the handle.
    unsafe { part.write(BusHandle::new(start)) };
    0
}

/// The number of the device that a handle lies in; `u32::MAX` outside every device.
#[unsafe(no_mangle)]
pub extern "C" fn _bus_space_device(_tag: BusTag, handle: BusHandle) -> u32 {
    windows::by_address(handle.address())
        .and_then(|place| u32::try_from(place.index).ok())
        .unwrap_or(u32::MAX)
}

/// The bus address that a handle stands for; `u64::MAX` outside every device.
#[unsafe(no_mangle)]
pub extern "C" fn _bus_space_address(_tag: BusTag, handle: BusHandle) -> u64 {
    windows::by_address(handle.address()).map_or(u64::MAX, |place| place.window.physical() + place.offset)
}
