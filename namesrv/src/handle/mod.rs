//! One function for each request that the NameServer serves.

pub(crate) mod broker;
pub(crate) mod config;
pub(crate) mod kv;
pub(crate) mod lists;
pub(crate) mod route;
pub(crate) mod topic;
