//! The linker server's books, and the check that they tell the truth.

use strata_protocol::linker::{LedgerRow, Reply, Request};

use crate::agent::Agent;
use crate::case::{Outcome, ensure_eq, fail};

impl Agent {
    /// The total of the ledger.
    pub(crate) fn ledger(&mut self) -> Outcome<LedgerRow> {
        let mut total = None;
        for index in 0.. {
            match self.linker(&Request::Ledger { index })? {
                Reply::Ledger(row) => total = Some(row),
                Reply::End => break,
                other => fail!("ledger: {other:?}"),
            }
        }
        match total {
            Some(row) if row.owner.as_str() == "total" => Ok(row),
            other => fail!("the last row of the ledger is no total: {other:?}"),
        }
    }

    /// The ledger's row of one owner, if it is there.
    pub(crate) fn ledger_of(&mut self, owner: &str) -> Outcome<Option<LedgerRow>> {
        for index in 0.. {
            match self.linker(&Request::Ledger { index })? {
                Reply::Ledger(row) if row.owner.as_str() == owner => return Ok(Some(row)),
                Reply::Ledger(_) => {}
                _ => break,
            }
        }
        Ok(None)
    }

    /// Has the linker server walk its capability space, and fails unless that finds what the ledger says.
    pub(crate) fn audit(&mut self) -> Outcome<u64> {
        match self.linker(&Request::Audit)? {
            Reply::Audit { ledger, found } => {
                ensure_eq!(found, ledger, "capabilities found slot by slot, and in the ledger");
                Ok(found)
            }
            other => fail!("audit: {other:?}"),
        }
    }
}
