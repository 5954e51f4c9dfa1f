//! What the root task does for others after it has started them.

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

/// A request to the root task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Request {
    /// Ends the machine; under QEMU the process ends with this status. There is no answer.
    PowerOff {
        /// 0 for success.
        status: i32,
    },
}
