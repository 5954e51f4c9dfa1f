//! All boards.
#![no_std]
#![forbid(unsafe_code)]

use board::Board;

/// All boards.
pub const BOARDS: &[&Board] = &[&qemu_virt::BOARD, &raspi3::BOARD, &raspi4::BOARD];

/// A board by its own name or by its emulator's.
#[must_use]
pub fn named(name: &str) -> Option<&'static Board> {
    BOARDS.iter().copied().find(|board| board.is_called(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_holds_together() {
        for board in BOARDS {
            let inside =
                |region: &board::Region, at: u64| (region.start..region.start + region.size).contains(&at);
            assert!(
                board.ram.iter().any(|ram| inside(ram, board.load_address)),
                "{}: image in RAM",
                board.name
            );
            assert!(!board.reserved.iter().any(|kept| inside(kept, board.load_address)));
            let controllers = board.interrupts.iter().flat_map(|controller| controller.regions());
            let watchdog = match board.restart {
                board::Restart::Watchdog(registers) => Some(registers),
                board::Restart::Firmware => None,
            };
            for region in controllers.chain(watchdog) {
                for device in board.devices {
                    let start = device.registers.start;
                    assert!(!inside(&region, start), "{}: {} is the kernel's", board.name, device.name);
                }
            }
            for (index, device) in board.devices.iter().enumerate() {
                assert!(
                    device.registers.start.is_multiple_of(4096) && device.registers.size.is_multiple_of(4096)
                );
                assert!(board.devices[..index].iter().all(|other| other.name != device.name));
                assert!(!board.ram.iter().any(|ram| inside(ram, device.registers.start)), "{}", device.name);
            }
            assert!(board.device(board.specimen.device).is_some() && board.device("uart").is_some());
            assert_eq!(board::device(board, "hole").name, "hole");
            let uart = board::of_kind(board, &["nothing", "arm,pl011"]);
            assert_eq!(uart.map(|uart| uart.name), Some("uart"));
            assert!(board::of_kind(board, &["arm,pl01"]).is_none());
            assert_eq!(board.device("uart").map(|uart| uart.registers), Some(board.console.registers));
        }
    }

    #[test]
    fn a_board_answers_to_both_of_its_names() {
        assert_eq!(named("raspi3").map(|board| board.name), Some("raspi3"));
        assert_eq!(named("raspi3b").map(|board| board.name), Some("raspi3"));
        assert!(named("raspi5").is_none());
    }
}
