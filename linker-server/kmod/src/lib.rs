//! The .kmod format: records and the parser.
#![no_std]
#![forbid(unsafe_code)]
