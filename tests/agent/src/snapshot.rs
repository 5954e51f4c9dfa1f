//! The state that a refused request must leave as it was.

use strata_protocol::linker::{LedgerRow, Reply, Request};

use crate::agent::Agent;
use crate::case::{Outcome, ensure_eq, fail};

/// Everything that a client can see of modules, stacks, call sites and memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    modules: u64,
    stacks: u64,
    symbols: u32,
    ledger: LedgerRow,
}

/// FNV-1a over what is shown of a row.
struct Hash(u64);

impl Hash {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn word(&mut self, word: u64) {
        self.bytes(&word.to_le_bytes());
    }
}

impl Agent {
    /// Looks at everything.
    pub(crate) fn snapshot(&mut self) -> Outcome<Snapshot> {
        let mut modules = Hash::new();
        for row in self.modules()? {
            modules.bytes(row.name.as_bytes());
            modules.word(row.state as u64);
            modules.word(row.address);
            modules.word(row.size);
            modules.word(row.references.into());
        }
        let mut stacks = Hash::new();
        let mut symbols = 0;
        loop {
            let symbol = match self.linker(&Request::Symbol { index: symbols })? {
                Reply::Symbol(symbol) => symbol,
                Reply::End => break,
                other => fail!("symbols: {other:?}"),
            };
            stacks.bytes(symbol.as_bytes());
            for row in self.stack(&symbol)? {
                stacks.word(row.kind as u64);
                stacks.bytes(row.module.as_bytes());
                stacks.word(row.address);
                stacks.word(row.entry);
                stacks.word(row.sites.into());
                stacks.word(row.binding as u64);
            }
            symbols += 1;
        }
        Ok(Snapshot { modules: modules.0, stacks: stacks.0, symbols, ledger: self.ledger()? })
    }

    /// Fails unless everything is as it was.
    pub(crate) fn expect_as_before(&mut self, before: &Snapshot, after_what: &str) -> Outcome {
        let now = self.snapshot()?;
        ensure_eq!(now.symbols, before.symbols, "symbols after {after_what}");
        ensure_eq!(now.stacks, before.stacks, "stacks and call sites after {after_what}");
        ensure_eq!(now.modules, before.modules, "modules after {after_what}");
        ensure_eq!(now.ledger, before.ledger, "the ledger after {after_what}");
        Ok(())
    }
}
