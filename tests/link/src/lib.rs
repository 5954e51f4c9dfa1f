//! Linker behaviour on the host: stories, small worlds, mutated images.
