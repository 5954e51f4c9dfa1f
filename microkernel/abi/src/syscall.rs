//! System call numbers, passed in x7.

/// Send, then wait for the reply.
pub const CALL: i64 = -1;
/// Reply, then receive.
pub const REPLY_RECV: i64 = -2;
/// Send, blocking.
pub const SEND: i64 = -3;
/// Send if somebody waits.
pub const NB_SEND: i64 = -4;
/// Receive, blocking.
pub const RECV: i64 = -5;
/// Reply to the caller.
pub const REPLY: i64 = -6;
/// Give up the rest of the time slice.
pub const YIELD: i64 = -7;
/// Receive if something is there.
pub const NB_RECV: i64 = -8;
/// Debug: write one character to the kernel's console.
pub const DEBUG_PUT_CHAR: i64 = -9;
/// Debug: print the threads.
pub const DEBUG_DUMP_SCHEDULER: i64 = -10;
/// Debug: stop the machine.
pub const DEBUG_HALT: i64 = -11;
/// Debug: the kind of a capability.
pub const DEBUG_CAP_IDENTIFY: i64 = -12;
/// Debug: print the capability space.
pub const DEBUG_SNAPSHOT: i64 = -13;
/// Debug, not seL4's: check every invariant of the kernel. In builds with the feature `check` only.
pub const DEBUG_CHECK: i64 = -64;
/// Debug: give a thread a name.
pub const DEBUG_NAME_THREAD: i64 = -14;
/// Debug, with several cores: raise a software interrupt on a core.
pub const DEBUG_SEND_IPI: i64 = -15;
/// Debug, with several cores: the core that a thread belongs to.
pub const DEBUG_GET_THREAD_AFFINITY: i64 = -16;

/// Whether a thread that stands at a system call may be blocked in it, which depends on what it names (seL4 manual,
/// "System Calls"). At any other it only stands before it begins: a thread that is stalled on its way into the kernel
/// starts the call over.
#[must_use]
pub const fn may_block(number: i64) -> bool {
    matches!(number, CALL | REPLY_RECV | SEND | RECV)
}

#[cfg(test)]
mod tests {
    //! Goal: no call that may block is taken for one that does not, and the other way round.
    use super::*;

    #[test]
    fn calls_that_wait_for_somebody_may_block() {
        let blocking = (-64..=0).filter(|number| may_block(*number));
        assert!(blocking.eq([RECV, SEND, REPLY_RECV, CALL]));
        assert!(!may_block(YIELD) && !may_block(NB_SEND) && !may_block(NB_RECV) && !may_block(REPLY));
    }
}
