//! Numbers that other programs write as they like (`2.5e-06`), as plain decimals, digit by digit.

/// `text` times ten to the power of `places`, written plainly; `None` where it is no number, negative,
/// or longer than any amount.
pub(super) fn shifted(text: &str, places: i32) -> Option<String> {
    const DIGITS_MAX: usize = 40;
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Where the point stands, counted from the first digit.
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?.checked_add(places)?;
    if point.unsigned_abs() as usize > DIGITS_MAX || digits.len() > DIGITS_MAX {
        return None;
    }
    if point < 0 {
        digits.insert_str(0, &"0".repeat(point.unsigned_abs() as usize));
    }
    let point = usize::try_from(point).unwrap_or(0);
    while digits.len() < point {
        digits.push('0');
    }
    let (whole, fraction) = digits.split_at(point);
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

#[cfg(test)]
mod tests {
    use super::shifted;

    #[test]
    fn numbers_are_moved_digit_by_digit() {
        for (text, places, expected) in [
            ("0.0000025", 6, Some("2.5")),
            ("2.5e-06", 6, Some("2.5")),
            ("1.5E-7", 6, Some("0.15")),
            ("1e-12", 6, Some("0.000001")),
            ("3", 0, Some("3")),
            ("100.0", 0, Some("100")),
            ("0.0", 6, Some("0")),
            ("0.1", 0, Some("0.1")),
            (".5", 0, Some("0.5")),
            ("1e2", 0, Some("100")),
            ("0.000000123456789", 6, Some("0.123456789")),
            ("-1", 0, None),
            ("", 0, None),
            (".", 0, None),
            ("abc", 0, None),
            ("1e999999999", 0, None),
            ("1e2147483647", 6, None),
            ("NaN", 0, None),
        ] {
            assert_eq!(shifted(text, places).as_deref(), expected, "{text}");
        }
    }
}
