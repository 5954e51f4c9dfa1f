//! What the boot arguments ask of the kernel itself. The rest of them is the root task's.

/// What becomes of the machine when its work is over: it stops, unless it is asked to start again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ending {
    /// `reset=1`: it starts again where it would stop.
    pub resets: bool,
    /// `reset_after=S`: it does so after this many seconds at the latest, whatever it does then.
    pub limit_s: Option<u64>,
}

impl Ending {
    /// Reads words separated by spaces. A limit counts only with `reset=1`; what makes no sense is left out.
    pub fn of(arguments: &[u8]) -> Self {
        let mut ending = Self::default();
        for word in arguments.split(|&byte| byte == b' ' || byte == 0) {
            if word == b"reset=1" {
                ending.resets = true;
            } else if let Some(digits) = word.strip_prefix(b"reset_after=") {
                ending.limit_s = decimal(digits);
            }
        }
        if ending.resets { ending } else { Self::default() }
    }
}

/// A number in decimal digits.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let digit = char::from(digit).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_stops_unless_it_is_asked_to_start_again() {
        let stops = Ending::default();
        for arguments in ["", "host=1", "reset=0", "reset=12", "areset=1", "reset_after=3", "reset"] {
            assert_eq!(Ending::of(arguments.as_bytes()), stops, "{arguments}");
        }
        let resets = |limit_s| Ending { resets: true, limit_s };
        assert_eq!(Ending::of(b"host=1 reset=1\0"), resets(None));
        assert_eq!(Ending::of(b"reset_after=90 case=x reset=1"), resets(Some(90)));
        for limit in ["", "x", "-1", "1s", "99999999999999999999"] {
            let arguments = std::format!("reset=1 reset_after={limit}");
            assert_eq!(Ending::of(arguments.as_bytes()), resets(None), "{arguments}");
        }
    }
}
