//! AWS protocols: which operation a request is, its input, and back again.
