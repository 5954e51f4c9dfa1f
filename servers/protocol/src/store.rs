//! The module store: images by name.

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use crate::errno::Refusal;
use crate::text::ModuleName;

/// Bytes of the upload area.
pub const UPLOAD_SIZE: u64 = 1 << 20;
/// Images in the upload area at once.
pub const UPLOADS_MAX: usize = 8;

/// Which of the store's two areas an image lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Area {
    /// The boot archive.
    Archive,
    /// The upload area.
    Upload,
}

/// Where an image lies. The linker server checks it against the areas that it has mapped; it is an allegation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct ImageRef {
    /// The area.
    pub area: Area,
    /// Bytes from its start.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
}

/// A request to the module store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Request {
    /// The image of this name; uploads come before the boot archive.
    Find {
        /// Its name.
        name: ModuleName,
    },
    /// The image at this position of the list of all.
    List {
        /// The position.
        index: u32,
    },
    /// Names `size` bytes that the client has written to the upload area at `offset`, in place of any upload of
    /// that name.
    Put {
        /// Its name.
        name: ModuleName,
        /// Where it starts.
        offset: u64,
        /// Size in bytes.
        size: u64,
    },
    /// Forgets an upload.
    Remove {
        /// Its name.
        name: ModuleName,
    },
}

/// An answer of the module store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Reply {
    /// An image.
    Image {
        /// Its name.
        name: ModuleName,
        /// Where it lies.
        image: ImageRef,
    },
    /// Done, or the end of the list.
    Done,
    /// No.
    Refused(Refusal),
}
