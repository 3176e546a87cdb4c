//! Policies that are kept compiled, each under the revision it was read in.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use model::limits::POLICY_CACHE_BYTES_MAX;

/// What was made of texts: thrown away as a whole when there is too much of it.
pub(crate) struct Compiled<K, V>(Mutex<Kept<K, V>>);

struct Kept<K, V> {
    of: HashMap<K, (u64, Arc<V>)>,
    bytes: usize,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self { of: HashMap::new(), bytes: 0 }
    }
}

impl<K, V> Default for Compiled<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> Compiled<K, V> {
    pub fn get(&self, key: &K, revision: u64) -> Option<Arc<V>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.of.get(key).filter(|(known, _)| *known == revision).map(|(_, it)| it.clone())
    }

    /// - `bytes`: of the texts it was made of.
    pub fn keep(&self, key: K, revision: u64, value: &Arc<V>, bytes: usize) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + bytes > POLICY_CACHE_BYTES_MAX {
            *kept = Kept::default();
        }
        kept.bytes += bytes;
        kept.of.insert(key, (revision, value.clone()));
    }
}
