//! Goal: each byte is sent once and each that comes back is taken, under one chip select.
//!
//! Method: a model of the controller with FIFOs of 16 bytes that moves a byte every few looks, and a chip that answers
//! each byte with its complement. The last test puts clients of `embedded-hal` on top.

use std::cell::Cell;
use std::collections::VecDeque;
use std::vec::Vec;

use bus_space::{BarrierFlags, Registers};
use driver_class::serial::Stuck;
use driver_class::spi::SpiController;
use driver_class::{Driver, NotThis};
use embedded_hal::spi::{MODE_0, MODE_3, Operation, SpiBus as _, SpiDevice as _};
use hal_clients::executor;
use hal_clients::spi::{SpiBus, SpiDevice, WaitingSpiBus, WaitingSpiDevice};
use register_model::{Model as _, Served, Shared};
use strata_protocol::Errno;
use strata_protocol::driver::Call;
use strata_protocol::driver::spi::{LATER, Select, Settings, TRANSFER};

use super::{Spi0, divider, register};

const FIFO_SIZE: usize = 16;
const LOOKS_PER_BYTE: u32 = 3;

#[derive(Default)]
struct Model {
    control: u32,
    divider: u32,
    out: VecDeque<u8>,
    back: VecDeque<u8>,
    looks: u32,
    dead: bool,
    /// The last clock of what was sent has gone: a moment after the last byte has come back.
    done: bool,
    /// A chip was let go before.
    cut: bool,
    /// For each selection its control bits, and the bytes that the chip has seen.
    seen: Vec<(u32, Vec<u8>)>,
}

type Spi = Shared<Model>;
type Server<'m> = Served<'m, Model, Spi0<&'m Spi>>;

impl register_model::Model for Model {
    fn read(&mut self, offset: u64) -> u32 {
        let model = self;
        match offset {
            register::CONTROL => {
                model.looks += 1;
                if model.looks.is_multiple_of(LOOKS_PER_BYTE) {
                    model.step();
                }
                let active = model.control & register::CONTROL_ACTIVE != 0;
                let mut status = model.control;
                for (bit, is_set) in [
                    (register::STATUS_DONE, active && model.done),
                    (register::STATUS_HAS_BYTE, !model.back.is_empty()),
                    (register::STATUS_HAS_ROOM, model.out.len() < FIFO_SIZE),
                ] {
                    status |= if is_set { bit } else { 0 };
                }
                status
            }
            register::DIVIDER => model.divider,
            register::FIFO => model.back.pop_front().expect("read of an empty FIFO").into(),
            _ => panic!("read of {offset:#x}"),
        }
    }

    fn write(&mut self, offset: u64, value: u32) {
        let model = self;
        match offset {
            register::CONTROL => {
                if value & register::CONTROL_CLEAR != 0 {
                    model.out.clear();
                    model.back.clear();
                }
                let was_active = model.control & register::CONTROL_ACTIVE != 0;
                model.control = value & !register::CONTROL_CLEAR;
                if value & register::CONTROL_ACTIVE == 0 {
                    model.cut |= was_active && !model.done;
                } else {
                    model.done = false;
                    model.seen.push((value & 0xf, Vec::new()));
                }
            }
            register::DIVIDER => model.divider = value,
            register::FIFO => {
                assert!(model.control & register::CONTROL_ACTIVE != 0 && model.out.len() < FIFO_SIZE);
                model.out.push_back(u8::try_from(value).unwrap());
                model.done = false;
            }
            _ => panic!("write of {offset:#x}"),
        }
    }

    /// A byte goes each way, if one is there and there is room.
    fn step(&mut self) {
        let moves = self.control & register::CONTROL_ACTIVE != 0 && !self.dead;
        self.done |= moves && self.out.is_empty();
        if moves
            && self.back.len() < FIFO_SIZE
            && let Some(byte) = self.out.pop_front()
        {
            self.back.push_back(!byte);
            self.seen.last_mut().expect("a selection").1.push(byte);
        }
    }

    /// Whether the interrupt is raised now (BCM2835 ARM Peripherals, 10.5, CS: INTR, INTD).
    fn raises(&self) -> bool {
        let done = self.control & register::CONTROL_ACTIVE != 0 && self.done;
        self.control & register::CONTROL_INTERRUPT_DONE != 0 && done
            || self.control & register::CONTROL_INTERRUPT_READ != 0 && self.back.len() >= 12
    }
}

const CHIP: Settings = Settings { select: Select::Chip1, idles_high: true, second_edge: true, hz: 1_000_000 };

#[test]
fn every_length_goes_out_and_comes_back_under_one_selection() {
    let model = Spi::default();
    let mut spi = Spi0::probe(&model, 250_000_000).unwrap();
    for length in 0..100 {
        let sent: Vec<u8> = (0..length).collect();
        let mut bytes = sent.clone();
        assert_eq!(spi.transfer(CHIP, &mut bytes), Ok(()));
        assert_eq!(bytes, sent.iter().map(|byte| !byte).collect::<Vec<_>>());
        assert_eq!(model.get().seen.pop(), Some((0b1101, sent)));
        assert!(model.get().seen.is_empty());
        assert_eq!(model.get().divider, 250);
        assert_eq!(model.get().control & (register::CONTROL_ACTIVE | register::CONTROL_INTERRUPTS), 0);
        assert!(!model.get().cut, "the chip was let go before the last clock");
    }
}

#[test]
fn a_clock_is_never_faster_than_asked_for() {
    for hz in [1, 3_814, 3_815, 400_000, 999_999, 25_000_000, 125_000_000, 250_000_000, u32::MAX] {
        let divider = divider(250_000_000, hz);
        assert!(divider.is_multiple_of(2) && (2..=register::DIVIDER_MAX).contains(&divider));
        assert!(250_000_000 / divider <= hz || divider == register::DIVIDER_MAX, "{hz}: {divider}");
    }
}

#[test]
fn a_controller_that_stands_still_is_an_error_and_lets_the_chip_go() {
    let model = Spi::default();
    let mut spi = Spi0::probe(&model, 250_000_000).unwrap();
    model.get().dead = true;
    assert_eq!(spi.transfer(CHIP, &mut [1, 2]), Err(Stuck));
    assert_eq!(model.get().control & register::CONTROL_ACTIVE, 0);
    model.get().dead = false;
    let mut bytes = [5];
    assert_eq!((spi.transfer(CHIP, &mut bytes), bytes), (Ok(()), [!5]));
    struct Nothing;
    impl Registers for Nothing {
        fn read_4(&self, _offset: u64) -> u32 {
            0
        }
        fn write_4(&self, _offset: u64, _value: u32) {}
        fn barrier(&self, _flags: BarrierFlags) {}
    }
    assert_eq!(Spi0::probe(Nothing, 1).err(), Some(NotThis(0)));
}

fn server(model: &Spi) -> Server<'_> {
    Served::new(model, 250_000_000).unwrap()
}

#[test]
fn clients_of_embedded_hal_reach_the_chip() {
    let model = Spi::default();
    let server = server(&model);
    let mut device = SpiDevice::new(&server, Select::Chip0, MODE_3, 1_000_000).unwrap();
    let (mut read, mut both, mut place) = ([0; 2], [0; 3], [9, 8]);
    let mut operations = [
        Operation::Write(&[1, 2]),
        Operation::Read(&mut read),
        Operation::Transfer(&mut both, &[3]),
        Operation::TransferInPlace(&mut place),
    ];
    device.transaction(&mut operations).unwrap();
    // What is read for nothing sends ones.
    assert_eq!(model.get().seen.pop(), Some((0b1100, [1, 2, 0xff, 0xff, 3, 0xff, 0xff, 9, 8].into())));
    assert_eq!((read, both, place), ([0, 0], [!3, 0, 0], [!9, !8]));
    assert!(model.get().seen.is_empty());

    // Nothing of what cannot be one request is sent.
    assert!(device.write(&[0; 1000]).is_err());
    assert!(device.transaction(&mut [Operation::Write(&[1]), Operation::DelayNs(5)]).is_err());
    assert!(model.get().seen.is_empty());
    assert!(SpiDevice::new(&server, Select::Nobody, MODE_0, 1).is_err());

    // A bus has no selection to hold: any length goes, in pieces.
    let mut bus = SpiBus::new(&server, MODE_0, 1_000_000);
    let mut bytes = [0x55; 2000];
    bus.transfer_in_place(&mut bytes).unwrap();
    assert_eq!(bytes, [0xaa; 2000]);
    let mut four = [0; 4];
    bus.transfer(&mut four, &[1]).unwrap();
    assert_eq!(four, [!1, 0, 0, 0]);
    bus.flush().unwrap();
    assert!(model.get().seen.iter().all(|(control, _)| *control == 0b0011));
}

#[test]
fn transfers_that_are_begun_go_the_same_way_by_interrupts() {
    use embedded_hal_async::spi::{SpiBus as _, SpiDevice as _};
    let model = Spi::default();
    let served = server(&model);
    for length in 0..100_u8 {
        let chip = SpiDevice::new(&served, Select::Chip1, MODE_3, 1_000_000).unwrap();
        let mut chip = WaitingSpiDevice::new(chip, served.listener());
        let sent: Vec<u8> = (0..length).collect();
        let mut bytes = sent.clone();
        executor::block_on(chip.transfer_in_place(&mut bytes), served.listener()).unwrap();
        assert_eq!(bytes, sent.iter().map(|byte| !byte).collect::<Vec<_>>());
        // The interrupts' bits lie above those of the selection.
        assert_eq!(model.get().seen.pop(), Some((0b1101, sent)));
        assert!(model.get().seen.is_empty() && !model.get().raises() && !model.get().cut);
        assert_eq!(model.get().control & register::CONTROL_INTERRUPTS, 0);
    }
    let mut bus = WaitingSpiBus::new(SpiBus::new(&served, MODE_0, 1_000_000), served.listener());
    let (mut long, mut back) = ([0x0f; 2000], [0; 3]);
    executor::block_on(bus.transfer_in_place(&mut long), served.listener()).unwrap();
    executor::block_on(bus.transfer(&mut back, &[1]), served.listener()).unwrap();
    assert_eq!((long, back), ([0xf0; 2000], [!1, 0, 0]));
}

#[test]
fn while_a_transfer_is_under_way_the_controller_is_taken() {
    let model = Spi::default();
    let served = server(&model);
    let number = Cell::new(0);
    let ask_as = |client, label| {
        let mut words = [0; strata_protocol::message::WORDS_MAX];
        let length = CHIP.encode(&[1, 2, 3], &mut words).unwrap();
        if label == LATER.result || label == LATER.abort {
            words[0] = number.get();
        }
        let answer = served.client(client).call(label, &mut words, length);
        if label == LATER.begin && answer.is_ok() {
            number.set(words[0]);
        }
        answer
    };
    let ask = |label| ask_as(1, label);
    assert_eq!((ask(LATER.result), ask(LATER.begin)), (Err(Errno::ENOENT), Ok(1)));
    let taken = Err(Errno::EBUSY);
    assert_eq!((ask(TRANSFER), ask(LATER.begin), ask(LATER.result)), (taken, taken, taken));
    assert_eq!((ask(LATER.abort), ask(LATER.result)), (Ok(0), Err(Errno::ENOENT)));
    assert_eq!(model.get().control & register::CONTROL_ACTIVE, 0);
    assert_eq!(ask(TRANSFER), Ok(1));
    // A client that has gone keeps the controller for the time of its lease; its chip is let go then, and it has nothing to
    // fetch if it comes back.
    assert_eq!((ask(LATER.begin), ask_as(2, LATER.abort)), (Ok(1), Err(Errno::ENOENT)));
    let (late, held) = (number.get(), model.get().control & register::CONTROL_ACTIVE);
    served.now_us.update(|now_us| now_us + LATER.lease_us - 1);
    assert_eq!((held, ask_as(2, LATER.begin)), (register::CONTROL_ACTIVE, taken));
    served.now_us.update(|now_us| now_us + 1);
    model.get().seen.clear();
    assert_eq!((ask_as(2, LATER.begin), ask_as(2, TRANSFER)), (Ok(1), taken));
    number.set(late);
    assert_eq!((ask(LATER.result), ask(LATER.abort)), (Err(Errno::ENOENT), Err(Errno::ENOENT)));
    served.now_us.update(|now_us| now_us + LATER.lease_us);
    assert_eq!(ask_as(3, TRANSFER), Ok(1));
    assert_eq!(model.get().seen.last(), Some(&(0b1101, [1, 2, 3].into())));
}
