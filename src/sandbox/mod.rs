//! An embedded stand-in for AWS.
