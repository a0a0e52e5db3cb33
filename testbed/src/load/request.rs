//! The request that is sent again and again.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::Context;
use http::Uri;
use serde_json::json;

/// Where requests go, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// The base URL, up to and with `/v1`.
    pub base: Uri,
    /// The secret that is sent as bearer.
    pub secret: String,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The model.
    pub model: String,
    /// The user's message.
    pub prompt: String,
    /// The most tokens to answer with.
    pub max_tokens: u64,
    /// Whether the answer is streamed.
    pub stream: bool,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            model: "gpt-4o-mini".to_owned(),
            prompt: "Say how the weir keeps the river from running over its banks.".to_owned(),
            max_tokens: 16,
            stream: false,
        }
    }
}

impl Ask {
    /// A stream of so many chunks, so many milliseconds apart, by the fake provider's script.
    pub fn chunks(count: u64, gap_ms: u64) -> Self {
        let script =
            json!({"output_tokens": count, "chunks": count, "chunk_gap_ms": gap_ms}).to_string();
        let usual = Self::default();
        let prompt = format!("{} <<{script}>>", usual.prompt);
        Self { prompt, max_tokens: count, stream: true, ..usual }
    }

    /// What the end of a complete answer contains.
    pub fn ending(&self) -> Option<&'static str> {
        self.stream.then_some("[DONE]")
    }
}

impl Target {
    /// The socket to connect to.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        let host = self.base.host().context("the URL needs a host")?;
        let port = self.base.port_u16().unwrap_or(80);
        let mut found = (host.trim_matches(['[', ']']), port).to_socket_addrs()?;
        found.next().context("the host has no address")
    }

    /// The whole request.
    pub fn request(&self, ask: &Ask) -> Vec<u8> {
        let mut body = json!({
            "model": ask.model,
            "messages": [{"role": "user", "content": ask.prompt}],
            "max_tokens": ask.max_tokens,
        });
        if ask.stream {
            body["stream"] = true.into();
        }
        let body = body.to_string();
        format!(
            "POST {}/chat/completions HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.base.path().trim_end_matches('/'),
            self.base.authority().map_or("weir", |authority| authority.as_str()),
            self.secret,
            body.len(),
        )
        .into_bytes()
    }
}
