//! Threads that own a device: its driver's class on top, and below it what every device answers, reads and writes of its
//! registers, through all layers.

use bus_space::{BusHandle, BusTag};
use driver_class::lease::{Asker, Lease};
use driver_class::{Answer, Driver, Memory, NotThis, Words};
use kmod_api::bus::Device;
use kmod_api::symbols::{
    bus_space_read_1, bus_space_read_2, bus_space_read_4, bus_space_read_8, bus_space_write_1,
    bus_space_write_2, bus_space_write_4, bus_space_write_8,
};
use kmod_api::thread;
use strata_protocol::Errno;
use strata_protocol::domain::ServerStart;
use strata_protocol::driver::{BUS_CHECK, BUS_READ, BUS_WRITE};
use strata_runtime::clock;

use crate::server::{Class, Server};

/// Entry of the thread of driver `D`, whose device runs at `CLOCK_HZ`.
///
/// # Safety
/// The linker server starts the thread here, with the address of its start record.
pub unsafe extern "C" fn entry<D: Driver<Device>, const CLOCK_HZ: u32>(start: *const ServerStart) -> ! {
    // SAFETY: this is the entry of the thread.
    let server = unsafe { Server::begin(start) };
    let device = match server.map_device() {
        Ok(device) => device,
        Err(errno) => server.refuse(errno),
    };
    let memory = match server.map_memory() {
        Ok(memory) => memory,
        Err(errno) => server.refuse(errno),
    };
    match &mut driver_of::<D>(device, memory, CLOCK_HZ) {
        Ok(driver) => server.serve(&mut Driven { driver, lease: Lease::default() }),
        Err(_) => server.refuse(Errno::ENODEV),
    }
}

/// The driver of a device. By a function of its own, and used where it has put it: moved, a driver would be on the stack twice,
/// and whoever looks at the thread reads the words of its stack one by one.
#[inline(never)]
fn driver_of<D: Driver<Device>>(
    device: Device,
    memory: Option<Memory<Device>>,
    clock_hz: u32,
) -> Result<D, NotThis> {
    match memory {
        Some(memory) => D::probe_with(device, memory, clock_hz),
        None => D::probe(device, clock_hz),
    }
}

/// A driver and what its server does with it.
struct Driven<'a, D> {
    driver: &'a mut D,
    lease: Lease,
}

impl<D: Driver<Device>> Class for Driven<'_, D> {
    fn stop(&mut self) {
        self.driver.stop();
    }

    fn layers_changed(&mut self) {
        self.driver.layers_changed();
    }

    fn signalled(&mut self, server: &Server) {
        if self.driver.interrupt() {
            server.tell_client();
        }
    }

    fn request(&mut self, client: u64, label: u64, words: &mut Words, length: usize) -> Answer {
        // Only leases need the time.
        let now_us = if D::LATER.is_some() { clock::microseconds() } else { 0 };
        match self.lease.request(self.driver, Asker { client, now_us }, label, words, length) {
            Err(Errno::ENOSYS) => request(self.driver.registers(), label, words),
            answer => answer,
        }
    }
}

/// Reads of one BUS_CHECK: bounds how long a client can keep the driver busy.
pub const CHECKS_MAX: u64 = 4096;

/// Answers a request that every device understands; ENOSYS for others.
pub(crate) fn request(device: &Device, label: u64, words: &mut Words) -> Answer {
    let [width, offset, third, mask, ..] = *words;
    match label {
        BUS_READ => {
            let place = Place::new(device, width, offset)?;
            thread::set_bus_status(0);
            words[0] = place.read();
            words[1] = status();
            Ok(2)
        }
        BUS_WRITE => {
            let place = Place::new(device, width, offset)?;
            thread::set_bus_status(0);
            place.write(third);
            words[0] = status();
            Ok(1)
        }
        BUS_CHECK => {
            let place = Place::new(device, width, offset)?;
            if third == 0 || third > CHECKS_MAX {
                return Err(Errno::ERANGE);
            }
            let first = place.read();
            words[1] = (1..third).filter(|_| (place.read() ^ first) & mask != 0).count() as u64;
            words[0] = first;
            Ok(2)
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// The bus status of this thread as a message word.
fn status() -> u64 {
    u64::from(thread::bus_status().unsigned_abs())
}

/// An aligned place inside a device.
struct Place {
    handle: BusHandle,
    offset: u64,
    width: u64,
}

impl Place {
    fn new(device: &Device, width: u64, offset: u64) -> Result<Self, Errno> {
        if !matches!(width, 1 | 2 | 4 | 8) {
            return Err(Errno::EINVAL);
        }
        if !device.contains(offset, width) {
            return Err(Errno::ERANGE);
        }
        Ok(Self { handle: device.handle(), offset, width })
    }

    fn read(&self) -> u64 {
        let (tag, handle, offset) = (BusTag::MEMORY, self.handle, self.offset);
        match self.width {
            // SAFETY: `new` has seen that the access is aligned and inside a mapped device.
            1 => unsafe { bus_space_read_1(tag, handle, offset) }.into(),
            // SAFETY: as above.
            2 => unsafe { bus_space_read_2(tag, handle, offset) }.into(),
            // SAFETY: as above.
            4 => unsafe { bus_space_read_4(tag, handle, offset) }.into(),
            // SAFETY: as above.
            _ => unsafe { bus_space_read_8(tag, handle, offset) },
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the client asked for this width")]
    fn write(&self, value: u64) {
        let (tag, handle, offset) = (BusTag::MEMORY, self.handle, self.offset);
        match self.width {
            // SAFETY: `new` has seen that the access is aligned and inside a mapped device.
            1 => unsafe { bus_space_write_1(tag, handle, offset, value as u8) },
            // SAFETY: as above.
            2 => unsafe { bus_space_write_2(tag, handle, offset, value as u16) },
            // SAFETY: as above.
            4 => unsafe { bus_space_write_4(tag, handle, offset, value as u32) },
            // SAFETY: as above.
            _ => unsafe { bus_space_write_8(tag, handle, offset, value) },
        }
    }
}
