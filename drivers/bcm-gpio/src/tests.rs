//! Goal: the header's pins are read, driven and watched, others and those of other devices are left alone.
//!
//! Method: a model of the registers with a wire at each pin that the test moves.

use driver_class::Driver;
use embedded_hal::digital::{InputPin as _, OutputPin as _, StatefulOutputPin as _};
use hal_clients::Error;
use hal_clients::gpio::{Edge, Input, Output};
use register_model::{Served, Shared};
use strata_protocol::Errno;

use super::{BcmGpio, register};

#[derive(Default)]
struct Model {
    functions: [u32; 6],
    latch: u32,
    wires: u32,
    rising: u32,
    falling: u32,
    events: u32,
}

impl Model {
    fn function(&self, pin: usize) -> u32 {
        self.functions[pin / 10] >> (3 * (pin % 10)) & 7
    }

    fn level(&self) -> u32 {
        (0..32).fold(0, |level, pin| {
            let from = if self.function(pin) == register::FUNCTION_OUTPUT { self.latch } else { self.wires };
            level | from & 1 << pin
        })
    }

    fn move_wires(&mut self, wires: u32) {
        let before = self.level();
        self.wires = wires;
        let after = self.level();
        self.events |= !before & after & self.rising | before & !after & self.falling;
    }
}

type Gpio = Shared<Model>;
type Server<'m> = Served<'m, Model, BcmGpio<&'m Gpio>>;

impl register_model::Model for Model {
    fn read(&mut self, offset: u64) -> u32 {
        let model = self;
        match offset {
            0..0x18 => model.functions[usize::try_from(offset / 4).unwrap()],
            register::LEVEL => model.level(),
            register::EVENTS => model.events,
            register::RISING => model.rising,
            register::FALLING => model.falling,
            _ => panic!("read of {offset:#x}"),
        }
    }

    fn write(&mut self, offset: u64, value: u32) {
        let model = self;
        match offset {
            0..0x18 => model.functions[usize::try_from(offset / 4).unwrap()] = value,
            register::SET => model.latch |= value,
            register::CLEAR => model.latch &= !value,
            register::EVENTS => model.events &= !value,
            register::RISING => model.rising = value,
            register::FALLING => model.falling = value,
            _ => panic!("write of {offset:#x}"),
        }
    }
}

#[test]
fn every_pin_of_the_header_is_driven_and_read_alone() {
    let model = Gpio::default();
    let server = Server::new(&model, 0).unwrap();
    for pin in 0..28 {
        let mut output = Output::new(&server, pin, true).unwrap();
        assert_eq!(model.get().level(), 1 << pin);
        output.toggle().unwrap();
        assert!(output.is_set_low().unwrap());
        output.set_high().unwrap();
        let mut input = Input::new(&server, pin).unwrap();
        assert!(input.is_low().unwrap());
        model.get().wires = 1 << pin;
        assert!(input.is_high().unwrap());
        model.get().wires = 0;
        assert_eq!((model.get().functions, model.posted()), ([0; 6], 0));
    }
}

#[test]
fn edges_come_by_the_interrupt_and_are_taken_once() {
    let model = Gpio::default();
    let server = Server::new(&model, 0).unwrap();
    for (edge, seen) in
        [(Edge::Rising, [true, false]), (Edge::Falling, [false, true]), (Edge::Any, [true, true])]
    {
        let mut pin = Input::new(&server, 17).unwrap();
        pin.watch(edge).unwrap();
        for (wires, seen) in [1 << 17, 0].into_iter().zip(seen) {
            model.get().move_wires(wires);
            assert_eq!(server.driver.borrow_mut().interrupt(), seen);
            assert_eq!((pin.take_edge(), pin.take_edge()), (Ok(seen), Ok(false)));
        }
    }
    server.driver.borrow_mut().stop();
    model.get().move_wires(1 << 17);
    assert!(!server.driver.borrow_mut().interrupt());
}

#[test]
fn what_leads_elsewhere_is_left_alone() {
    let model = Gpio::default();
    let (rising, falling) = (1 << 30, 1 << 31);
    model.get().rising = rising;
    model.get().falling = falling;
    // Pins 14 and 15 are the UART's, 3 a bus's.
    model.get().functions = [0o4000, 0o440000, 0, 0, 0, 0];
    let functions = model.get().functions;
    let server = Server::new(&model, 0).unwrap();
    for pin in [3, 14, 15] {
        assert_eq!(Output::new(&server, pin, true).err(), Some(Error::Refused(Errno::EBUSY)));
        assert_eq!(Input::new(&server, pin).err(), Some(Error::Refused(Errno::EBUSY)));
    }
    assert_eq!(Input::new(&server, 28).err(), Some(Error::Refused(Errno::ERANGE)));
    Input::new(&server, 5).unwrap().watch(Edge::Any).unwrap();
    server.driver.borrow_mut().stop();
    let model = model.get();
    assert_eq!((model.functions, model.rising, model.falling, model.latch), (functions, rising, falling, 0));
}
