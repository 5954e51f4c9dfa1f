//! Which block of untyped memory is free: a buddy book over one untyped object.
//!
//! A block is an untyped object of its own. Splitting retypes a block into its two halves, joining
//! deletes both halves, after which the kernel lets the whole be retyped again. The book therefore
//! remembers one capability slot for each block that exists, and an allocation is a *plan* (which
//! blocks to split) that is carried out one step at a time, so that a refusal of the kernel in
//! between leaves a book that is still true.

use crate::{BLOCK_BITS_MIN, ROOT_BITS_MAX};

/// Blocks that can exist at one time, heap-ordered: 1 is the root, `2n` and `2n + 1` its halves.
const NODES: usize = 2 << (ROOT_BITS_MAX - BLOCK_BITS_MIN);

/// A block of untyped memory, by its place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block(u16);

impl Block {
    /// The root: the untyped object that the book was given.
    pub const ROOT: Self = Self(1);

    const fn index(self) -> usize {
        self.0 as usize
    }

    /// How many times the root was halved to get here.
    const fn depth(self) -> u8 {
        let mut depth = 0;
        let mut above = self.0 / 2;
        while above != 0 {
            above /= 2;
            depth += 1;
        }
        depth
    }

    /// The lower half.
    #[must_use]
    pub const fn left(self) -> Self {
        Self(self.0 * 2)
    }

    /// The upper half.
    #[must_use]
    pub const fn right(self) -> Self {
        Self(self.0 * 2 + 1)
    }

    const fn parent(self) -> Self {
        Self(self.0 / 2)
    }
}

/// Why no block was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuddyError {
    /// The size is below a page or above the root.
    Size(u8),
    /// No free block of this size is left.
    Exhausted(u8),
}

/// What has to be done next to get a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Retype `block` into two untyped objects of `bits` and call [`Buddy::split`].
    Split {
        /// The block to split.
        block: Block,
        /// Size in bits of each half.
        bits: u8,
    },
    /// The block is there: [`Buddy::take`] makes it the caller's.
    Take(Block),
}

/// The book.
pub struct Buddy {
    root_bits: u8,
    /// Size in bits of the largest free block at or under each node; 0 when nothing is free.
    largest: [u8; NODES],
    /// The capability slot of each block that exists; 0 when it does not exist.
    slot: [u16; NODES],
}

impl Buddy {
    /// A book over nothing; [`Buddy::adopt`] gives it its root.
    #[must_use]
    pub const fn new() -> Self {
        Self { root_bits: 0, largest: [0; NODES], slot: [0; NODES] }
    }

    /// Takes the untyped object in `slot` as the root.
    ///
    /// # Errors
    /// [`BuddyError::Size`] when the root is smaller than a page or larger than the book.
    pub fn adopt(&mut self, slot: u16, bits: u8) -> Result<(), BuddyError> {
        if !(BLOCK_BITS_MIN..=ROOT_BITS_MAX).contains(&bits) {
            return Err(BuddyError::Size(bits));
        }
        self.root_bits = bits;
        self.largest[Block::ROOT.index()] = bits;
        self.slot[Block::ROOT.index()] = slot;
        Ok(())
    }

    /// Size in bits of a block.
    #[must_use]
    pub const fn bits(&self, block: Block) -> u8 {
        self.root_bits - block.depth()
    }

    /// The slot of a block that exists.
    #[must_use]
    pub const fn slot(&self, block: Block) -> u16 {
        self.slot[block.index()]
    }

    /// Free bytes in all.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.free_under(Block::ROOT)
    }

    fn free_under(&self, block: Block) -> u64 {
        let largest = self.largest[block.index()];
        if largest == 0 {
            0
        } else if largest == self.bits(block) {
            1 << largest
        } else {
            self.free_under(block.left()) + self.free_under(block.right())
        }
    }

    /// The next step towards a block of `bits`; changes nothing.
    ///
    /// The smallest free block that fits is chosen, the lower one of equals, so that large blocks
    /// stay whole.
    ///
    /// # Errors
    /// [`BuddyError`] when the size is no size or nothing is free.
    pub fn plan(&self, bits: u8) -> Result<Next, BuddyError> {
        if !(BLOCK_BITS_MIN..=self.root_bits).contains(&bits) {
            return Err(BuddyError::Size(bits));
        }
        if self.largest[Block::ROOT.index()] < bits {
            return Err(BuddyError::Exhausted(bits));
        }
        let mut block = Block::ROOT;
        loop {
            let size = self.bits(block);
            if self.largest[block.index()] == size {
                return Ok(if size == bits {
                    Next::Take(block)
                } else {
                    Next::Split { block, bits: size - 1 }
                });
            }
            let left = self.largest[block.left().index()];
            let right = self.largest[block.right().index()];
            let go_left = left >= bits && (right < bits || left <= right);
            block = if go_left { block.left() } else { block.right() };
        }
    }

    /// Records that `block` has been retyped into two halves in these slots.
    pub fn split(&mut self, block: Block, left_slot: u16, right_slot: u16) {
        let half = self.bits(block) - 1;
        self.slot[block.left().index()] = left_slot;
        self.slot[block.right().index()] = right_slot;
        self.largest[block.left().index()] = half;
        self.largest[block.right().index()] = half;
        self.update_from(block);
    }

    /// Makes a free block the caller's.
    pub fn take(&mut self, block: Block) {
        debug_assert!(self.largest[block.index()] == self.bits(block), "the block is free and whole");
        self.largest[block.index()] = 0;
        self.update_from(block.parent());
    }

    /// Gives a block back. Its objects have been revoked.
    pub fn give_back(&mut self, block: Block) {
        debug_assert!(self.largest[block.index()] == 0, "the block was taken");
        self.largest[block.index()] = self.bits(block);
        self.update_from(block.parent());
    }

    /// A pair of free halves that can be joined at or above `block`'s parent, if there is one:
    /// delete both halves' capabilities and call [`Buddy::join`].
    #[must_use]
    pub fn joinable(&self, block: Block) -> Option<Block> {
        if block == Block::ROOT {
            return None;
        }
        let parent = block.parent();
        let half = self.bits(parent) - 1;
        let whole = |child: Block| self.largest[child.index()] == half;
        (whole(parent.left()) && whole(parent.right())).then_some(parent)
    }

    /// Records that both halves of `block` are deleted; returns the slots that are empty now.
    pub fn join(&mut self, block: Block) -> [u16; 2] {
        let slots = [self.slot(block.left()), self.slot(block.right())];
        for half in [block.left(), block.right()] {
            self.slot[half.index()] = 0;
            self.largest[half.index()] = 0;
        }
        self.largest[block.index()] = self.bits(block);
        self.update_from(block.parent());
        slots
    }

    /// Recomputes the largest free block from `block` to the root. A split block whose halves are
    /// both free stays split until [`Buddy::join`]: its capability has children.
    fn update_from(&mut self, mut block: Block) {
        while block.index() != 0 {
            let left = self.largest[block.left().index()];
            let right = self.largest[block.right().index()];
            self.largest[block.index()] = left.max(right);
            block = block.parent();
        }
    }
}

impl Default for Buddy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    //! Goal: no two blocks overlap, nothing is lost, and everything joins again.
    //! Method: the story of one allocation, then every order of freeing a full small world,
    //! then a long seeded walk checked against the sum of sizes.
    extern crate std;
    use super::*;
    use std::vec::Vec;

    struct World {
        buddy: std::boxed::Box<Buddy>,
        next_slot: u16,
        live_slots: usize,
    }

    impl World {
        fn new(bits: u8) -> Self {
            let mut buddy = std::boxed::Box::new(Buddy::new());
            buddy.adopt(1, bits).unwrap();
            Self { buddy, next_slot: 2, live_slots: 1 }
        }

        fn alloc(&mut self, bits: u8) -> Result<Block, BuddyError> {
            loop {
                match self.buddy.plan(bits)? {
                    Next::Split { block, .. } => {
                        self.buddy.split(block, self.next_slot, self.next_slot + 1);
                        self.next_slot = self.next_slot.wrapping_add(2).max(2);
                        self.live_slots += 2;
                    }
                    Next::Take(block) => {
                        self.buddy.take(block);
                        return Ok(block);
                    }
                }
            }
        }

        fn free(&mut self, block: Block) {
            self.buddy.give_back(block);
            let mut at = block;
            while let Some(parent) = self.buddy.joinable(at) {
                self.buddy.join(parent);
                self.live_slots -= 2;
                at = parent;
            }
        }

        fn range(&self, block: Block) -> (u64, u64) {
            let bits = self.buddy.bits(block);
            let place = u64::from(block.0) - (1 << block.depth());
            (place << bits, (place + 1) << bits)
        }
    }

    #[test]
    fn one_block_and_back() {
        let mut world = World::new(26);
        let block = world.alloc(14).unwrap();
        assert_eq!(world.buddy.bits(block), 14);
        assert_eq!(world.buddy.free_bytes(), (1 << 26) - (1 << 14));
        world.free(block);
        assert_eq!(world.buddy.free_bytes(), 1 << 26);
        assert_eq!(world.live_slots, 1, "all halves are joined again");
        assert_eq!(world.buddy.plan(26), Ok(Next::Take(Block::ROOT)));
    }

    #[test]
    fn refuses_sizes_that_are_none() {
        let mut world = World::new(16);
        assert_eq!(world.buddy.plan(11), Err(BuddyError::Size(11)));
        assert_eq!(world.buddy.plan(17), Err(BuddyError::Size(17)));
        world.alloc(16).unwrap();
        assert_eq!(world.buddy.plan(12), Err(BuddyError::Exhausted(12)));
    }

    #[test]
    fn every_order_of_freeing_a_full_world_joins_to_the_root() {
        let orders = |n: usize| -> Vec<Vec<usize>> {
            let mut all = std::vec![std::vec![]];
            for item in 0..n {
                all = all
                    .into_iter()
                    .flat_map(|order: Vec<usize>| {
                        (0..=order.len()).map(move |at| {
                            let mut longer = order.clone();
                            longer.insert(at, item);
                            longer
                        })
                    })
                    .collect();
            }
            all
        };
        for order in orders(6) {
            let mut world = World::new(15);
            // 8 pages: 1 + 1 + 2 + 2 + 1 + 1.
            let blocks: Vec<Block> =
                [12, 12, 13, 13, 12, 12].iter().map(|bits| world.alloc(*bits).unwrap()).collect();
            assert_eq!(world.buddy.free_bytes(), 0);
            for at in order {
                world.free(blocks[at]);
            }
            assert_eq!(world.buddy.free_bytes(), 1 << 15);
            assert_eq!(world.live_slots, 1);
        }
    }

    #[test]
    fn a_long_walk_never_overlaps() {
        let mut world = World::new(22);
        let mut live: Vec<Block> = Vec::new();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            if seed & 3 != 0 {
                let bits = 12 + u8::try_from((seed >> 8) % 7).unwrap();
                if let Ok(block) = world.alloc(bits) {
                    let (start, end) = world.range(block);
                    for other in &live {
                        let (low, high) = world.range(*other);
                        assert!(end <= low || high <= start, "blocks overlap");
                    }
                    live.push(block);
                }
            } else if !live.is_empty() {
                let at = usize::try_from(seed >> 16).unwrap() % live.len();
                let block = live.swap_remove(at);
                world.free(block);
            }
            let used: u64 = live.iter().map(|block| 1 << world.buddy.bits(*block)).sum();
            assert_eq!(world.buddy.free_bytes() + used, 1 << 22);
        }
        for block in live {
            world.free(block);
        }
        assert_eq!(world.live_slots, 1);
    }
}
