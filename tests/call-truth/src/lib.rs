//! A QEMU plugin that knows the true call stack of every link-domain thread, and writes samples of threads.
//!
//! The linker server finds out who is inside of a module from a thread's registers and stack. Here the same threads are
//! watched from outside: each call and each return as it is executed. What the unwinder makes of a sample can be held
//! against that.
//!
//! `stacks` follows calls, pure and tested on the host; `plugin` connects it to QEMU and writes the file.
//!
//! Argument: `samples=FILE`. The file is a list of records, all numbers little endian:
//!
//! | record | fields |
//! |---|---|
//! | `b'W'` | address (8), instruction (4): a word of text, when it is translated for the first time or has changed |
//! | `b'S'` | x0 to x30, sp, pc (8 each); then three lists, each a count (4) and its words (8 each): return addresses of the calls that have not returned, the shadow stack, the stack from SP upwards |

#[cfg(not(test))]
mod plugin;
mod stacks;
