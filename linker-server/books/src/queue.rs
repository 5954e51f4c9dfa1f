//! Whose turn it is: waiting requests, bounded, fair for each badge.
//!
//! One badge cannot keep another from its turn: the next request is the oldest one of the badge
//! that was served longest ago.

use crate::{QUEUE_MAX, QUEUE_PER_BADGE_MAX};
use heapless::Vec;

/// The queue is full, for all or for this badge; the request goes back to its owner.
#[derive(Debug, PartialEq, Eq)]
pub struct Full<T>(pub T);

struct Waiting<T> {
    badge: u64,
    item: T,
}

/// The queue.
pub struct Queue<T> {
    waiting: Vec<Waiting<T>, QUEUE_MAX>,
    /// Badges in the order in which they were served, the latest last.
    served: Vec<u64, QUEUE_MAX>,
}

impl<T> Queue<T> {
    /// An empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { waiting: Vec::new(), served: Vec::new() }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds a request.
    ///
    /// # Errors
    /// [`Full`] when the queue is full, for all or for this badge.
    pub fn push(&mut self, badge: u64, item: T) -> Result<(), Full<T>> {
        let own = self.waiting.iter().filter(|waiting| waiting.badge == badge).count();
        if own >= QUEUE_PER_BADGE_MAX {
            return Err(Full(item));
        }
        self.waiting.push(Waiting { badge, item }).map_err(|waiting| Full(waiting.item))
    }

    /// Takes the request whose turn it is.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        let age = |badge: u64| self.served.iter().position(|served| *served == badge).map_or(0, |at| at + 1);
        // `min_by_key` keeps the first of equals, which is the oldest.
        let (at, _) = self.waiting.iter().enumerate().min_by_key(|(_, waiting)| age(waiting.badge))?;
        let Waiting { badge, item } = self.waiting.remove(at);
        self.served.retain(|served| *served != badge);
        if self.served.is_full() {
            self.served.remove(0);
        }
        let _ = self.served.push(badge);
        Some((badge, item))
    }

    /// Takes the first request that `which` chooses, out of turn (CANCEL of a waiting request).
    pub fn take(&mut self, which: impl Fn(u64, &T) -> bool) -> Option<(u64, T)> {
        let at = self.waiting.iter().position(|waiting| which(waiting.badge, &waiting.item))?;
        let Waiting { badge, item } = self.waiting.remove(at);
        Some((badge, item))
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    //! Goal: bounded, and no badge waits behind more than one request of each other badge.
    use super::*;

    #[test]
    fn badges_take_turns() {
        let mut queue = Queue::new();
        for item in 0..QUEUE_PER_BADGE_MAX {
            queue.push(1, item).unwrap();
        }
        assert_eq!(queue.push(1, 99), Err(Full(99)));
        queue.push(2, 10).unwrap();
        queue.push(3, 20).unwrap();
        let order: heapless::Vec<(u64, usize), 8> = core::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [(1, 0), (2, 10), (3, 20), (1, 1), (1, 2), (1, 3)]);
    }

    #[test]
    fn the_whole_queue_is_bounded() {
        let mut queue = Queue::new();
        for badge in 0..u64::try_from(QUEUE_MAX).unwrap() {
            queue.push(badge, ()).unwrap();
        }
        assert_eq!(queue.push(77, ()), Err(Full(())));
        assert_eq!(queue.take(|badge, ()| badge == 5), Some((5, ())));
        assert_eq!(queue.len(), QUEUE_MAX - 1);
        queue.push(77, ()).unwrap();
    }
}
