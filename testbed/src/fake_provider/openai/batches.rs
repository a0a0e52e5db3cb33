//! Batches: accepted, and left waiting until they are cancelled.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{list, missing, require};
use crate::fake_provider::ask::Ask;
use crate::fake_provider::envelope::Refusal;
use crate::fake_provider::reply::Reply;
use crate::fake_provider::shelf::Shelf;
use crate::fake_provider::words;

/// Answers everything at and below `/v1/batches`.
pub(super) fn answer(ask: &Ask, rest: &[&str], shelf: &Shelf) -> Result<Reply, Refusal> {
    let stored = |id: &str| shelf.get(id).ok_or_else(|| missing("Batch", id));
    match (&ask.method, rest) {
        (&Method::POST, []) => create(ask, shelf),
        (&Method::GET, []) => Ok(Reply::json(200, &list(&shelf.list("batch_")))),
        (&Method::GET, [id]) => Ok(Reply::json(200, &stored(id)?)),
        (&Method::POST, [id, "cancel"]) => {
            let mut batch = stored(id)?;
            batch["status"] = "cancelling".into();
            batch["cancelling_at"] = words::unix_seconds().into();
            shelf.put(&batch, Bytes::new());
            Ok(Reply::json(200, &batch))
        }
        (_, rest) => Err(missing("Batch", rest.first().unwrap_or(&""))),
    }
}

fn create(ask: &Ask, shelf: &Shelf) -> Result<Reply, Refusal> {
    require(ask, &["input_file_id", "endpoint", "completion_window"])?;
    let now = words::unix_seconds();
    let mut batch = json!({
        "id": words::id("batch_", 32),
        "object": "batch",
        "endpoint": ask.json["endpoint"],
        "input_file_id": ask.json["input_file_id"],
        "completion_window": ask.json["completion_window"],
        "status": "validating",
        "created_at": now,
        "expires_at": now + 86_400,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": ask.json.get("metadata"),
    });
    let later = ["errors", "output_file_id", "error_file_id", "in_progress_at", "finalizing_at"];
    let never = ["completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at"];
    for field in later.into_iter().chain(never) {
        batch[field] = Value::Null;
    }
    shelf.put(&batch, Bytes::new());
    Ok(Reply::json(200, &batch))
}
