//! Futures of clients, run by one thread: whoever has to wait lets the others go on.
//!
//! A future of this crate waits for one thing only: that a server has signalled its client. So there are no wakers: after
//! each signal every future looks whether it was meant. A future that waits for something else is not woken.

use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use strata_protocol::driver::Arrivals;

/// Waits until a server has signalled.
pub async fn arrival(arrivals: &mut impl Arrivals) {
    poll_fn(|_| if arrivals.take_arrival() { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// A future that one thread runs beside others.
pub type Task<'a> = Pin<&'a mut dyn Future<Output = ()>>;

/// Runs the futures to their ends; when none can go on, waits for a signal.
pub fn run(tasks: &mut [Task<'_>], mut arrivals: impl Arrivals) {
    /// A bit for each future that has not ended.
    const TASKS_MAX: usize = u64::BITS as usize;
    assert!(tasks.len() <= TASKS_MAX, "there are more futures than the executor has bits for");
    let mut context = Context::from_waker(Waker::noop());
    let mut running = tasks.iter().fold(0_u64, |all, _| all << 1 | 1);
    loop {
        // Those of before are seen by every future that is polled from here on; one that comes meanwhile is for another round.
        arrivals.take_arrival();
        for (at, task) in tasks.iter_mut().enumerate() {
            if running >> at & 1 == 1 && task.as_mut().poll(&mut context).is_ready() {
                running &= !(1 << at);
            }
        }
        if running == 0 {
            return;
        }
        arrivals.wait();
    }
}

/// Runs one future to its end.
pub fn block_on<F: Future>(future: F, arrivals: impl Arrivals) -> F::Output {
    let mut output = None;
    {
        let task = pin!(async { output = Some(future.await) });
        run(&mut [task], arrivals);
    }
    output.expect("the future has ended")
}
