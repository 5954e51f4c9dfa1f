//! All layers together, with the driver at work.

use crate::case::{case, ensure_eq};
use crate::device::{SPECIMEN, SPECIMEN_ID, SPECIMEN_ID_AT};
use crate::names::{BASE, DEBUG, READ_4, REORDER, XH};

use super::stacks::ORDERS;

case!(
    /// The seed's layers, in all orders of load and all orders of unload, with a read at each step.
    60, fn three_layers_of_bus_space_load_and_unload_in_all_orders(agent) {
        const LAYERS: [&str; 3] = [DEBUG, XH, REORDER];
        let specimen = agent.open(SPECIMEN)?;
        let before = agent.ledger()?;
        for load in ORDERS {
            for unload in ORDERS {
                let mut stack: heapless::Vec<&str, 4> = heapless::Vec::new();
                let _ = stack.push(BASE);
                for layer in load {
                    agent.load(LAYERS[layer])?;
                    let _ = stack.insert(0, LAYERS[layer]);
                    agent.expect_stack(READ_4, &stack)?;
                    ensure_eq!(specimen.read_4(agent.ipc, SPECIMEN_ID_AT)?, (SPECIMEN_ID, 0), "a read under {stack:?}");
                }
                for layer in unload {
                    agent.unload(LAYERS[layer])?;
                    stack.retain(|name| *name != LAYERS[layer]);
                    agent.expect_stack(READ_4, &stack)?;
                    ensure_eq!(specimen.read_4(agent.ipc, SPECIMEN_ID_AT)?, (SPECIMEN_ID, 0), "a read under {stack:?}");
                }
            }
        }
        ensure_eq!(agent.ledger()?, before, "the ledger after 36 rounds");
        agent.audit()?;
        agent.expect_empty()
    }
);
