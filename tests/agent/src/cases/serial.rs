//! The serial class through `embedded-io`, and the random class through `rand_core`.

use embedded_io::{Read as _, ReadReady as _, Write as _};
use hal_clients::random::Random;
use hal_clients::serial::Serial;
use rand_core::TryRng as _;
use strata_protocol::Errno;
use strata_protocol::driver::random::RANDOM;
use strata_protocol::linker::Request;
use strata_runtime::device::{Endpoint, Listener, Signal};

use crate::agent::{Agent, name};
use crate::case::{Failure, MINI_UART, Outcome, PATTERN, RNG, case, ensure, ensure_eq};

/// The PL011's control register, and its loop from transmitter to receiver.
const UART_CONTROL_AT: u64 = 0x30;
const UART_LOOP: u64 = 1 << 7;
/// Bytes of the PL011's receive FIFO: what is looped at once must fit.
const FIFO_SIZE: usize = 16;

fn failed<E: core::fmt::Debug>(what: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| Failure::new(format_args!("{what}: {error:?}"))
}

/// Runs a part of a case with a port, as a client of `embedded-io` has it.
fn with_port<T>(
    agent: &mut Agent,
    server: &str,
    part: impl FnOnce(Serial<Endpoint<'_>, Listener<'_>>) -> Outcome<T>,
) -> Outcome<T> {
    let (notification, _) = agent.capability(&Request::DeviceSignal { name: name(server)? })?;
    let signal = Signal::new(notification);
    let device = agent.open(server)?;
    let outcome =
        agent.lend_ipc(|ipc| part(Serial::new(Endpoint::new(ipc, device.endpoint()), signal.listener())));
    agent.close(device)?;
    outcome
}

case!(
    /// What is written comes back through the UART's own loop, by its interrupt, to a reader of `embedded-io`.
    30, fn serial_port_of_embedded_io_brings_back_what_was_written(agent) {
        let uart = agent.open("uart")?;
        let (control, _) = uart.read_4(agent.ipc, UART_CONTROL_AT)?;
        for round in 0..3 {
            uart.write_4(agent.ipc, UART_CONTROL_AT, control | UART_LOOP)?;
            // Blanks: what is looped goes out on the line, too, between two frames. So does what the log server writes.
            let written = with_port(agent, "uart", |mut port| {
                port.write_all(&[b' '; FIFO_SIZE / 2]).map_err(failed("writing"))?;
                port.flush().map_err(failed("flushing"))
            });
            uart.write_4(agent.ipc, UART_CONTROL_AT, control)?;
            written?;
            with_port(agent, "uart", |mut port| {
                let mut blanks = 0;
                while blanks < FIFO_SIZE / 2 {
                    let mut byte = [0];
                    ensure_eq!(port.read(&mut byte), Ok(1), "a read in round {round}");
                    blanks = if byte == [b' '] { blanks + 1 } else { 0 };
                }
                // Whatever else is there does not wait.
                while port.read_ready().map_err(failed("asking"))? {
                    port.read(&mut [0; 8]).map_err(failed("reading the rest"))?;
                }
                Ok(())
            })?;
        }
        agent.close(uart)?;
        agent.expect_devices_well()
    }
);

case!(
    /// A second port, of another make: more bytes than its FIFO has come in by its interrupt, none is lost.
    30, MINI_UART, fn serial_mini_uart_brings_what_the_host_sends(agent) {
        with_port(agent, "mini-uart", |mut port| {
            port.write_all(b"a line for the host\r\n").map_err(failed("writing"))?;
            let mut bytes = [0; 64];
            port.read_exact(&mut bytes).map_err(failed("reading"))?;
            for (at, bytes) in (0_u32..).zip(bytes.chunks(4)) {
                ensure_eq!(bytes, at.wrapping_mul(PATTERN).to_le_bytes(), "word {at}");
            }
            ensure_eq!(port.read_ready(), Ok(false), "whether there is more");
            Ok(())
        })?;
        agent.expect_devices_well()
    }
);

case!(
    /// The generator's numbers are not all one, and none comes twice; more than an answer has are refused.
    30, RNG, fn random_numbers_are_new_each_time(agent) {
        let device = agent.open("rng")?;
        agent.lend_ipc(|ipc| {
            let mut random = Random::new(Endpoint::new(ipc, device.endpoint()));
            let mut seen = heapless::Vec::<u64, 64>::new();
            for _ in 0..32 {
                let number = random.try_next_u64().map_err(failed("a number"))?;
                ensure!(!seen.contains(&number), "{number:#x} came before: {seen:x?}");
                ensure!(seen.push(number).is_ok(), "more numbers than asked for");
            }
            let mut bytes = [0; 1500];
            random.try_fill_bytes(&mut bytes).map_err(failed("many bytes"))?;
            let ones: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
            // Six standard deviations of 12000 fair bits.
            ensure!((5_670..=6_330).contains(&ones), "{ones} of 12000 bits are set");
            Ok(())
        })?;
        let answer = device.call(agent.ipc, RANDOM, &[961]);
        ensure_eq!(answer.label, u64::from(Errno::E2BIG.number().unsigned_abs()), "more than an answer has");
        agent.close(device)
    }
);
