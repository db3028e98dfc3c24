//! The Kubernetes operator: observe, validate, build, step, apply, status.
