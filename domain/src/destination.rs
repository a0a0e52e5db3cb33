//! Where a provider may be, when its address comes over the admin API: a secret, and every prompt,
//! is sent there. Addresses are judged as they are written, in whatever spelling, and again when a
//! name was resolved to them; nothing is resolved here.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::refusal::{Code, Refusal};

/// How far a destination is from the public internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Anybody's.
    Public,
    /// This machine, or the networks that are private by their number.
    Private,
    /// Nobody's that a provider could be at: link-local (where clouds keep their metadata), shared
    /// by a carrier, unspecified, reserved.
    Never,
}

/// Judges the host of a base URL, as it stands between `//` and the port or path; `private` says
/// whether this machine and private networks may be called.
///
/// # Errors
/// It is no host, or one that may not be called.
pub fn judge(host: &str, private: bool) -> Result<(), Refusal> {
    let no = |why: &str| {
        Err(Refusal::new(Code::DestinationNotAllowed, format!("base_url {why}")).about("base_url"))
    };
    match reach(host) {
        None => no(
            "has a host that is neither a name nor an address in its plain form: write https://api.example.com/v1.",
        ),
        Some(Reach::Never) => no(
            "leads to an address where no provider can be (link-local, shared, unspecified or reserved).",
        ),
        Some(Reach::Private) if !private => no(
            "leads to this machine or a private network. Whoever operates this gateway can allow that with allow_private_destinations, or write the provider into weir.toml.",
        ),
        Some(Reach::Private | Reach::Public) => Ok(()),
    }
}

/// Whether a provider may be at `address`, which a name was resolved to; `private` says whether this
/// machine and private networks may be called.
pub fn may_be_at(address: IpAddr, private: bool) -> bool {
    let reach = match address {
        IpAddr::V4(four) => of_four(four),
        IpAddr::V6(six) => of_six(six),
    };
    reach == Reach::Public || (private && reach == Reach::Private)
}

/// `None` where it is no host.
fn reach(host: &str) -> Option<Reach> {
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(of_six(address));
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    // Whatever ends in a number is an address to resolvers: 127.1, 0x7f000001, 2130706433. Only the
    // plain form is understood in one way everywhere.
    let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    if is_number || last.starts_with("0x") {
        let plain: Ipv4Addr = host.parse().ok()?;
        return Some(of_four(plain));
    }
    if name.len() > 253 || !name.split('.').all(is_label) {
        return None;
    }
    Some(of_name(&name, last))
}

fn is_label(label: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Names that are reserved for what is near (RFC 6761, RFC 6762, RFC 9476), and names of one label,
/// which only a local resolver knows.
fn of_name(name: &str, last: &str) -> Reach {
    if name == "metadata.google.internal" || name == "metadata" || name == "instance-data" {
        return Reach::Never;
    }
    let near = ["localhost", "local", "internal", "localdomain", "lan", "home", "arpa"];
    if name == last || near.contains(&last) { Reach::Private } else { Reach::Public }
}

/// By IANA's registry of special IPv4 addresses.
fn of_four(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [10 | 127, ..] | [192, 168, ..] | [172, 16..=31, ..] => Reach::Private,
        [0 | 224..=255, ..]
        | [100, 64..=127, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18..=19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        // Azure's own services answer there, to every machine in it.
        | [168, 63, 129, 16] => Reach::Never,
        _ => Reach::Public,
    }
}

/// By IANA's registry of special IPv6 addresses. What carries an IPv4 address is judged as that.
fn of_six(address: Ipv6Addr) -> Reach {
    if let IpAddr::V4(four) = address.to_canonical() {
        return of_four(four);
    }
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        of_four(Ipv4Addr::new(a, b, c, d))
    };
    // A way through IPv6 to an address is not the address: what is private is not reached so.
    let only_public = |reach| if reach == Reach::Public { reach } else { Reach::Never };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Private,
        [0, 0, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => only_public(of(high, low)),
        // AWS keeps metadata in a private network. Teredo, documentation and the like lie in
        // 2001::/23, 2001:db8::/32 and 3fff::/20.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
        | [0x2001, 0..=0x1ff | 0xdb8, ..]
        | [0x3fff, 0..=0xfff, ..] => Reach::Never,
        [0xfc00..=0xfdff, ..] => Reach::Private,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn public_names_and_addresses_are_destinations() {
        for host in [
            "api.openai.com",
            "api.example.com.",
            "xn--bcher-kva.example",
            "8.8.8.8",
            "[2606:4700::1111]",
            "[2002:808:808::]",
            "my_azure.openai.azure.com",
        ] {
            assert_eq!(reach(host), Some(Reach::Public), "{host}");
            assert!(judge(host, false).is_ok());
        }
    }

    #[test]
    fn this_machine_and_private_networks_have_to_be_allowed() {
        for host in [
            "127.0.0.1",
            "127.255.255.254",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "ollama",
            "gpu.lan",
            "10.0.0.5",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:0a00:0001]",
            "[fd12::1]",
        ] {
            assert_eq!(reach(host), Some(Reach::Private), "{host}");
            assert!(judge(host, false).is_err() && judge(host, true).is_ok());
        }
    }

    #[test]
    fn no_spelling_leads_to_metadata_or_nowhere() {
        for host in [
            "0.0.0.0",
            "0.0.0.1",
            "169.254.169.254",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[::a9fe:a9fe]",
            "[2002:a9fe:a9fe::]",
            "[2002:7f00:1::]",
            "[64:ff9b::a9fe:a9fe]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::a9fe:a9fe]",
            "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
            "[::]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[fd00:ec2::254]",
            "100.64.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "224.0.0.1",
            "255.255.255.255",
            "metadata.google.internal",
            "metadata.google.internal.",
        ] {
            assert_eq!(reach(host), Some(Reach::Never), "{host}");
            assert!(judge(host, true).is_err());
            let address = host.trim_matches(['[', ']']).parse();
            assert!(address.map_or(true, |address| !may_be_at(address, true)), "{host}");
        }
        for host in [
            "",
            ".",
            "127.1",
            "0x7f000001",
            "0x7f.1",
            "2130706433",
            "017700000001",
            "0177.0.0.1",
            "127.0.0.1.",
            "169.254.169.254.",
            "1.2.3.4.5",
            "a..b",
            "-a.org",
            "xn--example-.org",
            "user@host",
            "a b.org",
            "bücher.example",
            "a%2eb",
            "[::1",
            "[fe80::1%eth0]",
            "[127.0.0.1]",
        ] {
            assert_eq!(reach(host), None, "{host}");
            assert!(judge(host, true).is_err());
        }
    }

    proptest! {
        #[test]
        fn an_address_within_another_reaches_no_further(bits: u32) {
            let four = Ipv4Addr::from_bits(bits);
            let [a, b, c, d] = four.octets();
            let plain = reach(&four.to_string());
            prop_assert_eq!(reach(&format!("[::ffff:{four}]")), plain);
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for host in [format!("[2002:{high:x}:{low:x}::1]"), format!("[64:ff9b::{high:x}:{low:x}]")] {
                prop_assert_eq!(reach(&host) == Some(Reach::Public), plain == Some(Reach::Public));
            }
        }

        #[test]
        fn no_text_makes_a_panic(text in "\\PC{0,80}") {
            let _ = judge(&text, true);
        }
    }
}
