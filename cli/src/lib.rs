//! The `gantry` command: standalone server, admin commands, kubectl plugin.
