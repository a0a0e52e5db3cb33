//! The document as a page that people read: no scripts, nothing from elsewhere, one request.

use std::fmt::Write as _;

use serde_json::Value;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --dim: #888; --accent: #2563eb }
@media (prefers-color-scheme: dark) { :root { --accent: #7aa2ff } }
* { box-sizing: border-box }
body { margin: 0; font: 15px/1.55 system-ui, sans-serif; display: grid; grid-template-columns: 17rem minmax(0, 1fr) }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1.5rem 1rem; border-right: 1px solid var(--line); font-size: 13px }
nav b { display: block; margin: 1rem 0 .25rem; text-transform: capitalize }
nav a { display: block; padding: .1rem 0; color: inherit; text-decoration: none; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
nav a:hover { color: var(--accent) }
main { padding: 2rem clamp(1rem, 4vw, 4rem) 6rem; max-width: 64rem }
h1 { margin: 0 0 .5rem; font-size: 1.9rem }
h2 { margin: 3rem 0 .5rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); text-transform: capitalize }
h3 { margin: 2.2rem 0 .3rem; font-size: 1.05rem }
code, pre, .path { font: 13px/1.5 ui-monospace, monospace }
pre { margin: .6rem 0; padding: .8rem 1rem; overflow: auto; border-radius: .5rem; background: var(--soft) }
.path { margin: 0 0 .4rem; color: var(--dim); overflow-wrap: anywhere }
.path b { color: var(--accent) }
table { width: 100%; margin: .6rem 0; border-collapse: collapse; font-size: 14px }
td { padding: .3rem .75rem .3rem 0; border-top: 1px solid var(--line); vertical-align: top }
td:first-child { width: 13rem; overflow-wrap: anywhere }
td:nth-child(2) { width: 13rem; color: var(--dim) }
details { margin: .4rem 0 } summary { cursor: pointer; color: var(--dim) }
@media (max-width: 50rem) { body { display: block } nav { position: static; height: auto; border: 0; border-bottom: 1px solid var(--line) } td { display: block; width: auto !important; border: 0; padding: 0 } tr { display: block; border-top: 1px solid var(--line); padding: .3rem 0 } }
";

/// The page that shows `document`.
pub(super) fn write(document: &Value) -> String {
    let mut nav = String::new();
    let mut main = String::new();
    let about = text(&document["info"]["description"]);
    let _ = write!(
        main,
        "<h1>Weir {}</h1><p>{}</p><p>For programs: <a href=\"/openapi.json\">openapi.json</a>.</p>",
        escaped(&text(&document["info"]["version"])),
        marked(&about)
    );
    for tag in list(&document["tags"]) {
        let name = text(&tag["name"]);
        let mine = operations(document, &name);
        if mine.is_empty() {
            continue;
        }
        let _ = write!(nav, "<b>{}</b>", escaped(&name));
        let _ = write!(
            main,
            "<h2>{}</h2><p>{}</p>",
            escaped(&name),
            marked(&text(&tag["description"]))
        );
        for (path, method, operation) in mine {
            let id = escaped(&text(&operation["operationId"]));
            let summary = escaped(&text(&operation["summary"]));
            let _ = write!(nav, "<a href=\"#{id}\" title=\"{}\">{summary}</a>", escaped(&path));
            let _ = write!(
                main,
                "<h3 id=\"{id}\">{summary}</h3><p class=\"path\"><b>{}</b> {}</p><p>{}</p>",
                method.to_uppercase(),
                escaped(&path),
                marked(&text(&operation["description"]))
            );
            parameters(&mut main, operation);
            body(&mut main, operation);
            answers(&mut main, document, operation);
        }
    }
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Weir API</title><style>{STYLE}</style><body><nav>{nav}</nav><main>{main}</main></body></html>"
    )
}

type Found<'a> = Vec<(String, String, &'a Value)>;

fn operations<'a>(document: &'a Value, tag: &str) -> Found<'a> {
    const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
    let paths = document["paths"].as_object().into_iter().flatten();
    let of_path = |(path, item): (&'a String, &'a Value)| {
        METHODS.into_iter().filter_map(move |method| {
            let operation = item.get(method)?;
            Some((path.clone(), method.to_owned(), operation))
        })
    };
    paths.flat_map(of_path).filter(|(.., operation)| operation["tags"][0] == tag).collect()
}

fn parameters(page: &mut String, operation: &Value) {
    let of_query: Vec<_> = list(&operation["parameters"])
        .iter()
        .filter(|parameter| parameter["in"] != "path")
        .collect();
    if of_query.is_empty() {
        return;
    }
    page.push_str("<table>");
    for parameter in of_query {
        row(
            page,
            &text(&parameter["name"]),
            &parameter["schema"],
            &text(&parameter["description"]),
        );
    }
    page.push_str("</table>");
}

fn body(page: &mut String, operation: &Value) {
    let content = &operation["requestBody"]["content"]["application/json"];
    members(page, &content["schema"]);
    if let Some(example) = content.get("example") {
        let _ = write!(page, "<pre>{}</pre>", escaped(&pretty(example)));
    }
}

fn members(page: &mut String, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    page.push_str("<table>");
    for (name, shape) in properties {
        let is_required = list(&schema["required"]).iter().any(|required| required == name);
        let name = if is_required { format!("{name} (required)") } else { name.clone() };
        row(page, &name, shape, &text(&shape["description"]));
    }
    page.push_str("</table>");
}

fn row(page: &mut String, name: &str, shape: &Value, about: &str) {
    let _ = write!(
        page,
        "<tr><td><code>{}</code><td>{}<td>{}",
        escaped(name),
        escaped(&kind(shape)),
        marked(about)
    );
}

/// A shape in a few words.
fn kind(shape: &Value) -> String {
    if let Some(words) = shape["enum"].as_array() {
        let words: Vec<_> = words.iter().filter(|word| !word.is_null()).map(plain).collect();
        return words.join(", ");
    }
    if let Some(name) = shape["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or_default().to_owned();
    }
    for either in ["anyOf", "oneOf"] {
        if let Some(shapes) = shape[either].as_array() {
            let kinds: Vec<_> = shapes.iter().map(kind).filter(|kind| kind != "null").collect();
            return kinds.join(" or ");
        }
    }
    let kinds = match &shape["type"] {
        Value::Array(kinds) => kinds.iter().map(plain).filter(|kind| kind != "null").collect(),
        other => vec![plain(other)],
    };
    let kind_name = kinds.join(" or ");
    match (kind_name.as_str(), shape["minimum"].as_i64(), shape["maximum"].as_i64()) {
        ("array", ..) => format!("list of {}", kind(&shape["items"])),
        ("integer", Some(least), Some(i64::MAX)) => format!("whole number from {least}"),
        ("integer", Some(least), Some(most)) => format!("{least} to {most}"),
        _ => kind_name,
    }
}

fn answers(page: &mut String, document: &Value, operation: &Value) {
    for (status, answer) in operation["responses"].as_object().into_iter().flatten() {
        let about = marked(&text(&answer["description"]));
        let _ = write!(page, "<details><summary><b>{}</b></summary>{about}", escaped(status));
        if status.starts_with('2') {
            let schema = &answer["content"]["application/json"]["schema"];
            members(page, found(document, schema));
        }
        page.push_str("</details>");
    }
}

/// What a schema points to, where it does.
fn found<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let pointed =
        schema["$ref"].as_str().and_then(|name| document.pointer(name.strip_prefix('#')?));
    pointed.unwrap_or(schema)
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

/// Text with code between backticks, and paragraphs.
fn marked(text: &str) -> String {
    let mut marked = String::new();
    for (place, part) in escaped(text).split('`').enumerate() {
        if place % 2 == 1 {
            let _ = write!(marked, "<code>{part}</code>");
        } else {
            marked.push_str(&part.replace("\n\n", "<br>"));
        }
    }
    marked
}
