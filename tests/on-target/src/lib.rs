//! The host runner: boots QEMU once for each on-target case and judges it.
