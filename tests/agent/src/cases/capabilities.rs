//! Capabilities: no binding and no request without one that allows it; what is revoked is relinked at once (R27, S39–S41).

use sel4_sys::seL4_CPtr;
use strata_protocol::capability::{CapObject, CapQuota, CapRow, ReceiptRow, right};
use strata_protocol::caps::slot;
use strata_protocol::linker::{Reply, Request};
use strata_protocol::{Errno, ModuleName, SymbolName};
use strata_runtime::ipc::{call_for_capability, call_presenting};

use crate::agent::{Agent, DRAIN_MS, Decision, decision, name};
use crate::case::{Outcome, case, ensure, ensure_eq, fail};
use crate::names::{BASE, PING};

/// A capability that this client was given: where it is, and what it is called.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) at: seL4_CPtr,
    number: u32,
}

fn interface(prefix: &str) -> CapObject {
    CapObject::Interface(SymbolName::cut(prefix))
}

/// Asks, through a capability, for another one.
fn try_derive(
    agent: &mut Agent,
    through: seL4_CPtr,
    object: CapObject,
    rights: u16,
    quota: CapQuota,
) -> Outcome<Result<Held, Errno>> {
    let at = agent.slot()?;
    let request = Request::Derive { object, rights, quota };
    match call_for_capability(agent.ipc, through, &request, at) {
        Ok((Reply::Issued { capability }, true)) => Ok(Ok(Held { at, number: capability })),
        Ok((Reply::Refused(refusal), _)) => {
            agent.slots.give_back(at);
            Ok(Err(refusal.errno))
        }
        other => fail!("{request:?}: {other:?}"),
    }
}

pub(super) fn derive(agent: &mut Agent, through: seL4_CPtr, object: CapObject, rights: u16) -> Outcome<Held> {
    match try_derive(agent, through, object.clone(), rights, CapQuota::NONE)? {
        Ok(held) => Ok(held),
        Err(errno) => fail!("{object:?} with {rights:#x}: {errno}"),
    }
}

/// Asks through a capability, with others presented.
fn ask(agent: &mut Agent, through: Held, presented: &[Held], request: &Request) -> Outcome<Reply> {
    let caps: heapless::Vec<seL4_CPtr, 3> = presented.iter().map(|held| held.at).collect();
    match call_presenting(agent.ipc, through.at, request, &caps) {
        Ok(reply) => Ok(reply),
        Err(error) => fail!("{request:?}: {error:?}"),
    }
}

fn load_by(agent: &mut Agent, through: Held, presented: &[Held], module: &str) -> Outcome<Decision> {
    let image = agent.find(module)?;
    let request = Request::Load { name: name(module)?, domain: ModuleName::default(), image };
    decision(&ask(agent, through, presented, &request)?)
}

fn refused_with(reply: &Reply, errno: Errno, what: &str) -> Outcome {
    match reply {
        Reply::Refused(refusal) if refusal.errno == errno => Ok(()),
        other => fail!("{what}: {other:?}, not {errno}"),
    }
}

/// Takes rights away, as the root.
pub(super) fn revoke(agent: &mut Agent, held: Held, rights: u16) -> Outcome {
    match agent.linker(&Request::Revoke { capability: held.number, rights })? {
        Reply::DoneWith { .. } => Ok(()),
        other => fail!("revoke of {}: {other:?}", held.number),
    }
}

fn receipt(agent: &mut Agent, module: &str) -> Outcome<heapless::Vec<ReceiptRow, 16>> {
    let mut rows = heapless::Vec::new();
    loop {
        let index = rows.len().try_into().unwrap_or(u32::MAX);
        match agent.linker(&Request::Receipt { name: name(module)?, index })? {
            Reply::Receipt(row) => ensure!(rows.push(row).is_ok(), "a longer receipt than expected"),
            Reply::End => return Ok(rows),
            other => fail!("receipt of {module}: {other:?}"),
        }
    }
}

fn row_of(agent: &mut Agent, held: Held) -> Outcome<CapRow> {
    for index in 0.. {
        match agent.linker(&Request::Capability { index })? {
            Reply::CapabilityRow(row) if row.capability == held.number => return Ok(row),
            Reply::CapabilityRow(_) => {}
            other => fail!("no capability {}: {other:?}", held.number),
        }
    }
    fail!("more capabilities than numbers")
}

/// A client that may load, and what it presents: every symbol to call, `demo_ping` to refine.
fn client(agent: &mut Agent) -> Outcome<(Held, [Held; 2])> {
    let loader = derive(agent, slot::LINKER, CapObject::Domain, right::LOAD | right::STATUS)?;
    let calls = derive(agent, slot::LINKER, interface(""), right::CALL)?;
    let layers = derive(agent, slot::LINKER, interface("demo_"), right::REFINE)?;
    Ok((loader, [calls, layers]))
}

case!(
    /// R27, S41: a load is bound by what was presented with it, and by nothing else; its receipt says by what.
    30, fn r27_a_load_binds_by_presented_capabilities_only(agent) {
        let (loader, presented) = client(agent)?;
        let before = agent.snapshot()?;
        for (with, what) in [(&presented[..0], "nothing"), (&presented[..1], "the right to call")] {
            match load_by(agent, loader, with, "pass_a")? {
                Err(refused) if refused.errno == Errno::EPERM => {}
                other => fail!("a load with {what}: {other:?}"),
            }
        }
        // A right to another interface is none to this one.
        let other = derive(agent, slot::LINKER, interface("bus_space"), right::REFINE)?;
        ensure!(load_by(agent, loader, &[presented[0], other], "pass_a")?.is_err(), "a foreign interface");
        // An interface or a module is no place to load into.
        for held in [presented[0], presented[1]] {
            ensure!(load_by(agent, held, &presented, "pass_a")?.is_err(), "a load through an interface");
        }
        agent.expect_as_before(&before, "denied loads")?;

        ensure_eq!(load_by(agent, loader, &presented, "pass_a")?, Ok(()), "a load with both");
        let rows = receipt(agent, "pass_a")?;
        let layer = rows.iter().find(|row| row.right == right::REFINE);
        ensure!(
            layer.is_some_and(|row| row.symbol.as_str() == PING && row.capability == presented[1].number && !row.revoked),
            "the receipt: {rows:?}"
        );
        ensure!(rows.iter().all(|row| row.right != right::CALL || row.capability == presented[0].number), "{rows:?}");
        ensure_eq!(row_of(agent, loader)?.modules, 1, "modules that the loader has in use");
        agent.unload("pass_a")?;
        ensure_eq!(row_of(agent, loader)?.modules, 0, "modules after the unload");
        agent.expect_as_before(&before, "the load and its unload")?;
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// S40: a middle layer whose right is revoked is left out at once; the others notice nothing.
    30, fn s40_revoke_refine_of_a_middle_layer(agent) {
        let demo = agent.open("demo")?;
        let (loader, presented) = client(agent)?;
        agent.load("pass_a")?;
        ensure_eq!(load_by(agent, loader, &presented, "pass_b")?, Ok(()), "the middle layer");
        agent.load("pass_c")?;
        ensure_eq!(demo.ping(agent.ipc, 0)?, 322, "C, B, A and the default");
        revoke(agent, presented[1], right::REFINE)?;
        agent.expect_stack(PING, &["pass_c", "pass_a", BASE])?;
        ensure_eq!(demo.ping(agent.ipc, 0)?, 32, "C, A and the default");
        ensure!(receipt(agent, "pass_b")?.iter().any(|row| row.right == right::REFINE && row.revoked), "its receipt");
        agent.audit()?;
        // It is unloaded like any other, from under and over others.
        agent.unload("pass_a")?;
        ensure_eq!(demo.ping(agent.ipc, 0)?, 4, "C and the default");
        agent.unload("pass_b")?;
        agent.unload("pass_c")?;
        ensure_eq!(demo.ping(agent.ipc, 0)?, 1, "the default");
        agent.audit()?;
        // The capability is gone, and with it the way to present it.
        match load_by(agent, loader, &presented, "pass_b")? {
            Err(refused) if refused.errno == Errno::EPERM => Ok(()),
            other => fail!("a load with a capability that is gone: {other:?}"),
        }
    }
);

case!(
    /// S39: a caller whose right is revoked gets an error from its next call on; who answers, answers others as before.
    30, fn s39_revoke_call_answers_the_caller_with_an_error(agent) {
        let demo = agent.open("demo")?;
        let (loader, presented) = client(agent)?;
        ensure_eq!(load_by(agent, loader, &presented, "reentrant")?, Ok(()), "a layer that calls its own symbol");
        ensure_eq!(demo.ping(agent.ipc, 1)?, 20_002, "below, and once more by way of the top");
        revoke(agent, presented[0], right::ALL)?;
        let answer = demo.ping(agent.ipc, 1)?;
        let denied = |value: u64| value.wrapping_mul(10_000).wrapping_add(2);
        ensure!([denied(0), denied(u64::MAX)].contains(&answer), "below, and the stub: {answer}");
        agent.audit()?;
        // Layers come and go over it: the stub stays where the call was.
        agent.load("pass_a")?;
        ensure!(demo.ping(agent.ipc, 1)? != 20_002, "a right that was revoked came back");
        agent.unload("pass_a")?;
        agent.unload("reentrant")?;
        ensure_eq!(demo.ping(agent.ipc, 1)?, 2, "the default");
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// S41: requests against rights, through capabilities of each kind; stale ones by name.
    30, fn s41_requests_need_their_rights(agent) {
        let loader = derive(agent, slot::LINKER, CapObject::Domain, right::LOAD | right::CALL | right::REFINE)?;
        let reader = derive(agent, slot::LINKER, CapObject::Domain, right::STATUS)?;
        agent.load("pass_b")?;
        ensure_eq!(load_by(agent, loader, &[], "pass_a")?, Ok(()), "a load by the link domain's own rights");
        let unload = |module: &str| Ok(Request::Unload { name: name(module)?, drain_ms: DRAIN_MS });
        let rows = Request::Module { index: 0 };
        let device = Request::OpenDevice { name: name("rtc")? };
        for (held, request, what) in [
            (loader, unload("pass_a")?, "an unload without the right"),
            (loader, rows.clone(), "rows without the right"),
            (loader, device.clone(), "a device without the right"),
            (reader, device, "a device with the right to rows"),
            (reader, unload("pass_b")?, "an unload with the right to rows"),
        ] {
            let reply = ask(agent, held, &[], &request)?;
            refused_with(&reply, Errno::EPERM, what)?;
        }
        ensure!(matches!(ask(agent, reader, &[], &rows)?, Reply::Module(_)), "rows with the right");
        ensure!(matches!(ask(agent, loader, &[], &Request::Status)?, Reply::Status { .. }), "STATUS is always answered");
        // Nobody hands out more than he has, or over more than he has.
        let more = try_derive(agent, loader.at, CapObject::Domain, right::UNLOAD, CapQuota::NONE)?;
        ensure_eq!(more.err(), Some(Errno::EPERM), "a right that the parent has not");
        let other = CapObject::Module(name("pass_b")?);
        let more = try_derive(agent, loader.at, other, right::STATUS, CapQuota::NONE)?;
        ensure_eq!(more.err(), Some(Errno::EPERM), "a module that somebody else has loaded");
        let reply = ask(agent, loader, &[], &Request::Revoke { capability: reader.number, rights: right::ALL })?;
        refused_with(&reply, Errno::EPERM, "a revoke of somebody else's")?;

        // A capability of one module: that module, and no other.
        let own = derive(agent, slot::LINKER, CapObject::Module(name("pass_a")?), right::UNLOAD)?;
        let reply = ask(agent, own, &[], &unload("pass_b")?)?;
        refused_with(&reply, Errno::EPERM, "another module")?;
        ensure_eq!(decision(&ask(agent, own, &[], &unload("pass_a")?)?)?, Ok(()), "its own module");
        // Gone with its module: another load of that name is another module.
        agent.load("pass_a")?;
        let reply = ask(agent, own, &[], &unload("pass_a")?)?;
        refused_with(&reply, Errno::ESTALE, "a capability of a module that is gone")?;
        agent.unload("pass_a")?;
        agent.unload("pass_b")?;
        revoke(agent, loader, right::ALL)?;
        let reply = ask(agent, loader, &[], &Request::Status)?;
        refused_with(&reply, Errno::ESTALE, "a capability that is gone")?;
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// Quotas: modules, frames and the time of a command, for a client and for those whom it hands on to.
    40, fn quotas_bound_a_client_and_give_back_what_leaves(agent) {
        let rights = right::ALL;
        let quota = CapQuota { modules: 2, frames: 1_000, symbols: 0, command_ms: 50 };
        let Ok(client) = try_derive(agent, slot::LINKER, CapObject::Domain, rights, quota)? else {
            fail!("the client's capability was refused")
        };
        let Ok(child) = try_derive(agent, client.at, CapObject::Domain, rights, CapQuota::NONE)? else {
            fail!("the child's capability was refused")
        };
        ensure_eq!(load_by(agent, client, &[], "pass_a")?, Ok(()), "the first module");
        ensure_eq!(load_by(agent, child, &[], "pass_b")?, Ok(()), "the second, by a child");
        let before = agent.snapshot()?;
        for held in [client, child] {
            let third = load_by(agent, held, &[], "pass_c")?;
            ensure!(matches!(&third, Err(refused) if refused.errno == Errno::ENOMEM), "the third: {third:?}");
        }
        agent.expect_as_before(&before, "loads beyond the quota")?;
        agent.unload("pass_a")?;
        let symbols = load_by(agent, client, &[], "introducer")?;
        ensure!(matches!(&symbols, Err(refused) if refused.errno == Errno::ENOMEM), "a symbol: {symbols:?}");
        let start = strata_runtime::clock::microseconds();
        let endless = load_by(agent, child, &[], "endless_init")?;
        ensure!(matches!(&endless, Err(refused) if refused.errno == Errno::ETIMEDOUT), "time: {endless:?}");
        agent.took_ms(start, 40, 150, "an INIT that never ends")?;
        let row = row_of(agent, client)?;
        ensure_eq!(row.modules, 2, "a wedged module stays charged");
        // What was loaded by a capability that is gone belongs to the one that it came from.
        revoke(agent, child, right::ALL)?;
        agent.expect_stack(PING, &[BASE])?;
        let request = Request::Unload { name: name("pass_b")?, drain_ms: DRAIN_MS };
        ensure_eq!(decision(&ask(agent, client, &[], &request)?)?, Ok(()), "an unload by the parent");
        ensure_eq!(row_of(agent, client)?.modules, 1, "the wedged module alone");
        agent.audit()?;
        Ok(())
    }
);

case!(
    /// R24, R27: what a module registers counts in the quota of the capability that it was loaded by, until it is given back;
    /// and interrupts are for those whose capability may open devices.
    30, fn r24_registrations_are_bound_by_the_capability_of_the_load(agent) {
        let rights = right::ALL & !right::OPEN;
        let held = derive(agent, slot::LINKER, CapObject::Domain, rights)?;
        // On a board without this interrupt, too: who may not open devices does not learn which ones there are.
        let denied = load_by(agent, held, &[], "leaks_interrupt")?;
        ensure!(matches!(&denied, Err(refused) if refused.errno == Errno::EPERM), "an interrupt: {denied:?}");

        ensure_eq!(load_by(agent, held, &[], "leaks_mapping")?, Ok(()), "a mapping");
        let used = row_of(agent, held)?.frames;
        agent.unload("leaks_mapping")?;
        ensure_eq!(row_of(agent, held)?.frames, 0, "frames in use behind the unload");
        // The module itself has room in either; its INIT registers three frames.
        for (frames, fits) in [(used - 1, false), (used, true)] {
            let quota = CapQuota { frames, ..CapQuota::NONE };
            let Ok(bounded) = try_derive(agent, held.at, CapObject::Domain, rights, quota)? else {
                fail!("a capability with {frames} frames was refused")
            };
            match load_by(agent, bounded, &[], "leaks_mapping")? {
                Ok(()) if fits => {}
                Err(refused) if !fits && refused.errno == Errno::ENOMEM && refused.why.as_str().contains("INIT") => {}
                other => fail!("the load with {frames} frames: {other:?}"),
            }
        }
        agent.unload("leaks_mapping")?;
        agent.audit()?;
        agent.expect_empty()
    }
);
