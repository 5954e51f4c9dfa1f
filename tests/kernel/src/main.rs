//! On-target cases of the kernel: a root task of its own.
#![no_std]
#![no_main]
