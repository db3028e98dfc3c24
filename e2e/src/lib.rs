//! Black-box tests: official clients and a real Kubernetes against the real programs.
//!
//! [`rig`] starts a server and remote-controlled official clients; the cases are in `tests/`. [`tap`] records what
//! peers say to each other. Nothing here knows the product's code: only its programs, its files and its sockets.

pub mod rig;
pub mod tap;
