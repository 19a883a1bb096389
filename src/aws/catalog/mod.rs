//! What AWS's service models say, compiled: hosts, operations, shapes, classes, resource rules.
//!
//! The catalog is one compressed file, embedded in the binary; services are decoded on first use.

pub mod model;

pub use model::{Operation, Protocol, Service, Shape, ShapeId};
