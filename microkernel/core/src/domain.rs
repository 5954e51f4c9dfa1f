//! Scheduling domains: there is one, and a schedule that can say so at some length.
//!
//! The schedule's entries are kept and checked as the ABI says; with one domain none of them changes who runs.
use crate::cap::View;
use crate::error::{InvocationError, Stop};
use crate::invoke::{DONE, Invocation, Outcome, refuse};
use crate::kernel::Kernel;
use crate::machine::Machine;
use microkernel_abi::{DOMAIN_SCHEDULE_MAX, DOMAINS_MAX, label};

/// Bits of a duration.
const DURATION_BITS: u64 = 56;

/// How long the domain has the processor, for each entry of the schedule; 0 is an end marker.
pub(crate) struct Schedule {
    durations: [u64; DOMAIN_SCHEDULE_MAX],
    start: usize,
}

impl Schedule {
    /// The domain runs for ever.
    pub(crate) const fn new() -> Self {
        let mut durations = [0; DOMAIN_SCHEDULE_MAX];
        durations[0] = (1 << DURATION_BITS) - 1;
        Self { durations, start: 0 }
    }
}

/// An entry of the schedule, the last of which is number `last`.
fn entry(index: u64, last: usize) -> Result<usize, InvocationError> {
    usize::try_from(index)
        .ok()
        .filter(|&index| index <= last)
        .ok_or(InvocationError::Range { min: 0, max: last as u64 })
}

impl<M: Machine> Kernel<M> {
    #[inline(never)]
    pub(crate) fn invoke_domain(&mut self, inv: &Invocation) -> Result<Outcome, Stop> {
        match inv.label {
            label::DOMAIN_SET_SET => {
                inv.need(1, 0)?;
                if self.arg(inv, 0) >= DOMAINS_MAX {
                    return refuse(InvocationError::InvalidArgument(0));
                }
                inv.need(1, 1)?;
                match self.view(inv.extra(0)?) {
                    View::Thread { .. } => DONE,
                    _ => refuse(InvocationError::InvalidArgument(1)),
                }
            }
            label::DOMAIN_SCHEDULE_CONFIGURE => {
                inv.need(3, 0)?;
                let (index, domain, duration) = (self.arg(inv, 0), self.arg(inv, 1), self.arg(inv, 2));
                // The last entry stays an end marker.
                let index = entry(index, DOMAIN_SCHEDULE_MAX - 2)?;
                if domain >= DOMAINS_MAX {
                    return refuse(InvocationError::Range { min: 0, max: DOMAINS_MAX - 1 });
                }
                if duration >> DURATION_BITS != 0 || duration == 0 && index == self.schedule.start {
                    return refuse(InvocationError::InvalidArgument(2));
                }
                self.schedule.durations[index] = duration;
                DONE
            }
            label::DOMAIN_SCHEDULE_SET_START => {
                inv.need(1, 0)?;
                let index = entry(self.arg(inv, 0), DOMAIN_SCHEDULE_MAX - 1)?;
                if self.schedule.durations[index] == 0 {
                    return refuse(InvocationError::InvalidArgument(0));
                }
                self.schedule.start = index;
                self.reschedule();
                DONE
            }
            _ => refuse(InvocationError::IllegalOperation),
        }
    }
}
