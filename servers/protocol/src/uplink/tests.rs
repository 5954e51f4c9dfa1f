//! Goal: an image that goes over a bad line arrives whole or not at all, and nothing that is lost on the way is typed.
//!
//! Method: the story of one frame, then every single damage to it, then a simulated line with a seed.
extern crate std;
use super::*;
use std::vec::Vec;

fn bytes_of(uplink: &Uplink<'_>) -> Vec<u8> {
    encode(uplink, &mut [0; UPLINK_MAX]).unwrap().to_vec()
}

/// What comes out: typed bytes, and frames that decode.
fn split(line: &[u8]) -> (Vec<u8>, usize) {
    let mut splitter = Splitter::default();
    let (mut typed, mut frames) = (Vec::new(), 0);
    for &byte in line {
        match splitter.feed(byte) {
            Split::Typed(byte) => typed.push(byte),
            Split::Frame(bytes) => {
                decode(bytes).unwrap();
                frames += 1;
            }
            Split::Nothing => {}
        }
    }
    (typed, frames)
}

#[test]
fn the_crc_is_everybodys() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    assert_eq!(crc32(b""), 0);
}

#[test]
fn frames_come_back_and_typing_beside_them_stays() {
    let long: Vec<u8> = (0..DATA_MAX).map(|i| (i % 256).to_le_bytes()[0]).collect();
    for bytes in [&long[..], &[0; DATA_MAX], &[1; DATA_MAX], &[]] {
        let uplink = Uplink::Data { offset: u32::MAX, bytes };
        let mut line = b"help\r".to_vec();
        line.extend(bytes_of(&uplink));
        line.extend(b"modstat\r");
        assert_eq!(split(&line), (b"help\rmodstat\r".to_vec(), 1));
        let frame = bytes_of(&uplink);
        let mut inside = frame[ZEROS..frame.len() - 1].to_vec();
        assert!(!inside.contains(&0));
        assert_eq!(decode(&mut inside), Ok(uplink));
    }
    let text = std::str::from_utf8(&[b'x'; LINE_MAX]).unwrap();
    assert_eq!(split(&bytes_of(&Uplink::Line { number: 1, text })).1, 1);
}

/// Every byte lost, and every byte changed to every other value: the frame is none, the one behind it is whole, and no
/// byte of either is taken for typing.
#[test]
fn every_damage_costs_one_frame_and_types_nothing() {
    let first = bytes_of(&Uplink::Line { number: 7, text: "quit\rquit" });
    let second = bytes_of(&Uplink::Begin { name: "next", size: 5, crc: 6 });
    let good = [first.clone(), second].concat();
    for at in 0..first.len() {
        let mut lost = good.clone();
        lost.remove(at);
        let (typed, frames) = split(&lost);
        assert!(typed.is_empty() && frames >= 1, "byte {at} lost: {typed:?}");
        for value in 0..=u8::MAX {
            let mut changed = good.clone();
            changed[at] = value;
            let (typed, frames) = split(&changed);
            // A first zero that becomes something is typed, one byte.
            assert!(typed.len() <= usize::from(at == 0), "byte {at} is {value}: {typed:?}");
            assert!(frames >= 1, "byte {at} is {value}");
        }
    }
}

#[test]
fn a_zero_from_nowhere_costs_a_person_one_line() {
    assert_eq!(split(b"\0help\rmodstat\r"), (b"modstat\r".to_vec(), 0));
    let endless: Vec<u8> = [0].into_iter().chain([0xff; UPLINK_MAX + 1]).chain(*b"help\r").collect();
    assert_eq!(split(&endless).0, b"help\r");
}

#[test]
fn answers_that_were_changed_are_told_apart() {
    let good = received(256, 0);
    assert!(is_sound(&good) && is_sound(&line_done(3, 2, 9)));
    let Frame::Received { next, status, check } = good else { unreachable!() };
    assert!(!is_sound(&Frame::Received { next: next ^ 1, status, check }));
    assert!(!is_sound(&Frame::Received { next, status: 2, check }));
    assert!(!is_sound(&Frame::Prompt));
}

#[test]
fn an_image_is_taken_in_order_and_held_against_its_crc() {
    let image = [7; 600];
    let mut intake = Intake::default();
    assert_eq!(intake.accept(0, &image), Err(IntakeError::NotBegun));
    assert_eq!(intake.begin("", 600, 1), Err(IntakeError::BadName));
    assert_eq!(intake.begin("layer", 600, crc32(&image)), Ok(true));
    assert_eq!(intake.accept(0, &image[..256]), Ok(true));
    assert_eq!(intake.accept(0, &image[..256]), Ok(false), "sent again");
    assert_eq!(intake.accept(512, &image[512..]), Err(IntakeError::OutOfOrder));
    assert_eq!(intake.accept(256, &image), Err(IntakeError::OutOfOrder), "more than there is");
    assert_eq!(intake.complete("layer"), Err(IntakeError::Incomplete));
    // The host was started again: it goes on where the first one stopped.
    assert_eq!(intake.begin("layer", 600, crc32(&image)), Ok(false));
    assert_eq!(intake.next(), 256);
    assert_eq!(intake.accept(256, &image[256..]), Ok(true));
    assert_eq!(intake.complete("layer"), Ok(600));
    assert_eq!(intake.complete("other"), Err(IntakeError::NotBegun));
    assert_eq!(intake.begin("layer", 600, 5), Ok(true));
    assert_eq!(intake.accept(0, &image), Ok(true));
    assert_eq!(intake.complete("layer"), Err(IntakeError::Damaged));
}
