//! The remoting protocol of RocketMQ: [`wire`] is sans-I/O, [`net`] runs it on tokio.
//!
//! # How a request travels
//! `net` reads what has arrived on a connection into one buffer; [`wire::Frames`] cuts it into whole
//! frames and scans their headers in place; the server's [`net::Service`] looks at each
//! [`wire::Frame`], decodes the typed header it wants and answers into [`wire::Replies`], which leave
//! in one vectored write. Nothing on that way allocates for each request.
//!
//! # How to add a request
//! 1. Describe its fields with `headers!` in the family's file under `wire/request/`: the wire name as
//!    a byte string, then field and type. `Option` means "may be absent"; a number type also says
//!    which values are accepted. Do the same for the fields of the reply, if it has any.
//! 2. Give it a row in `wire/request/table.rs`, in the table of the process that serves it: code,
//!    Java's name, the variant and the header type. The row makes the enum's variant, its decoding,
//!    the metric label and the line in the docs.
//! 3. A JSON body gets a type in `wire/body/`, with a test against the text that Java writes.
//! 4. The compiler now points at the server's one `match`: write the handler there.
//!
//! # Architecture invariants
//! `wire` has no socket, no clock and no async. Signed integers of the wire (`i32`, `i64`) do not leave
//! it where the domain has a type. Nothing here knows what a broker or a NameServer does.

pub mod net;
pub mod wire;
