//! Firmware class: what the firmware of a board knows about it. There is nothing here that changes anything.

/// → the values of a property: register 0 is one of [`Property`], register 1 the number of the clock or device that it is
/// about, 0 where it is about none. ETIMEDOUT: the firmware has not answered in time; ENOTTY: it does not know the property
/// or the number; EIO: it says that the request was none; EINVAL: the class has no such property.
pub const GET: u64 = 176;
/// Values of an answer.
pub const VALUES_MAX: usize = 2;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// → the firmware's revision: seconds since 1970 when it was built.
    FirmwareRevision,
    /// → the board's model, 0 on every Pi so far.
    BoardModel,
    /// → the board's revision code.
    BoardRevision,
    /// → the first byte and the size of the memory that the cores have, as far as the first GiB goes.
    ArmMemory,
    /// Of a [`Clock`] → its rate, in hertz; 0 for one that stands still.
    ClockRate,
    /// Of a [`Clock`] → the highest rate that it is allowed, in hertz.
    MaxClockRate,
    /// → the temperature of the chip, in thousandths of a degree Celsius.
    Temperature,
    /// → the temperature from which on the firmware slows the chip down, in thousandths of a degree Celsius.
    MaxTemperature,
    /// → what holds the chip back: bits of [`throttled`].
    Throttled,
    /// Of a device's number → bit 0: it has power; bit 1: there is no such device.
    PowerState,
}

impl Property {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::FirmwareRevision,
        Self::BoardModel,
        Self::BoardRevision,
        Self::ArmMemory,
        Self::ClockRate,
        Self::MaxClockRate,
        Self::Temperature,
        Self::MaxTemperature,
        Self::Throttled,
        Self::PowerState,
    ];

    /// The word in a request.
    #[must_use]
    pub const fn word(self) -> u64 {
        self as u64
    }

    /// The property with this word.
    #[must_use]
    pub fn of(word: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|property| property.word() == word)
    }
}

/// Clocks, by the firmware's numbers (Raspberry Pi firmware wiki, "Mailbox property interface").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The card's controller.
    Emmc = 1,
    /// The PL011.
    Uart = 2,
    /// The cores.
    Arm = 3,
    /// The graphics processor, from which the buses' speeds are divided.
    Core = 4,
}

/// What holds the chip back.
pub mod throttled {
    /// The supply is below what the board needs.
    pub const UNDER_VOLTAGE: u32 = 1;
    /// The cores' rate is capped.
    pub const CAPPED: u32 = 1 << 1;
    /// It is slowed down.
    pub const THROTTLED: u32 = 1 << 2;
    /// It is at the soft limit of its temperature.
    pub const SOFT_LIMIT: u32 = 1 << 3;
    /// Since it was started each of the four has been so, from this bit on.
    pub const SINCE_START_SHIFT: u32 = 16;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_and_words_go_both_ways() {
        for (word, property) in (0..).zip(Property::ALL) {
            assert_eq!((property.word(), Property::of(word)), (word, Some(property)));
        }
        assert_eq!(Property::of(Property::ALL.len() as u64), None);
    }
}
