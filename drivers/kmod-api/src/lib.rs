//! What a module is written with: alias records, commands, fingerprints.
#![no_std]
