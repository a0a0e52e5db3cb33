//! How often each listed key was used, as the operator's file shows it: the ledger's own counts, less
//! what they were when the file's were last cleared. The ledger itself is never cleared.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Key, KeyId};
use serde::{Deserialize, Serialize};
use store::{Fault, Group, Store, UsageQuery};

use super::file::Document;
use super::writing::Count;
use super::{Bridge, NotSame, Turn};

const NOTE: &str = "bridge_counters";
/// A call may take so long to come to its end, in microseconds.
const LONGEST_CALL: u64 = 15 * 60 * 1_000_000;

/// The counters.
#[derive(Default, Serialize, Deserialize)]
pub struct Counters {
    /// What the ledger counted when the file's counter was cleared.
    cleared_at: BTreeMap<KeyId, Count>,
    /// The keys whose counters the file has.
    told: BTreeSet<KeyId>,
    #[serde(skip)]
    shown: BTreeMap<KeyId, Count>,
}

impl Counters {
    pub async fn open(store: &Store) -> Result<Self, Fault> {
        let text = store.meta(NOTE).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
    }

    /// The counters as the file is to show them.
    pub const fn shown(&self) -> &BTreeMap<KeyId, Count> {
        &self.shown
    }

    /// Whether the file has them.
    pub fn are_in(&self, document: &Document) -> bool {
        let shown = self.shown.iter().map(|(id, count)| (id.to_string(), count.clone()));
        document.counted.clone().unwrap_or_default() == shown.collect()
    }

    /// Remembers which counters the file has by now.
    pub async fn note_told(&mut self, store: &Store) -> Result<(), Fault> {
        let told: BTreeSet<_> = self.shown.keys().copied().collect();
        if told == self.told {
            return Ok(());
        }
        self.told = told;
        self.save(store).await
    }

    /// Forgets the keys that have no line any more.
    fn trim(&mut self, keys: &[Key]) {
        let key = |id: &KeyId| keys.iter().find(|key| key.id == *id);
        self.cleared_at.retain(|id, _| key(id).is_some());
        self.shown.retain(|id, _| key(id).is_some());
        for (id, count) in &mut self.shown {
            if let Some(key) = key(id) {
                count.name.clone_from(&key.name);
            }
        }
    }

    async fn save(&self, store: &Store) -> Result<(), Fault> {
        store.set_meta(NOTE, serde_json::to_string(self)?).await
    }

    /// The count of `key` by now.
    fn put(&mut self, key: &Key, ledger: &Count) {
        let count = match self.cleared_at.get(&key.id) {
            None => ledger.clone(),
            Some(cleared) => ledger.less(cleared),
        };
        if count.total > 0 || self.shown.contains_key(&key.id) {
            self.shown.insert(key.id, Count { name: key.name.clone(), ..count });
        }
    }
}

impl Count {
    fn less(&self, cleared: &Self) -> Self {
        let left = |model: &str, count: u64| {
            count.saturating_sub(cleared.models.get(model).copied().unwrap_or(0))
        };
        let models = self.models.iter().map(|(model, count)| (model.clone(), left(model, *count)));
        Self {
            name: self.name.clone(),
            total: self.total.saturating_sub(cleared.total),
            models: models.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

impl Bridge {
    /// Counts the keys that were used since this was last asked.
    pub(super) async fn count(&self, counters: &mut Counters, keys: &[Key]) -> Result<(), NotSame> {
        let now = self.clock.monotonic_micros();
        let used: Vec<KeyId> = {
            let mut used = self.used.lock();
            let all = used.keys().copied().collect();
            // Those that may still have calls in flight are asked about again.
            used.retain(|_, last| now.saturating_sub(*last) < LONGEST_CALL);
            all
        };
        for key in keys.iter().filter(|key| used.contains(&key.id)) {
            counters.put(key, &self.counted(key.id).await?);
        }
        counters.trim(keys);
        Ok(())
    }

    /// The counters at a start: those that somebody took out of the file begin again.
    pub(super) async fn clear_counters(&self, turn: &mut Turn) -> Result<(), Fault> {
        let version = self.read().await.ok().flatten();
        let document = version.and_then(|version| Document::read(&version.bytes).ok());
        let counted = document.and_then(|document| document.counted);
        let Turn { counters, .. } = turn;
        let has = |id: &KeyId| {
            counted.as_ref().is_none_or(|counted| counted.contains_key(&id.to_string()))
        };
        let cleared: Vec<KeyId> = counters.told.iter().filter(|id| !has(id)).copied().collect();
        for id in &cleared {
            counters.told.remove(id);
            counters.cleared_at.insert(*id, self.counted(*id).await?);
        }
        if !cleared.is_empty() {
            counters.save(&self.store).await?;
        }
        for key in self.store.listed_keys().await? {
            let ledger = self.counted(key.id).await?;
            counters.put(&key, &ledger);
        }
        Ok(())
    }

    /// What the ledger counted for a key, ever.
    async fn counted(&self, key: KeyId) -> Result<Count, Fault> {
        let query = UsageQuery {
            key: Some(key),
            group: vec![Group::Model],
            most: UsageQuery::MOST,
            ..UsageQuery::default()
        };
        let report = self.store.usage(query).await?;
        let models = report
            .sums
            .into_iter()
            .filter_map(|sum| Some((sum.model.filter(|model| !model.is_empty())?, sum.sum.calls)));
        Ok(Count { name: String::new(), total: report.total.calls, models: models.collect() })
    }

    /// The counters of the keys that have lines, as they are now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn counts(&self) -> Result<BTreeMap<KeyId, Count>, NotSame> {
        let mut turn = self.turn.lock().await;
        let keys = self.store.listed_keys().await?;
        self.count(&mut turn.counters, &keys).await?;
        Ok(turn.counters.shown().clone())
    }
}
