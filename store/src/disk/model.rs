//! The model disk.
