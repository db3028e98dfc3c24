//! The NameServer: who has which queues, and where.
//!
//! `routes` decides: pure tables, time as an argument. The rest carries requests to it and answers back.

pub mod limits;
pub mod routes;
