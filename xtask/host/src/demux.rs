//! Splits the serial line into console text and frames.
//!
//! A frame stands between two zero bytes; text never contains one. A reader that starts inside a frame, or loses a
//! byte, reports the damaged piece and is right again after the next zero.

use strata_protocol::wire::{self, FRAME_MAX};

/// A piece of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Console text, as it came.
    Text(Vec<u8>),
    /// The inside of a frame that decodes: give it to [`wire::decode`].
    Frame(Vec<u8>),
    /// Bytes between two zeros that are no frame.
    Damaged(Vec<u8>),
}

/// The splitter's memory between two reads.
#[derive(Debug, Default)]
pub struct Demux {
    frame: Option<Vec<u8>>,
}

impl Demux {
    /// Takes bytes as they arrive and returns the pieces that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut text = Vec::new();
        for &byte in bytes {
            match (&mut self.frame, byte) {
                (None, 0) => {
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    self.frame = Some(Vec::new());
                }
                (None, byte) => text.push(byte),
                // Two zeros in a row: the first ended a frame whose start was lost, this one starts the next.
                (Some(frame), 0) if frame.is_empty() => {}
                (Some(frame), 0) => {
                    let frame = std::mem::take(frame);
                    self.frame = None;
                    pieces.push(if wire::decode(&mut frame.clone()).is_ok() {
                        Piece::Frame(frame)
                    } else {
                        // The zero may have been the start of the next frame.
                        self.frame = Some(Vec::new());
                        Piece::Damaged(frame)
                    });
                }
                (Some(frame), byte) => {
                    frame.push(byte);
                    if frame.len() > FRAME_MAX {
                        pieces.push(Piece::Damaged(std::mem::take(frame)));
                        self.frame = None;
                    }
                }
            }
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strata_protocol::wire::Frame;

    fn frame(name: &str) -> Vec<u8> {
        wire::encode(&Frame::CaseBegin { name }, &mut [0; FRAME_MAX]).unwrap().to_vec()
    }

    #[test]
    fn text_and_frames_come_apart_at_every_cut() {
        let mut line = b"strata> ".to_vec();
        line.extend(frame("one"));
        line.extend(frame("two"));
        line.extend(b"help\r\n");
        for cut in 0..line.len() {
            let mut demux = Demux::default();
            let mut pieces = demux.feed(&line[..cut]);
            pieces.extend(demux.feed(&line[cut..]));
            let text: Vec<u8> = pieces
                .iter()
                .filter_map(|p| if let Piece::Text(t) = p { Some(t.clone()) } else { None })
                .flatten()
                .collect();
            assert_eq!(text, b"strata> help\r\n");
            assert_eq!(pieces.iter().filter(|p| matches!(p, Piece::Frame(_))).count(), 2);
        }
    }

    #[test]
    fn a_lost_byte_costs_one_frame() {
        let mut line = frame("one");
        let length = line.len();
        line.extend(frame("two"));
        line.extend(frame("three"));
        for lost in 0..length {
            let mut damaged = line.clone();
            damaged.remove(lost);
            let frames =
                Demux::default().feed(&damaged).iter().filter(|p| matches!(p, Piece::Frame(_))).count();
            assert!(frames >= 2, "byte {lost} lost: {frames}");
        }
    }
}
