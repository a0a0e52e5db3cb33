//! Reading the parameters of a query string, each with a clear error that names it. Parameters that
//! nobody asked for are errors too. What values mean is the surfaces' business.

use std::collections::BTreeMap;

use domain::{Code, Refusal, Timestamp};

use crate::surface::fields::{invalid, nothing_left};

/// The parameters of a query string that have not been asked for yet.
pub struct Query {
    pub(super) parameters: BTreeMap<String, String>,
    /// What was asked for, whether it was there or not.
    known: Vec<String>,
}

impl Query {
    /// Reads `a=1&b=2`, percent-encoded.
    ///
    /// # Errors
    /// A parameter comes twice, or its encoding is broken.
    pub fn read(query: Option<&str>) -> Result<Self, Refusal> {
        let mut parameters = BTreeMap::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(Refusal::new(
                    Code::InvalidValue,
                    "The query string's encoding is broken.",
                ));
            };
            let shown: String = name.chars().take(40).collect();
            if parameters.insert(name, value).is_some() {
                return Err(Refusal::new(
                    Code::InvalidValue,
                    format!("The query parameter '{shown}' comes twice."),
                )
                .about(shown));
            }
        }
        Ok(Self { parameters, known: Vec::new() })
    }

    /// What is left to be asked for, but for `without`; the same for the same parameters in whatever
    /// order.
    pub fn rest(&self, without: &[&str]) -> String {
        let rest = self.parameters.iter().filter(|(name, _)| !without.contains(&name.as_str()));
        format!("{:?}", rest.collect::<Vec<_>>())
    }

    /// One of a few words.
    pub fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Refusal> {
        let Some(text) = self.said(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            invalid(name, &format!("one of {}", known.join(", ")))
        })
    }

    /// A parameter's text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        // Forms send what was left blank.
        self.said(name).filter(|text| !text.is_empty())
    }

    /// The same, left blank or not.
    pub fn said(&mut self, name: &str) -> Option<String> {
        self.known.push(name.to_owned());
        self.parameters.remove(name)
    }

    /// A whole number from `least` to `most`.
    pub fn number(&mut self, name: &str, least: u32, most: u32) -> Result<Option<u32>, Refusal> {
        let Some(text) = self.said(name) else { return Ok(None) };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && (least..=most).contains(number));
        number
            .map(Some)
            .ok_or_else(|| invalid(name, &format!("a whole number from {least} to {most}")))
    }

    /// True or false.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.said(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(invalid(name, "true or false")),
        }
    }

    /// A moment in RFC 3339, or a date, which is its UTC midnight.
    pub fn moment(&mut self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        let Some(text) = self.said(name) else { return Ok(None) };
        let moment =
            text.parse::<jiff::Timestamp>().or_else(|_| format!("{text}T00:00:00Z").parse());
        let moment = moment.map_err(|_| {
            invalid(name, "a moment like 2026-11-01T00:00:00Z or a date like 2026-11-01")
        })?;
        Ok(Some(Timestamp::from_micros(moment.as_microsecond())))
    }

    /// Something with a text form.
    pub fn parsed<T: std::str::FromStr>(
        &mut self,
        name: &str,
        wanted: &str,
    ) -> Result<Option<T>, Refusal> {
        let text = self.said(name);
        text.map(|text| text.parse().map_err(|_| invalid(name, wanted))).transpose()
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// A parameter that this route does not know.
    pub fn end(self) -> Result<(), Refusal> {
        nothing_left(self.parameters.into_keys(), "query parameter", self.known)
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}
