//! Several devices at once: one thread waits for a bus, a memory and a clock, and goes on with whichever has something.

use core::cell::RefCell;
use core::pin::pin;
use core::task::{Context, Waker};

use embedded_hal::spi::MODE_0;
use embedded_hal_async::delay::DelayNs as _;
use embedded_hal_async::i2c::I2c as _;
use embedded_hal_async::spi::SpiDevice as _;
use hal_clients::Error;
use hal_clients::executor;
use hal_clients::i2c::WaitingI2c;
use hal_clients::spi::{SpiDevice, WaitingSpiDevice};
use hal_clients::time::Clock;
use strata_protocol::caps::slot;
use strata_protocol::driver::spi::Select;
use strata_protocol::linker::{Reply, Request};
use strata_runtime::device::{Endpoint, Listener, Signal};

use crate::agent::{Agent, name};
use crate::case::{
    Failure, I2C_CHIPS_AND_INTERRUPTS, Outcome, SPI_FLASH_AND_INTERRUPTS, case, ensure, ensure_eq,
};
use crate::device::Device;

/// QEMU's thermometer, and the register of its upper limit, which begins at 80 degrees.
const THERMOMETER: u8 = 0x48;
const LIMIT_AT: u8 = 3;
const LIMIT: [u8; 2] = [80, 0];
/// An address that nobody has.
const NOBODY: u8 = 0x33;
/// The identification of QEMU's W25Q32.
const FLASH_ID: [u8; 3] = [0xef, 0x40, 0x16];

fn failed(what: &'static str) -> impl FnOnce(Error) -> Failure {
    move |error| Failure::new(format_args!("{what}: {error}"))
}

/// The endpoint of a driver server whose signals come to this process's own notification.
fn open(agent: &mut Agent, server: &str) -> Outcome<Device> {
    let led = agent.linker(&Request::SignalMe { name: name(server)? })?;
    ensure_eq!(led, Reply::Done, "leading the signal of {server} here");
    agent.open(server)
}

case!(
    /// A thermometer is read again and again while a clock ticks: both futures get on, and so do two that share the bus.
    30, I2C_CHIPS_AND_INTERRUPTS, fn waiting_for_a_bus_and_a_clock_at_once(agent) {
        let (bus, clock) = (open(agent, "i2c")?, open(agent, "systimer")?);
        let signal = Signal::new(slot::NOTIFICATION);
        agent.lend_ipc(|ipc| {
            let bus = || WaitingI2c::new(Endpoint::new(ipc, bus.endpoint()), signal.listener());
            let ticks = || {
                Clock::new(Endpoint::new(ipc, clock.endpoint()), signal.listener()).map_err(failed("the clock"))
            };
            // A transfer is under way once it has been asked for, and its client goes on meanwhile.
            let (mut one, mut limit) = (bus(), [0; 2]);
            {
                let mut transfer = pin!(one.write_read(THERMOMETER, &[LIMIT_AT], &mut limit));
                let waits = transfer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
                ensure!(waits, "the transfer's end was waited for");
                executor::block_on(transfer, signal.listener()).map_err(failed("the limit"))?;
            }
            ensure_eq!(limit, LIMIT, "the limit");

            let order = RefCell::new(heapless::Vec::<char, 32>::new());
            let note = |what| {
                // There is room for all that follow.
                let _ = order.borrow_mut().push(what);
            };
            let wrong = RefCell::new(None);
            let (mut thermometer, mut pause, mut tick) = (bus(), ticks()?, ticks()?);
            let reader = pin!(async {
                for _ in 0..5 {
                    let mut limit = [0; 2];
                    match thermometer.write_read(THERMOMETER, &[LIMIT_AT], &mut limit).await {
                        Ok(()) if limit == LIMIT => note('r'),
                        other => *wrong.borrow_mut() = Some((other, limit)),
                    }
                    pause.delay_ms(20).await;
                }
            });
            let ticker = pin!(async {
                for _ in 0..10 {
                    tick.delay_ms(9).await;
                    note('t');
                }
            });
            executor::run(&mut [reader, ticker], signal.listener());
            ensure_eq!(*wrong.borrow(), None, "a read that went wrong");
            let order = order.borrow();
            let of = |wanted| order.iter().filter(|what| **what == wanted).count();
            ensure_eq!((of('r'), of('t')), (5, 10), "what the two have done");
            let turns = order.windows(2).filter(|pair| pair[0] != pair[1]).count();
            ensure!(turns >= 6, "they did not take turns: {order:?}");

            // Errors are those of the bus, and two share it.
            let (mut first, mut second) = (bus(), bus());
            let nobody = executor::block_on(first.write(NOBODY, &[0]), signal.listener());
            ensure!(matches!(nobody, Err(Error::I2c(_))), "an address that nobody has: {nobody:?}");
            let done = RefCell::new(0);
            let share = async |bus: &mut WaitingI2c<Endpoint<'_>, Listener<'_>>| {
                for _ in 0..20 {
                    let mut limit = [0; 2];
                    let read = bus.write_read(THERMOMETER, &[LIMIT_AT], &mut limit).await;
                    *done.borrow_mut() += u32::from(read.is_ok() && limit == LIMIT);
                }
            };
            let (one, other) = (pin!(share(&mut first)), pin!(share(&mut second)));
            executor::run(&mut [one, other], signal.listener());
            ensure_eq!(*done.borrow(), 40, "reads of the two that share the bus");
            Ok(())
        })?;
        agent.close(bus)?;
        agent.close(clock)?;
        agent.expect_devices_well()
    }
);

case!(
    /// A flash memory says who it is by a transfer that is waited for, and the server answers others afterwards.
    30, SPI_FLASH_AND_INTERRUPTS, fn waiting_for_a_flash_memory(agent) {
        let device = open(agent, "spi")?;
        let signal = Signal::new(slot::NOTIFICATION);
        agent.lend_ipc(|ipc| {
            let chip = SpiDevice::new(Endpoint::new(ipc, device.endpoint()), Select::Chip0, MODE_0, 1_000_000)
                .map_err(failed("the chip"))?;
            let mut chip = WaitingSpiDevice::new(chip, signal.listener());
            // "Read JEDEC ID": the model has six bytes of it, and takes no command before they have gone.
            let mut bytes = [0x9f, 0, 0, 0, 0, 0, 0];
            {
            let mut transfer = pin!(chip.transfer_in_place(&mut bytes));
            let waits = transfer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
            ensure!(waits, "the transfer's end was waited for");
            executor::block_on(transfer, signal.listener()).map_err(failed("the identification"))?;
            }
            ensure_eq!(bytes[1..4], FLASH_ID, "the identification");
            Ok(())
        })?;
        agent.close(device)?;
        agent.expect_devices_well()
    }
);
