//! Rules against tables, and against a plain model of what they mean.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::id::{KeyId, ProjectId, TeamId, UserId};
use crate::key::{Key, KeyKind, KeyState};
use crate::scope::{Lineage, Owner};
use crate::time::Timestamp;

fn now() -> Timestamp {
    Timestamp::from_seconds(0)
}

fn key_scope() -> Scope {
    Scope::Key(KeyId::new(now(), 1))
}

fn scopes() -> [Scope; 5] {
    let (project, team) = (ProjectId::new(now(), 2), TeamId::new(now(), 3));
    let user = Scope::User(UserId::new(now(), 4));
    [Scope::Instance, Scope::Project(project), Scope::Team(team), user, key_scope()]
}

fn patterns(names: &[&str]) -> Vec<Pattern> {
    names.iter().filter_map(|name| Pattern::new(name)).collect()
}

fn networks(texts: &[&str]) -> Vec<Network> {
    texts.iter().map(|text| Network::parse(text).unwrap()).collect()
}

fn models(allowed: &[&str], denied: &[&str]) -> Rules {
    Rules { allowed_models: patterns(allowed), denied_models: patterns(denied), ..Rules::default() }
}

fn paid(input: Option<u64>, output: Option<u64>) -> PriceTag {
    let price = |picos: Option<u64>| picos.map(Price::from_picos);
    PriceTag::Paid { input: price(input), output: price(output) }
}

const GPT: Target<'_> =
    Target { provider: "openai", model: "gpt-4o", also: &[], price: PriceTag::Unknown };

fn code(rules: &Rules, target: Target<'_>) -> Option<Code> {
    judge([(key_scope(), rules)], target, |_| None).err().map(|no| no.code)
}

#[test]
fn deny_wins_and_an_alias_stands_for_its_target() {
    let also = ["gpt-4o-2024-11-20".to_owned()];
    let target = Target { also: &also, ..GPT };
    let expand = |name: &str| match name {
        "fast" => Some("openai/gpt-4o"),
        "dated" => Some("openai/gpt-4o-2024-11-20"),
        _ => None,
    };
    for (allowed, denied, code) in [
        (&[][..], &[][..], None),
        (&["gpt-4o"], &[], None),
        (&["openai/gpt-4o"], &[], None),
        (&["fast"], &[], None),
        (&["gpt-4"], &[], Some(Code::ModelNotAllowed)),
        (&["gpt-4o"], &["openai/*"], Some(Code::ModelNotAllowed)),
        (&["gpt-4o"], &["fast"], Some(Code::ModelNotAllowed)),
        (&[], &["gpt-4o-2024-11-20"], Some(Code::ModelNotAllowed)),
        (&[], &["openai/gpt-4o-2024-11-20"], Some(Code::ModelNotAllowed)),
        (&[], &["dated"], Some(Code::ModelNotAllowed)),
        (&[], &["azure/gpt-4o-2024-11-20"], None),
        (&["gpt-4o-2024-11-20"], &[], Some(Code::ModelNotAllowed)),
        (&["dated"], &[], Some(Code::ModelNotAllowed)),
    ] {
        let verdict = judge([(key_scope(), &models(allowed, denied))], target, expand);
        assert_eq!(verdict.err().map(|no| no.code), code, "{allowed:?} {denied:?}");
    }
}

#[test]
fn an_unknown_price_is_never_free() {
    let max = |input: Option<u64>, output: Option<u64>| Rules {
        max_price: MaxPrice {
            input: input.map(Price::from_picos),
            output: output.map(Price::from_picos),
        },
        ..Rules::default()
    };
    let allowed = |tiers: &[Tier]| Rules { allowed_pricing: tiers.to_vec(), ..Rules::default() };
    let denied = |tiers: &[Tier]| Rules { denied_pricing: tiers.to_vec(), ..Rules::default() };
    let both = Rules { denied_pricing: vec![Tier::Paid], ..allowed(&[Tier::Free, Tier::Paid]) };
    let (free, unknown, five) = (PriceTag::Free, PriceTag::Unknown, paid(Some(2), Some(5)));
    let (embedding, answer) = (paid(Some(2), None), paid(None, Some(5)));
    let zero = paid(Some(0), Some(0));
    //                           free   unknown  2 and 5  only 2  only 5  0 and 0
    for (rules, passes) in [
        (Rules::default(), [true, true, true, true, true, true]),
        (allowed(&[]), [true, true, true, true, true, true]),
        (allowed(&[Tier::Free]), [true, false, false, false, false, false]),
        (allowed(&[Tier::Paid]), [false, true, true, true, true, true]),
        (allowed(&[Tier::Free, Tier::Paid]), [true, true, true, true, true, true]),
        (denied(&[Tier::Free]), [false, true, true, true, true, true]),
        (denied(&[Tier::Paid]), [true, false, false, false, false, false]),
        (denied(&[Tier::Free, Tier::Paid]), [false, false, false, false, false, false]),
        (both, [true, false, false, false, false, false]),
        (max(Some(2), None), [true, false, true, true, false, true]),
        (max(Some(1), None), [true, false, false, false, false, true]),
        (max(None, Some(5)), [true, false, true, true, true, true]),
        (max(None, Some(4)), [true, false, false, true, false, true]),
        (max(Some(2), Some(5)), [true, false, true, true, false, true]),
        (max(Some(2), Some(4)), [true, false, false, true, false, true]),
        // A bound of nothing is a bound.
        (max(Some(0), Some(0)), [true, false, false, false, false, true]),
    ] {
        for (price, passes) in
            [free, unknown, five, embedding, answer, zero].into_iter().zip(passes)
        {
            let expected = (!passes).then_some(Code::PriceNotAllowed);
            for model in ["gpt-4o", ""] {
                let target = Target { model, price, ..GPT };
                assert_eq!(code(&rules, target), expected, "{rules:?} {price:?} '{model}'");
            }
        }
    }
}

#[test]
fn what_is_absent_is_no_rule_and_what_fits_nothing_is_one() {
    let read = |json: &str| serde_json::from_str::<Rules>(json).unwrap();
    for json in [
        "{}",
        r#"{"allowed_models":[],"denied_models":[],"allowed_pricing":[],"allowed_addresses":[]}"#,
        r#"{"max_price":{}}"#,
        r#"{"max_price":{"input":null,"output":null}}"#,
    ] {
        let rules = read(json);
        assert!(rules.is_empty() && rules.any_model() && !rules.asks_price(), "{json}");
        assert_eq!(rules, Rules::default(), "{json}");
        assert_eq!(code(&rules, GPT), None, "{json}");
    }
    for (json, any_model, asks_price) in [
        (r#"{"allowed_models":["nothing"]}"#, false, false),
        (r#"{"denied_models":["nothing"]}"#, false, false),
        (r#"{"allowed_providers":["nothing"]}"#, true, false),
        (r#"{"denied_providers":["nothing"]}"#, true, false),
        (r#"{"allowed_pricing":["free"]}"#, false, true),
        (r#"{"denied_pricing":["paid"]}"#, false, true),
        (r#"{"max_price":{"input":0}}"#, false, true),
        (r#"{"max_price":{"output":0}}"#, false, true),
        (r#"{"allowed_addresses":["10.0.0.0/8"]}"#, true, false),
        (r#"{"denied_addresses":["::/0"]}"#, true, false),
    ] {
        let rules = read(json);
        assert!(!rules.is_empty(), "{json}");
        assert_eq!((rules.any_model(), rules.asks_price()), (any_model, asks_price), "{json}");
        let again = serde_json::to_string(&rules).unwrap();
        assert_eq!(read(&again), rules, "{json}");
    }
    // A call without a model is none of the rules about models.
    assert_eq!(code(&models(&["gpt-4o"], &["*"]), Target { model: "", ..GPT }), None);
    for json in [r#"{"allowed_pricing":["cheap"]}"#, r#"{"allowed_addresses":["10.0.0.1/8"]}"#] {
        assert!(serde_json::from_str::<Rules>(json).is_err(), "{json}");
    }
}

#[test]
fn an_address_passes_every_layer_or_none() {
    let rules = |allowed: &[&str], denied: &[&str]| Rules {
        allowed_addresses: networks(allowed),
        denied_addresses: networks(denied),
        ..Rules::default()
    };
    let office = rules(&["10.0.0.0/8", "2001:db8::/32"], &["10.9.0.0/16"]);
    let not_one = rules(&[], &["10.0.0.1"]);
    for (address, allowed) in [
        ("10.0.0.2", true),
        ("::ffff:10.0.0.2", true),
        ("10.0.0.1", false),
        ("::ffff:10.0.0.1", false),
        ("10.9.1.1", false),
        ("192.0.2.1", false),
        ("2001:db8::1", true),
        ("2001:db9::1", false),
    ] {
        let address: IpAddr = address.parse().unwrap();
        let layers = [(Scope::Instance, &office), (key_scope(), &not_one)];
        let verdict = judge_address(layers, address).map_err(|no| no.code);
        assert_eq!(verdict.is_ok(), allowed, "{address}");
        assert!(verdict.is_ok() || verdict == Err(Code::AddressNotAllowed), "{address}");
        assert_eq!(explain_address(layers, address).iter().all(|said| said.allows), allowed);
        assert_eq!(code(&office, GPT), None, "where a call goes is not where it comes from");
    }
    assert!(judge_address([(key_scope(), &models(&["x"], &[]))], [10, 0, 0, 1].into()).is_ok());
}

#[test]
fn a_refusal_says_what_whose_and_who_can_change_it() {
    let [instance, project, team, user, key] = scopes();
    let providers = Rules { allowed_providers: patterns(&["azure"]), ..Rules::default() };
    let free = Rules { allowed_pricing: vec![Tier::Free], ..Rules::default() };
    let unpaid = Rules { denied_pricing: vec![Tier::Paid], ..Rules::default() };
    let dollars = |text| Price::parse_dollars_per_million(text).ok();
    let max = |input, output| Rules { max_price: MaxPrice { input, output }, ..Rules::default() };
    let dear = PriceTag::Paid { input: dollars("2.50"), output: dollars("10") };
    for (scope, rules, price, message) in [
        (
            key,
            models(&[], &["gpt-*"]),
            dear,
            "This key may not use model 'gpt-4o': this key's rule denied_models has 'gpt-*'. Whoever administers the key can change that.",
        ),
        (
            user,
            models(&["o3"], &[]),
            dear,
            "This key may not use model 'gpt-4o': the rule allowed_models of this key's user has no 'gpt-4o'. Whoever administers the user can change that.",
        ),
        (
            team,
            providers,
            dear,
            "This key may not use provider 'openai': the rule allowed_providers of this key's team has no 'openai'. Whoever administers the team can change that.",
        ),
        (
            project,
            free,
            dear,
            "This key may not use model 'gpt-4o': at 'openai' it is paid, and the rule allowed_pricing of this key's project has no 'paid'. Whoever administers the project can change that.",
        ),
        (
            key,
            unpaid,
            PriceTag::Unknown,
            "This key may not use model 'gpt-4o': at 'openai' it has no price that is known, which counts as paid, and this key's rule denied_pricing has 'paid'. Whoever administers the key can change that.",
        ),
        (
            instance,
            max(dollars("2.4"), None),
            dear,
            "This key may not use model 'gpt-4o': at 'openai' a million input tokens cost up to 2.5 dollars, and the rule max_price.input of this gateway is 2.4. Whoever operates this gateway can change that.",
        ),
        (
            key,
            max(None, dollars("5")),
            PriceTag::Unknown,
            "This key may not use model 'gpt-4o': what output tokens cost at 'openai' is not known, and this key's rule max_price.output is 5 dollars for a million. Whoever administers the key can change that.",
        ),
    ] {
        let no = judge([(scope, &rules)], Target { price, ..GPT }, |_| None).unwrap_err();
        assert_eq!((no.message.as_str(), no.param.as_deref()), (message, Some("model")));
    }
    let rules = Rules { denied_addresses: networks(&["10.0.0.0/8"]), ..Rules::default() };
    let no = judge_address([(team, &rules)], "::ffff:10.1.2.3".parse().unwrap()).unwrap_err();
    assert_eq!(
        (no.message.as_str(), no.param.as_deref()),
        (
            "This key may not be used from 10.1.2.3: the rule denied_addresses of this key's team has '10.0.0.0/8'. Whoever administers the team can change that.",
            None
        )
    );
    let target = Target { model: "", price: PriceTag::Unknown, ..GPT };
    let no = judge([(key, &max(dollars("1"), None))], target, |_| None).unwrap_err();
    let start = "This key may not use provider 'openai' without a model: what input tokens cost";
    assert!(no.message.starts_with(start), "{}", no.message);
}

#[test]
fn an_explanation_goes_on_where_a_judgement_stops() {
    let [instance, .., key] = scopes();
    let wide = Rules {
        denied_models: patterns(&["o3", "gpt-*", "*"]),
        allowed_providers: patterns(&["azure"]),
        max_price: MaxPrice { input: Some(Price::from_picos(2_500_000)), output: None },
        ..Rules::default()
    };
    let narrow = Rules {
        allowed_models: patterns(&["gpt-4", "gpt-4o"]),
        denied_models: patterns(&["o3"]),
        denied_pricing: vec![Tier::Paid],
        ..Rules::default()
    };
    let target = Target { price: paid(Some(1), Some(1)), ..GPT };
    let said = explain([(instance, &wide), (key, &narrow)], target, |_| None);
    let said: Vec<_> =
        said.iter().map(|s| (s.scope, s.rule, s.entry.as_deref(), s.allows)).collect();
    assert_eq!(
        said,
        [
            (instance, "allowed_providers", None, false),
            (instance, "denied_models", Some("gpt-*"), false),
            (instance, "max_price.input", Some("2.5"), true),
            (key, "allowed_models", Some("gpt-4o"), true),
            (key, "denied_pricing", Some("paid"), false),
        ]
    );
}

fn caller(rules: Rules) -> Caller {
    let key = Key {
        id: KeyId::new(now(), 1),
        kind: KeyKind::Regular,
        name: "test".to_owned(),
        maker: None,
        project: ProjectId::DEFAULT,
        user: None,
        team: None,
        secrets: Vec::new(),
        listed: false,
        metadata: std::collections::BTreeMap::new(),
        rules,
        limits: Vec::new(),
        state: KeyState::Active,
        expires_at: None,
        created_at: now(),
        updated_at: now(),
        revision: 1,
    };
    let owner = |scope| Arc::new(Owner::new(scope, "any", now()));
    let (instance, project) = (owner(Scope::Instance), owner(Scope::Project(key.project)));
    let lineage = Lineage { instance, project, team: None, user: None, key: Arc::new(key) };
    lineage.identify_itself(KeyKind::Regular, now()).unwrap()
}

/// A provider, and what its input tokens cost.
type Route = (&'static str, u64);

fn target(route: &Route) -> Target<'_> {
    Target { provider: route.0, price: paid(Some(route.1), None), ..GPT }
}

#[test]
fn routes_that_are_too_dear_are_dropped_and_the_rest_keep_their_order() {
    let max = MaxPrice { input: Some(Price::from_picos(5)), output: None };
    let rules = Rules { max_price: max, ..Rules::default() };
    let admit = |rules: &Rules, routes: &[Route]| {
        let permit = admit(caller(rules.clone()), routes.to_vec(), target, |_| None);
        permit.map(|permit| permit.into_parts().1)
    };
    let routes = [("a", 6), ("b", 5), ("c", 9), ("d", 1)];
    assert_eq!(admit(&rules, &routes), Ok(vec![("b", 5), ("d", 1)]));
    assert_eq!(admit(&Rules::default(), &routes), Ok(routes.to_vec()));
    let no = admit(&rules, &[("a", 6), ("c", 9)]).unwrap_err();
    assert_eq!(no.code, Code::PriceNotAllowed);
    assert!(no.message.contains("at 'a'"), "the first route's: {}", no.message);
    for rules in [rules, Rules::default()] {
        assert_eq!(admit(&rules, &[]).unwrap_err().code, Code::ModelNotFound);
    }
}

/// What rules mean, written as plainly as can be: one question at a time, no order anywhere.
mod meaning {
    use super::*;

    fn agrees<T>(
        allowed: &[T],
        denied: &[T],
        is: impl Fn(&T) -> bool,
        is_also: impl Fn(&T) -> bool,
    ) -> bool {
        (allowed.is_empty() || allowed.iter().any(&is))
            && !denied.iter().any(|t| is(t) || is_also(t))
    }

    pub(super) fn allows(rules: &Rules, target: Target<'_>, alias: (&str, &str)) -> bool {
        let means = |entry: &Pattern, name: &str| {
            let texts = [entry.as_str(), if entry.as_str() == alias.0 { alias.1 } else { "" }];
            let names = [name.to_owned(), format!("{}/{name}", target.provider)];
            texts
                .iter()
                .filter_map(|text| Pattern::new(text))
                .any(|p| names.iter().any(|n| p.fits(n)))
        };
        let also = |entry: &Pattern| target.also.iter().any(|name| means(entry, name));
        let provider = |entry: &Pattern| entry.fits(target.provider);
        let model = |entry: &Pattern| means(entry, target.model);
        let tier = |tier: &Tier| (*tier == Tier::Free) == (target.price == PriceTag::Free);
        let cheap = |most: Option<Price>, output: bool| match (most, target.price) {
            (None, _) | (Some(_), PriceTag::Free) => true,
            (Some(_), PriceTag::Unknown) => false,
            (Some(most), PriceTag::Paid { input, .. }) if !output => {
                input.is_some_and(|p| p <= most)
            }
            (Some(most), PriceTag::Paid { output, .. }) => output.is_none_or(|p| p <= most),
        };
        agrees(&rules.allowed_providers, &rules.denied_providers, provider, |_| false)
            && (target.model.is_empty()
                || agrees(&rules.allowed_models, &rules.denied_models, model, also))
            && agrees(&rules.allowed_pricing, &rules.denied_pricing, tier, |_| false)
            && cheap(rules.max_price.input, false)
            && cheap(rules.max_price.output, true)
    }

    pub(super) fn allows_address(rules: &Rules, address: IpAddr) -> bool {
        let is = |network: &Network| network.contains(address);
        agrees(&rules.allowed_addresses, &rules.denied_addresses, is, |_| false)
    }
}

const ALIAS: (&str, &str) = ("x", "p/a*");

fn expand(name: &str) -> Option<&'static str> {
    (name == ALIAS.0).then_some(ALIAS.1)
}

fn any_patterns(texts: &'static str) -> impl Strategy<Value = Vec<Pattern>> {
    let some =
        prop::collection::vec(texts.prop_filter_map("a pattern", |t| Pattern::new(&t)), 1..4);
    prop_oneof![2 => Just(Vec::new()), 1 => some]
}

fn any_networks() -> impl Strategy<Value = Vec<Network>> {
    let texts = vec!["10.0.0.0/30", "10.0.0.2", "0.0.0.0/0", "::/0", "2001:db8::/127"];
    let one = prop::sample::select(texts).prop_map(|text| Network::parse(text).unwrap());
    prop_oneof![1 => Just(Vec::new()), 1 => prop::collection::vec(one, 1..3)]
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let tiers = || {
        let one = prop::sample::select(vec![Tier::Free, Tier::Paid]);
        prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(one, 1..3)]
    };
    let most = || prop::option::weighted(0.2, (0..4_u64).prop_map(Price::from_picos));
    let names = (any_patterns("(p/)?[abx*]{1,2}"), any_patterns("(p/)?[abx]{1,2}\\*?"));
    let providers = (any_patterns("[pq*]"), any_patterns("[pq]"));
    let addresses = (any_networks(), any_networks());
    (names, providers, (tiers(), tiers()), (most(), most()), addresses).prop_map(
        |(models, providers, pricing, (input, output), addresses)| Rules {
            allowed_models: models.0,
            denied_models: models.1,
            allowed_providers: providers.0,
            denied_providers: providers.1,
            allowed_pricing: pricing.0,
            denied_pricing: pricing.1,
            max_price: MaxPrice { input, output },
            allowed_addresses: addresses.0,
            denied_addresses: addresses.1,
        },
    )
}

/// Provider, model, other names, price.
type Place = (String, String, Vec<String>, PriceTag);

fn any_place() -> impl Strategy<Value = Place> {
    let price = || prop::option::of(0..4_u64);
    let price = prop_oneof![
        Just(PriceTag::Unknown),
        Just(PriceTag::Free),
        (price(), price()).prop_map(|(input, output)| paid(input, output)),
    ];
    ("[pq]", "[ab]{0,2}", prop::collection::vec("[ab]{1,2}", 0..3), price)
}

fn any_address() -> impl Strategy<Value = IpAddr> {
    let texts = vec!["10.0.0.1", "10.0.0.2", "10.0.0.9", "::ffff:10.0.0.2", "2001:db8::1", "::1"];
    prop::sample::select(texts).prop_map(|text| text.parse().unwrap())
}

fn at(place: &Place) -> Target<'_> {
    let (provider, model, also, price) = place;
    Target { provider, model, also, price: *price }
}

fn turned(rules: &Rules, by: usize) -> Rules {
    fn turn<T>(list: &mut [T], by: usize) {
        list.rotate_left(by % list.len().max(1));
        if by % 2 == 1 {
            list.reverse();
        }
    }
    let mut rules = rules.clone();
    turn(&mut rules.allowed_models, by);
    turn(&mut rules.denied_models, by);
    turn(&mut rules.allowed_providers, by);
    turn(&mut rules.denied_providers, by);
    turn(&mut rules.allowed_pricing, by);
    turn(&mut rules.denied_pricing, by);
    turn(&mut rules.allowed_addresses, by);
    turn(&mut rules.denied_addresses, by);
    rules
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn layers_are_judged_as_they_are_meant(
        layers in prop::collection::vec((prop::sample::select(scopes().to_vec()), any_rules()), 0..4),
        place in any_place(),
        address in any_address(),
    ) {
        let layers = || layers.iter().map(|(scope, rules)| (*scope, rules));
        let no = |rules: &&Rules| !meaning::allows(rules, at(&place), ALIAS);
        let verdict = judge(layers(), at(&place), expand);
        prop_assert_eq!(verdict.is_ok(), !layers().any(|(_, rules)| no(&rules)));
        // The first layer that says no is the one that is told.
        if let Some(first) = layers().find(|(_, rules)| no(rules)) {
            prop_assert_eq!(&verdict, &judge([first], at(&place), expand));
        }
        let said = explain(layers(), at(&place), expand);
        prop_assert_eq!(verdict.is_ok(), said.iter().all(|said| said.allows));

        let verdict = judge_address(layers(), address);
        let allowed = layers().all(|(_, rules)| meaning::allows_address(rules, address));
        prop_assert_eq!(verdict.is_ok(), allowed);
        let said = explain_address(layers(), address);
        prop_assert_eq!(verdict.is_ok(), said.iter().all(|said| said.allows));
    }

    #[test]
    fn no_order_matters_and_a_layer_only_narrows(
        (layers, shuffled) in prop::collection::vec(any_rules(), 1..4)
            .prop_flat_map(|layers| (Just(layers.clone()), Just(layers).prop_shuffle())),
        by in 0..4_usize,
        more in any_rules(),
        place in any_place(),
        address in any_address(),
    ) {
        let passes = |layers: &[Rules]| {
            let layers = || layers.iter().map(|rules| (Scope::Instance, rules));
            (judge(layers(), at(&place), expand).is_ok(), judge_address(layers(), address).is_ok())
        };
        let before = passes(&layers);
        let shuffled: Vec<_> = shuffled.iter().map(|rules| turned(rules, by)).collect();
        prop_assert_eq!(before, passes(&shuffled));
        let after = passes(&[layers, vec![more]].concat());
        prop_assert!(after.0 <= before.0 && after.1 <= before.1, "{after:?} {before:?}");
        prop_assert!(passes(&[]) == (true, true));
    }
}
