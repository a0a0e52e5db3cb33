//! Questions about usage: filters, groups, and the edges of hours and days.

use domain::{Money, Row, Timestamp};
use store::{Group, UsageQuery, UsageReport};

use crate::world::*;

#[test]
fn filters_and_groups_agree_with_the_rows() {
    let dir = directory();
    let store = open(dir.path());
    let mut made = key(2);
    made.maker = Some(key_id(50));
    wait(store.import_keys(vec![key(1), made], act("key.import"))).unwrap();
    let at = |number: u64| NOON.plus_seconds(i64::try_from(number * 1_800).unwrap());
    let rows: Vec<_> = (0..200).map(|n| row(n, key_id(1 + n % 3), at(n))).collect();
    for row in &rows {
        store.record(row).unwrap();
    }
    let ask = |query: UsageQuery| -> UsageReport { wait(store.usage(query)).unwrap() };
    let all = UsageQuery { most: 1_000, ..UsageQuery::default() };
    let total = |wanted: &dyn Fn(&Row) -> bool| {
        let mut sum = store::Sum::default();
        rows.iter().filter(|row| wanted(row)).for_each(|row| sum.add(&store::Sum::of(row)));
        sum
    };
    assert_eq!(ask(all.clone()).total, total(&|_| true));
    let of_key = UsageQuery { key: Some(key_id(3)), ..all.clone() };
    assert_eq!(ask(of_key).total, total(&|row| row.key == key_id(3)));
    let of_maker = UsageQuery { maker: Some(key_id(50)), ..all.clone() };
    assert_eq!(ask(of_maker).total, total(&|row| row.key == key_id(2)));
    for (name, calls) in [("gpt-4o", 100), ("no-such-model", 0)] {
        let of_model = UsageQuery { model: Some(name.to_owned()), ..all.clone() };
        assert_eq!(ask(of_model).total.calls, calls);
    }

    // A moment inside an hour stands for that whole hour, on either side.
    let hours = |from: Timestamp, until: Timestamp| {
        ask(UsageQuery { from: Some(from), until: Some(until), ..all.clone() }).total.calls
    };
    assert_eq!(hours(at(10), at(12)), 2);
    assert_eq!(hours(at(11), at(12)), 2);
    assert_eq!(hours(at(10), at(11)), 2);
    assert_eq!(hours(at(10), at(10)), 0);

    let by_day = ask(UsageQuery { group: vec![Group::Day], ..all.clone() });
    assert_eq!(by_day.sums.len(), 5);
    for day in &by_day.sums {
        let start = day.start.unwrap();
        assert_eq!(start, start.day());
        assert_eq!(day.sum, total(&|row| row.began_at.day() == start));
    }
    let two = ask(UsageQuery { group: vec![Group::Key, Group::Provider], most: 2, ..all });
    assert!(two.cut_short && two.sums.len() == 2);
    assert!(two.sums[0].sum.cost >= two.sums[1].sum.cost && two.sums[1].sum.cost > Money::ZERO);
    assert!(two.sums.iter().all(|sum| sum.key.is_some() && sum.provider.is_some()));
    assert!(two.sums.iter().all(|sum| sum.model.is_none() && sum.start.is_none()));
}

/// A provider's number beyond all measure stays one, and spoils nothing after it.
#[test]
fn sums_stop_at_the_end_of_their_range() {
    let dir = directory();
    let store = open(dir.path());
    for number in 1..4 {
        let mut row = row(number * 2, key_id(1), NOON);
        row.usage[domain::Class::Input] = u64::MAX;
        store.record(&row).unwrap();
        wait(store.flush()).unwrap();
    }
    let report = wait(store.usage(UsageQuery::default())).unwrap();
    assert_eq!(report.total.calls, 3);
    assert_eq!(report.total.usage[domain::Class::Input], u64::MAX / 2);
    assert_eq!(sums_in(&store).len(), 1);
}
