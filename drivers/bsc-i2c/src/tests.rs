//! Goal: what is asked for goes over the bus, with a repeated start, and each failure has its outcome.
//!
//! Method: a model of the controller that shifts a byte every few looks at its status, as the hardware does while a
//! program waits, and keeps what went over the bus as text. The last test puts a client of `embedded-hal` on top.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::format;
use std::pin::pin;
use std::string::String;
use std::task::{Context, Waker};
use std::vec::Vec;

use bus_space::{BarrierFlags, Registers};
use driver_class::i2c::I2cBus;
use driver_class::{Driver, NotThis};
use embedded_hal::i2c::{ErrorKind, I2c as _, NoAcknowledgeSource, Operation};
use hal_clients::i2c::{I2c, WaitingI2c};
use hal_clients::{Error, executor};
use register_model::{Model as _, Served, Shared};
use strata_protocol::Errno;
use strata_protocol::driver::Call;
use strata_protocol::driver::i2c::{LATER, Outcome, TRANSFER};

use super::{Controller, POLLS_MAX, register};

const FIFO_SIZE: usize = 16;
/// Looks at the status while a byte goes over the bus.
const LOOKS_PER_BYTE: u32 = 8;
/// The chip's address.
const CHIP: u8 = 0x68;
/// The chip acknowledges so many bytes of a write.
const CHIP_SIZE: usize = 64;

/// What the controller is doing.
#[derive(Clone, Copy)]
struct Running {
    read: bool,
    addressed: bool,
    left: u32,
}

/// The controller, and a chip whose first byte of a write is the place of what follows.
struct Model {
    divider: u32,
    /// Which interrupts it may raise.
    interrupts: u32,
    address: u32,
    length: u32,
    status: u32,
    fifo: VecDeque<u8>,
    running: Option<Running>,
    next: Option<Running>,
    chip: [u8; CHIP_SIZE],
    place: Option<usize>,
    /// Nothing moves: somebody holds the bus.
    held: bool,
    /// The chip holds the clock.
    clock_held: bool,
    bus: Vec<String>,
    looks: u32,
}

/// The controller's registers.
type Bsc = Shared<Model>;
type Server<'m> = Served<'m, Model, Controller<&'m Bsc>>;

impl Model {
    fn on_bus() -> Bsc {
        Bsc::new(Self {
            divider: 0,
            interrupts: 0,
            address: 0,
            length: 0,
            status: 0,
            fifo: VecDeque::new(),
            running: None,
            next: None,
            chip: core::array::from_fn(|i| u8::try_from(i).unwrap()),
            place: None,
            held: false,
            clock_held: false,
            bus: Vec::new(),
            looks: 0,
        })
    }

    fn fail(&mut self) {
        self.next = None;
        self.stop(register::STATUS_ERROR | register::STATUS_DONE);
    }

    fn stop(&mut self, status: u32) {
        self.running = None;
        self.status |= status;
        self.bus.push("P".into());
    }

    /// Whether the controller is as if nobody had used it: no interrupt that it may raise, and nothing in its status that a transfer has set.
    fn is_clean(&self) -> bool {
        self.interrupts == 0 && self.status & register::STATUS_CLEAR == 0
    }

    fn bus(&mut self) -> String {
        std::mem::take(&mut self.bus).join(" ")
    }
}

impl register_model::Model for Model {
    fn read(&mut self, offset: u64) -> u32 {
        let model = self;
        match offset {
            register::STATUS => {
                model.looks += 1;
                if model.looks.is_multiple_of(LOOKS_PER_BYTE) {
                    model.step();
                }
                let reads = model.running.is_some_and(|running| running.read) || model.running.is_none();
                let mut status = model.status;
                for (bit, is_set) in [
                    (register::STATUS_ACTIVE, model.running.is_some()),
                    (register::STATUS_HAS_ROOM, model.fifo.len() < FIFO_SIZE),
                    (register::STATUS_HAS_BYTE, reads && !model.fifo.is_empty()),
                ] {
                    status |= if is_set { bit } else { 0 };
                }
                status
            }
            register::LENGTH => model.length,
            register::DIVIDER => model.divider,
            register::FIFO => model.fifo.pop_front().expect("read of an empty FIFO").into(),
            _ => panic!("read of {offset:#x}"),
        }
    }

    fn write(&mut self, offset: u64, value: u32) {
        let model = self;
        match offset {
            register::CONTROL => {
                if value & register::CONTROL_CLEAR != 0 {
                    model.fifo.clear();
                }
                model.interrupts = value & register::CONTROL_INTERRUPTS;
                if value & register::CONTROL_ON == 0 {
                    (model.running, model.next) = (None, None);
                    return;
                }
                if value & register::CONTROL_START == 0 {
                    return;
                }
                let read = value & register::CONTROL_READ != 0;
                let started = Running { read, addressed: false, left: model.length };
                match model.running {
                    Some(_) => model.next = Some(started),
                    None => model.running = Some(started),
                }
            }
            register::STATUS => model.status &= !(value & register::STATUS_CLEAR),
            register::LENGTH => model.length = value,
            register::ADDRESS => model.address = value,
            register::DIVIDER => model.divider = value & register::DIVIDER_MAX,
            register::FIFO => {
                assert!(model.fifo.len() < FIFO_SIZE, "write of a full FIFO");
                model.fifo.push_back(u8::try_from(value).unwrap());
            }
            _ => panic!("write of {offset:#x}"),
        }
    }

    /// What the bus does while somebody looks at the status.
    fn step(&mut self) {
        let Some(mut running) = self.running.filter(|_| !self.held) else { return };
        if self.clock_held {
            self.status |= register::STATUS_CLOCK_HELD;
            return;
        }
        if !running.addressed {
            let start = if self.bus.last().is_some_and(|last| last != "P") { "Sr " } else { "S " };
            self.bus.push(format!("{start}{:02x}{}", self.address, if running.read { 'r' } else { 'w' }));
            running.addressed = true;
            self.running = Some(running);
            if !running.read {
                self.place = None;
            }
            if self.address != u32::from(CHIP) {
                return self.fail();
            }
            if running.left > 0 {
                return;
            }
        } else if running.left > 0 {
            if running.read {
                if self.fifo.len() == FIFO_SIZE {
                    return;
                }
                let place = self.place.unwrap_or(0);
                let byte = self.chip[place % CHIP_SIZE];
                self.place = Some(place + 1);
                self.fifo.push_back(byte);
                self.bus.push(format!("{byte:02x}"));
            } else {
                let Some(byte) = self.fifo.pop_front() else { return };
                self.bus.push(format!("{byte:02x}"));
                match self.place {
                    None => self.place = Some(byte.into()),
                    Some(place) if place >= CHIP_SIZE => return self.fail(),
                    Some(place) => {
                        self.chip[place] = byte;
                        self.place = Some(place + 1);
                    }
                }
            }
            running.left -= 1;
            self.length = running.left;
            self.running = Some(running);
        }
        if running.left == 0 {
            self.running = self.next.take();
            match self.running {
                Some(next) => self.length = next.left,
                None => self.stop(register::STATUS_DONE),
            }
        }
    }

    /// Whether the interrupt is raised now (BCM2835 ARM Peripherals, 3.2, C: INTR, INTT, INTD).
    fn raises(&self) -> bool {
        let writes = self.running.is_some_and(|running| !running.read);
        let wants = [
            (register::CONTROL_INTERRUPT_READ, !writes && self.fifo.len() >= 12),
            (register::CONTROL_INTERRUPT_WRITE, writes && self.fifo.len() < 4),
            (register::CONTROL_INTERRUPT_DONE, self.status & register::STATUS_DONE != 0),
        ];
        wants.iter().any(|(bit, is_so)| self.interrupts & bit != 0 && *is_so)
    }
}

#[test]
fn a_register_is_read_with_a_repeated_start_and_written_without() {
    let model = Model::on_bus();
    let mut controller = Controller::probe(&model, 250_000_000).unwrap();
    assert_eq!(model.get().divider, 2500);
    let mut bytes = [0; 3];
    assert_eq!(controller.transfer(CHIP, &[0x10], &mut bytes), Outcome::Done);
    assert_eq!(bytes, [0x10, 0x11, 0x12]);
    assert_eq!(model.get().bus(), "S 68w 10 Sr 68r 10 11 12 P");
    assert_eq!(controller.transfer(CHIP, &[0x20, 0xaa, 0xbb], &mut []), Outcome::Done);
    assert_eq!(model.get().bus(), "S 68w 20 aa bb P");
    assert_eq!(controller.transfer(CHIP, &[], &mut bytes), Outcome::Done);
    assert_eq!(model.get().bus(), "S 68r 22 23 24 P");
    assert_eq!(controller.transfer(CHIP, &[], &mut []), Outcome::Done);
    assert_eq!(model.get().bus(), "S 68w P");
}

#[test]
fn transfers_longer_than_the_fifo_lose_nothing() {
    let model = Model::on_bus();
    let mut controller = Controller::probe(&model, 0).unwrap();
    for length in 0..CHIP_SIZE {
        let bytes: Vec<u8> =
            (0..=length).map(|i| u8::try_from(if i == 0 { 0 } else { i + 100 }).unwrap()).collect();
        assert_eq!(controller.transfer(CHIP, &bytes, &mut []), Outcome::Done);
        let mut back = [0; CHIP_SIZE];
        assert_eq!(controller.transfer(CHIP, &[0], &mut back[..length]), Outcome::Done);
        assert_eq!(back[..length], bytes[1..]);
    }
}

#[test]
fn each_failure_has_its_outcome_and_the_next_transfer_works() {
    let model = Model::on_bus();
    let mut controller = Controller::probe(&model, 250_000_000).unwrap();
    let mut byte = [0];
    assert_eq!(controller.transfer(0x33, &[1], &mut byte), Outcome::NoDevice);
    assert_eq!(controller.transfer(0x33, &[], &mut byte), Outcome::NoDevice);
    assert_eq!(controller.transfer(0x33, &[], &mut []), Outcome::NoDevice);
    assert_eq!(controller.transfer(CHIP, &[63, 1, 2], &mut []), Outcome::Refused);
    model.get().clock_held = true;
    assert_eq!(controller.transfer(CHIP, &[1], &mut byte), Outcome::ClockHeld);
    model.get().clock_held = false;
    model.get().held = true;
    assert_eq!(controller.transfer(CHIP, &[], &mut byte), Outcome::Stuck);
    model.get().held = false;
    assert_eq!(controller.transfer(CHIP, &[0x11], &mut byte), Outcome::Done);
    assert_eq!(byte, [0x11]);
    assert_eq!(POLLS_MAX, 1_000_000);
}

#[test]
fn a_device_that_keeps_nothing_is_none() {
    struct Nothing;
    impl Registers for Nothing {
        fn read_4(&self, _offset: u64) -> u32 {
            0
        }
        fn write_4(&self, _offset: u64, _value: u32) {}
        fn barrier(&self, _flags: BarrierFlags) {}
    }
    assert_eq!(Controller::probe(Nothing, 1).err(), Some(NotThis(0)));
}

#[test]
fn a_client_of_embedded_hal_reaches_the_chip() {
    let model = Model::on_bus();
    let server = server(&model);
    let mut i2c = I2c::new(&server);
    let mut bytes = [0; 2];
    i2c.write_read(CHIP, &[5], &mut bytes).unwrap();
    assert_eq!((bytes, model.get().bus()), ([5, 6], "S 68w 05 Sr 68r 05 06 P".into()));

    // Operations of one kind are one transfer, whatever pieces they come in.
    let (mut first, mut second) = ([0; 1], [0; 2]);
    let mut operations = [Operation::Write(&[7]), Operation::Read(&mut first), Operation::Read(&mut second)];
    i2c.transaction(CHIP, &mut operations).unwrap();
    assert_eq!((first, second, model.get().bus()), ([7], [8, 9], "S 68w 07 Sr 68r 07 08 09 P".into()));

    let nobody = i2c.write(0x12, &[0]).unwrap_err();
    let address = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
    assert_eq!(embedded_hal::i2c::Error::kind(&nobody), address);

    // A write after a read needs a repeated start that the controller does not have.
    let mut operations = [Operation::Read(&mut first), Operation::Write(&[7])];
    let refused = i2c.transaction(CHIP, &mut operations).unwrap_err();
    assert_eq!(embedded_hal::i2c::Error::kind(&refused), ErrorKind::Other);
    model.get().bus();
    assert!(i2c.write(CHIP, &[0; 1000]).is_err() && model.get().bus().is_empty());
}

fn server(model: &Bsc) -> Server<'_> {
    Served::new(model, 250_000_000).unwrap()
}

#[test]
fn transfers_that_are_begun_go_the_same_way_by_interrupts() {
    use embedded_hal_async::i2c::I2c as _;
    let model = Model::on_bus();
    let served = server(&model);
    let mut bus = WaitingI2c::new(&served, served.listener());
    let mut bytes = [0; 40];
    executor::block_on(bus.write_read(CHIP, &[0x10], &mut bytes), served.listener()).unwrap();
    assert_eq!(bytes, core::array::from_fn(|i| u8::try_from(0x10 + i).unwrap()));
    assert!(model.get().bus().starts_with("S 68w 10 Sr 68r 10 11 12"));
    served.take_interrupts();
    let long: [u8; 60] = core::array::from_fn(|i| u8::try_from(i).unwrap());
    executor::block_on(bus.write(CHIP, &long), served.listener()).unwrap();
    // A FIFO at a time, and nothing more once the last byte is in it.
    let interrupts = served.take_interrupts();
    assert!(model.get().is_clean());
    assert!(interrupts <= 6, "{interrupts} interrupts");
    model.get().bus();
    executor::block_on(bus.write(CHIP, &[]), served.listener()).unwrap();
    executor::block_on(bus.read(CHIP, &mut bytes[..1]), served.listener()).unwrap();
    assert_eq!(model.get().bus(), "S 68w P S 68r 01 P");
    // Errors are those that they are otherwise, and the bus works afterwards.
    let nobody = executor::block_on(bus.write_read(0x33, &[1], &mut bytes), served.listener());
    assert_eq!(nobody, Err(Error::I2c(Outcome::NoDevice)));
    assert!(model.get().is_clean());
    model.get().clock_held = true;
    let mut held = pin!(bus.write(CHIP, &[1]));
    let mut context = Context::from_waker(Waker::noop());
    assert!(held.as_mut().poll(&mut context).is_pending());
    // The hardware ends such a transfer; the model says so only.
    model.get().step();
    assert!(served.driver.borrow_mut().interrupt());
    served.signal();
    assert_eq!(executor::block_on(held, served.listener()), Err(Error::I2c(Outcome::ClockHeld)));
}

#[test]
fn while_a_transfer_is_under_way_others_go_on_and_the_bus_is_taken() {
    use embedded_hal_async::i2c::I2c as _;
    let model = Model::on_bus();
    let served = server(&model);
    // Whoever is asked first.
    for reader_is_first in [true, false] {
        let (mut one, mut other) =
            (WaitingI2c::new(&served, served.listener()), WaitingI2c::new(&served, served.listener()));
        let order = RefCell::new(Vec::new());
        let reader = pin!(async {
            for round in 0..3 {
                let mut byte = [0];
                one.write_read(CHIP, &[7], &mut byte).await.unwrap();
                assert_eq!(byte, [7]);
                order.borrow_mut().push(("read", round));
            }
        });
        let writer = pin!(async {
            for round in 0..3 {
                other.write(CHIP, &[20, round]).await.unwrap();
                order.borrow_mut().push(("written", round));
            }
        });
        let mut tasks: [executor::Task<'_>; 2] =
            if reader_is_first { [reader, writer] } else { [writer, reader] };
        executor::run(&mut tasks, served.listener());
        let of = |wanted| {
            order.borrow().iter().filter(|(what, _)| *what == wanted).map(|(_, round)| *round).collect()
        };
        let (read, written): (Vec<u8>, Vec<u8>) = (of("read"), of("written"));
        assert_eq!((read, written), ([0, 1, 2].into(), [0, 1, 2].into()));
    }

    // Whoever cannot wait is told that the bus is taken.
    let number = Cell::new(0);
    let ask = |label| {
        let mut words = [0; strata_protocol::message::WORDS_MAX];
        words[..3].copy_from_slice(&[CHIP.into(), 0, 1]);
        if label == LATER.result || label == LATER.abort {
            words[0] = number.get();
        }
        let answer = (&served).call(label, &mut words, 3);
        if label == LATER.begin && answer.is_ok() {
            number.set(words[0]);
        }
        answer
    };
    assert_eq!((ask(LATER.result), ask(LATER.begin)), (Err(Errno::ENOENT), Ok(1)));
    assert_eq!(
        (ask(TRANSFER), ask(LATER.begin), ask(LATER.result)),
        (Err(Errno::EBUSY), Err(Errno::EBUSY), Err(Errno::EBUSY))
    );
    // The end of a transfer is not the end of its bytes: they wait for whoever began it.
    for _ in 0..10 {
        served.step();
    }
    assert_eq!((ask(TRANSFER), ask(LATER.begin)), (Err(Errno::EBUSY), Err(Errno::EBUSY)));
    assert_eq!((ask(LATER.result), ask(LATER.result)), (Ok(2), Err(Errno::ENOENT)));
    assert_eq!((ask(LATER.begin), ask(LATER.abort)), (Ok(1), Ok(0)));
    assert_eq!((ask(LATER.result), ask(TRANSFER)), (Err(Errno::ENOENT), Ok(2)));
}

/// A future that is dropped takes its transfer with it: the next one finds the bus free.
#[test]
fn a_transfer_that_nobody_waits_for_any_more_is_given_up() {
    use embedded_hal_async::i2c::I2c as _;
    let model = Model::on_bus();
    let served = server(&model);
    model.get().held = true;
    {
        let mut bus = WaitingI2c::new(&served, served.listener());
        let mut transfer = pin!(bus.write(CHIP, &[1, 2]));
        assert!(transfer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    model.get().held = false;
    let mut byte = [0];
    I2c::new(&served).write_read(CHIP, &[9], &mut byte).unwrap();
    assert_eq!(byte, [9]);
}

mod owners;
