//! Goal: a transfer that was begun is its client's and nobody else's, and a client that has gone keeps the bus no longer than
//! its lease.
//!
//! Method: the story first. Then two clients, each of which begins, transfers, fetches, gives up and dies, a bus that comes to
//! the end of what is under way, and a lease that runs out: every sequence of these, against a few lines that say whose the bus
//! is. Each client reads bytes of its own, so that a result that goes to the wrong one is seen.

use strata_protocol::message::WORDS_MAX;

use super::*;
use strata_protocol::driver::i2c::Transfer;

/// Moves of a sequence.
const MOVES: usize = 5;
/// Moments after which a transfer that makes headway has ended.
const MOMENTS_MAX: u32 = 1_000;

/// The place in the chip that a client reads two bytes from.
fn place_of(client: u64) -> u8 {
    u8::try_from(client).unwrap() * 0x10
}

/// Asks as a client, with a transfer's number or the client's own transfer; the answer's first two words.
fn ask(server: &Server<'_>, client: u64, label: u64, number: u64) -> Result<[u64; 2], Errno> {
    let mut words = [0; WORDS_MAX];
    let length = if label == LATER.result || label == LATER.abort {
        words[0] = number;
        1
    } else {
        Transfer::encode(CHIP, &[place_of(client)], 2, &mut words).unwrap()
    };
    let mut carrier = server.client(client);
    let count = carrier.call(label, &mut words, length)?;
    words[count..].fill(0);
    Ok([words[0], words[1]])
}

/// What a transfer of the client answers.
fn result_of(client: u64) -> Result<[u64; 2], Errno> {
    let place = place_of(client);
    Ok([Outcome::Done.word(), u64::from_le_bytes([place, place + 1, 0, 0, 0, 0, 0, 0])])
}

/// Lets the bus come to the end of what is under way.
fn finish(server: &Server<'_>) {
    for _ in 0..MOMENTS_MAX {
        server.step();
    }
    assert!(!server.driver.borrow_mut().is_under_way());
}

#[test]
fn a_client_that_dies_in_the_middle_loses_its_transfer_and_another_is_served() {
    let model = Model::on_bus();
    let server = server(&model);
    let (dead, alive) = (1, 2);
    let number = ask(&server, dead, LATER.begin, 0).unwrap()[0];
    // Neither in the middle of the bytes nor behind them is the transfer anybody else's, nor under another number.
    for _ in 0..2 {
        assert_eq!(ask(&server, alive, TRANSFER, 0), Err(Errno::EBUSY));
        assert_eq!(ask(&server, alive, LATER.begin, 0), Err(Errno::EBUSY));
        for (client, number) in [(alive, number), (dead, number + 1), (dead, number - 1)] {
            assert_eq!(ask(&server, client, LATER.result, number), Err(Errno::ENOENT));
            assert_eq!(ask(&server, client, LATER.abort, number), Err(Errno::ENOENT));
        }
        finish(&server);
    }
    server.now_us.set(number + LATER.lease_us);
    model.get().bus();
    assert_eq!(ask(&server, alive, TRANSFER, 0), result_of(alive));
    assert_eq!(model.get().bus(), "S 68w 20 Sr 68r 20 21 P");
    // Who comes back as from the dead has nothing to fetch, and ends nobody's transfer by giving his up.
    let its = ask(&server, alive, LATER.begin, 0).unwrap()[0];
    assert_eq!(ask(&server, dead, LATER.result, number), Err(Errno::ENOENT));
    assert_eq!(ask(&server, dead, LATER.abort, number), Err(Errno::ENOENT));
    finish(&server);
    assert_eq!(ask(&server, alive, LATER.result, its), result_of(alive));
}

/// A lease that has run out takes nothing from a client that nobody has come behind.
#[test]
fn a_client_that_is_slow_and_alone_has_its_result() {
    let model = Model::on_bus();
    let server = server(&model);
    let number = ask(&server, 1, LATER.begin, 0).unwrap()[0];
    finish(&server);
    server.now_us.set(number + 10 * LATER.lease_us);
    assert_eq!(ask(&server, 1, LATER.result, number), result_of(1));
}

/// A bus that is held ends no transfer: the next one begins with a controller that is set up anew.
#[test]
fn a_transfer_that_never_ends_is_ended_for_the_next_client() {
    let model = Model::on_bus();
    let server = server(&model);
    model.get().held = true;
    let number = ask(&server, 1, LATER.begin, 0).unwrap()[0];
    server.now_us.set(number + LATER.lease_us);
    assert_eq!(ask(&server, 1, LATER.result, number), Err(Errno::EBUSY));
    let next = ask(&server, 2, LATER.begin, 0).unwrap()[0];
    model.get().held = false;
    finish(&server);
    assert_eq!(ask(&server, 2, LATER.result, next), result_of(2));
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Begin(usize),
    Transfer(usize),
    Fetch(usize),
    GiveUp(usize),
    /// Another one takes the client's place, under its badge.
    Die(usize),
    Finish,
    RunOut,
}

const ALL: [Move; 12] = [
    Move::Begin(0),
    Move::Begin(1),
    Move::Transfer(0),
    Move::Transfer(1),
    Move::Fetch(0),
    Move::Fetch(1),
    Move::GiveUp(0),
    Move::GiveUp(1),
    Move::Die(0),
    Move::Die(1),
    Move::Finish,
    Move::RunOut,
];

/// Whose the bus is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    client: usize,
    number: u64,
    ended: bool,
    over: bool,
}

struct World<'m> {
    server: Server<'m>,
    owner: Option<Owner>,
    /// The number that each client knows, and the highest there was.
    known: [u64; 2],
    highest: u64,
}

impl World<'_> {
    fn make(&mut self, step: Move) {
        let (server, owner) = (&self.server, self.owner);
        let ask = |client: usize, label, number| ask(server, client as u64 + 1, label, number);
        let mine = |client: usize| {
            owner.filter(|owner| (owner.client, owner.number) == (client, self.known[client]))
        };
        let taken = owner.is_some_and(|owner| !owner.over);
        match step {
            Move::Begin(client) => match ask(client, LATER.begin, 0) {
                Err(errno) => assert_eq!((errno, taken), (Errno::EBUSY, true)),
                Ok([number, _]) => {
                    assert!(!taken && number > self.highest);
                    (self.known[client], self.highest) = (number, number);
                    self.owner = Some(Owner { client, number, ended: false, over: false });
                }
            },
            Move::Transfer(client) => {
                let expected = if taken { Err(Errno::EBUSY) } else { result_of(client as u64 + 1) };
                assert_eq!(ask(client, TRANSFER, 0), expected);
                self.owner = owner.filter(|_| taken);
            }
            Move::Fetch(client) => match (ask(client, LATER.result, self.known[client]), mine(client)) {
                (Err(errno), None) => assert_eq!(errno, Errno::ENOENT),
                // Who asks looks at the bus, too, which goes on meanwhile.
                (Err(errno), Some(owner)) => assert_eq!((errno, owner.ended), (Errno::EBUSY, false)),
                (result, mine) => {
                    assert_eq!((result, mine.is_some()), (result_of(client as u64 + 1), true));
                    self.owner = None;
                }
            },
            Move::GiveUp(client) => {
                let expected = mine(client).map(|_| [0, 0]).ok_or(Errno::ENOENT);
                assert_eq!(ask(client, LATER.abort, self.known[client]), expected);
                self.owner = owner.filter(|_| expected.is_err());
            }
            Move::Die(client) => self.known[client] = 0,
            Move::Finish => {
                finish(server);
                self.owner = owner.map(|owner| Owner { ended: true, ..owner });
            }
            Move::RunOut => {
                server.now_us.update(|now_us| now_us + LATER.lease_us);
                self.owner = owner.map(|owner| Owner { over: true, ..owner });
            }
        }
        assert_eq!(self.server.driver.borrow().is_taken(), self.owner.is_some());
    }
}

#[test]
fn every_sequence_of_two_clients_ends_with_a_bus_for_a_third() {
    let count = ALL.len().pow(u32::try_from(MOVES).unwrap());
    for sequence in 0..count {
        let moves: [Move; MOVES] =
            core::array::from_fn(|at| ALL[sequence / ALL.len().pow(u32::try_from(at).unwrap()) % ALL.len()]);
        let check = || {
            let model = Model::on_bus();
            let mut world = World { server: server(&model), owner: None, known: [0; 2], highest: 0 };
            for step in moves {
                world.make(step);
            }
            world.server.now_us.update(|now_us| now_us + LATER.lease_us);
            model.get().bus();
            assert_eq!(ask(&world.server, 3, TRANSFER, 0), result_of(3));
            assert_eq!(model.get().bus(), "S 68w 30 Sr 68r 30 31 P");
            assert!(model.get().is_clean() && !model.get().raises());
        };
        if std::panic::catch_unwind(check).is_err() {
            panic!("after {moves:?}");
        }
    }
}
