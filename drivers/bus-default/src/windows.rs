//! The one table of this link domain's devices.

use bus_space::windows::Windows;

/// Where the devices are. Each server opens its own window before it maps anything.
pub static WINDOWS: Windows = Windows::new();
