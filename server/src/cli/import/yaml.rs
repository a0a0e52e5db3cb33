//! YAML turned into JSON, so that both are read alike. Numbers keep their digits; what anchors repeat
//! is bounded by how long the JSON may become, and how deep.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::{Context as _, bail};
use saphyr_parser::{Event, Parser, ScalarStyle};

/// The largest file that is read.
pub(super) const BYTES_MAX: usize = 4 << 20;
/// The longest JSON it may become.
const JSON_BYTES_MAX: usize = 4 * BYTES_MAX;
const DEPTH_MAX: usize = 64;

/// A list or a mapping that has begun.
struct Open {
    is_mapping: bool,
    /// Values so far; in a mapping, keys and values.
    count: usize,
    anchor: usize,
    start: usize,
    /// Where the mapping that `<<` takes over begins.
    merged: Option<usize>,
}

#[derive(Default)]
struct Writer {
    json: String,
    open: Vec<Open>,
    anchors: HashMap<usize, Range<usize>>,
}

/// The first document of `text`, as JSON.
///
/// # Errors
/// It is no YAML, or too much of it.
pub(super) fn to_json(text: &str) -> anyhow::Result<String> {
    let mut writer = Writer::default();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.context("this is no YAML")?;
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_plain = style == ScalarStyle::Plain && !writer.is_key();
                let value = if is_plain { plain(&text) } else { quoted(&text) };
                writer.value(&value, anchor)?;
            }
            Event::Alias(anchor) => {
                let range = writer.anchors.get(&anchor).cloned();
                let value = range.and_then(|range| writer.json.get(range)).map(str::to_owned);
                writer.value(&value.context("an alias stands within what it names")?, 0)?;
            }
            Event::SequenceStart(anchor, _) => writer.begin(false, anchor)?,
            Event::MappingStart(anchor, _) => writer.begin(true, anchor)?,
            Event::SequenceEnd | Event::MappingEnd => writer.end()?,
            Event::DocumentEnd => break,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
        }
    }
    Ok(if writer.json.is_empty() { "null".to_owned() } else { writer.json })
}

impl Writer {
    /// Whether what comes next is the key of a mapping.
    fn is_key(&self) -> bool {
        self.open.last().is_some_and(|open| open.is_mapping && open.count % 2 == 0)
    }

    /// What stands between the value before and the next one.
    fn separate(&mut self) {
        let Some(open) = self.open.last() else { return };
        if open.is_mapping && open.count % 2 == 1 {
            self.json.push(':');
        } else if !self.json.ends_with(['[', '{']) {
            self.json.push(',');
        }
    }

    fn value(&mut self, value: &str, anchor: usize) -> anyhow::Result<()> {
        if self.json.len() + value.len() > JSON_BYTES_MAX {
            bail!("this YAML repeats itself too often");
        }
        if self.is_key() && !value.starts_with('"') {
            bail!("a mapping's key is no text");
        }
        self.separate();
        let start = self.json.len();
        if self.is_key()
            && value == "\"<<\""
            && let Some(open) = self.open.last_mut()
        {
            open.merged = Some(start);
        }
        self.json.push_str(value);
        self.done(anchor, start);
        Ok(())
    }

    fn begin(&mut self, is_mapping: bool, anchor: usize) -> anyhow::Result<()> {
        if self.open.len() >= DEPTH_MAX {
            bail!("this YAML is nested deeper than {DEPTH_MAX}");
        }
        if self.is_key() {
            bail!("a mapping's key is no text");
        }
        self.separate();
        let start = self.json.len();
        self.json.push(if is_mapping { '{' } else { '[' });
        self.open.push(Open { is_mapping, count: 0, anchor, start, merged: None });
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let open = self.open.pop().context("this YAML ends what never began")?;
        self.json.push(if open.is_mapping { '}' } else { ']' });
        self.done(open.anchor, open.start);
        Ok(())
    }

    /// A value that began at `start` is there.
    fn done(&mut self, anchor: usize, start: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, start..self.json.len());
        }
        let Some(open) = self.open.last_mut() else { return };
        open.count += 1;
        // `"<<":{…}` becomes `…`: what the mapping itself says comes later, and goes before it.
        if open.is_mapping
            && open.count % 2 == 0
            && let Some(from) = open.merged.take()
        {
            self.anchors.retain(|_, range| range.start < from);
            let value = self.json.split_off(from);
            let inner = value.strip_prefix("\"<<\":{").and_then(|rest| rest.strip_suffix('}'));
            match inner {
                Some("") if self.json.ends_with(',') => drop(self.json.pop()),
                Some(inner) => self.json.push_str(inner),
                None => self.json.push_str(&value),
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// A scalar without quotes: a number, true, false, null, or a text.
fn plain(text: &str) -> String {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return "null".to_owned(),
        "true" | "True" | "TRUE" => return "true".to_owned(),
        "false" | "False" | "FALSE" => return "false".to_owned(),
        _ => {}
    }
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && serde_json::from_str::<serde_json::Number>(text).is_ok();
    if is_number { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::to_json;

    #[test]
    fn yaml_becomes_json() {
        for (yaml, json) in [
            ("", "null"),
            ("a: 1", r#"{"a":1}"#),
            ("- x\n- 'y'\n- 0.00000250\n- 1e-06\n- 1_0", r#"["x","y",0.00000250,1e-06,"1_0"]"#),
            ("a: {b: [~, True, no]}", r#"{"a":{"b":[null,true,"no"]}}"#),
            ("1: x\ntrue: y", r#"{"1":"x","true":"y"}"#),
            ("a: &x {k: 1}\nb: *x", r#"{"a":{"k":1},"b":{"k":1}}"#),
            ("a: &x {k: 1}\nb:\n  <<: *x\n  l: 2", r#"{"a":{"k":1},"b":{"k":1,"l":2}}"#),
            ("a: &x {}\nb:\n  <<: *x\n  l: 2", r#"{"a":{},"b":{"l":2}}"#),
            ("a: &x {}\nb:\n  l: 2\n  <<: *x\n  m: 3", r#"{"a":{},"b":{"l":2,"m":3}}"#),
            ("a: |\n  \"two\n  lines\n", r#"{"a":"\"two\nlines\n"}"#),
            ("a: 1\n---\nb: 2", r#"{"a":1}"#),
        ] {
            assert_eq!(to_json(yaml).ok().as_deref(), Some(json), "{yaml}");
            assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{json}");
        }
    }

    #[test]
    fn what_is_no_yaml_or_too_much_of_it_is_refused() {
        let deep = "[".repeat(200);
        let bomb: Vec<_> = (0..12)
            .map(|at: u32| {
                let before =
                    at.checked_sub(1).map_or("x".to_owned(), |before| format!("*a{before}"));
                format!("a{at}: &a{at} [{}]", vec![before; 10].join(","))
            })
            .collect();
        let bomb = bomb.join("\n");
        for yaml in ["a: [1", "a: *nobody", "{a: 1}: 2", "a: &x [*x]", "a:\n\t- b", &deep, &bomb] {
            assert!(to_json(yaml).is_err(), "{yaml:.60}");
        }
    }
}
