//! The linker server's memory, threads and text, on seL4 objects.
#![no_std]
