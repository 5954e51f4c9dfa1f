//! The I²C class: drivers that others wrote for `embedded-hal`, unchanged, against QEMU's models of their chips.

use bus_space::Op;
use ds1307::{DateTimeAccess, Ds1307, NaiveDate, NaiveDateTime};
use embedded_hal::i2c::{Error as _, ErrorKind, I2c as _, NoAcknowledgeSource};
use hal_clients::i2c::I2c;
use lm75::Lm75;
use strata_protocol::Errno;
use strata_protocol::driver::i2c::TRANSFER;
use strata_runtime::device::Endpoint;

use crate::agent::Agent;
use crate::case::{Failure, I2C_CHIPS, Outcome, case, ensure, ensure_eq};
use crate::names::{BASE, DEBUG, READ_4};

/// The name of the bus's driver server.
const BUS: &str = "i2c";
/// The controller's FIFO register.
const FIFO_AT: u64 = 0x10;
/// The address of the clock.
const CLOCK: u8 = 0x68;
/// Two seconds before 29 February 2032, in seconds since 1970.
const SET_TO: i64 = 1_961_625_598;
/// An address that nobody has.
const NOBODY: u8 = 0x33;

/// Runs a part of a case with the bus.
fn with_bus<T>(agent: &mut Agent, part: impl FnOnce(I2c<Endpoint<'_>>) -> Outcome<T>) -> Outcome<T> {
    let device = agent.open(BUS)?;
    let outcome = agent.lend_ipc(|ipc| part(I2c::new(Endpoint::new(ipc, device.endpoint()))));
    agent.close(device)?;
    outcome
}

fn failed(what: &'static str) -> impl FnOnce(hal_clients::Error) -> Failure {
    move |error| Failure::new(format_args!("{what}: {error}"))
}

/// What a clock shows that was set to [`SET_TO`]. QEMU's model takes each field by itself and goes over to the next month
/// if the day is not in the present one: so it is one that every month has.
fn clock_keeps_time(bus: I2c<Endpoint<'_>>) -> Outcome<NaiveDateTime> {
    let broken = |what: &'static str| move |error| Failure::new(format_args!("{what}: {error:?}"));
    let mut clock = Ds1307::new(bus);
    let Some(time) = NaiveDate::from_ymd_opt(2032, 2, 28).and_then(|day| day.and_hms_opt(23, 59, 58)) else {
        crate::case::fail!("no such time");
    };
    clock.set_datetime(&time).map_err(broken("setting the clock"))?;
    clock.datetime().map_err(broken("reading the clock"))
}

case!(
    /// A clock's driver from elsewhere sets the time and reads it; the clock goes on.
    30, I2C_CHIPS, fn i2c_clock_of_another_crate_keeps_time(agent) {
        let shown = with_bus(agent, clock_keeps_time)?;
        // The clock runs: a second may have begun.
        let gone = shown.and_utc().timestamp() - SET_TO;
        ensure!((0..=1).contains(&gone), "{gone} seconds after it was set, the clock shows {shown:?}");
        agent.expect_devices_well()
    }
);

case!(
    /// A thermometer's driver from elsewhere reads a temperature, and what it writes is there when it reads again.
    30, I2C_CHIPS, fn i2c_thermometer_of_another_crate_is_read(agent) {
        with_bus(agent, |bus| {
            let broken = |error| Failure::new(format_args!("the thermometer: {error:?}"));
            let mut thermometer = Lm75::new(bus, lm75::Address::default());
            let degrees = thermometer.read_temperature().map_err(broken)?;
            let starts_at_none = degrees.abs() < 0.1;
            ensure!(starts_at_none, "{degrees} degrees, and QEMU's model starts at none");
            thermometer.set_os_temperature(42.5).map_err(broken)?;
            let mut bus = thermometer.destroy();
            let mut limit = [0; 2];
            bus.write_read(0x48, &[3], &mut limit).map_err(failed("the limit"))?;
            ensure_eq!(limit, [42, 0x80], "the limit as the chip keeps it");
            Ok(())
        })
    }
);

case!(
    /// Nobody at an address is an error of its kind, and so is what the bus cannot do; requests that make no sense are
    /// refused; the next transfer works.
    30, I2C_CHIPS, fn i2c_failures_are_errors_of_their_kind(agent) {
        with_bus(agent, |mut bus| {
            let mut byte = [0];
            for _ in 0..2 {
                let kinds = [bus.write(NOBODY, &[0]), bus.read(NOBODY, &mut byte), bus.write_read(NOBODY, &[0], &mut byte)]
                    .map(|result| result.map_err(|error| error.kind()));
                let nobody = Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
                ensure_eq!(kinds, [nobody; 3], "the errors of an address that nobody has");
                ensure!(bus.write(CLOCK, &[0; 1000]).is_err(), "a thousand bytes in one request");
                bus.write_read(CLOCK, &[0], &mut byte).map_err(failed("the clock afterwards"))?;
            }
            Ok(())
        })?;
        let device = agent.open(BUS)?;
        for (words, errno) in [([0x80, 0, 0], Errno::EINVAL), ([1, 1, 0], Errno::EINVAL), ([1, 0, 1 << 40], Errno::E2BIG)] {
            let answer = device.call(agent.ipc, TRANSFER, &words);
            ensure_eq!(answer.label, u64::from(errno.number().unsigned_abs()), "the answer to {words:?}");
        }
        agent.close(device)
    }
);

case!(
    /// The driver reaches its registers through the layers that are loaded now: the ring shows each byte of a transfer.
    30, I2C_CHIPS, fn i2c_accesses_are_seen_by_layers_that_come_and_go(agent) {
        let before = with_bus(agent, clock_keeps_time)?;
        agent.load(DEBUG)?;
        agent.expect_stack(READ_4, &[DEBUG, BASE])?;
        let mut trace = agent.map_trace()?;
        trace.skip();
        let mut bytes = [0; 3];
        with_bus(agent, |mut bus| bus.write_read(CLOCK, &[4], &mut bytes).map_err(failed("the clock")))?;
        let registers = board::device(selected_board::BOARD, BUS).registers.start;
        let mut seen = heapless::Vec::<u8, 8>::new();
        for record in trace.take_of(registers)? {
            if record.address == registers + FIFO_AT && record.operation() == Some(Op::Read) {
                ensure!(seen.push(record.value.to_le_bytes()[0]).is_ok(), "more bytes than were asked for");
            }
        }
        ensure_eq!(seen.as_slice(), bytes.as_slice(), "the bytes that the layer saw after {before:?}");
        agent.unmap_trace(trace)?;
        agent.unload(DEBUG)?;
        agent.expect_empty()
    }
);
