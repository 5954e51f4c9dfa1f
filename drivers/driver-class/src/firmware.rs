//! Firmware: what a processor beside the cores knows about the board.

use strata_protocol::Errno;
use strata_protocol::driver::firmware::{GET, Property, VALUES_MAX};

use crate::{Answer, Words};

/// Why the firmware has told nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    /// It has not answered in time, or still owes the answer to an earlier request.
    Late,
    /// It does not know the property, or not what it was asked about.
    Unknown,
    /// It says that the request was none.
    Refused,
}

/// A firmware that can be asked.
pub trait Firmware {
    /// The values of a property of `about`; how many there are.
    fn get(
        &mut self,
        property: Property,
        about: u32,
        values: &mut [u32; VALUES_MAX],
    ) -> Result<usize, Silent>;
}

/// Answers a request of the class.
pub fn request(firmware: &mut impl Firmware, label: u64, words: &mut Words, length: usize) -> Answer {
    if label != GET {
        return Err(Errno::ENOSYS);
    }
    let [property, about, ..] = *words;
    let property = Property::of(property).filter(|_| length >= 2).ok_or(Errno::EINVAL)?;
    let about = u32::try_from(about).map_err(|_| Errno::EINVAL)?;
    let mut values = [0; VALUES_MAX];
    let count = firmware.get(property, about, &mut values).map_err(|silent| match silent {
        Silent::Late => Errno::ETIMEDOUT,
        Silent::Unknown => Errno::ENOTTY,
        Silent::Refused => Errno::EIO,
    })?;
    for (word, value) in words.iter_mut().zip(&values[..count]) {
        *word = (*value).into();
    }
    Ok(count)
}
