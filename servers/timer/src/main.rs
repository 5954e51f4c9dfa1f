//! Owns the physical timer and serves deadlines.
#![no_std]
#![no_main]
