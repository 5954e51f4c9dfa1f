//! Merges the log streams of images and modules onto the UART.
#![no_std]
#![no_main]
