//! What the kernel says: text and numbers in a row, without the machinery of `core::fmt`, which would be a fifth of the
//! kernel's instructions.

/// A piece of a message.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// Text as it is.
    Text(&'a str),
    /// A number in hexadecimal, with `0x`.
    Hex(u64),
    /// A number in decimal.
    Decimal(u64),
}

/// Hands the bytes of a message to `put`, in order.
pub fn write(message: &[Piece<'_>], put: &mut dyn FnMut(u8)) {
    for piece in message {
        match *piece {
            Piece::Text(text) => text.bytes().for_each(&mut *put),
            Piece::Hex(value) => {
                put(b'0');
                put(b'x');
                number(value, 16, put);
            }
            Piece::Decimal(value) => number(value, 10, put),
        }
    }
}

fn number(value: u64, base: u64, put: &mut dyn FnMut(u8)) {
    let mut unit = 1;
    while value / unit >= base {
        unit *= base;
    }
    while unit != 0 {
        #[expect(clippy::cast_possible_truncation, reason = "a digit")]
        let digit = (value / unit % base) as u8;
        put(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
        unit /= base;
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, write};
    use std::string::String;

    #[test]
    fn numbers_read_as_they_are() {
        for value in [0, 1, 9, 10, 15, 16, 255, 4096, 0x1234_5678_9abc_def0, u64::MAX] {
            let mut out = String::new();
            write(
                &[Piece::Text("a "), Piece::Hex(value), Piece::Text(" "), Piece::Decimal(value)],
                &mut |byte| {
                    out.push(char::from(byte));
                },
            );
            assert_eq!(out, std::format!("a {value:#x} {value}"));
        }
    }
}
