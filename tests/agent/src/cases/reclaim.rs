//! What an unload gives back.

use strata_protocol::driver::DEMO_PING;
use strata_protocol::linker::{LedgerRow, ModuleState};
use strata_protocol::streams;

use crate::agent::Agent;
use crate::case::{Outcome, case, ensure, ensure_eq, fail};
use crate::image::Upload;
use crate::names::{DEBUG, REORDER, XH};
use crate::report::expect_log;

case!(
    /// R19: all memory is back, the addresses are poisoned, and a stale call into them faults.
    30, fn r19_memory_is_back_addresses_are_poisoned_and_a_stale_call_faults(agent) {
        let demo = agent.open("demo")?;
        agent.load("wall_probe")?;
        let before = agent.ledger()?;
        agent.load("pass_a")?;
        let Some(first) = agent.module("pass_a")? else { fail!("the module is not listed") };
        let target = agent.stack(crate::names::PING)?[0].address;
        ensure!(agent.ledger()?.frames > before.frames, "a loaded module costs no frame");
        ensure!(agent.ledger_of("pass_a")?.is_some(), "the ledger has no row of the module");
        agent.unload("pass_a")?;
        ensure_eq!(agent.ledger()?, before, "the ledger after the unload");
        ensure!(agent.ledger_of("pass_a")?.is_none_or(|row| row.frames == 0), "the module still has frames");
        agent.load("pass_a")?;
        let Some(second) = agent.module("pass_a")? else { fail!("the module is not listed") };
        ensure!(first.address != second.address, "the addresses of the last unload are used again at once");
        agent.unload("pass_a")?;
        // A pointer into the module that is gone: the linker server still knows whose address that was.
        expect_log(streams::LINKER, "the address belonged to a module that was unloaded");
        let answer = demo.call(agent.ipc, DEMO_PING, &[crate::cases::walls::CALL | target]);
        ensure_eq!((answer.label, answer.words[0]), (0, 0xdead), "the call of a layer that makes a stale one");
        let fault = agent.fault_of("demo")?;
        ensure_eq!((fault.address, fault.pc), (target, target), "the faulting address, the program counter of the fault");
        // Who made the wild call is out of all stacks; the default answers the next one.
        agent.sleep_us(2_000)?;
        let probe = agent.module("wall_probe")?;
        ensure!(probe.is_some_and(|row| row.state == ModuleState::Wedged), "the module that made the call is not wedged");
        agent.expect_stack(crate::names::PING, &[crate::names::BASE])?;
        ensure_eq!(demo.ping(agent.ipc, 41)?, 42, "the default afterwards");
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// The ledger is equal after many cycles of all layers, and a walk of the capability space finds the same.
    60, fn ledger_is_equal_after_cycles_and_the_walk_agrees(agent) {
        const MODULES: [&str; 8] = [DEBUG, "hello", XH, "strong_note", REORDER, "c_layer", "introducer", "greet_layer"];
        let before = agent.ledger()?;
        let found = agent.audit()?;
        ensure_eq!(found, before.capabilities, "the walk and the total of the ledger");
        for _ in 0..10 {
            for module in MODULES {
                agent.load(module)?;
            }
            let loaded = agent.audit()?;
            ensure!(loaded > found, "eight modules hold no capability");
            ensure_eq!(loaded, agent.ledger()?.capabilities, "the walk and the total with all modules");
            for module in MODULES.iter().rev() {
                agent.unload(module)?;
            }
        }
        ensure_eq!(agent.ledger()?, before, "the ledger after 10 cycles of 8 modules");
        ensure_eq!(agent.audit()?, found, "the walk after 10 cycles");
        agent.expect_empty()
    }
);

case!(
    /// R28: a thousand loads and unloads of one module end where they began.
    180, fn r28_thousand_cycles_end_where_they_began(agent) {
        let demo = agent.open("demo")?;
        // The first cycle may fill books that stay.
        agent.load("pass_a")?;
        agent.unload("pass_a")?;
        let before = agent.snapshot()?;
        for cycle in 0..1_000 {
            agent.load("pass_a")?;
            ensure_eq!(demo.ping(agent.ipc, cycle)?, cycle * 10 + 2, "cycle {cycle}, loaded");
            agent.unload("pass_a")?;
            ensure_eq!(demo.ping(agent.ipc, cycle)?, cycle + 1, "cycle {cycle}, unloaded");
        }
        agent.expect_as_before(&before, "1,000 cycles")?;
        agent.audit()?;
        Ok(())
    }
);

/// Bytes of what is added to sections; not a whole number of pages.
const BULK: usize = 65_000;
/// Pages of 4 KiB.
const PAGE: usize = 4096;

/// Loads what is uploaded and unloads it again: what the ledger says of the module, and of everything, while it is there.
fn charged(agent: &mut Agent, module: &str, upload: &Upload) -> Outcome<(LedgerRow, LedgerRow)> {
    let decision = agent.load_upload(module, upload, upload.size)?;
    ensure!(decision.is_ok(), "load of {module} with {} bytes: {decision:?}", upload.size);
    let Some(own) = agent.ledger_of(module)? else { fail!("the ledger has no row of {module}") };
    let total = agent.ledger()?;
    agent.unload(module)?;
    Ok((own, total))
}

case!(
    /// S31: debug data, notes and log strings lie in the image and take no memory: not one page, capability or slot more
    /// than the same module costs without them. What is loaded does.
    30, fn s31_sections_that_are_not_loaded_take_no_memory(agent) {
        for module in ["chatty_layer", "strong_note"] {
            let upload = agent.copy_up(module)?;
            let bare = charged(agent, module, &upload)?;
            for section in [".debug_info", ".note.bulk", ".comment"] {
                let mut upload = agent.copy_up(module)?;
                upload.add_section(section, BULK)?;
                ensure_eq!(charged(agent, module, &upload)?, bare, "{module} with {BULK} bytes of {section}");
            }
        }
        let mut upload = agent.copy_up("chatty_layer")?;
        let bare = charged(agent, "chatty_layer", &upload)?;
        upload.grow_section(".defmt", BULK / 4)?;
        ensure_eq!(charged(agent, "chatty_layer", &upload)?, bare, "the module with more log strings");

        // The same with sections that are loaded is noticed, to the page.
        let mut upload = agent.copy_up("strong_note")?;
        let (bare, _) = charged(agent, "strong_note", &upload)?;
        upload.grow_section(".bss", 5 * PAGE)?;
        let (own, _) = charged(agent, "strong_note", &upload)?;
        ensure_eq!(own.frames, bare.frames + 5, "frames of the module with five pages of data more");
        agent.audit()?;
        agent.expect_empty()
    }
);
