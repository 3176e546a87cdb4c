//! Prefix, delimiter and marker over an ordered stream of keys: pure, fed by whoever scans.

/// What is asked of a listing. Keys are compared as bytes of UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    pub prefix: String,
    /// Any length; empty means none.
    pub delimiter: String,
    /// Only what sorts after it is listed.
    pub after: String,
    /// Entries and common prefixes together.
    pub limit: usize,
}

/// What to do with the key at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// List it.
    Take,
    /// List this common prefix, and go on after everything it covers.
    Fold(String),
    /// Do not list it: what covers it was listed before.
    Skip { past: String },
    /// The page is full, and this key belongs to the next one.
    Full,
}

/// Folds keys, given in ascending order, into entries and common prefixes.
pub struct Folder<'q> {
    question: &'q Question,
    listed: usize,
    last: Option<String>,
}

impl<'q> Folder<'q> {
    pub fn new(question: &'q Question) -> Self {
        Self { question, listed: 0, last: None }
    }

    /// Decides about the next key, which has the prefix and sorts after the marker.
    pub fn next(&mut self, key: &str) -> Verdict {
        let folded = common_prefix(self.question, key);
        if let Some(folded) = folded
            && (folded <= self.question.after.as_str() || self.last.as_deref() == Some(folded))
        {
            return Verdict::Skip { past: folded.to_owned() };
        }
        if self.listed >= self.question.limit {
            return Verdict::Full;
        }
        self.listed += 1;
        self.last = Some(folded.unwrap_or(key).to_owned());
        match folded {
            Some(folded) => Verdict::Fold(folded.to_owned()),
            None => Verdict::Take,
        }
    }

    /// The last entry or common prefix listed: where the next page starts after.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }
}

/// The common prefix `key` folds into: up to and with the first delimiter after the prefix.
pub fn common_prefix<'k>(question: &Question, key: &'k str) -> Option<&'k str> {
    if question.delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(question.prefix.as_str())?;
    let at = rest.find(question.delimiter.as_str())?;
    key.get(..question.prefix.len() + at + question.delimiter.len())
}

/// The smallest byte string greater than every one that starts with `prefix`; `None`: no end.
pub fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(question: &Question, keys: &[&str]) -> (Vec<String>, bool) {
        let mut folder = Folder::new(question);
        let mut listed = Vec::new();
        let keys = keys
            .iter()
            .filter(|key| key.starts_with(&question.prefix) && **key > question.after.as_str());
        for key in keys {
            match folder.next(key) {
                Verdict::Take => listed.push((*key).to_owned()),
                Verdict::Fold(prefix) => listed.push(prefix),
                Verdict::Skip { .. } => {}
                Verdict::Full => return (listed, true),
            }
        }
        (listed, false)
    }

    fn question(prefix: &str, delimiter: &str, after: &str, limit: usize) -> Question {
        Question { prefix: prefix.into(), delimiter: delimiter.into(), after: after.into(), limit }
    }

    const KEYS: [&str; 6] = ["a", "b/1", "b/2", "b/c/3", "bc", "d"];

    #[test]
    fn keys_fold_at_the_first_delimiter_after_the_prefix() {
        let listed = |prefix, delimiter| list(&question(prefix, delimiter, "", 99), &KEYS).0;
        assert_eq!(listed("", "/"), ["a", "b/", "bc", "d"]);
        assert_eq!(listed("b/", "/"), ["b/1", "b/2", "b/c/"]);
        assert_eq!(listed("", "/c/"), ["a", "b/1", "b/2", "b/c/", "bc", "d"]);
        assert_eq!(listed("b", ""), ["b/1", "b/2", "b/c/3", "bc"]);
    }

    #[test]
    fn pages_continue_after_the_last_entry_or_prefix() {
        assert_eq!(list(&question("", "/", "", 2), &KEYS), (vec!["a".into(), "b/".into()], true));
        assert_eq!(
            list(&question("", "/", "b/", 2), &KEYS),
            (vec!["bc".into(), "d".into()], false)
        );
        assert_eq!(list(&question("", "/", "", 0), &KEYS), (vec![], true));
    }

    #[test]
    fn the_successor_ends_a_prefix() {
        assert_eq!(successor(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(successor(&[1, 255]), Some(vec![2]));
        assert_eq!(successor(&[255, 255]), None);
        assert_eq!(successor(b""), None);
    }
}
