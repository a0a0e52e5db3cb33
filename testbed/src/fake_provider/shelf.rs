//! What outlives a request: stored responses, uploaded files, batches. Kept in memory, by id.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;

/// The objects the provider keeps for its callers.
#[derive(Debug, Default)]
pub struct Shelf {
    objects: Mutex<BTreeMap<String, Stored>>,
}

/// An object, and the content that belongs to it if it is a file.
#[derive(Debug, Clone)]
struct Stored {
    order: usize,
    object: Value,
    content: Bytes,
}

impl Shelf {
    /// Keeps an object under its id, in place of an older one.
    pub fn put(&self, object: &Value, content: Bytes) {
        let Some(id) = object["id"].as_str() else { return };
        let mut objects = self.objects();
        let order = objects.len();
        objects.insert(id.to_owned(), Stored { order, object: object.clone(), content });
    }

    /// The object with this id.
    pub fn get(&self, id: &str) -> Option<Value> {
        self.objects().get(id).map(|stored| stored.object.clone())
    }

    /// The content of the file with this id.
    pub fn content(&self, id: &str) -> Option<Bytes> {
        self.objects().get(id).map(|stored| stored.content.clone())
    }

    /// Removes an object; whether there was one.
    pub fn remove(&self, id: &str) -> bool {
        self.objects().remove(id).is_some()
    }

    /// Every object whose id begins with `prefix`, oldest first.
    pub fn list(&self, prefix: &str) -> Vec<Value> {
        let objects = self.objects();
        let mut found: Vec<&Stored> = objects
            .iter()
            .filter(|(id, _)| id.starts_with(prefix))
            .map(|(_, stored)| stored)
            .collect();
        found.sort_by_key(|stored| stored.order);
        found.iter().map(|stored| stored.object.clone()).collect()
    }

    /// Empties the shelf.
    pub fn clear(&self) {
        self.objects().clear();
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Stored>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
