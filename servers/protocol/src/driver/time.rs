//! Time class: a clock of microseconds, and alarms.

/// → microseconds since some moment before now.
pub const NOW: u64 = 160;
/// Signals the client's notification once the clock has come to register 0. → the clock's time; where that is not before
/// register 0, no signal follows. The same time asked for twice is one alarm. EBUSY: [`ALARMS_MAX`] others are set; one of
/// them will signal.
pub const ALARM: u64 = 161;
/// Alarms of one clock at once.
pub const ALARMS_MAX: usize = 16;
