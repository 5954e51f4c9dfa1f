//! The defaults of map, unmap and subregion, and the exports that tell where a handle lies.

use bus_space::windows::MapError;
use bus_space::{BusHandle, BusTag, MapFlags};
use kmod_api::Errno;

use crate::windows::WINDOWS;

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
    match WINDOWS.map(address, size) {
        // SAFETY: the caller promises a place for the handle.
        Ok(found) => unsafe { handle.write(found) },
        Err(MapError::NoDevice) => return Errno::ENODEV.number(),
        Err(MapError::Range) => return Errno::ERANGE.number(),
        Err(MapError::Taken) => return Errno::EBUSY.number(),
    }
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
    assert!(WINDOWS.unmap(handle, size), "unmap of what is not mapped");
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
    if !WINDOWS.contains(handle, start, size) {
        return Errno::ERANGE.number();
    }
    // SAFETY: the caller promises a place for the handle.
    unsafe { part.write(BusHandle::new(start)) };
    0
}

/// The number of the device that a handle lies in; `u32::MAX` outside every device.
#[unsafe(no_mangle)]
pub extern "C" fn _bus_space_device(_tag: BusTag, handle: BusHandle) -> u32 {
    WINDOWS.device(handle).unwrap_or(u32::MAX)
}

/// The bus address that a handle stands for; `u64::MAX` outside every device.
#[unsafe(no_mangle)]
pub extern "C" fn _bus_space_address(_tag: BusTag, handle: BusHandle) -> u64 {
    WINDOWS.physical(handle).unwrap_or(u64::MAX)
}
