//! The broker's disk: segments, log, appender, consume queues, recovery. No network.
