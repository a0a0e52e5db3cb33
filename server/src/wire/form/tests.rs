//! Forms as clients send them, forms that two parsers would read differently, and forms that are
//! none.

use bytes::Bytes;

use super::*;
use crate::wire::{Dialect, Request, Rewrite, read};

const TYPE: &str = "multipart/form-data; boundary=X-y";

fn field(name: &str, value: &str) -> String {
    format!("--X-y\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(name: &str) -> String {
    format!(
        "--X-y\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a b;.mp3\"\r\n\
         Content-Type: audio/mpeg\r\n\r\nID3\0\u{1}--X-y \r\n-\r\n"
    )
}

fn form(parts: &[String]) -> String {
    format!("{}--X-y--\r\n", parts.concat())
}

fn transcription(body: &str) -> Result<Request, Refusal> {
    read(Dialect::Transcriptions, Some(TYPE), Bytes::copy_from_slice(body.as_bytes()))
}

#[test]
fn the_fields_that_matter_are_read() {
    let parts = [file("file"), field("model", "whisper-1"), field("stream", "true")];
    let more = [field("response_format", "srt"), field("temperature", "0")];
    let request = transcription(&form(&[&parts[..], &more[..]].concat())).expect("a form");
    assert_eq!((request.ask.model.as_str(), request.ask.stream), ("whisper-1", true));
    assert!(request.ask.media && !request.ask.input_elsewhere);
    assert_eq!(request.response_format.as_deref(), Some("srt"));
    let quoted = "Multipart/Form-Data; charset=utf-8; boundary=\"X-y\"";
    let body = Bytes::from(form(&[file("image[]"), field("n", "3"), field("prompt", "a cat")]));
    let request = read(Dialect::ImageEdits, Some(quoted), body).expect("a form");
    assert_eq!((request.ask.model.as_str(), request.ask.answers), ("", 3));
}

#[test]
fn only_the_models_name_is_changed() {
    let body = form(&[field("model", "whisper-1"), file("file")]);
    let request = transcription(&body).expect("a form");
    let other = Rewrite { model: Some("whisper-large"), output_cap: Some(5), ..Rewrite::default() };
    let expected = body.replacen("whisper-1", "whisper-large", 1);
    assert_eq!(request.upstream_body(&other), expected.as_bytes());
    let same = Rewrite { model: Some("whisper-1"), ..Rewrite::default() };
    assert_eq!(request.upstream_body(&same).as_ptr(), request.body.as_ptr());
}

#[test]
fn a_field_that_is_wrong_is_named() {
    let rows = [
        (vec![file("file")], Code::MissingParameter, "model"),
        (vec![field("model", "a")], Code::MissingParameter, "file"),
        (vec![file("file"), field("model", "")], Code::InvalidValue, "model"),
        (vec![file("file"), field("model", "a\nb")], Code::InvalidValue, "model"),
        (vec![file("file"), file("model")], Code::InvalidValue, "model"),
        (vec![file("file"), field("Model", "a")], Code::InvalidValue, "model"),
        (vec![file("file"), field(" model", "a")], Code::InvalidValue, "model"),
        (vec![file("file"), field("model[]", "a")], Code::InvalidValue, "model"),
        (vec![field("model", "a"), field("model", "a")], Code::DuplicateJsonKey, "model"),
        (vec![field("model", "a"), field("n", "0")], Code::InvalidValue, "n"),
        (vec![field("model", "a"), field("n", "+1")], Code::InvalidValue, "n"),
        (vec![field("model", "a"), field("stream", "yes")], Code::InvalidValue, "stream"),
        (vec![field("api_base", "http://x")], Code::UnsupportedParameter, "api_base"),
    ];
    for (parts, code, param) in rows {
        let refusal = transcription(&form(&parts)).expect_err(param);
        assert_eq!((refusal.code, refusal.param.as_deref()), (code, Some(param)), "{parts:?}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let whole = form(&[file("file"), field("model", "a")]);
    let disposition = "Content-Disposition: form-data; name=\"model\"";
    let rows = [
        String::new(),
        "--X-y--".to_owned(),
        format!("preamble\r\n{whole}"),
        whole.replace("\r\n", "\n"),
        whole.replace("--X-y--\r\n", ""),
        format!("{whole}{whole}"),
        whole.replace("\r\n--X-y\r\n", "\r\n--X-y \r\n"),
        whole.replace("\r\n--X-y\r\n", "\r\n--X-yz\r\n"),
        whole.replace(disposition, &format!("{disposition}\r\n{disposition}")),
        whole.replace(disposition, &format!("{disposition}; name=\"prompt\"")),
        whole.replace(disposition, "Content-Disposition: form-data; name*=utf-8''model"),
        whole.replace(disposition, "Content-Disposition: form-data;\r\n name=\"model\""),
        whole.replace(disposition, "Content-Disposition : form-data; name=\"model\""),
        whole.replace(disposition, "Content-Disposition: attachment; name=\"model\""),
        whole.replace(disposition, "Content-Disposition: form-data; name=\"mod\\el\""),
        whole.replace(disposition, "Content-Disposition: form-data; name=\"mod%65l\""),
        whole.replace(disposition, "Content-Disposition: form-data; name=\"model"),
        whole.replace(disposition, &format!("{disposition}\r\nContent-Transfer-Encoding: base64")),
        whole.replace(disposition, &format!("{disposition}\r\nContent-Type: multipart/mixed")),
    ];
    for body in rows {
        assert!(transcription(&body).is_err(), "{body}");
    }
    assert!(transcription(&whole).is_ok());
}

#[test]
fn the_content_type_must_name_a_boundary() {
    let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
    let rows = [
        None,
        Some("application/json"),
        Some("multipart/form-data"),
        Some("multipart/form-data; boundary="),
        Some("multipart/form-data; boundary=a; boundary=b"),
        Some("multipart/form-data; boundary=a\u{e9}"),
        Some(long.as_str()),
    ];
    for content_type in rows {
        let refusal = read(Dialect::Transcriptions, content_type, Bytes::from_static(b"--a--"))
            .expect_err("no boundary");
        assert_eq!(refusal.code, Code::UnsupportedMediaType, "{content_type:?}");
    }
}
