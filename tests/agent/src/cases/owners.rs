//! Whose a begun transfer is: a client that dies in the middle of one keeps the device for the time of its lease, and no longer.
//!
//! Where the device's interrupt leads nowhere (QEMU's raspi4b) the transfer is under way when its time is over; elsewhere it
//! has ended, and nobody has fetched its result.

use core::pin::pin;

use embedded_hal_async::delay::DelayNs as _;
use embedded_hal_async::i2c::I2c as _;
use hal_clients::executor;
use hal_clients::i2c::WaitingI2c;
use hal_clients::time::Clock;
use sel4_sys::seL4_CPtr;
use strata_protocol::Errno;
use strata_protocol::capability::{CapObject, right};
use strata_protocol::caps::slot;
use strata_protocol::driver::spi::{Select, Settings};
use strata_protocol::driver::{Later, i2c, spi};
use strata_protocol::linker::{Reply, Request};
use strata_protocol::message::WORDS_MAX;
use strata_runtime::device::{Endpoint, Signal};
use strata_runtime::ipc::call_for_capability;
use strata_runtime::{Ipc, clock};

use crate::agent::{Agent, name};
use crate::case::{Failure, I2C_CHIPS, I2C_CHIPS_AND_INTERRUPTS, Outcome, SPI_FLASH, case, ensure_eq, fail};
use crate::cases::capabilities::{Held, derive, revoke};
use crate::device::Device;
use crate::threads::Shared;

/// QEMU's thermometer, and the register of its upper limit, which begins at 80 degrees.
const THERMOMETER: u8 = 0x48;
const LIMIT_AT: u8 = 3;
const LIMIT: [u8; 2] = [80, 0];
/// "Read JEDEC ID", and the rest of what the model has to say before it takes another command.
const IDENTIFY: [u8; 7] = [0x9f, 0, 0, 0, 0, 0, 0];
/// QEMU's W25Q32, behind the byte that comes while the command goes.
const FLASH_ID: [u8; 3] = [0xef, 0x40, 0x16];
/// The most words of the transfers here.
const TRANSFER_WORDS: usize = 4;

/// Word 6 of a client that has not been answered.
const NOT_YET: u64 = u64::MAX;

/// Begins the transfer in words 2 to 5 by the endpoint in word 0 and the label in word 1: into word 6 goes what was answered,
/// into word 7 the transfer's number. It does not come to fetching the result.
fn begin(shared: &'static Shared, ipc: &mut Ipc) {
    let words: [u64; TRANSFER_WORDS] = core::array::from_fn(|at| shared.get(2 + at));
    let answer = Device::at(shared.get(0)).call(ipc, shared.get(1), &words);
    shared.set(7, answer.words[0]);
    shared.set(6, answer.label);
    while !shared.stopping() {
        sel4_sys::seL4_Yield();
    }
}

/// A client by a capability of its own, as which a thread began a transfer and died.
struct Dead {
    by: Held,
    device: Device,
    number: u64,
    died_us: u64,
}

impl Dead {
    fn in_mid_transfer(agent: &mut Agent, server: &str, later: Later, transfer: &[u64]) -> Outcome<Self> {
        let by = derive(agent, slot::LINKER, CapObject::Domain, right::OPEN)?;
        let endpoint: seL4_CPtr = agent.slot()?;
        match call_for_capability(agent.ipc, by.at, &Request::OpenDevice { name: name(server)? }, endpoint) {
            Ok((Reply::Capability { .. }, true)) => {}
            other => fail!("opening {server} as another client: {other:?}"),
        }
        let mut words = [endpoint, later.begin, 0, 0, 0, 0, NOT_YET];
        words[2..2 + transfer.len()].copy_from_slice(transfer);
        let client = agent.spawn(begin, &words)?;
        while client.get(6) == NOT_YET {
            agent.sleep_us(1_000)?;
        }
        agent.kill(client)?;
        ensure_eq!(client.get(6), 0, "the answer to the transfer that was begun");
        let device = Device::at(endpoint);
        Ok(Self { by, device, number: client.get(7), died_us: clock::microseconds() })
    }

    /// Fails unless whatever this client asks about its transfer is about nothing.
    fn has_nothing(&self, agent: &mut Agent, later: Later) -> Outcome {
        for label in [later.result, later.abort] {
            let answer = self.device.call(agent.ipc, label, &[self.number]);
            ensure_eq!(answer.label, label_of(Errno::ENOENT), "the answer to the dead client's {label}");
        }
        Ok(())
    }

    fn bury(self, agent: &mut Agent) -> Outcome {
        agent.close(self.device)?;
        revoke(agent, self.by, right::ALL)
    }
}

fn label_of(errno: Errno) -> u64 {
    u64::from(errno.number().unsigned_abs())
}

/// A client dies in the middle of a transfer; another one is refused while the lease runs, and served afterwards. What the
/// other is answered then.
fn another_is_served(agent: &mut Agent, server: &str, later: Later, transfer: &[u64]) -> Outcome<[u64; 4]> {
    let dead = Dead::in_mid_transfer(agent, server, later, transfer)?;
    let device = agent.open(server)?;
    for (label, words, errno) in [
        (later.transfer, transfer, Errno::EBUSY),
        (later.begin, transfer, Errno::EBUSY),
        (later.result, &[dead.number], Errno::ENOENT),
        (later.abort, &[dead.number], Errno::ENOENT),
        (later.transfer, transfer, Errno::EBUSY),
    ] {
        let answer = device.call(agent.ipc, label, words);
        ensure_eq!(answer.label, label_of(errno), "the answer to {label} while the lease runs");
    }
    agent.sleep_us(later.lease_us)?;
    let answer = device.call(agent.ipc, later.transfer, transfer);
    ensure_eq!(answer.label, 0, "the answer behind the lease");
    dead.has_nothing(agent, later)?;
    dead.bury(agent)?;
    agent.close(device)?;
    Ok(answer.words)
}

/// The words of a read of the thermometer's limit.
fn limit_words() -> Outcome<[u64; TRANSFER_WORDS]> {
    let mut words = [0; WORDS_MAX];
    let length = i2c::Transfer::encode(THERMOMETER, &[LIMIT_AT], LIMIT.len(), &mut words);
    ensure_eq!(length, Ok(TRANSFER_WORDS), "words of the transfer");
    Ok(core::array::from_fn(|at| words[at]))
}

case!(
    /// I²C: a client that died in the middle leaves the bus to the next one, which reads what the chip holds.
    30, I2C_CHIPS, fn i2c_client_that_dies_in_mid_transfer_leaves_the_bus(agent) {
        let [outcome, bytes, ..] = another_is_served(agent, "i2c", i2c::LATER, &limit_words()?)?;
        ensure_eq!(outcome, i2c::Outcome::Done.word(), "the outcome");
        ensure_eq!(bytes.to_le_bytes()[..2], LIMIT, "the limit");
        agent.expect_devices_well()
    }
);

case!(
    /// SPI: the same.
    40, SPI_FLASH, fn spi_client_that_dies_in_mid_transfer_leaves_the_bus(agent) {
        let settings = Settings { select: Select::Chip0, idles_high: false, second_edge: false, hz: 1_000_000 };
        let mut words = [0; WORDS_MAX];
        let length = settings.encode(&IDENTIFY, &mut words);
        ensure_eq!(length, Ok(TRANSFER_WORDS), "words of the transfer");
        let [bytes, ..] = another_is_served(agent, "spi", spi::LATER, &words[..TRANSFER_WORDS])?;
        ensure_eq!(bytes.to_le_bytes()[1..4], FLASH_ID, "the identification");
        agent.expect_devices_well()
    }
);

case!(
    /// Somebody who waits for the bus of a client that has died goes on with the alarm beside it.
    30, I2C_CHIPS_AND_INTERRUPTS, fn waiting_behind_a_client_that_died(agent) {
        let dead = Dead::in_mid_transfer(agent, "i2c", i2c::LATER, &limit_words()?)?;
        for server in ["i2c", "systimer"] {
            let led = agent.linker(&Request::SignalMe { name: name(server)? })?;
            ensure_eq!(led, Reply::Done, "leading the signal of {server} here");
        }
        let (bus, timer) = (agent.open("i2c")?, agent.open("systimer")?);
        let signal = Signal::new(slot::NOTIFICATION);
        let (read, limit) = agent.lend_ipc(|ipc| {
            let mut bus = WaitingI2c::new(Endpoint::new(ipc, bus.endpoint()), signal.listener());
            let mut ticks = Clock::new(Endpoint::new(ipc, timer.endpoint()), signal.listener())
                .map_err(|error| Failure::new(format_args!("the clock: {error}")))?;
            let (mut read, mut limit) = (None, [0; 2]);
            {
                let reader = pin!(async {
                    read = Some(bus.write_read(THERMOMETER, &[LIMIT_AT], &mut limit).await);
                });
                let alarm = pin!(async {
                    for _ in 0..12 {
                        ticks.delay_ms(100).await;
                    }
                });
                executor::run(&mut [reader, alarm], signal.listener());
            }
            Ok((read, limit))
        })?;
        ensure_eq!((read, limit), (Some(Ok(())), LIMIT), "the read behind the lease");
        agent.took_ms(dead.died_us, 900, 1_800, "the wait for the bus")?;
        dead.has_nothing(agent, i2c::LATER)?;
        dead.bury(agent)?;
        agent.close(bus)?;
        agent.close(timer)?;
        agent.expect_devices_well()
    }
);
