//! What all binaries share: tracing, signals, drain with a deadline, /livez /readyz /metrics. No domain word.
