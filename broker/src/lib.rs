//! The broker: dispatch, handlers, topics, groups, offsets, parked pulls.
