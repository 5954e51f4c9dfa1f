//! Why a device did not do what it was asked for.

use core::fmt;

use strata_protocol::Errno;
use strata_protocol::driver::i2c::Outcome;

/// Why a device did not do what it was asked for. The kinds of the traits are [`Error::kind`] of each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The driver server has refused the request: EAGAIN while it is being restarted, EFAULT when it was started again
    /// under the request, E2BIG for more bytes than a message carries.
    Refused(Errno),
    /// An I²C transfer has not reached its end.
    I2c(Outcome),
    /// The trait allows it, and the class of the device has no request for it.
    Unsupported,
    /// The answer is not one of the class: the endpoint is that of another device.
    Garbled,
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Self::Refused(errno)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Errno::EAGAIN) => out.write_str("the driver server is being restarted; ask again"),
            Self::Refused(Errno::EFAULT) => {
                out.write_str("the driver server was started again under the request")
            }
            Self::Refused(Errno::E2BIG) => out.write_str("more bytes than a request carries"),
            Self::Refused(errno) => write!(out, "the driver server refused: {errno}"),
            Self::I2c(outcome) => write!(out, "the I2C transfer has failed: {outcome:?}"),
            Self::Unsupported => out.write_str("the device has no such operation"),
            Self::Garbled => out.write_str("the answer is not one of the device's class"),
        }
    }
}

impl core::error::Error for Error {}
