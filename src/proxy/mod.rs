//! Bytes: listen, connect, intercept, upstream.
