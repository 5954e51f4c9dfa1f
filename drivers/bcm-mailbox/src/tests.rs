//! Goal: each property is asked for as the firmware wants it, each way not to answer has its error, and memory that the
//! firmware may still write to is left alone.
//!
//! Method: a model of the mailbox with a firmware behind it that answers after so many looks. The client of the class is on
//! top.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use bus_space::{BarrierFlags, Registers};
use driver_class::{Driver, Memory, NotThis, Words};
use hal_clients::Error;
use hal_clients::firmware::Firmware as Client;
use strata_protocol::Errno;
use strata_protocol::driver::Call;
use strata_protocol::driver::firmware::{Clock, GET, Property};
use strata_protocol::message::WORDS_MAX;

use super::{Mailbox, POLLS_MAX, REACHED_END, register};

/// Where the memory is.
const AT: u32 = 0x0123_4000;
/// What is written to the mailbox, and comes back.
const WORD: u32 = AT | 0xc000_0008;

/// The mailbox, its memory and the firmware.
struct Board {
    memory: RefCell<[u32; 16]>,
    answers: RefCell<VecDeque<u32>>,
    /// Looks at the status until the next answer is there.
    late: Cell<u32>,
    /// Whether there is no room for a question.
    full: Cell<bool>,
    /// The code of the next answer.
    code: Cell<u32>,
    /// Whether something was written to the memory that a reader of it may not have yet.
    posted: Cell<bool>,
    /// Whether the firmware says that it has answered about the property.
    answers_about: Cell<bool>,
    /// Whether the firmware may see the question before the barrier, and the cores what was there before the answer.
    write_may_pass: Cell<bool>,
    read_may_pass: Cell<bool>,
    status: Cell<u32>,
    is_under_way: Cell<bool>,
}

impl Board {
    fn new() -> Self {
        Self {
            // What an earlier run of the server has left there.
            memory: RefCell::new([0xdead_beef; 16]),
            answers: RefCell::default(),
            late: Cell::new(3),
            full: Cell::new(false),
            code: Cell::new(register::message::CODE_DONE),
            posted: Cell::new(false),
            answers_about: Cell::new(true),
            write_may_pass: Cell::new(false),
            read_may_pass: Cell::new(false),
            status: Cell::new(0),
            is_under_way: Cell::new(false),
        }
    }

    /// What the firmware does with a message: it knows some properties and a clock.
    fn answer(&self) {
        let memory = &mut *self.memory.borrow_mut();
        assert_eq!((memory[0], memory[3], memory[7]), (32, 8, 0), "size, room and end of {memory:x?}");
        let about = memory[5];
        let values: &[u32] = match (memory[2], about) {
            (0x1, 0) => &[1_700_000_000],
            (0x1_0001, 0) => &[0],
            (0x1_0002, 0) => &[0xc0_3111],
            (0x1_0005, 0) => &[0, 0x3b40_0000],
            (0x2_0001, 3) => &[3, 1],
            (0x3_0002, 3) => &[3, 1_500_000_000],
            (0x3_0004, 3) => &[3, 1_800_000_000],
            (0x3_0006, 0) => &[0, 48_312],
            (0x3_000a, 0) => &[0, 85_000],
            // It knows no other clock, and says nothing of what holds it back.
            (0x3_0002 | 0x3_0004, _) => &[0, 0],
            _ => &[],
        };
        memory[1] = self.code.get();
        memory[4] = u32::from(self.answers_about.get()) << 31 | u32::try_from(4 * values.len()).unwrap();
        memory[5..5 + values.len()].copy_from_slice(values);
        self.is_under_way.set(false);
    }
}

struct Page<'a>(&'a Board);
struct Frame<'a>(&'a Board);

/// Registers or memory: a driver has one type for both.
enum Place<'a> {
    Page(Page<'a>),
    Frame(Frame<'a>),
}

impl Registers for Place<'_> {
    fn read_4(&self, offset: u64) -> u32 {
        match self {
            Self::Frame(Frame(board)) => {
                assert!(!board.is_under_way.get(), "the firmware may be writing");
                assert!(!board.read_may_pass.get(), "what is read may be older than the answer");
                board.posted.set(false);
                board.memory.borrow()[usize::try_from(offset / 4).unwrap()]
            }
            Self::Page(Page(board)) => match offset {
                register::ANSWER_STATUS => {
                    if board.late.get() > 0 {
                        board.late.set(board.late.get() - 1);
                    } else if board.is_under_way.get() {
                        board.answer();
                        board.answers.borrow_mut().push_back(WORD);
                    }
                    let empty = board.answers.borrow().is_empty();
                    board.status.get() | if empty { register::STATUS_EMPTY } else { 0 }
                }
                register::QUESTION_STATUS => {
                    if board.full.get() {
                        register::STATUS_FULL
                    } else {
                        0
                    }
                }
                register::ANSWER => {
                    board.read_may_pass.set(true);
                    board.answers.borrow_mut().pop_front().expect("an answer that is not there")
                }
                _ => panic!("read of {offset:#x}"),
            },
        }
    }

    fn write_4(&self, offset: u64, value: u32) {
        match self {
            Self::Frame(Frame(board)) => {
                assert!(!board.is_under_way.get(), "the firmware may be reading");
                board.posted.set(true);
                board.write_may_pass.set(true);
                board.memory.borrow_mut()[usize::try_from(offset / 4).unwrap()] = value;
            }
            Self::Page(Page(board)) => {
                assert_eq!((offset, value), (register::QUESTION, WORD));
                assert!(!board.write_may_pass.get(), "the firmware may be told before the question is there");
                assert!(!board.posted.get(), "a layer may still have a part of the question");
                assert!(!board.full.get(), "there is no room");
                board.is_under_way.set(true);
            }
        }
    }

    fn barrier(&self, flags: BarrierFlags) {
        let Self::Frame(Frame(board)) = self else { return };
        if flags == BarrierFlags::WRITE {
            board.write_may_pass.set(false);
        } else if flags == BarrierFlags::READ {
            board.read_may_pass.set(false);
        }
    }
}

type Driven<'a> = Mailbox<Place<'a>>;

fn driver(board: &Board) -> Result<Driven<'_>, NotThis> {
    let memory = Memory { words: Place::Frame(Frame(board)), physical: AT.into() };
    Mailbox::probe_with(Place::Page(Page(board)), memory, 0)
}

struct Server<'a>(Driven<'a>);

impl Call for Server<'_> {
    fn call(&mut self, label: u64, words: &mut Words, length: usize) -> Result<usize, Errno> {
        self.0.request(label, words, length)
    }
}

#[test]
fn the_client_is_told_what_the_firmware_knows() {
    let board = Board::new();
    // Somebody has asked before us, and has not fetched the answer.
    board.answers.borrow_mut().push_back(0x1234_5671);
    let mut firmware = Client::new(Server(driver(&board).unwrap()));
    assert_eq!(firmware.revision(), Ok(1_700_000_000));
    assert_eq!(firmware.board(), Ok((0, 0xc0_3111)));
    assert_eq!(firmware.memory(), Ok((0, 0x3b40_0000)));
    assert_eq!(firmware.clock(Clock::Arm), Ok((1_500_000_000, 1_800_000_000)));
    assert_eq!(firmware.temperature(), Ok((48_312, 85_000)));
    assert_eq!(firmware.get(Property::PowerState, 3), Ok([1]));
    // What it does not know it says nothing about, or about something else.
    let unknown = Err(Error::Refused(Errno::ENOTTY));
    assert_eq!(firmware.get::<1>(Property::Throttled, 0), unknown);
    assert_eq!(firmware.clock(Clock::Uart).map(|_| [0]), unknown);
    assert_eq!(firmware.get::<2>(Property::BoardModel, 0), Err(Error::Garbled));
    board.answers_about.set(false);
    assert_eq!(firmware.get::<1>(Property::BoardModel, 0), unknown);
    assert!(board.answers.borrow().is_empty());
}

#[test]
fn an_answer_that_is_late_is_an_error_and_nothing_is_asked_until_it_has_come() {
    let board = Board::new();
    let mut firmware = Client::new(Server(driver(&board).unwrap()));
    let late = Err(Error::Refused(Errno::ETIMEDOUT));
    board.late.set(POLLS_MAX + 2);
    assert_eq!(firmware.revision(), late);
    // The model would stop us if we touched the memory.
    for _ in 0..2 {
        assert_eq!(firmware.revision(), late);
    }
    // Now the old answer is there, and is not taken for that to the new question.
    assert_eq!(firmware.memory(), Ok((0, 0x3b40_0000)));
    // Strangers' answers do not go on for ever.
    board.answers.borrow_mut().extend([0x10; 40]);
    assert_eq!(firmware.revision(), late);
    board.answers.borrow_mut().retain(|word| *word == WORD);
    assert_eq!(firmware.revision(), Ok(1_700_000_000));
    board.full.set(true);
    assert_eq!(firmware.revision(), late);
    board.full.set(false);
    assert_eq!(firmware.revision(), Ok(1_700_000_000));
    board.code.set(register::message::CODE_DONE | 1);
    assert_eq!(firmware.revision(), Err(Error::Refused(Errno::EIO)));
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let board = Board::new();
    let mut server = Server(driver(&board).unwrap());
    for (label, request, length, errno) in [
        (GET, [Property::ALL.len() as u64, 0], 2, Errno::EINVAL),
        (GET, [0, 1 << 32], 2, Errno::EINVAL),
        (GET, [0, 0], 1, Errno::EINVAL),
        (12345, [0, 0], 2, Errno::ENOSYS),
    ] {
        let mut words = [0; WORDS_MAX];
        words[..2].copy_from_slice(&request);
        assert_eq!(server.call(label, &mut words, length), Err(errno), "{label}: {request:x?}");
    }
}

#[test]
fn what_cannot_work_is_not_taken_for_a_mailbox() {
    let board = Board::new();
    let page = || Place::Page(Page(&board));
    for physical in [REACHED_END, REACHED_END + 0x1000, 1 << 33, u64::from(AT) + 8] {
        let memory = Memory { words: Place::Frame(Frame(&board)), physical };
        let expected = NotThis(u32::try_from(physical >> 4).unwrap());
        assert_eq!(Mailbox::probe_with(page(), memory, 0).err(), Some(expected));
    }
    assert_eq!(Mailbox::probe(page(), 0).err(), Some(NotThis(register::STATUS_EMPTY)));
    board.late.set(u32::MAX);
    assert_eq!(driver(&board).err(), Some(NotThis(register::STATUS_EMPTY)));
    board.status.set(!register::STATUS_EMPTY);
    board.is_under_way.set(false);
    assert_eq!(driver(&board).err(), Some(NotThis(u32::MAX)));
}
