//! Goal: pins are read, driven and watched one by one, through the client that the target uses.
//!
//! Method: a model of the registers with a wire at each pin that the test moves.

use std::collections::BTreeMap;

use bus_space::{BarrierFlags, Registers};
use driver_class::{Driver, NotThis};
use embedded_hal::digital::{InputPin as _, OutputPin as _, StatefulOutputPin as _};
use hal_clients::Error;
use hal_clients::gpio::{Edge, Input, Output};
use register_model::{Served, Shared};
use strata_protocol::Errno;
use strata_protocol::driver::{Call, gpio};
use strata_protocol::message::WORDS_MAX;

use super::{Pl061, register};

#[derive(Default)]
struct Model {
    words: BTreeMap<u64, u32>,
    /// What the outside does to the pins, and what the device drives.
    wires: u32,
    driven: u32,
    raised: u32,
}

impl Model {
    fn word(&self, offset: u64) -> u32 {
        self.words.get(&offset).copied().unwrap_or(0)
    }

    fn level(&self) -> u32 {
        let outputs = self.word(register::DIRECTION);
        self.driven & outputs | self.wires & !outputs
    }

    fn move_wires(&mut self, wires: u32) {
        let before = self.level();
        self.wires = wires;
        let (after, event) = (self.level(), self.word(register::EVENT));
        let changed = before ^ after;
        self.raised |= changed & (self.word(register::BOTH_EDGES) | !(after ^ event));
    }
}

type Gpio = Shared<Model>;
type Server<'m> = Served<'m, Model, Pl061<&'m Gpio>>;

impl register_model::Model for Model {
    fn read(&mut self, offset: u64) -> u32 {
        let model = self;
        match offset {
            0..0x400 => model.level() & u32::try_from(offset >> 2).unwrap(),
            register::INTERRUPT_STATUS => model.raised & model.word(register::INTERRUPT_MASK),
            0xfe0..0xff0 => 0x0004_1061 >> (2 * (offset - 0xfe0)) & 0xff,
            _ => model.word(offset),
        }
    }

    fn write(&mut self, offset: u64, value: u32) {
        let model = self;
        match offset {
            0..0x400 => {
                let mask = u32::try_from(offset >> 2).unwrap() & model.word(register::DIRECTION);
                model.driven = model.driven & !mask | value & mask;
            }
            register::INTERRUPT_CLEAR => model.raised &= !value,
            _ => {
                model.words.insert(offset, value & 0xff);
            }
        }
    }
}

#[test]
fn pins_are_driven_and_read_one_by_one() {
    let model = Gpio::default();
    let server = Server::new(&model, 0).unwrap();
    let mut third = Output::new(&server, 3, true).unwrap();
    let mut fourth = Output::new(&server, 4, false).unwrap();
    let mut fifth = Input::new(&server, 5).unwrap();
    assert_eq!(model.get().level(), 1 << 3);
    assert_eq!(model.posted(), 0);
    third.toggle().unwrap();
    fourth.set_high().unwrap();
    assert_eq!(model.get().level(), 1 << 4);
    assert!(third.is_set_low().unwrap() && fourth.is_set_high().unwrap());
    assert!(fifth.is_low().unwrap());
    model.get().move_wires(1 << 5);
    assert!(fifth.is_high().unwrap());
    assert_eq!(model.posted(), 0);
}

#[test]
fn edges_come_by_the_interrupt_and_are_taken_once() {
    let model = Gpio::default();
    let server = Server::new(&model, 0).unwrap();
    for (edge, wires, seen) in [
        (Edge::Rising, [1, 0], [true, false]),
        (Edge::Falling, [1, 0], [false, true]),
        (Edge::Any, [1, 0], [true, true]),
    ] {
        model.get().move_wires(0);
        let mut pin = Input::new(&server, 0).unwrap();
        pin.watch(edge).unwrap();
        assert_eq!(pin.take_edge(), Ok(false));
        for (wires, seen) in wires.into_iter().zip(seen) {
            model.get().move_wires(wires);
            assert_eq!(server.driver.borrow_mut().interrupt(), seen, "{edge:?} {wires}");
            assert_eq!(pin.take_edge(), Ok(seen), "{edge:?} {wires}");
            assert_eq!(pin.take_edge(), Ok(false));
            assert!(!server.driver.borrow_mut().interrupt());
        }
    }
    // What came before a watch belongs to nobody, and a driver that has left hears nothing.
    let mut pin = Input::new(&server, 0).unwrap();
    pin.watch(Edge::Any).unwrap();
    model.get().move_wires(1);
    pin.watch(Edge::Any).unwrap();
    assert!(!server.driver.borrow_mut().interrupt());
    server.driver.borrow_mut().stop();
    model.get().move_wires(0);
    assert!(!server.driver.borrow_mut().interrupt());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let model = Gpio::default();
    let server = Server::new(&model, 0).unwrap();
    model.get().words.insert(register::ALTERNATE, 1 << 7);
    assert_eq!(Input::new(&server, 8).err(), Some(Error::Refused(Errno::ERANGE)));
    assert_eq!(Input::new(&server, 7).err(), Some(Error::Refused(Errno::EBUSY)));
    let mut server = &server;
    let mut call = |label, pin, operand, length| {
        let mut words = [0; WORDS_MAX];
        (words[0], words[1]) = (pin, operand);
        server.call(label, &mut words, length)
    };
    assert_eq!(call(gpio::WRITE, 1, gpio::HIGH, 2), Err(Errno::EPERM));
    assert_eq!(call(gpio::OUTPUT, 1, 2, 2), Err(Errno::EINVAL));
    assert_eq!(call(gpio::OUTPUT, 1, 1, 1), Err(Errno::EINVAL));
    assert_eq!(call(gpio::WATCH, 1, 4, 2), Err(Errno::EINVAL));
    assert_eq!(call(gpio::READ, u64::MAX, 0, 1), Err(Errno::ERANGE));
    assert_eq!(call(gpio::EDGES + 1, 0, 0, 2), Err(Errno::ENOSYS));
    assert_eq!(model.get().word(register::DIRECTION), 0);
}

#[test]
fn another_device_is_refused() {
    struct Nothing;
    impl Registers for Nothing {
        fn read_4(&self, _offset: u64) -> u32 {
            0xff
        }
        fn write_4(&self, offset: u64, _value: u32) {
            panic!("write of {offset:#x}");
        }
        fn barrier(&self, _flags: BarrierFlags) {}
    }
    assert_eq!(Pl061::probe(Nothing, 0).err(), Some(NotThis(0xffff_ffff)));
}
