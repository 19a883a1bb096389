//! Signature Version 4: parsed, verified, made.
