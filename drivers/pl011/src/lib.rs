//! Device logic of the PL011 UART.
#![no_std]
#![forbid(unsafe_code)]
