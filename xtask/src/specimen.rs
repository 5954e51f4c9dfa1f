//! Words of a script that stand for the board's specimen, so that one story plays on every board.
//!
//! | word | on QEMU's virt machine |
//! |---|---|
//! | `$specimen` | `rtc`: the device's name |
//! | `$id` | `0xfe0`: offset of the register that identifies it |
//! | `$id.value` | `0x31`: what that reads |
//! | `$id.word` | `0x00000031`: the same with all its digits |
//! | `$id.at` | `0x9010fe0`: its address |
//! | `$scratch` | `0x4`: offset of the register that keeps what is written |
//! | `$scratch.at` | `0x9010004`: its address |

use board::Board;

/// The script with the board's words.
pub(crate) fn fill_in(script: &str, board: &Board) -> String {
    let specimen = board.specimen;
    let start = board.device(specimen.device).map_or(0, |device| device.registers.start);
    // Longer words first: one is the beginning of another.
    let words = [
        ("$specimen", specimen.device.to_owned()),
        ("$scratch.at", format!("{:#x}", start + specimen.scratch)),
        ("$scratch", format!("{:#x}", specimen.scratch)),
        ("$id.value", format!("{:#x}", specimen.id_value)),
        ("$id.word", format!("{:#010x}", specimen.id_value)),
        ("$id.at", format!("{:#x}", start + specimen.id)),
        ("$id", format!("{:#x}", specimen.id)),
    ];
    words.iter().fold(script.to_owned(), |text, (word, value)| text.replace(word, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_is_the_same_on_each_board_and_the_addresses_are_its_own() {
        let script = "bus read4 $specimen $id\n? $specimen+$id = $id.word\n? debug read $id.at 4 $id.value\n? $scratch $scratch.at";
        let virt = fill_in(script, boards::named("qemu-virt").unwrap());
        assert_eq!(
            virt,
            "bus read4 rtc 0xfe0\n? rtc+0xfe0 = 0x00000031\n? debug read 0x9010fe0 4 0x31\n? 0x4 0x9010004"
        );
        for board in boards::BOARDS {
            assert!(!fill_in(script, board).contains('$'), "{}", board.name);
        }
    }
}
