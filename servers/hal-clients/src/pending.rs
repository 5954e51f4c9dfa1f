//! Requests that are answered at once and carried out afterwards: the server signals when they have come to their end.

use strata_protocol::Errno;
use strata_protocol::driver::{Arrivals, Call, Later};
use strata_protocol::message::WORDS_MAX;

use crate::Error;
use crate::executor::arrival;

/// Carries out a request of `length` words: begins it, waits for its end, and fetches the result, of which there are so many
/// words. A future that is dropped before has the server give up what it began.
///
/// Where a client has gone in the middle of its transfer, no signal says when its lease is over: a future that waits behind it
/// goes on with the next signal of whatever kind, such as that of an alarm beside it.
pub(crate) async fn carry_out(
    server: &mut impl Call,
    arrivals: &mut impl Arrivals,
    later: Later,
    words: &mut [u64; WORDS_MAX],
    length: usize,
) -> Result<usize, Error> {
    // Another's request may be under way: its end is signalled, and stirred once its result has been fetched.
    let number = loop {
        match begin(server, later, words, length)? {
            Some(number) => break number,
            None => arrival(arrivals).await,
        }
    };
    let mut begun = Begun { server, arrivals, number, abort: Some(later.abort) };
    loop {
        arrival(begun.arrivals).await;
        words[0] = number;
        let result = begun.server.call(later.result, words, 1);
        if result != Err(Errno::EBUSY) {
            begun.abort = None;
            return result.map_err(Error::Refused);
        }
    }
}

/// Begins a request; its number, or none while the device is somebody's.
fn begin(
    server: &mut impl Call,
    later: Later,
    words: &[u64; WORDS_MAX],
    length: usize,
) -> Result<Option<u64>, Error> {
    let mut words = *words;
    match server.call(later.begin, &mut words, length) {
        Ok(1) => Ok(Some(words[0])),
        Ok(_) => Err(Error::Garbled),
        Err(Errno::EBUSY) => Ok(None),
        Err(other) => Err(Error::Refused(other)),
    }
}

/// A request that has begun.
struct Begun<'a, C: Call, A: Arrivals> {
    server: &'a mut C,
    arrivals: &'a mut A,
    number: u64,
    /// How it is given up; none once its result is known.
    abort: Option<u64>,
}

impl<C: Call, A: Arrivals> Drop for Begun<'_, C, A> {
    fn drop(&mut self) {
        if let Some(abort) = self.abort {
            let mut words = [0; WORDS_MAX];
            words[0] = self.number;
            // A server that refuses this has begun anew since, or the lease has ended: it knows nothing of the request.
            let _ = self.server.call(abort, &mut words, 1);
        }
        self.arrivals.stir();
    }
}
