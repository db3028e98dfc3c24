//! `tap`: a recording TCP proxy between RocketMQ peers. It made the golden frames of `remoting/tests/golden`.
//!
//! `tap OUT LISTEN=TARGET...` forwards each connection to LISTEN on to TARGET, unchanged, and keeps the first frame of
//! each kind in OUT: `<request>.<peer>.<form>.<request|reply-code>.bin` with its meaning beside it as `.json`.
//!
//! `tap --records OUT FILE...` cuts CommitLog files into records and keeps the first of each kind likewise.
//!
//! A development tool: it trusts both sides and ends with the process.

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let out = args.next().context("usage: tap OUT LISTEN=TARGET... | tap --records OUT FILE...")?;
    if out == "--records" {
        let out = args.next().context("usage: tap --records OUT FILE...")?;
        return gantry_e2e::tap::keep_records(out.as_ref(), &args.collect::<Vec<_>>());
    }
    let routes = args
        .map(|route| {
            let (listen, target) = route.split_once('=').context("a route is LISTEN=TARGET")?;
            Ok((listen.to_owned(), target.to_owned()))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    gantry_e2e::tap::run(out.as_ref(), &routes)
}
