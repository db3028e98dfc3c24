//! Black-box tests: official clients and a real Kubernetes against the real programs.
//!
//! [`tap`] records what peers say to each other.

pub mod tap;
