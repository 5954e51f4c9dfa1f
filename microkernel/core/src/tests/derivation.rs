//! The derivation tree against a naive one with parents written down.
use super::world::{ROOT, World};
use crate::cap::View;
use microkernel_abi::label;
use proptest::prelude::{Strategy, any, proptest};
use std::vec::Vec;

/// Slots of the small world.
const SLOTS: usize = 4;

#[derive(Clone, Copy, Debug)]
enum Op {
    Copy(usize, usize),
    Mint(usize, usize),
    Move(usize, usize),
    Delete(usize),
    Revoke(usize),
}

/// A capability as the naive tree has it.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Node {
    badge: u64,
    /// Copies of it are its children, not its siblings.
    original: bool,
    parent: Option<usize>,
}

#[derive(Clone, Default, Debug)]
struct Tree {
    nodes: [Option<Node>; SLOTS],
}

impl Tree {
    fn remove(&mut self, slot: usize) {
        if let Some(gone) = self.nodes[slot].take() {
            // The grandparent takes the children.
            for node in self.nodes.iter_mut().flatten() {
                if node.parent == Some(slot) {
                    node.parent = gone.parent;
                }
            }
        }
    }

    fn is_below(&self, slot: usize, ancestor: usize) -> bool {
        let mut at = self.nodes[slot].and_then(|node| node.parent);
        while let Some(parent) = at {
            if parent == ancestor {
                return true;
            }
            at = self.nodes[parent].and_then(|node| node.parent);
        }
        false
    }

    /// Does the operation; says whether it is refused.
    fn apply(&mut self, op: Op) -> bool {
        match op {
            Op::Copy(from, to) | Op::Mint(from, to) => {
                let mint = matches!(op, Op::Mint(..));
                let (Some(node), None) = (self.nodes[from], self.nodes[to]) else { return false };
                if mint && node.badge != 0 {
                    return false;
                }
                let badge = if mint { 7 } else { node.badge };
                let parent = if node.original { Some(from) } else { node.parent };
                self.nodes[to] = Some(Node { badge, original: mint, parent });
            }
            Op::Move(from, to) => {
                let (Some(node), None) = (self.nodes[from], self.nodes[to]) else { return false };
                self.nodes[from] = None;
                self.nodes[to] = Some(node);
                for node in self.nodes.iter_mut().flatten() {
                    if node.parent == Some(from) {
                        node.parent = Some(to);
                    }
                }
            }
            Op::Delete(slot) => self.remove(slot),
            Op::Revoke(slot) => {
                if self.nodes[slot].is_some() {
                    let below: Vec<_> = (0..SLOTS).filter(|&s| self.is_below(s, slot)).collect();
                    below.into_iter().for_each(|s| self.remove(s));
                }
            }
        }
        true
    }
}

struct Pair {
    world: World,
    tree: Tree,
    base: u64,
}

impl Pair {
    fn new() -> Self {
        let mut world = World::new();
        let first = world.make(2, 0);
        (1..SLOTS).for_each(|_| {
            world.next_slot();
        });
        let mut tree = Tree::default();
        tree.nodes[0] = Some(Node { badge: 0, original: true, parent: None });
        Self { world, tree, base: first }
    }

    fn apply(&mut self, op: Op) {
        let at = |i: usize| self.base + i as u64;
        let error = match op {
            Op::Copy(a, b) => self.world.copy(at(a), at(b)),
            Op::Mint(a, b) => self.world.mint(at(a), at(b), 15, 7),
            Op::Move(a, b) => self.world.invoke(ROOT, label::CNODE_MOVE, &[at(b), 64, at(a), 64], &[ROOT]),
            Op::Delete(a) => self.world.delete(at(a)),
            Op::Revoke(a) => self.world.revoke(at(a)),
        };
        assert_eq!(error == 0, self.tree.apply(op), "{op:?}: {error}");
        for i in 0..SLOTS {
            let badge = match self.world.view(self.base + i as u64) {
                View::Endpoint { badge, .. } => Some(badge),
                View::Null => None,
                other => panic!("{other:?}"),
            };
            assert_eq!(
                badge,
                self.tree.nodes[i].map(|node| node.badge),
                "slot {i} after {op:?}: {:?}",
                self.tree
            );
        }
    }
}

fn all_ops() -> Vec<Op> {
    let mut ops = Vec::new();
    for a in 0..SLOTS {
        ops.extend([Op::Delete(a), Op::Revoke(a)]);
        for b in (0..SLOTS).filter(|&b| b != a) {
            ops.extend([Op::Copy(a, b), Op::Mint(a, b), Op::Move(a, b)]);
        }
    }
    ops
}

#[test]
fn every_short_sequence() {
    // Only operations that change something lead anywhere: refused ones are tried once at each node.
    fn descend(path: &mut Vec<Op>, depth: usize, ops: &[Op], count: &mut usize) {
        for &op in ops {
            let mut pair = Pair::new();
            path.iter().for_each(|&op| pair.apply(op));
            let before = std::format!("{:?}", pair.tree);
            pair.apply(op);
            pair.world.check();
            *count += 1;
            if depth > 1 && std::format!("{:?}", pair.tree) != before {
                path.push(op);
                descend(path, depth - 1, ops, count);
                path.pop();
            }
        }
    }
    let mut count = 0;
    descend(&mut Vec::new(), 3, &all_ops(), &mut count);
    assert!(count > 2000, "{count}");
}

/// Two capabilities are minted with one badge, and the one behind loses its original: what is left of its family is not
/// the other one's.
#[test]
fn families_of_one_badge_stay_apart() {
    let mut pair = Pair::new();
    let minted = [Op::Copy(0, 3), Op::Mint(3, 2), Op::Mint(3, 1), Op::Delete(0), Op::Delete(3)];
    let copied = [Op::Copy(2, 0), Op::Copy(2, 3), Op::Delete(2)];
    for op in minted.into_iter().chain(copied).chain([Op::Revoke(1)]) {
        pair.apply(op);
        pair.world.check();
    }
    assert_eq!(pair.tree.nodes.iter().flatten().count(), 3, "nothing was the other one's");
}

fn op() -> impl Strategy<Value = Op> {
    any::<usize>().prop_map(|i| {
        let ops = all_ops();
        ops[i % ops.len()]
    })
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn long_sequences(ops in proptest::collection::vec(op(), 1..200)) {
        let mut pair = Pair::new();
        for op in ops {
            pair.apply(op);
        }
        pair.world.check();
    }
}
