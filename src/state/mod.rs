//! I/O: the state folder, its keys.
