//! Generators and tidy checks.
