//! The errno-like words of the requirements, so that each error of the core names one.

/// An error word and its number (NetBSD's numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[allow(missing_docs, reason = "the words are their own documentation; errno(2) has the long form")]
pub enum Errno {
    EPERM = 1,
    ENOENT = 2,
    EINTR = 4,
    EIO = 5,
    E2BIG = 7,
    ENOEXEC = 8,
    EDEADLK = 11,
    ENOMEM = 12,
    EFAULT = 14,
    EBUSY = 16,
    EEXIST = 17,
    EINVAL = 22,
    ENOTTY = 25,
    ENOSPC = 28,
    ERANGE = 34,
    EAGAIN = 35,
    ETIMEDOUT = 60,
    ENAMETOOLONG = 63,
    ESTALE = 70,
    EPROGMISMATCH = 75,
    ENOSYS = 78,
    EAUTH = 80,
    ECANCELED = 87,
}

impl Errno {
    /// The number that goes over the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        self as i32
    }
}
