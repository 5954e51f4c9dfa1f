//! The loop of a driver server, and its first moments.

use core::cell::Cell;
use core::sync::atomic::Ordering;

use bus_space::windows::SERVERS_MAX;
use bus_space::{BusHandle, BusTag, MapFlags};
use driver_class::{Answer, Memory, Words};
use kmod_api::bus::Device;
use kmod_api::symbols::bus_space_unmap;
use sel4_sys::{seL4_IPCBuffer, seL4_MessageInfo};
use strata_protocol::Errno;
use strata_protocol::caps::signal;
use strata_protocol::domain::{ServerStart, server_signal, serving};
use strata_protocol::driver::SERVER_STOP;
use strata_protocol::message::WORDS_MAX;
use strata_runtime::thread;

/// Bytes of the memory that a device of a server reads and writes by itself: a page.
const MEMORY_SIZE: u64 = 0x1000;

/// A driver server's thread.
///
/// Holding one proves that this thread has opened its device's window, has answered the client of its predecessor if it
/// was started again, and owns the thread's IPC buffer.
pub struct Server {
    ipc: &'static mut seL4_IPCBuffer,
    start: ServerStart,
    /// What [`Server::map_device`] has mapped.
    mapped: Cell<Option<BusHandle>>,
    /// What [`Server::map_memory`] has mapped.
    memory: Cell<Option<BusHandle>>,
}

/// What a class of drivers does with requests and interrupts.
pub trait Class {
    /// Leaves the device: it raises its interrupt no more. Called between two requests.
    fn stop(&mut self) {}

    /// Layers over the interface through which it reaches its device have come or gone.
    fn layers_changed(&mut self) {}

    /// An interrupt or another signal has come.
    fn signalled(&mut self, _server: &Server) {}

    /// Answers a request of the client with this badge. `words` holds its `length` words and takes the answer's.
    fn request(&mut self, client: u64, label: u64, words: &mut Words, length: usize) -> Answer;

    /// Runs after the answer has gone out, for requests that are answered before they are carried out.
    fn after(&mut self) {}
}

impl Server {
    /// Takes over the thread.
    ///
    /// # Safety
    /// Called once at the entry of a thread of the link domain, with what the thread found in x0.
    #[must_use]
    pub unsafe fn begin(start: *const ServerStart) -> Self {
        // SAFETY: the linker server maps the start record for the life of the thread.
        let start = unsafe { *start };
        // SAFETY: this is the entry of the thread; after a restart nothing of the earlier run is left.
        let ipc = unsafe { thread::take_ipc() };
        // An earlier run may have been stopped in the middle of a look.
        thread::block().bears_bus_errors.store(0, Ordering::Relaxed);
        let mut server = Self { ipc, start, mapped: Cell::new(None), memory: Cell::new(None) };
        if thread::block().serving.load(Ordering::Acquire) == serving::GIVEN_UP {
            server.answer_after_fault();
            server.stand_in(Errno::ENXIO);
        }
        if let Ok(index) = usize::try_from(start.index)
            && start.physical != 0
        {
            bus_default::windows::WINDOWS.open(index, start.physical, start.address, start.size);
            if start.memory != 0 {
                let (physical, address) = (start.memory_physical, start.memory);
                bus_default::windows::WINDOWS.open(SERVERS_MAX + index, physical, address, MEMORY_SIZE);
            }
        }
        server.answer_for_predecessor();
        server
    }

    /// Replies to whoever waited for this thread when it faulted, or was started again after a stop. The reply capability is still in the TCB;
    /// where nobody waited there is none, and the kernel drops the reply.
    fn answer_for_predecessor(&mut self) {
        let block = thread::block();
        if block.serving.swap(serving::IN_SERVICE, Ordering::Acquire) != serving::IN_SERVICE {
            // The stand-in may have been in the middle of an answer; and what came meanwhile is there to be fetched.
            self.ipc.seL4_Reply(seL4_MessageInfo::new(number(Errno::EAGAIN), 0, 0, 0));
            self.tell_client();
        }
        self.answer_after_fault();
    }

    /// Tells whoever waited for this thread that it has faulted, if it has.
    fn answer_after_fault(&mut self) {
        let fault = &thread::block().fault;
        if fault.kind.swap(0, Ordering::Relaxed) == 0 {
            return;
        }
        let (pc, address) = (fault.pc.load(Ordering::Relaxed), fault.address.load(Ordering::Relaxed));
        self.ipc.msg[0] = address;
        self.ipc.msg[1] = pc;
        self.ipc.msg[2] = fault.status.load(Ordering::Relaxed);
        self.ipc.seL4_Reply(seL4_MessageInfo::new(number(Errno::EFAULT), 0, 0, 3));
        // What a client waits for may have been lost: it looks again.
        self.tell_client();
        defmt::warn!("server restarted after a fault at {=u64:#x}, pc {=u64:#x}", address, pc);
    }

    /// Maps the whole device of this server.
    pub fn map_device(&self) -> Result<Device, Errno> {
        let device = Device::map(BusTag::MEMORY, self.start.physical, self.start.size, MapFlags::NONE)?;
        self.mapped.set(Some(device.handle()));
        Ok(device)
    }

    /// Maps the memory that the device reads and writes by itself, where this server was given some.
    pub fn map_memory(&self) -> Result<Option<Memory<Device>>, Errno> {
        if self.start.memory == 0 {
            return Ok(None);
        }
        let physical = self.start.memory_physical;
        let words = Device::map(BusTag::MEMORY, physical, MEMORY_SIZE, MapFlags::NONE)?;
        self.memory.set(Some(words.handle()));
        Ok(Some(Memory { words, physical }))
    }

    /// Gives the device back, so that layers forget what they keep beside its handle.
    fn unmap_device(&self) {
        if let Some(handle) = self.mapped.take() {
            // SAFETY: `map_device` has mapped it, so long, and nobody uses it any more: the class has left the device, and
            // this thread answers no request until it begins anew.
            unsafe { bus_space_unmap(BusTag::MEMORY, handle, self.start.size) };
        }
        if let Some(handle) = self.memory.take() {
            // SAFETY: as above, by `map_memory`.
            unsafe { bus_space_unmap(BusTag::MEMORY, handle, MEMORY_SIZE) };
        }
    }

    /// Lets the kernel raise the device's interrupt again.
    pub fn acknowledge(&mut self) {
        if self.start.irq_handler != 0 {
            // An acknowledgement of a handler that we hold cannot fail.
            let _ = self.ipc.seL4_IRQHandler_Ack(self.start.irq_handler);
        }
    }

    /// Tells the client that something has arrived.
    pub fn tell_client(&self) {
        if self.start.signal != 0 {
            sel4_sys::seL4_Signal(self.start.signal);
        }
    }

    /// The notification that a demo module waits on.
    #[must_use]
    pub const fn hold(&self) -> u64 {
        self.start.hold
    }

    /// Serves for ever.
    pub fn serve(mut self, class: &mut impl Class) -> ! {
        self.acknowledge();
        let (mut info, mut badge) = self.receive();
        loop {
            if signal::is_signal(badge) {
                if badge & server_signal::LAYERS != 0 {
                    class.layers_changed();
                    thread::block().layers_told.fetch_add(1, Ordering::Relaxed);
                }
                if badge & !server_signal::LAYERS != 0 {
                    class.signalled(&self);
                    self.acknowledge();
                }
                (info, badge) = self.receive();
                continue;
            }
            // Only the linker server's messages carry no badge.
            if badge == 0 && info.get_label() == SERVER_STOP {
                class.stop();
                self.unmap_device();
                thread::block().serving.store(serving::STOPPED, Ordering::Release);
                self.stand_in(Errno::EAGAIN);
            }
            let length = usize::try_from(info.get_length()).unwrap_or(WORDS_MAX).min(WORDS_MAX);
            let answer = answer(class, badge, info.get_label(), &mut self.ipc.msg, length);
            let reply = match answer {
                Ok(words) => seL4_MessageInfo::new(0, 0, 0, words.min(WORDS_MAX) as u64),
                Err(errno) => seL4_MessageInfo::new(number(errno), 0, 0, 0),
            };
            self.ipc.seL4_Reply(reply);
            class.after();
            (info, badge) = self.receive();
        }
    }

    /// Refuses for a server that has left, until the linker server starts this thread again at its entry.
    fn stand_in(mut self, errno: Errno) -> ! {
        loop {
            let (_, badge) = self.receive();
            if !signal::is_signal(badge) {
                self.ipc.seL4_Reply(seL4_MessageInfo::new(number(errno), 0, 0, 0));
            }
        }
    }

    fn receive(&mut self) -> (seL4_MessageInfo, u64) {
        let received = self.ipc.seL4_Recv(self.start.endpoint, ());
        // This thread's own count: nobody else writes it.
        let served = &thread::block().served;
        served.store(served.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        received
    }

    /// Stands in for a server whose device is not there: every request is refused.
    pub fn refuse(self, errno: Errno) -> ! {
        struct Refusing(Errno);
        impl Class for Refusing {
            fn request(&mut self, _client: u64, _label: u64, _words: &mut Words, _length: usize) -> Answer {
                Err(self.0)
            }
        }
        self.serve(&mut Refusing(errno))
    }
}

/// What a request is answered. Its buffers are on the stack only meanwhile: whoever looks at a thread that waits reads
/// the words of its stack one by one.
#[inline(never)]
fn answer(class: &mut impl Class, client: u64, label: u64, words: &mut Words, length: usize) -> Answer {
    class.request(client, label, words, length)
}

/// An errno as a message label.
fn number(errno: Errno) -> u64 {
    u64::from(errno.number().unsigned_abs())
}
