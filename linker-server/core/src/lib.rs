//! Alias stacks, plans, commits and transactions.
#![no_std]
#![forbid(unsafe_code)]
