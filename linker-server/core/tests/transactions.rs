//! Goal: every failing step of every transaction, singly and in pairs, ends in a state that the requirements name:
//! as before, as after, or wedged; and a module sees its commands in an order that makes sense.
//!
//! Method: a server that carries out the actions on a host world, and a module that asserts what it may be asked.
//! Every run is a list of choices, one at each action that can end in more than one way; all lists with at most two
//! choices other than "it works" are run.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use linker_core::transaction::{Blocker, Cause, Why};
use linker_core::{
    Action, Command, Errno, Event, ModuleId, ModuleState, Outcome, ReferenceKind, Referent, Transaction,
    plan_pop, plan_unload,
};
use support::{ATTACH, Image, READ, WRITE, World, layer};

/// What a module has been through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Fresh,
    Ready,
    Running,
    Caught,
    Released,
    Lost,
}

/// Choices that other than 0 mean that something goes wrong.
const WORKS: usize = 0;

/// Which transaction, from which step, to which step or outcome.
type Edge = (&'static str, String, String);

/// Carries out actions as the real server does.
struct Server {
    world: World,
    transaction: Transaction,
    image: Image,
    id: Option<ModuleId>,
    life: Life,
    // Memory: the copy of the image, the mapped module.
    copy: bool,
    mapped: bool,
    busy: Option<u32>,
    choices: Vec<usize>,
    made: Vec<(usize, usize)>,
    actions: Vec<Action>,
    kind: &'static str,
    edges: BTreeSet<Edge>,
}

impl Server {
    fn new(choices: &[usize]) -> Self {
        let mut world = World::new();
        world.load(&layer("debug")).unwrap();
        let image = Image::new("module")
            .layer(READ)
            .layer(WRITE)
            .imports(ATTACH)
            .refers(Referent::Import(0), ReferenceKind::Address)
            .calls(READ);
        let all = (1 << 7) - 2;
        let image = Image { commands: all, ..image };
        Self {
            world,
            transaction: Transaction::IDLE,
            image,
            id: None,
            life: Life::Fresh,
            copy: false,
            mapped: false,
            busy: None,
            choices: choices.to_vec(),
            made: Vec::new(),
            actions: Vec::new(),
            kind: "load",
            edges: BTreeSet::new(),
        }
    }

    /// A server with the module live, under another layer.
    fn loaded(choices: &[usize]) -> Self {
        let mut server = Self::new(&[]);
        let first = server.transaction.start_load().unwrap();
        assert_eq!(server.run(first), Outcome::Live);
        server.world.load(&layer("xh")).unwrap();
        server.choices = choices.to_vec();
        server.made.clear();
        server.actions.clear();
        server.edges.clear();
        server.kind = "unload";
        server
    }

    /// The next choice out of `count`.
    fn choose(&mut self, count: usize) -> usize {
        let choice = self.choices.get(self.made.len()).copied().unwrap_or(WORKS);
        self.made.push((choice, count));
        choice
    }

    fn linked(&self) -> bool {
        self.id.and_then(|id| self.world.domain.module(id).ok()).is_some_and(|module| module.linked())
    }

    fn run(&mut self, first: Action) -> Outcome {
        let mut action = first;
        loop {
            self.actions.push(action);
            assert!(self.actions.len() < 64, "a transaction ends: {:?}", self.actions);
            self.world.check();
            let event = match action {
                Action::Finish(outcome) => return outcome,
                Action::Command { command, ticket } => {
                    action = self.command(command, ticket);
                    continue;
                }
                Action::Drain { ticket } => {
                    action = self.drain(ticket);
                    continue;
                }
                other => self.carry_out(other),
            };
            action = self.step(event);
        }
    }

    fn step(&mut self, event: Event) -> Action {
        let from = format!("{:?}", self.transaction.current().unwrap());
        let action = self.transaction.step(event);
        let to = match (action, self.transaction.current()) {
            (Action::Wait | Action::Look, _) => return action,
            (Action::Finish(Outcome::Live), _) => "live".to_string(),
            (Action::Finish(Outcome::Gone), _) => "gone".to_string(),
            (Action::Finish(Outcome::Undone(_)), _) => "undone".to_string(),
            (Action::Finish(Outcome::Wedged(_)), _) => "wedged".to_string(),
            (_, step) => format!("{:?}", step.unwrap()),
        };
        self.edges.insert((self.kind, from, to));
        action
    }

    fn carry_out(&mut self, action: Action) -> Event {
        match action {
            Action::Copy | Action::Plan | Action::Map => match self.choose(3) {
                0 => self.prepare(action),
                1 => Event::Refused(Errno::ENOMEM),
                _ => {
                    assert_eq!(self.transaction.step(Event::Cancel(Errno::ECANCELED)), Action::Wait);
                    self.prepare(action)
                }
            },
            Action::Relink => {
                if self.transaction.cause().is_some() {
                    plan_pop(&self.world.domain, self.id.unwrap(), &mut self.world.plan).unwrap();
                }
                let patches = self.world.plan.patches().len();
                let choice = self.choose(2 + patches);
                if choice == patches + 1 {
                    let _ = self.transaction.step(Event::Cancel(Errno::ECANCELED));
                } else if choice != WORKS {
                    self.world.text.refuse_after = Some(choice - 1);
                }
                match self.world.commit() {
                    Ok(()) => Event::Done,
                    Err(error) => Event::Refused(error.errno()),
                }
            }
            Action::Grace => {
                if self.choose(2) != WORKS {
                    let _ = self.transaction.step(Event::Cancel(Errno::ECANCELED));
                }
                Event::Done
            }
            Action::Revert => {
                self.world.revert();
                Event::Done
            }
            Action::Check => {
                assert_eq!(self.life, Life::Released);
                Event::Done
            }
            Action::Unmap => {
                assert!(self.mapped && self.busy.is_none() && !self.linked());
                assert!(matches!(self.life, Life::Released | Life::Fresh), "{:?}", self.life);
                self.world.forget(self.id.take().unwrap());
                self.mapped = false;
                Event::Done
            }
            Action::Reclaim => {
                assert!(!self.mapped, "memory that is mapped is not given back");
                self.copy = false;
                Event::Done
            }
            Action::Abandon => {
                assert!(self.busy.take().is_some(), "only a busy worker is abandoned");
                Event::Done
            }
            Action::Revoke => {
                self.world.domain.wedge(self.id.unwrap());
                self.life = Life::Lost;
                Event::Done
            }
            other => panic!("{other:?}"),
        }
    }

    fn prepare(&mut self, action: Action) -> Event {
        match action {
            Action::Copy => self.copy = true,
            Action::Plan if self.life == Life::Fresh => {
                self.world.plan_load(&self.image.clone()).unwrap();
                self.transaction.set_commands(self.image.commands);
            }
            Action::Plan => {
                if let Err(error) = plan_unload(&self.world.domain, self.id.unwrap(), &mut self.world.plan) {
                    return Event::Refused(error.errno());
                }
            }
            _ => {
                self.id = Some(self.world.affix(&self.image.clone()).unwrap());
                self.mapped = true;
            }
        }
        Event::Done
    }

    /// A command on a worker: it comes back, refuses, faults or overruns; a cancel or a fault elsewhere comes first.
    fn command(&mut self, command: Command, ticket: u32) -> Action {
        assert!(
            self.busy.is_none() && self.life != Life::Lost,
            "one command at a time, none to a wedged module"
        );
        self.busy = Some(ticket);
        self.ask(command);
        // A late answer to an earlier wait changes nothing.
        for event in [
            Event::Deadline { ticket: ticket.wrapping_sub(1) },
            Event::Returned { ticket: ticket.wrapping_sub(1), result: 0 },
            Event::LookAgain,
        ] {
            assert_eq!(self.step(event), Action::Wait);
        }
        let choices = if self.linked() { 7 } else { 6 };
        let choice = self.choose(choices);
        match choice {
            WORKS | 4 | 5 => {
                if choice != WORKS {
                    assert_eq!(self.step(Event::Cancel(Errno::ECANCELED)), Action::Wait);
                }
                self.busy = None;
                let refuses = choice == 5;
                if !refuses || command == Command::Uncatch {
                    self.obey(command);
                }
                self.step(Event::Returned { ticket, result: if refuses { Errno::EBUSY.number() } else { 0 } })
            }
            1 => {
                self.busy = None;
                // UNCATCH may not refuse: what it says changes nothing.
                if command == Command::Uncatch {
                    self.obey(command);
                }
                self.step(Event::Returned { ticket, result: Errno::EBUSY.number() })
            }
            2 => self.step(Event::WorkerFaulted { ticket }),
            3 => self.step(Event::Deadline { ticket }),
            _ => self.step(Event::ModuleFaulted),
        }
    }

    fn ask(&self, command: Command) {
        let may = match command {
            Command::Init => self.life == Life::Fresh && self.mapped && !self.linked(),
            Command::Start => self.life == Life::Ready && self.linked(),
            Command::Query | Command::Catch => self.life == Life::Running && self.linked(),
            Command::Uncatch => self.life == Life::Caught && self.linked(),
            Command::Fini => matches!(self.life, Life::Ready | Life::Caught) && !self.linked(),
            Command::Stat | Command::Control => false,
        };
        assert!(may, "{command:?} of a module that is {:?}", self.life);
    }

    fn obey(&mut self, command: Command) {
        self.life = match command {
            Command::Init => Life::Ready,
            Command::Start | Command::Uncatch => Life::Running,
            Command::Catch => Life::Caught,
            Command::Fini => Life::Released,
            _ => self.life,
        };
    }

    /// Somebody may be inside at first, and stay or leave.
    fn drain(&mut self, ticket: u32) -> Action {
        assert!(!self.linked(), "nobody looks while the door is open");
        let choice = self.choose(5);
        if choice == WORKS {
            return self.step(Event::NobodyInside);
        }
        self.transaction.clear_blockers();
        let blocker = Blocker { thread: 1, pc: support_va(), entry: support::name(READ), since: 7 };
        self.transaction.add_blocker(blocker);
        assert_eq!(self.step(Event::SomebodyInside), Action::Wait);
        assert_eq!(self.step(Event::Deadline { ticket: ticket.wrapping_sub(1) }), Action::Wait);
        match choice {
            1 => self.step(Event::Deadline { ticket }),
            2 => {
                assert_eq!(self.step(Event::LookAgain), Action::Look);
                self.step(Event::NobodyInside)
            }
            3 => match self.step(Event::Cancel(Errno::ECANCELED)) {
                // A cancel does not stop the way back.
                Action::Wait => self.step(Event::NobodyInside),
                action => action,
            },
            _ => self.step(Event::ModuleFaulted),
        }
    }
}

fn support_va() -> linker_core::Va {
    linker_core::Va(support::MODULES)
}

/// Runs every list of choices with at most `faults` that are not [`WORKS`].
fn every_run(faults: usize, mut run: impl FnMut(&[usize]) -> Vec<(usize, usize)>) -> usize {
    let mut queue = vec![Vec::new()];
    let mut count = 0;
    while let Some(choices) = queue.pop() {
        let made = run(&choices);
        count += 1;
        if choices.iter().filter(|choice| **choice != WORKS).count() == faults {
            continue;
        }
        for point in choices.len()..made.len() {
            for choice in 1..made[point].1 {
                let mut next: Vec<usize> = made[..point].iter().map(|(choice, _)| *choice).collect();
                next.push(choice);
                queue.push(next);
            }
        }
    }
    count
}

/// What must hold at the end of a transaction, whatever happened.
fn judge(server: &Server, before: &str, after: &str, outcome: Outcome) {
    let snapshot = server.world.snapshot();
    let context = format!("{outcome:?} after {:?}", server.actions);
    server.world.check();
    assert_eq!(server.busy, None, "{context}");
    assert_eq!(server.transaction.current(), None, "{context}");
    match outcome {
        Outcome::Live => {
            assert_eq!((snapshot.as_str(), server.life), (after, Life::Running), "{context}");
            assert!(server.copy && server.mapped, "{context}");
        }
        Outcome::Gone => {
            assert_eq!((snapshot.as_str(), server.life), (after, Life::Released), "{context}");
            assert!(!server.copy && !server.mapped, "{context}");
        }
        Outcome::Undone(_) => {
            assert_eq!(snapshot, before, "{context}");
            let loaded = server.id.is_some();
            assert_eq!((server.copy, server.mapped), (loaded, loaded), "{context}");
            let lives: &[Life] = if loaded { &[Life::Running] } else { &[Life::Fresh, Life::Released] };
            assert!(lives.contains(&server.life), "{:?} {context}", server.life);
        }
        Outcome::Wedged(_) => {
            let module = server.world.domain.module(server.id.unwrap()).unwrap();
            assert_eq!((module.state(), server.life), (ModuleState::Wedged, Life::Lost), "{context}");
            assert!(server.copy && server.mapped, "{context}");
        }
    }
}

#[test]
fn every_load() {
    let before = Server::new(&[]).world.snapshot();
    let after = {
        let mut server = Server::new(&[]);
        let first = server.transaction.start_load().unwrap();
        assert_eq!(server.run(first), Outcome::Live);
        server.world.snapshot()
    };
    let count = every_run(2, |choices| {
        let mut server = Server::new(choices);
        let first = server.transaction.start_load().unwrap();
        let outcome = server.run(first);
        judge(&server, &before, &after, outcome);
        if let Outcome::Wedged(_) = outcome {
            assert!(!server.linked(), "a load that fails does not stay linked: {:?}", server.actions);
        }
        let made = server.made.clone();
        // Whatever failed, the next transaction runs.
        if let Outcome::Undone(_) = outcome {
            server.life = Life::Fresh;
            server.choices.clear();
            server.actions.clear();
            let first = server.transaction.start_load().unwrap();
            assert_eq!(server.run(first), Outcome::Live);
            assert_eq!(server.world.snapshot(), after);
        }
        made
    });
    println!("{count} runs");
    assert!(count > 100);
}

#[test]
fn every_unload() {
    let before = Server::loaded(&[]).world.snapshot();
    let after = {
        let mut server = Server::loaded(&[]);
        let first = server.transaction.start_unload(server.image.commands).unwrap();
        assert_eq!(server.run(first), Outcome::Gone);
        server.world.snapshot()
    };
    let count = every_run(2, |choices| {
        let mut server = Server::loaded(choices);
        let first = server.transaction.start_unload(server.image.commands).unwrap();
        let outcome = server.run(first);
        judge(&server, &before, &after, outcome);
        let made = server.made.clone();
        if let Outcome::Undone(_) = outcome {
            server.choices.clear();
            server.actions.clear();
            let first = server.transaction.start_unload(server.image.commands).unwrap();
            assert_eq!(server.run(first), Outcome::Gone);
            assert_eq!(server.world.snapshot(), after);
        }
        made
    });
    println!("{count} runs");
    assert!(count > 100);
}

#[test]
fn every_pop() {
    every_run(1, |choices| {
        let mut server = Server::loaded(choices);
        let first = server.transaction.start_pop().unwrap();
        let outcome = server.run(first);
        assert!(matches!(outcome, Outcome::Wedged(_)));
        judge(&server, "", "", outcome);
        if choices.is_empty() {
            assert_eq!(server.world.call(READ), "xh debug base");
        }
        server.made.clone()
    });
}

fn unload(choices: &[usize]) -> (Server, Outcome) {
    let mut server = Server::loaded(choices);
    let first = server.transaction.start_unload(server.image.commands).unwrap();
    let outcome = server.run(first);
    (server, outcome)
}

fn cause(step: linker_core::Step, why: Why) -> Cause {
    Cause { step, why }
}

#[test]
fn the_outcomes_that_people_see() {
    use linker_core::Step;
    // plan, query, catch, relink, grace, drain, fini
    let veto = Why::Refused(Errno::EBUSY.number());
    let (server, outcome) = unload(&[0, 1]);
    assert_eq!(outcome, Outcome::Undone(cause(Step::Query, veto)));
    assert_eq!(server.actions.len(), 3, "nothing happened after the veto");
    let (server, outcome) = unload(&[0, 0, 0, 0, 0, 1]);
    assert_eq!(outcome, Outcome::Undone(cause(Step::Drain, Why::StillInside)));
    assert_eq!(server.transaction.blockers().len(), 1, "the blocker is named");
    assert_eq!(Why::StillInside.errno(), Errno::ETIMEDOUT.number());
    let (_, outcome) = unload(&[0, 0, 0, 0, 0, 3]);
    assert_eq!(outcome, Outcome::Undone(cause(Step::Drain, Why::Canceled(Errno::ECANCELED.number()))));
    let (_, outcome) = unload(&[0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(outcome, Outcome::Undone(cause(Step::Fini, veto)));
    // CATCH faults: rolled back without the module's help, so it stays linked.
    let (server, outcome) = unload(&[0, 0, 2]);
    assert_eq!((outcome, server.linked()), (Outcome::Wedged(cause(Step::Catch, Why::Faulted)), true));
    // After FINI has begun it stays unlinked.
    let (server, outcome) = unload(&[0, 0, 0, 0, 0, 0, 3]);
    assert_eq!((outcome, server.linked()), (Outcome::Wedged(cause(Step::Fini, Why::Overran)), false));
    assert_eq!(server.world.call(READ), "xh debug base");
}

#[test]
fn one_transaction_at_a_time() {
    let mut transaction = Transaction::IDLE;
    transaction.start_load().unwrap();
    assert!(transaction.start_load().is_err());
    assert!(transaction.start_unload(0).is_err());
    assert!(transaction.start_pop().is_err());
    assert_eq!(
        transaction.step(Event::Refused(Errno::ENOENT)),
        Action::Finish(Outcome::Undone(Cause {
            step: linker_core::Step::Copy,
            why: Why::Refused(Errno::ENOENT.number()),
        }))
    );
    transaction.start_unload(0).unwrap();
}

#[test]
fn absent_commands_are_skipped() {
    let mut server = Server::loaded(&[]);
    server.life = Life::Running;
    let first = server.transaction.start_unload(1 << Command::Fini as u32).unwrap();
    assert_eq!(first, Action::Plan);
    plan_unload(&server.world.domain, server.id.unwrap(), &mut server.world.plan).unwrap();
    assert_eq!(server.transaction.step(Event::Done), Action::Relink);
}

/// The edges that every run with at most two faults takes.
fn edges_taken() -> BTreeSet<Edge> {
    let mut edges = BTreeSet::new();
    every_run(2, |choices| {
        let mut server = Server::new(choices);
        let first = server.transaction.start_load().unwrap();
        server.run(first);
        edges.append(&mut server.edges);
        server.made
    });
    every_run(2, |choices| {
        let mut server = Server::loaded(choices);
        let first = server.transaction.start_unload(server.image.commands).unwrap();
        server.run(first);
        edges.append(&mut server.edges);
        server.made
    });
    every_run(1, |choices| {
        let mut server = Server::loaded(choices);
        server.kind = "pop";
        let first = server.transaction.start_pop().unwrap();
        server.run(first);
        edges.append(&mut server.edges);
        server.made
    });
    edges
}

#[test]
fn the_drawing_is_the_machine() {
    let source = include_str!("../src/transaction.rs");
    let mut drawn = BTreeSet::new();
    for (row, number) in source.lines().filter(|line| line.starts_with("//! | ")).skip(1).zip(1..) {
        let cells: Vec<&str> = row.trim_start_matches("//!").split('|').map(str::trim).collect();
        let [_, index, kind, from, to, function, _, _] = cells[..] else { panic!("{row}") };
        assert_eq!(index, format!("{number}"));
        let kind = ["load", "unload", "pop"].into_iter().find(|known| *known == kind).unwrap();
        assert!(source.contains(&format!("fn {}(&mut self", function.trim_matches('`'))), "{row}");
        assert!(drawn.insert((kind, from.to_string(), to.to_string())), "twice: {row}");
    }
    assert_eq!(drawn, edges_taken());
}
