//! The remoting protocol: `wire` is sans-I/O, `net` runs it on tokio.
