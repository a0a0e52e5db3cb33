//! Questions about usage: filters, groups, and the edges of hours and days.

use domain::{Money, Row, Timestamp};
use store::{Group, Order, UsageQuery, UsageReport};

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

/// When a key was last used is a sum like the others: it grows, outlives an end, and can be made again
/// from the journal.
#[test]
fn when_keys_were_last_used_is_made_again_from_the_journal() {
    let dir = directory();
    let at = |seconds| NOON.plus_seconds(seconds);
    let keys = vec![key_id(1), key_id(2), key_id(3)];
    let expected = [(key_id(1), at(70)), (key_id(2), at(5))].into();
    let store = open(dir.path());
    for (number, key, seconds) in [(1, 1, 10), (2, 2, 5), (3, 1, 70), (4, 1, 60)] {
        store.record(&row(number, key_id(key), at(seconds))).unwrap();
        if number == 2 {
            wait(store.flush()).unwrap();
        }
    }
    assert_eq!(wait(store.last_used(keys.clone())).unwrap(), expected);
    drop(store);
    std::fs::remove_file(dir.path().join("sums.db")).unwrap();
    let store = open(dir.path());
    assert_eq!(wait(store.last_used(keys)).unwrap(), expected);
}

/// Whose a sum is, is what the records say now; what belongs to nobody can be left out.
#[test]
fn sums_by_owner_follow_the_records_and_are_ordered_as_asked() {
    let dir = directory();
    let store = open(dir.path());
    wait(store.import_keys(vec![key(1), key(2)], act("key.import"))).unwrap();
    for number in 0..6 {
        store.record(&row(number, key_id(1 + number % 2), NOON)).unwrap();
    }
    // A key without a record counts as well.
    store.record(&row(9, key_id(77), NOON)).unwrap();
    let ask = |group, owned, order| {
        let query =
            UsageQuery { group: vec![group], owned, order, most: 10, ..UsageQuery::default() };
        wait(store.usage(query)).unwrap()
    };
    let users = ask(Group::User, false, Order::Newest);
    assert_eq!((users.sums.len(), users.total.calls), (1, 7));
    assert_eq!((users.sums[0].user, users.sums[0].sum.calls), (None, 7));
    let users = ask(Group::User, true, Order::Cost);
    assert_eq!((users.sums.len(), users.total.calls), (0, 0));
    let projects = ask(Group::Project, true, Order::Calls);
    assert_eq!(projects.sums[0].project, Some(domain::ProjectId::DEFAULT));
    assert_eq!(projects.sums[0].sum.calls, 6);
    for (order, measure) in [
        (Order::Cost, (|sum| sum.cost.nanos()) as fn(&store::Sum) -> i64),
        (Order::Tokens, |sum| i64::try_from(sum.usage.tokens()).unwrap()),
        (Order::Calls, |sum| i64::try_from(sum.calls).unwrap()),
    ] {
        let keys = ask(Group::Key, false, order).sums;
        assert_eq!(keys.len(), 3);
        assert!(keys.windows(2).all(|two| measure(&two[0].sum) >= measure(&two[1].sum)));
    }
}
