//! Uploaded files.

use http::Method;
use serde_json::json;

use super::{list, missing};
use crate::fake_provider::ask::Ask;
use crate::fake_provider::envelope::Refusal;
use crate::fake_provider::reply::Reply;
use crate::fake_provider::shelf::Shelf;
use crate::fake_provider::words;

/// Answers everything at and below `/v1/files`.
pub(super) fn answer(ask: &Ask, rest: &[&str], shelf: &Shelf) -> Result<Reply, Refusal> {
    match (&ask.method, rest) {
        (&Method::POST, []) => upload(ask, shelf),
        (&Method::GET, []) => Ok(Reply::json(200, &list(&shelf.list("file-")))),
        (&Method::GET, [id]) => {
            shelf.get(id).map(|file| Reply::json(200, &file)).ok_or_else(|| missing("File", id))
        }
        (&Method::GET, [id, "content"]) => shelf
            .content(id)
            .map(|content| Reply::bytes("application/octet-stream", content))
            .ok_or_else(|| missing("File", id)),
        (&Method::DELETE, [id]) if shelf.remove(id) => {
            Ok(Reply::json(200, &json!({"id": id, "object": "file", "deleted": true})))
        }
        (_, rest) => Err(missing("File", rest.first().unwrap_or(&""))),
    }
}

fn upload(ask: &Ask, shelf: &Shelf) -> Result<Reply, Refusal> {
    let Some(file) = ask.form.iter().find(|field| field.name == "file") else {
        return Err(Refusal::new(400, "Missing required parameter: 'file'.").about("file"));
    };
    let Some(purpose) = ask.text("purpose") else {
        return Err(Refusal::new(400, "'purpose' is a required property").about("purpose"));
    };
    let object = json!({
        "object": "file",
        "id": words::id("file-", 22),
        "purpose": purpose,
        "filename": file.file,
        "bytes": file.content.len(),
        "created_at": words::unix_seconds(),
        "expires_at": null,
        "status": "processed",
        "status_details": null,
    });
    shelf.put(&object, file.content.clone());
    Ok(Reply::json(200, &object))
}
