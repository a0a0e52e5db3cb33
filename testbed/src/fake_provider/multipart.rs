//! Just enough of `multipart/form-data` to read what the OpenAI API takes as a form.

use bytes::Bytes;
use serde_json::{Map, Value};

/// One field of a form.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The file name, if it is a file.
    pub file: Option<String>,
    /// Its content.
    pub content: Bytes,
}

/// The fields of a form; none where the body is no form.
pub fn fields(content_type: &str, body: &Bytes) -> Vec<Field> {
    let boundary = content_type.split(';').find_map(|part| part.trim().strip_prefix("boundary="));
    let Some(boundary) = boundary.filter(|_| content_type.starts_with("multipart/form-data"))
    else {
        return Vec::new();
    };
    let fence = format!("--{}", boundary.trim_matches('"'));
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = find(body, fence.as_bytes(), from).map(|at| at + fence.len()) {
        let Some(end) = find(body, fence.as_bytes(), start) else { break };
        if let Some(field) = field(&body.slice(start..end)) {
            found.push(field);
        }
        from = end;
    }
    found
}

/// The text fields as a JSON object, so that the rest need not care how they came.
pub fn as_json(fields: &[Field]) -> Value {
    let mut object = Map::new();
    for field in fields.iter().filter(|field| field.file.is_none()) {
        let text = String::from_utf8_lossy(&field.content).into_owned();
        object.insert(field.name.clone(), text.into());
    }
    Value::Object(object)
}

/// The field between two fences.
fn field(part: &Bytes) -> Option<Field> {
    let gap = find(part, b"\r\n\r\n", 0)?;
    let head = String::from_utf8_lossy(&part[..gap]).into_owned();
    let disposition =
        head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition"))?;
    let attribute = |name: &str| {
        let prefix = format!("{name}=\"");
        let value = disposition.split(';').find_map(|at| at.trim().strip_prefix(&prefix))?;
        Some(value.trim_end_matches('"').to_owned())
    };
    let content = part.slice(gap + 4..part.len().saturating_sub(2).max(gap + 4));
    Some(Field { name: attribute("name")?, file: attribute("filename"), content })
}

fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let at = haystack.get(from..)?.windows(needle.len()).position(|window| window == needle)?;
    Some(from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_with_its_files() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
                    --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\
                    Content-Type: application/jsonl\r\n\r\n{}\r\n\r\n--x--\r\n";
        let fields = fields("multipart/form-data; boundary=x", &Bytes::from(body));
        assert_eq!(fields.len(), 2);
        assert_eq!(as_json(&fields), serde_json::json!({"purpose": "batch"}));
        assert_eq!(fields[1].file.as_deref(), Some("a.jsonl"));
        assert_eq!(&fields[1].content[..], b"{}\r\n");
    }
}
