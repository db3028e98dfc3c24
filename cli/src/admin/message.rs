//! `gantry message`.

use std::collections::BTreeMap;

use gantry_client::{Admin, StoredMessage};
use serde::Serialize;

use crate::output::{self, Format};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show one message by its offset id, as SendResult.getOffsetMsgId gives it
    View {
        /// The id: 32 hexadecimal digits, or 56 from a broker with an IPv6 address
        id: String,
    },
}

pub(super) async fn run(command: Command, admin: &Admin, format: Format) -> anyhow::Result<()> {
    match command {
        Command::View { id } => {
            let message = Message::from(admin.view_message(&id).await?);
            match format {
                Format::Json => output::value(&message),
                Format::Table => output::print(&message.text()),
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    topic: String,
    queue: u32,
    offset: u64,
    offset_id: String,
    unique_key: Option<String>,
    tag: Option<String>,
    keys: Option<String>,
    born: String,
    born_host: String,
    stored: String,
    store_host: String,
    reconsume_times: u32,
    properties: BTreeMap<String, String>,
    size: usize,
    /// The body if it is text.
    body: Option<String>,
}

impl From<StoredMessage> for Message {
    fn from(message: StoredMessage) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let properties = message.properties();
        Self {
            topic: message.topic.to_string(),
            queue: message.queue.0,
            offset: message.offset.0,
            offset_id: message.offset_id().to_string(),
            unique_key: owned(message.unique_key()),
            tag: owned(message.tag()),
            keys: owned(message.keys()),
            born: time(message.born.0),
            born_host: message.born_host.to_string(),
            stored: time(message.stored.0),
            store_host: message.store_host.to_string(),
            reconsume_times: message.reconsume_times,
            properties: properties.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            size: message.body.len(),
            body: String::from_utf8(message.body.to_vec()).ok(),
        }
    }
}

impl Message {
    fn text(&self) -> String {
        let dash = || "-".to_owned();
        let fields = [
            ("Topic", self.topic.clone()),
            ("Queue", self.queue.to_string()),
            ("Offset", self.offset.to_string()),
            ("Offset id", self.offset_id.clone()),
            ("Unique key", self.unique_key.clone().unwrap_or_else(dash)),
            ("Tag", self.tag.clone().unwrap_or_else(dash)),
            ("Keys", self.keys.clone().unwrap_or_else(dash)),
            ("Born", format!("{} at {}", self.born, self.born_host)),
            ("Stored", format!("{} at {}", self.stored, self.store_host)),
            ("Redelivered", format!("{} times", self.reconsume_times)),
        ];
        let mut text: String =
            fields.iter().map(|(name, value)| format!("{name:<12}{value}\n")).collect();
        for (name, value) in &self.properties {
            text.push_str(&format!("Property    {name}={value}\n"));
        }
        match &self.body {
            Some(body) => text.push_str(&format!("Body        {} bytes:\n{body}\n", self.size)),
            None => text.push_str(&format!("Body        {} bytes, not text\n", self.size)),
        }
        text
    }
}

/// Milliseconds since 1970 as a date in UTC.
fn time(millis: u64) -> String {
    i64::try_from(millis)
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
        .map_or_else(|| millis.to_string(), |time| time.to_string())
}
