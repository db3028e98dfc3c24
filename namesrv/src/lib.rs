//! The NameServer: a pure table of routes behind the request table.
