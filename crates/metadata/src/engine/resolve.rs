//! Judges a commit against what is stored, and turns its adds into absolute values. Shared by the
//! engines of this crate, so that they cannot differ in it.

use super::{
    Add, Commit, CommitError, EngineError, Expect, Row, ScanRange, Sequence, read_counter,
};

/// What a commit is judged against.
pub(crate) trait View {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, EngineError>;
    fn any_row(&self, range: &ScanRange) -> Result<bool, EngineError>;
}

/// A row's new value, or `None` if it goes.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// The absolute changes of `commit`, if all it expects holds in `view`.
///
/// - `number`: what it gets if it has changes.
pub(crate) fn resolve(
    commit: Commit,
    view: &impl View,
    number: Sequence,
) -> Result<Vec<Change>, CommitError> {
    for expect in &commit.expect {
        if let Some(key) = broken(expect, view)? {
            return Err(CommitError::Conflict { key: key.to_vec() });
        }
    }
    let mut changes = Vec::with_capacity(commit.changes());
    for add in commit.add {
        let value = added(&add, view)?;
        changes.push((add.key, Some(value.to_be_bytes().to_vec())));
    }
    changes.extend(commit.put.into_iter().map(|(key, value)| (key, Some(value))));
    changes.extend(commit.delete.into_iter().map(|key| (key, None)));
    changes.extend(commit.append.into_iter().map(|(mut key, value)| {
        key.extend_from_slice(&number.to_be_bytes());
        (key, Some(value))
    }));
    Ok(changes)
}

/// The key to blame if `expect` does not hold.
fn broken<'a>(expect: &'a Expect, view: &impl View) -> Result<Option<&'a [u8]>, EngineError> {
    let (holds, key) = match expect {
        Expect::Version { key, version } => {
            (view.row(key)?.is_some_and(|row| row.version == *version), key)
        }
        Expect::Absent { key } => (view.row(key)?.is_none(), key),
        Expect::EmptyRange { range } => (!view.any_row(range)?, &range.start),
    };
    Ok((!holds).then_some(key.as_slice()))
}

fn added(add: &Add, view: &impl View) -> Result<i64, CommitError> {
    let current = match view.row(&add.key)? {
        Some(row) => read_counter(&add.key, &row.value)?,
        None => 0,
    };
    let in_bounds = |value: &i64| {
        add.minimum.is_none_or(|minimum| *value >= minimum)
            && add.maximum.is_none_or(|maximum| *value <= maximum)
    };
    let value = current.checked_add(add.amount).filter(in_bounds);
    value.ok_or_else(|| CommitError::OutOfBounds { key: add.key.clone() })
}
