//! Goal: a system that comes over a bad line, to a board that may be reset at any time, is started as it was sent or
//! not at all.
//!
//! Method: the story of one boot; every refusal; then lines that lose and change bytes, and resets, by chance.
extern crate std;
use super::*;
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;
use strata_protocol::uplink::{DATA_MAX, Split, Splitter, UPLINK_MAX, decode, encode};

const BOARD: &str = "raspi3";

/// Memory that survives a reset.
#[derive(Clone, Debug, Default)]
struct Ram {
    kernel: Vec<u8>,
    tree: Vec<u8>,
    mark: Mark,
}

impl Memory for Ram {
    fn write(&mut self, part: Part, offset: u32, bytes: &[u8]) {
        let to = if part == Part::Kernel { &mut self.kernel } else { &mut self.tree };
        let at = usize::try_from(offset).unwrap();
        to.resize(to.len().max(at + bytes.len()), 0);
        to[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn bytes(&self, part: Part, size: u32) -> &[u8] {
        let from = if part == Part::Kernel { &self.kernel } else { &self.tree };
        &from[..usize::try_from(size).unwrap()]
    }

    fn mark(&self) -> Mark {
        self.mark
    }

    fn set_mark(&mut self, mark: Mark) {
        self.mark = mark;
    }
}

fn loader() -> Loader<Ram> {
    Loader::new(BOARD, Ram::default())
}

/// The status in an answer, and what is expected next.
fn status(frame: &Frame<'_>) -> (i32, u32) {
    match *frame {
        Frame::Received { next, status, .. } => (status, next),
        Frame::LineDone { status, .. } => (status, 0),
        _ => unreachable!("no answer"),
    }
}

fn send(loader: &mut Loader<Ram>, name: &str, image: &[u8]) -> (i32, u32) {
    let size = u32::try_from(image.len()).unwrap();
    let (begun, mut next) = status(&loader.serve(&Uplink::Begin { name, size, crc: crc32(image) }));
    if begun != 0 {
        return (begun, next);
    }
    while next < size {
        let at = usize::try_from(next).unwrap();
        let bytes = &image[at..image.len().min(at + DATA_MAX)];
        let (sent, expected) = status(&loader.serve(&Uplink::Data { offset: next, bytes }));
        assert_eq!(sent, 0);
        next = expected;
    }
    (0, next)
}

fn image(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 7 % 251).to_le_bytes()[0]).collect()
}

#[test]
fn a_kernel_and_its_tree_come_and_are_started() {
    let mut loader = loader();
    let hello = Uplink::Line { number: 1, text: "chainloader raspi3" };
    assert_eq!(status(&loader.serve(&hello)).0, 0);
    let (kernel, tree) = (image(1000), image(77));
    assert_eq!(send(&mut loader, BOARD, &kernel), (0, 1000));
    assert_eq!(send(&mut loader, TREE, &tree), (0, 77));
    assert_eq!(loader.start(), None);
    let boot = Uplink::Line { number: 2, text: BOOT };
    assert_eq!(status(&loader.serve(&boot)).0, 0);
    // The answer got lost: it is given again.
    assert_eq!(status(&loader.serve(&boot)).0, 0);
    assert_eq!(loader.start(), Some(Start { kernel: 1000, tree: Some(77) }));
    assert_eq!((&loader.memory.kernel, &loader.memory.tree), (&kernel, &tree));
}

#[test]
fn what_is_wrong_is_refused_and_starts_nothing() {
    let mut loader = loader();
    let mut number = 0;
    let mut line = |loader: &mut Loader<Ram>, text: &str| {
        number += 1;
        status(&loader.serve(&Uplink::Line { number, text })).0
    };
    assert_eq!(line(&mut loader, "chainloader raspi4"), Errno::ENODEV.number());
    assert_eq!(line(&mut loader, "modstat"), Errno::ENOSYS.number());
    assert_eq!(line(&mut loader, BOOT), Errno::ENOENT.number(), "nothing has come");
    assert_eq!(send(&mut loader, "raspi4", &image(9)).0, Errno::ENODEV.number());
    let begin = |name, size| Uplink::Begin { name, size, crc: 1 };
    assert_eq!(status(&loader.serve(&begin(BOARD, KERNEL_MAX + 1))).0, Errno::E2BIG.number());
    assert_eq!(status(&loader.serve(&begin(TREE, TREE_MAX + 1))).0, Errno::E2BIG.number());
    assert_eq!(status(&loader.serve(&begin(BOARD, 0))).0, Errno::EINVAL.number(), "a short image");
    // Half of it.
    loader.serve(&begin(BOARD, 600));
    loader.serve(&Uplink::Data { offset: 0, bytes: &image(256) });
    assert_eq!(line(&mut loader, BOOT), Errno::ENOENT.number());
    // All of it, and not what was announced: it has to come again, from the start.
    loader.serve(&Uplink::Data { offset: 256, bytes: &image(344) });
    assert_eq!(line(&mut loader, BOOT), Errno::EIO.number());
    assert_eq!(status(&loader.serve(&begin(BOARD, 600))), (0, 0));
    assert_eq!(loader.start(), None);
}

/// A tree of the system before is none of this one's.
#[test]
fn a_new_kernel_comes_without_the_old_ones_tree() {
    let mut loader = loader();
    send(&mut loader, BOARD, &image(10));
    send(&mut loader, TREE, &image(20));
    send(&mut loader, BOARD, &image(11));
    loader.serve(&Uplink::Line { number: 1, text: BOOT });
    assert_eq!(loader.start(), Some(Start { kernel: 11, tree: None }));
}

#[test]
fn after_a_reset_nothing_comes_twice_unless_memory_has_changed() {
    let kernel = image(5000);
    let mut first = loader();
    let begin = Uplink::Begin { name: BOARD, size: 5000, crc: crc32(&kernel) };
    first.serve(&begin);
    first.serve(&Uplink::Data { offset: 0, bytes: &kernel[..256] });
    let mut second = Loader::new(BOARD, first.memory.clone());
    assert_eq!(status(&second.serve(&begin)), (0, 256));
    send(&mut second, BOARD, &kernel);
    let ram = second.memory.clone();
    let mut third = Loader::new(BOARD, ram.clone());
    assert_eq!(status(&third.serve(&begin)), (0, 5000));
    assert_eq!(status(&third.serve(&Uplink::Line { number: 5, text: BOOT })).0, 0);
    // A bit has flipped: found before it is started.
    let mut flipped = ram.clone();
    flipped.kernel[4321] ^= 1;
    let mut fourth = Loader::new(BOARD, flipped);
    assert_eq!(status(&fourth.serve(&begin)), (0, 5000));
    assert_eq!(status(&fourth.serve(&Uplink::Line { number: 5, text: BOOT })).0, Errno::EIO.number());
    assert_eq!(send(&mut fourth, BOARD, &kernel), (0, 5000));
    assert_eq!(status(&fourth.serve(&Uplink::Line { number: 6, text: BOOT })).0, 0);
    // Marks that no chainloader has written: what memory holds after power-on.
    for mark in [Mark::default(), Mark { size: 5000, crc: crc32(&kernel), next: 5000, check: 7 }] {
        let mut fifth = Loader::new(BOARD, Ram { mark, ..Ram::default() });
        assert_eq!(status(&fifth.serve(&begin)), (0, 0), "{mark:?}");
    }
}

/// What a line does to a frame, and what becomes of the board.
#[derive(Clone, Debug)]
enum Mishap {
    None,
    Lost(usize),
    Changed(usize, u8),
    AnswerLost,
    Reset,
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        6 => Just(Mishap::None),
        2 => any::<usize>().prop_map(Mishap::Lost),
        2 => (any::<usize>(), 1_u8..).prop_map(|(at, bits)| Mishap::Changed(at, bits)),
        1 => Just(Mishap::AnswerLost),
        1 => Just(Mishap::Reset),
    ]
}

/// A board behind a line.
struct Board {
    loader: Loader<Ram>,
    splitter: Splitter,
    mishaps: std::vec::IntoIter<Mishap>,
}

impl Board {
    /// Sends a frame until it is answered.
    fn ask(&mut self, uplink: &Uplink<'_>) -> (i32, u32) {
        for _ in 0..200 {
            let mut bytes = encode(uplink, &mut [0; UPLINK_MAX]).unwrap().to_vec();
            let mishap = self.mishaps.next().unwrap_or(Mishap::None);
            let length = bytes.len();
            match mishap {
                Mishap::Lost(at) => drop(bytes.remove(at % length)),
                Mishap::Changed(at, bits) => bytes[at % length] ^= bits,
                Mishap::Reset => {
                    self.loader = Loader::new(BOARD, self.loader.memory.clone());
                    self.splitter = Splitter::default();
                }
                Mishap::None | Mishap::AnswerLost => {}
            }
            let mut answers = vec![];
            for byte in bytes {
                if let Split::Frame(inside) = self.splitter.feed(byte) {
                    answers.push(status(&self.loader.serve(&decode(inside).unwrap())));
                }
            }
            if let (Some(answer), false) = (answers.pop(), matches!(mishap, Mishap::AnswerLost)) {
                return answer;
            }
        }
        panic!("no answer");
    }
}

proptest! {
    /// The host's way of sending against all that can happen to it.
    #[test]
    fn a_system_arrives_whole_whatever_happens(
        size in 1_usize..4000,
        mishaps in prop::collection::vec(mishap(), 0..80),
    ) {
        let kernel = image(size);
        let size = u32::try_from(size).unwrap();
        let mut board =
            Board { loader: loader(), splitter: Splitter::default(), mishaps: mishaps.into_iter() };
        let begin = Uplink::Begin { name: BOARD, size, crc: crc32(&kernel) };
        let (mut number, mut rounds) = (0, 0);
        loop {
            rounds += 1;
            prop_assert!(rounds < 200, "it never ends");
            let (_, mut next) = board.ask(&begin);
            while next < size {
                let at = usize::try_from(next).unwrap();
                let bytes = &kernel[at..kernel.len().min(at + DATA_MAX)];
                let (status, expected) = board.ask(&Uplink::Data { offset: next, bytes });
                next = if status == Errno::ENOENT.number() { board.ask(&begin).1 } else { expected };
            }
            number += 1;
            let (status, _) = board.ask(&Uplink::Line { number, text: BOOT });
            if status == 0 {
                break;
            }
            prop_assert_eq!(status, Errno::ENOENT.number(), "only a reset may have come between");
        }
        let start = board.loader.start();
        prop_assert_eq!(start, Some(Start { kernel: size, tree: None }));
        prop_assert_eq!(&board.loader.memory.kernel, &kernel);
    }

    /// Any bytes at all are answered or ignored, and start nothing.
    #[test]
    fn noise_starts_nothing(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let (mut loader, mut splitter) = (loader(), Splitter::default());
        for byte in bytes {
            if let Split::Frame(inside) = splitter.feed(byte) {
                loader.serve(&decode(inside).unwrap());
            }
        }
        prop_assert_eq!(loader.start(), None);
    }
}
