//! GPIO: `embedded_hal::digital` and, with the edges that the driver server is told of, `embedded_hal_async::digital::Wait`.

use core::future::poll_fn;
use core::task::Poll;

use embedded_hal::digital::{
    Error as DigitalError, ErrorKind, ErrorType, InputPin, OutputPin, StatefulOutputPin,
};
use embedded_hal_async::digital::Wait;
use strata_protocol::driver::gpio::{EDGES, FALLING, HIGH, INPUT, LOW, OUTPUT, READ, RISING, WATCH, WRITE};
use strata_protocol::driver::{Arrivals, Call};
use strata_protocol::message::WORDS_MAX;

use crate::Error;

impl DigitalError for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// Asks about a pin; the answer's first word.
fn ask(server: &mut impl Call, label: u64, pin: u32, operand: u64) -> Result<u64, Error> {
    let mut words = [0; WORDS_MAX];
    (words[0], words[1]) = (pin.into(), operand);
    server.call(label, &mut words, 2)?;
    Ok(words[0])
}

fn is_high(server: &mut impl Call, pin: u32) -> Result<bool, Error> {
    match ask(server, READ, pin, 0)? {
        HIGH => Ok(true),
        LOW => Ok(false),
        _ => Err(Error::Garbled),
    }
}

/// A pin that is driven.
#[derive(Debug)]
pub struct Output<C> {
    server: C,
    pin: u32,
}

impl<C: Call> Output<C> {
    /// Makes the pin an output that is high or low from its first moment on.
    pub fn new(mut server: C, pin: u32, high: bool) -> Result<Self, Error> {
        ask(&mut server, OUTPUT, pin, if high { HIGH } else { LOW })?;
        Ok(Self { server, pin })
    }
}

impl<C> ErrorType for Output<C> {
    type Error = Error;
}

impl<C: Call> OutputPin for Output<C> {
    fn set_low(&mut self) -> Result<(), Error> {
        ask(&mut self.server, WRITE, self.pin, LOW).map(|_| ())
    }

    fn set_high(&mut self) -> Result<(), Error> {
        ask(&mut self.server, WRITE, self.pin, HIGH).map(|_| ())
    }
}

impl<C: Call> StatefulOutputPin for Output<C> {
    fn is_set_high(&mut self) -> Result<bool, Error> {
        is_high(&mut self.server, self.pin)
    }

    fn is_set_low(&mut self) -> Result<bool, Error> {
        self.is_set_high().map(|high| !high)
    }
}

/// Which edges of a pin are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// From low to high.
    Rising,
    /// From high to low.
    Falling,
    /// Both.
    Any,
}

/// A pin that is read and watched.
#[derive(Debug)]
pub struct Input<C> {
    server: C,
    pin: u32,
}

impl<C: Call> Input<C> {
    /// Makes the pin an input.
    pub fn new(mut server: C, pin: u32) -> Result<Self, Error> {
        ask(&mut server, INPUT, pin, 0)?;
        Ok(Self { server, pin })
    }

    /// Watches the pin from now on; edges of before are forgotten.
    pub fn watch(&mut self, edge: Edge) -> Result<(), Error> {
        let edges = match edge {
            Edge::Rising => RISING,
            Edge::Falling => FALLING,
            Edge::Any => RISING | FALLING,
        };
        ask(&mut self.server, WATCH, self.pin, edges).map(|_| ())
    }

    /// Whether an edge that is watched has come since the last time.
    pub fn take_edge(&mut self) -> Result<bool, Error> {
        ask(&mut self.server, EDGES, self.pin, 0).map(|edges| edges != 0)
    }
}

impl<C> ErrorType for Input<C> {
    type Error = Error;
}

impl<C: Call> InputPin for Input<C> {
    fn is_high(&mut self) -> Result<bool, Error> {
        is_high(&mut self.server, self.pin)
    }

    fn is_low(&mut self) -> Result<bool, Error> {
        self.is_high().map(|high| !high)
    }
}

/// A pin that is waited for: an [`Input`] and its server's signal.
#[derive(Debug)]
pub struct WaitingInput<C, A> {
    input: Input<C>,
    arrivals: A,
}

impl<C: Call, A: Arrivals> WaitingInput<C, A> {
    /// The pin, and who says that an edge has come. Whatever else the server signals for only makes it look.
    pub const fn new(input: Input<C>, arrivals: A) -> Self {
        Self { input, arrivals }
    }

    async fn wait_for(&mut self, edge: Edge) -> Result<(), Error> {
        self.input.watch(edge)?;
        self.until_edge().await
    }

    async fn until_edge(&mut self) -> Result<(), Error> {
        while !self.input.take_edge()? {
            let arrivals = &mut self.arrivals;
            // Whoever polls does so again when the server has signalled: there is nobody else to wake it.
            poll_fn(|_| if arrivals.take_arrival() { Poll::Ready(()) } else { Poll::Pending }).await;
        }
        Ok(())
    }

    /// Watched first and then looked at: a level that comes between the two is not missed.
    async fn wait_for_level(&mut self, edge: Edge, high: bool) -> Result<(), Error> {
        self.input.watch(edge)?;
        if self.input.is_high()? == high { Ok(()) } else { self.until_edge().await }
    }
}

impl<C, A> ErrorType for WaitingInput<C, A> {
    type Error = Error;
}

impl<C: Call, A: Arrivals> Wait for WaitingInput<C, A> {
    async fn wait_for_high(&mut self) -> Result<(), Error> {
        self.wait_for_level(Edge::Rising, true).await
    }

    async fn wait_for_low(&mut self) -> Result<(), Error> {
        self.wait_for_level(Edge::Falling, false).await
    }

    async fn wait_for_rising_edge(&mut self) -> Result<(), Error> {
        self.wait_for(Edge::Rising).await
    }

    async fn wait_for_falling_edge(&mut self) -> Result<(), Error> {
        self.wait_for(Edge::Falling).await
    }

    async fn wait_for_any_edge(&mut self) -> Result<(), Error> {
        self.wait_for(Edge::Any).await
    }
}
