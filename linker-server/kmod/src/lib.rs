//! The .kmod format: the records and the parser.
#![no_std]
#![forbid(unsafe_code)]

pub mod records;
