//! What goes over the serial line to a host tool.
//!
//! A frame is `0x00`, COBS of postcard of a [`Frame`], `0x00`. Everything outside frames is console text and never
//! contains a zero byte, so that a receiver which starts in the middle finds its way after the next zero.

use serde::{Deserialize, Serialize};

/// The most bytes of log data in one frame.
pub const LOG_BYTES_MAX: usize = 512;
/// The most bytes that a frame takes on the line, delimiters and COBS overhead included.
pub const FRAME_MAX: usize = 640;

/// One message to the host tool. New ones are appended only: the tag is the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame<'a> {
    /// One defmt frame (raw encoding) of this stream.
    Log {
        /// Who wrote it: see [`crate::streams`].
        stream: u16,
        /// The frame as the writer's defmt made it.
        bytes: &'a [u8],
    },
    /// This many log frames of a stream were dropped because its ring was full.
    LogDropped {
        /// Whose.
        stream: u16,
        /// How many since the last such frame.
        count: u32,
    },
    /// The console waits for a line.
    Prompt,
    /// The console has carried out a line: 0, or an errno number.
    CommandDone {
        /// 0, or [`crate::Errno::number`].
        status: i32,
    },
    /// An on-target case starts.
    CaseBegin {
        /// Its name.
        name: &'a str,
    },
    /// An on-target case has ended.
    CaseEnd {
        /// Its name.
        name: &'a str,
        /// The verdict.
        passed: bool,
        /// Why it failed, or a remark.
        message: &'a str,
    },
    /// An image has panicked.
    Panic {
        /// The image.
        image: &'a str,
        /// Message and place.
        message: &'a str,
    },
    /// A line of text of a case or bench for the host tool's log.
    Note {
        /// The text.
        text: &'a str,
    },
    /// A module's log strings are in use from here on.
    ModuleLoaded {
        /// The stream of its link domain.
        stream: u16,
        /// Its name in the boot archive.
        name: &'a str,
        /// The build that it comes from.
        build_id: u64,
        /// What its defmt indices were raised by.
        index_base: u32,
    },
    /// A module's log strings are no longer written. It comes with whatever is written next, and before the indices are
    /// anybody else's.
    ModuleUnloaded {
        /// The stream of its link domain.
        stream: u16,
        /// What its defmt indices were raised by.
        index_base: u32,
    },
    /// A figure of a bench.
    Figure {
        /// Its name in the contract, such as `call.direct.extra`.
        name: &'a str,
        /// The value in thousandths of the unit.
        milli: u64,
        /// The unit, such as `instructions`.
        unit: &'a str,
    },
    /// A case says that its boot writes such a log line: the host, which decodes, fails the case otherwise.
    ExpectLog {
        /// The stream of the line.
        stream: u16,
        /// What the decoded line contains.
        text: &'a str,
    },
    /// An image is being received: see [`crate::uplink`].
    Received {
        /// The byte that is expected next.
        next: u32,
        /// 0, or [`crate::Errno::number`].
        status: i32,
        /// CRC-32 of the other fields.
        check: u32,
    },
    /// A line that came as a frame has been carried out.
    LineDone {
        /// Its number.
        number: u32,
        /// 0, or [`crate::Errno::number`].
        status: i32,
        /// CRC-32 of the text that it wrote.
        output: u32,
        /// CRC-32 of the other fields.
        check: u32,
    },
    /// The machine has stopped and will say nothing more: where no emulator ends with it.
    PoweredOff {
        /// 0 for success.
        status: i32,
    },
}

/// A frame could not be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// It does not fit into the buffer.
    TooLong,
    /// The bytes between two zeros are no frame.
    Malformed,
}

/// Writes a frame with both delimiters and returns its bytes.
pub fn encode<'b>(frame: &Frame<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], WireError> {
    let (first, rest) = buffer.split_first_mut().ok_or(WireError::TooLong)?;
    *first = 0;
    let used = postcard::to_slice_cobs(frame, rest).map_err(|_| WireError::TooLong)?.len();
    Ok(&buffer[..=used])
}

/// Reads the frame between two delimiters (both left out); the bytes are decoded in place.
pub fn decode(bytes: &mut [u8]) -> Result<Frame<'_>, WireError> {
    postcard::from_bytes_cobs::<Frame<'_>>(bytes).map_err(|_| WireError::Malformed)
}

/// What a record in a log ring begins with when it is a whole [`Frame`] that the log server passes on as it is, so that
/// the serial line has one writer. No string of a log table has this index.
pub const PASS_ON: [u8; 2] = [0xff; 2];

/// Writes a frame as a record for the writer's log ring.
pub fn to_record<'b>(frame: &Frame<'_>, buffer: &'b mut [u8]) -> Result<&'b [u8], WireError> {
    let (mark, rest) = buffer.split_first_chunk_mut().ok_or(WireError::TooLong)?;
    *mark = PASS_ON;
    let used = postcard::to_slice(frame, rest).map_err(|_| WireError::TooLong)?.len();
    Ok(&buffer[..PASS_ON.len() + used])
}

/// The frame in a record of a log ring, if it holds one.
#[must_use]
pub fn from_record(record: &[u8]) -> Option<Frame<'_>> {
    postcard::from_bytes(record.strip_prefix(&PASS_ON)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_goes_through_a_log_ring_and_log_bytes_are_no_frame() {
        let mut buffer = [0; LOG_BYTES_MAX];
        let frame = Frame::CaseEnd { name: "r01", passed: true, message: "" };
        assert_eq!(from_record(to_record(&frame, &mut buffer).unwrap()), Some(frame));
        assert_eq!(from_record(&[1, 0, 4, 2]), None);
        assert_eq!(from_record(&[0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn a_frame_has_no_zero_inside_and_comes_back() {
        let mut buffer = [0xff; FRAME_MAX];
        let bytes = [0_u8; LOG_BYTES_MAX];
        let frame = Frame::Log { stream: 16, bytes: &bytes };
        let line = encode(&frame, &mut buffer).unwrap();
        let end = line.len() - 1;
        assert_eq!((line[0], line[end]), (0, 0));
        assert!(line[1..end].iter().all(|byte| *byte != 0));
        let mut inner = [0; FRAME_MAX];
        inner[..end - 1].copy_from_slice(&line[1..end]);
        assert_eq!(decode(&mut inner[..end - 1]), Ok(frame));
        assert_eq!(decode(&mut [9, 2, 3]), Err(WireError::Malformed));
    }
}
