//! Requests that are answered at once and carried out afterwards: the server signals when they have come to their end.

use strata_protocol::Errno;
use strata_protocol::driver::{Arrivals, Call, Later};
use strata_protocol::message::WORDS_MAX;

use crate::Error;
use crate::executor::arrival;

/// Carries out a request of `length` words: begins it, waits for its end, and fetches the result, of which there are so many
/// words. A future that is dropped before has the server give up what it began.
pub(crate) async fn carry_out(
    server: &mut impl Call,
    arrivals: &mut impl Arrivals,
    later: Later,
    words: &mut [u64; WORDS_MAX],
    length: usize,
) -> Result<usize, Error> {
    // Another's request may be under way: its end is signalled, and stirred once its result has been fetched.
    while let Err(errno) = server.call(later.begin, &mut words.clone(), length) {
        match errno {
            Errno::EBUSY => arrival(arrivals).await,
            other => return Err(Error::Refused(other)),
        }
    }
    let mut begun = Begun { server, arrivals, abort: Some(later.abort) };
    loop {
        arrival(begun.arrivals).await;
        let result = begun.server.call(later.result, words, 0);
        if result != Err(Errno::EBUSY) {
            begun.abort = None;
            return result.map_err(Error::Refused);
        }
    }
}

/// A request that has begun.
struct Begun<'a, C: Call, A: Arrivals> {
    server: &'a mut C,
    arrivals: &'a mut A,
    /// How it is given up; none once its result is known.
    abort: Option<u64>,
}

impl<C: Call, A: Arrivals> Drop for Begun<'_, C, A> {
    fn drop(&mut self) {
        if let Some(abort) = self.abort {
            // A server that refuses this has begun anew since, and knows nothing of the request.
            let _ = self.server.call(abort, &mut [0; WORDS_MAX], 0);
        }
        self.arrivals.stir();
    }
}
