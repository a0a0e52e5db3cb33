//! Money in whole nano-dollars, prices in whole pico-dollars per unit, and the only rounding in
//! the codebase. No floating point comes near either: they have no `From<f64>` and no `Mul`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount in nano-dollars (10⁻⁹ USD): ±9.2 billion dollars, exactly.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Money(i64);

const NANOS_PER_DOLLAR: i64 = 1_000_000_000;
const DECIMALS: usize = 9;

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount there is.
    pub const MAX: Self = Self(i64::MAX);

    /// This many nano-dollars.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nano-dollars.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The sum, or `None` where it cannot be represented.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// The sum, or the largest amount there is.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or the nearest amount there is.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Reads dollars written as a decimal number: `150`, `0.000001`, `1.5e2`.
    ///
    /// # Errors
    /// Anything that is not a decimal number, is finer than a nano-dollar or does not fit.
    pub fn parse_dollars(text: &str) -> Result<Self, NotMoney> {
        let nanos = decimal_to_units(text, DECIMALS)?;
        i64::try_from(nanos).map(Self).map_err(|_| NotMoney::TooLarge)
    }
}

/// Dollars as a plain decimal number without trailing zeros: `0`, `150`, `-0.00000125`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let per_dollar = NANOS_PER_DOLLAR.unsigned_abs();
        let (whole, rest) = (nanos.div_euclid(per_dollar), nanos.rem_euclid(per_dollar));
        if rest == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{rest:09}");
        write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMoney {
    /// Not a decimal number.
    Malformed,
    /// Finer than the unit can express.
    TooFine,
    /// Beyond what the unit can express.
    TooLarge,
}

/// A rate in pico-dollars (10⁻¹² USD) per unit: per token, call, second, image.
/// One pico-dollar per token is 10⁻⁶ dollars per million tokens, the finest published price.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Price(u64);

impl Price {
    /// Free.
    pub const ZERO: Self = Self(0);

    /// This many pico-dollars per unit.
    pub const fn from_picos(picos: u64) -> Self {
        Self(picos)
    }

    /// Pico-dollars per unit.
    pub const fn picos(self) -> u64 {
        self.0
    }

    /// Reads dollars per million units, as price lists print them: `2.50`, `0.075`.
    ///
    /// # Errors
    /// Not a decimal number, negative, finer than six decimals, or too large.
    pub fn parse_dollars_per_million(text: &str) -> Result<Self, NotMoney> {
        let picos = decimal_to_units(text, 6)?;
        u64::try_from(picos)
            .map(Self)
            .map_err(|_| if picos < 0 { NotMoney::Malformed } else { NotMoney::TooLarge })
    }

    /// Reads dollars per single unit (an image, a call): `0.04`.
    ///
    /// # Errors
    /// Not a decimal number, negative, finer than twelve decimals, or too large.
    pub fn parse_dollars_per_unit(text: &str) -> Result<Self, NotMoney> {
        let picos = decimal_to_units(text, 12)?;
        u64::try_from(picos)
            .map(Self)
            .map_err(|_| if picos < 0 { NotMoney::Malformed } else { NotMoney::TooLarge })
    }
}

/// A sum of price × units that has not been rounded yet, in pico-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Charge(u128);

impl Charge {
    /// Nothing yet.
    pub const ZERO: Self = Self(0);

    /// Adds `units` units at `price`.
    #[must_use]
    pub fn plus(self, price: Price, units: u64) -> Self {
        // u64 × u64 fits u128; the sum saturates far beyond what `Money` could hold.
        Self(self.0.saturating_add(u128::from(price.0).saturating_mul(u128::from(units))))
    }

    /// The amount in nano-dollars, rounded up, once. `None` where it does not fit [`Money`].
    pub fn round_up(self) -> Option<Money> {
        i64::try_from(self.0.div_ceil(1_000)).ok().map(Money)
    }
}

/// `text` as a whole number of 10^-`decimals` units. Accepts JSON's number grammar and a leading
/// zero count of any length; refuses anything a float would have to round.
fn decimal_to_units(text: &str, decimals: usize) -> Result<i128, NotMoney> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.parse::<i32>().map_err(|_| NotMoney::Malformed)?)
        }
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err(NotMoney::Malformed);
    }
    let fraction = fraction.trim_end_matches('0');
    let mut units: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        units = units
            .checked_mul(10)
            .and_then(|u| u.checked_add(i128::from(digit.saturating_sub(b'0'))))
            .ok_or(NotMoney::TooLarge)?;
    }
    if units == 0 {
        return Ok(0);
    }
    let decimals = i32::try_from(decimals).map_err(|_| NotMoney::TooLarge)?;
    let written = i32::try_from(fraction.len()).map_err(|_| NotMoney::TooFine)?;
    let shift = decimals.saturating_sub(written).saturating_add(exponent);
    let scale = 10_i128.checked_pow(shift.unsigned_abs());
    let units = if shift >= 0 {
        scale.and_then(|scale| units.checked_mul(scale)).ok_or(NotMoney::TooLarge)?
    } else {
        let scale = scale.ok_or(NotMoney::TooFine)?;
        if units.checked_rem(scale) != Some(0) {
            return Err(NotMoney::TooFine);
        }
        units.checked_div(scale).ok_or(NotMoney::TooFine)?
    };
    Ok(if negative { units.saturating_neg() } else { units })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dollars_are_read_exactly_or_not_at_all() {
        for (text, nanos) in [
            ("0", Ok(0)),
            ("150", Ok(150_000_000_000)),
            ("0.01", Ok(10_000_000)),
            ("-0.01", Ok(-10_000_000)),
            ("1.50", Ok(1_500_000_000)),
            ("1.5e2", Ok(150_000_000_000)),
            ("1e-9", Ok(1)),
            ("1e-10", Err(NotMoney::TooFine)),
            ("0.0000000001", Err(NotMoney::TooFine)),
            ("0.0000000010", Ok(1)),
            ("1e309", Err(NotMoney::TooLarge)),
            ("1e-999999999", Err(NotMoney::TooFine)),
            ("0e999999999", Ok(0)),
            ("9223372036.854775807", Ok(i64::MAX)),
            ("9223372036.854775808", Err(NotMoney::TooLarge)),
            ("", Err(NotMoney::Malformed)),
            (".5", Err(NotMoney::Malformed)),
            ("5.", Err(NotMoney::Malformed)),
            ("1,5", Err(NotMoney::Malformed)),
            ("NaN", Err(NotMoney::Malformed)),
            ("+1", Err(NotMoney::Malformed)),
            ("1e99999999999", Err(NotMoney::Malformed)),
        ] {
            assert_eq!(Money::parse_dollars(text).map(Money::nanos), nanos, "{text}");
        }
    }

    #[test]
    fn price_lists_are_read_exactly() {
        for (text, picos) in [
            ("2.50", Ok(2_500_000)),
            ("0.075", Ok(75_000)),
            ("0.000001", Ok(1)),
            ("0.0000001", Err(NotMoney::TooFine)),
            ("-1", Err(NotMoney::Malformed)),
        ] {
            assert_eq!(Price::parse_dollars_per_million(text).map(Price::picos), picos, "{text}");
        }
        assert_eq!(Price::parse_dollars_per_unit("0.04").map(Price::picos), Ok(40_000_000_000));
    }

    #[test]
    fn a_sum_is_rounded_up_once() {
        let charge = Charge::ZERO.plus(Price::from_picos(1), 1).plus(Price::from_picos(1), 1);
        assert_eq!(charge.round_up(), Some(Money::from_nanos(1)));
        assert_eq!(Charge::ZERO.round_up(), Some(Money::ZERO));
        assert_eq!(
            Charge::ZERO.plus(Price::from_picos(1_000), 7).round_up(),
            Some(Money::from_nanos(7))
        );
        assert_eq!(Charge::ZERO.plus(Price::from_picos(u64::MAX), u64::MAX).round_up(), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_is_read(nanos: i64) {
            let money = Money::from_nanos(nanos);
            if nanos != i64::MIN {
                prop_assert_eq!(Money::parse_dollars(&money.to_string()), Ok(money));
            }
        }

        #[test]
        fn no_text_makes_a_panic(text in ".{0,40}") {
            let _ = Money::parse_dollars(&text);
            let _ = Price::parse_dollars_per_unit(&text);
        }

        #[test]
        fn rounding_adds_less_than_one_nano_dollar(price in 0..1_u64 << 40, units in 0..1_u64 << 20) {
            let exact = u128::from(price) * u128::from(units);
            let nanos = Charge::ZERO.plus(Price::from_picos(price), units).round_up();
            let nanos = u128::try_from(nanos.map_or(0, Money::nanos)).unwrap_or(0);
            prop_assert!(nanos * 1000 >= exact && nanos * 1000 < exact + 1000);
        }
    }
}
