//! Official clients against one server: what each of them must be able to do. Cases run beside each other and keep apart
//! by names.

#![expect(clippy::indexing_slicing, reason = "a case that indexes too far fails, as it should")]

mod admin;
mod consume;
mod lite;
mod offsets;
mod ordered;
mod produce;

use std::sync::OnceLock;

use gantry_e2e::rig::{Setup, Stage};
use parking_lot::Mutex;

/// The server that all cases here share.
fn stage() -> anyhow::Result<&'static Stage> {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    static OPENING: Mutex<()> = Mutex::new(());
    let _turn = OPENING.lock();
    if let Some(stage) = STAGE.get() {
        return Ok(stage);
    }
    let stage = Stage::open(Setup::default())?;
    Ok(STAGE.get_or_init(|| stage))
}

/// Makes a test of a case for each of some clients.
macro_rules! cases {
    ($($case:ident: $($client:ident)+;)+) => {
        $(mod $case {
            $(#[test]
            #[expect(non_snake_case, reason = "named as the client is")]
            fn $client() -> anyhow::Result<()> {
                super::$case(crate::stage()?, gantry_e2e::rig::Client::$client)
            })+
        })+
    };
}
pub(crate) use cases;
