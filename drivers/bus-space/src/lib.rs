//! Types of bus_space(9) and the layout of the debug ring.
#![no_std]
#![forbid(unsafe_code)]
