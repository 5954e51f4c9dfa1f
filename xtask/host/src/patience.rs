//! How much longer than usual everything may take, on a host that is slow or busy.

use anyhow::{Context, Result};

/// Time limits are multiplied by the number in this variable.
pub const PATIENCE: &str = "STRATA_PATIENCE";

/// The factor of time limits; `usual` where nobody has given one.
///
/// # Errors
/// The variable holds no number, or one that no time limit stands.
pub fn patience(usual: u16) -> Result<u32> {
    let factor = match std::env::var(PATIENCE) {
        Ok(text) => text.parse().with_context(|| format!("{PATIENCE} is no number: {text}"))?,
        Err(_) => usual,
    };
    Ok(u32::from(factor).max(1))
}
