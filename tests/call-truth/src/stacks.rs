//! Calls that have not returned, thread by thread.
//!
//! A thread is known by where its stack lies. A call is over when control comes to its return address with the stack
//! pointer that the call was made with, by a return or otherwise: the linker server may take a faulting thread out of
//! a module. Frames below the stack pointer are gone: a thread may have been started again.

use std::collections::BTreeMap;

/// A call that has not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    returns_to: u64,
    sp: u64,
}

/// The calls of all threads.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    threads: BTreeMap<u64, Vec<Call>>,
}

impl Stacks {
    /// A call is about to be executed.
    pub(crate) fn call(&mut self, thread: u64, returns_to: u64, sp: u64) {
        let calls = self.threads.entry(thread).or_default();
        calls.retain(|call| call.sp >= sp);
        let call = Call { returns_to, sp };
        // An instruction that is interrupted is executed again.
        if calls.last() != Some(&call) {
            calls.push(call);
        }
    }

    /// An instruction is about to be executed: it may be the one behind a call.
    pub(crate) fn arrive(&mut self, thread: u64, pc: u64, sp: u64) {
        let Some(calls) = self.threads.get_mut(&thread) else { return };
        if let Some(index) = calls.iter().rposition(|call| call.returns_to == pc && call.sp == sp) {
            calls.truncate(index);
        }
    }

    /// The return addresses of the calls that have not returned, the outermost first.
    pub(crate) fn open(&mut self, thread: u64, sp: u64) -> impl Iterator<Item = u64> + '_ {
        let calls = self.threads.entry(thread).or_default();
        calls.retain(|call| call.sp >= sp);
        calls.iter().map(|call| call.returns_to)
    }
}

#[cfg(test)]
mod tests {
    //! Goal: what is open is what has not returned. Method: a few histories by hand.
    use super::Stacks;

    fn open(stacks: &mut Stacks, sp: u64) -> Vec<u64> {
        stacks.open(7, sp).collect()
    }

    #[test]
    fn calls_nest_and_return() {
        let mut stacks = Stacks::default();
        stacks.call(7, 0x104, 100);
        stacks.call(7, 0x204, 80);
        stacks.call(7, 0x204, 80);
        assert_eq!(open(&mut stacks, 80), [0x104, 0x204]);
        assert_eq!(stacks.open(8, 80).count(), 0);
        stacks.arrive(7, 0x204, 80);
        assert_eq!(open(&mut stacks, 80), [0x104]);
        // The same address in another frame is another call.
        stacks.arrive(7, 0x104, 96);
        assert_eq!(open(&mut stacks, 80), [0x104]);
        // A gate calls with the stack pointer of its caller.
        stacks.call(7, 0x1204, 80);
        stacks.call(7, 0x2204, 80);
        stacks.arrive(7, 0x2204, 80);
        assert_eq!(open(&mut stacks, 80), [0x104, 0x1204]);
    }

    #[test]
    fn a_thread_that_is_moved_leaves_its_calls() {
        let mut stacks = Stacks::default();
        stacks.call(7, 0x104, 100);
        stacks.call(7, 0x204, 80);
        stacks.call(7, 0x304, 60);
        // Out of the two inner calls at once.
        stacks.arrive(7, 0x204, 80);
        assert_eq!(open(&mut stacks, 80), [0x104]);
        // Started again.
        assert_eq!(open(&mut stacks, 200), [0; 0]);
    }
}
