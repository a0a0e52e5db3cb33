//! Networks of addresses, as CIDR writes them (RFC 4632, RFC 4291). An address is a value here:
//! nothing is resolved or reached.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt;

use serde::{Deserialize, Serialize};

/// A run of addresses that begin with the same bits: `10.0.0.0/8`, `2001:db8::/32`. A single
/// address is a network of one. No bit is set behind the length, and what IPv6 can write of IPv4
/// (`::ffff:10.0.0.0/104`) is the IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    first: IpAddr,
    length: u8,
}

/// Why a text is no network. Its text is a sentence for whoever wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotANetwork {
    /// Not an address, or something besides one.
    Malformed,
    /// What stands behind the slash is no number from 0 to this.
    Length(u8),
    /// Bits are set behind the length. This network was meant, or another length.
    HostBits(Network),
}

impl Network {
    /// Reads an address, or an address and a number of bits: `203.0.113.7`, `10.0.0.0/8`.
    ///
    /// # Errors
    /// It is neither, or has bits set behind its length.
    pub fn parse(text: &str) -> Result<Self, NotANetwork> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotANetwork::Malformed)?;
        let most = width(address);
        let length = length.map_or(Some(most), |text| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit());
            let plain = plain && (text == "0" || !text.starts_with('0'));
            text.parse().ok().filter(|length| plain && *length <= most)
        });
        let length = length.ok_or(NotANetwork::Length(most))?;
        let network = Self { first: cleared(address, most.saturating_sub(length)), length };
        if network.first != address {
            return Err(NotANetwork::HostBits(network.canonical()));
        }
        Ok(network.canonical())
    }

    /// Whether `address` is in it. An IPv4 address that is written as IPv6 is one of IPv4; no other
    /// IPv4 address is in any network of IPv6, not even in `::/0`.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let hosts = width(self.first).saturating_sub(self.length);
        // Of the other kind of address it is not equal, whatever was cleared.
        cleared(address, hosts) == self.first
    }

    /// Whether every address in `other` is in it.
    pub fn covers(self, other: Self) -> bool {
        self.length <= other.length && self.contains(other.first)
    }

    /// The same, as IPv4 where it lies in what IPv6 keeps for that.
    fn canonical(self) -> Self {
        match (self.first.to_canonical(), self.length.checked_sub(96)) {
            (first @ IpAddr::V4(_), Some(length)) if self.first.is_ipv6() => Self { first, length },
            _ => self,
        }
    }
}

/// How many bits such an address has.
const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// `address` without its last `bits` bits.
fn cleared(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(four) => {
            let mask = u32::MAX.checked_shl(bits).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(four.to_bits() & mask))
        }
        IpAddr::V6(six) => {
            let mask = u128::MAX.checked_shl(bits).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & mask))
        }
    }
}

/// A network of one address is written as the address.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        if self.length < width(self.first) { write!(f, "/{}", self.length) } else { Ok(()) }
    }
}

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str(
                "It is neither an IP address nor a network. Write 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32.",
            ),
            Self::Length(most) => {
                write!(f, "What stands behind the slash is a whole number from 0 to {most}.")
            }
            Self::HostBits(network) => write!(
                f,
                "It has bits set behind its length. The network is {network}; an address alone is written without a length."
            ),
        }
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    #[test]
    fn a_network_holds_the_addresses_that_begin_like_it() {
        for (text, address, inside) in [
            ("203.0.113.7", "203.0.113.7", true),
            ("203.0.113.7/32", "203.0.113.8", false),
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("192.0.2.4/31", "192.0.2.4", true),
            ("192.0.2.4/31", "192.0.2.5", true),
            ("192.0.2.4/31", "192.0.2.6", false),
            ("192.0.2.4/31", "192.0.2.3", false),
            ("128.0.0.0/1", "128.0.0.0", true),
            ("128.0.0.0/1", "127.255.255.255", false),
            ("0.0.0.0/0", "0.0.0.0", true),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::", true),
            ("::/0", "2001:db8::1", true),
            ("::/0", "10.0.0.1", false),
            ("::/0", "::ffff:10.0.0.1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::", false),
            ("2001:db8::1", "2001:db8::1", true),
            ("2001:db8::1/128", "2001:db8::2", false),
            ("2001:db8::/127", "2001:db8::1", true),
            ("2001:db8::/127", "2001:db8::2", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("0.0.0.0/0", "::ffff:1.2.3.4", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "11.1.2.3", false),
            ("::ffff:10.1.2.3", "10.1.2.3", true),
            ("::ffff:0:0/96", "192.0.2.1", true),
            // The address of IPv4 in IPv6 that was given up (RFC 4291, 2.5.5.1) is not IPv4.
            ("10.0.0.0/8", "::10.1.2.3", false),
        ] {
            assert_eq!(
                network(text).contains(address.parse().unwrap()),
                inside,
                "{text} {address}"
            );
        }
    }

    #[test]
    fn a_network_is_written_in_one_way() {
        for (text, written) in [
            ("203.0.113.7", "203.0.113.7"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:DB8:0:0::/32", "2001:db8::/32"),
            ("2001:db8::1/128", "2001:db8::1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(network(text).to_string(), written, "{text}");
            let json = serde_json::to_string(&network(text)).unwrap();
            assert_eq!(json, format!("\"{written}\""));
            assert_eq!(serde_json::from_str::<Network>(&json).unwrap(), network(text));
        }
        assert!(serde_json::from_str::<Network>("\"10.0.0.1/8\"").is_err());
    }

    #[test]
    fn what_is_no_network_is_told_apart() {
        for text in [
            "",
            " ",
            "/",
            "/8",
            "10",
            "10.0.0/8",
            "10.0.0.0.0",
            "010.0.0.0/8",
            "256.0.0.0/8",
            " 10.0.0.0/8",
            "10.0.0.0 /8",
            "localhost",
            "*",
            "fe80::1%eth0",
            "[::1]",
            "10.0.0.1:80",
            "2001:db8:::/32",
        ] {
            assert_eq!(Network::parse(text), Err(NotANetwork::Malformed), "{text}");
        }
        for (text, most) in [
            ("10.0.0.0/", 32),
            ("10.0.0.0/33", 32),
            ("10.0.0.0/-1", 32),
            ("10.0.0.0/+8", 32),
            ("10.0.0.0/08", 32),
            ("10.0.0.0/8 ", 32),
            ("10.0.0.0/8/8", 32),
            ("10.0.0.0/256", 32),
            ("10.0.0.0/255.0.0.0", 32),
            ("::/129", 128),
            ("::/a", 128),
        ] {
            assert_eq!(Network::parse(text), Err(NotANetwork::Length(most)), "{text}");
        }
        for (text, meant) in [
            ("10.0.0.1/8", "10.0.0.0/8"),
            ("192.0.2.5/31", "192.0.2.4/31"),
            ("1.2.3.4/0", "0.0.0.0/0"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::1/0", "::/0"),
            ("::ffff:10.0.0.1/104", "10.0.0.0/8"),
            ("::ffff:0:0/95", "::fffe:0:0/95"),
        ] {
            assert_eq!(Network::parse(text), Err(NotANetwork::HostBits(network(meant))), "{text}");
            assert!(Network::parse(text).unwrap_err().to_string().contains(meant), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_inside_when_its_first_bits_are_the_same(
            one: u32, other: u32, shared in 0..=32_u8, length in 0..=32_u8,
        ) {
            let bits = |value: u32| format!("{value:032b}");
            // Addresses at random share few bits: here they share as many as the case says.
            let keep = u32::MAX.checked_shl(32 - u32::from(shared)).unwrap_or(0);
            let other = (one & keep) | (other & !keep);
            let first = one & u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            let network = network(&format!("{}/{length}", Ipv4Addr::from_bits(first)));
            let inside = bits(one)[..length.into()] == bits(other)[..length.into()];
            let address = Ipv4Addr::from_bits(other);
            prop_assert_eq!(network.contains(address.into()), inside);
            prop_assert_eq!(network.contains(address.to_ipv6_mapped().into()), inside);
            prop_assert_eq!(Network::parse(&network.to_string()), Ok(network));
        }
    }
}
