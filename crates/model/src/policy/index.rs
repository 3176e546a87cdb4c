//! Which statements of a document may apply to a question: by action, then by a glance at the path.
//!
//! What this passes over does not apply for sure. Of the others, those that name the same
//! principals or resources as the one before share the answer: see [`Asking`].

use std::cell::OnceCell;

use super::{
    Context,
    action::{ACTIONS, Action},
    document::{Effect, Statement},
    principals::Naming,
};

/// Bytes of a path that are looked at.
const WINDOW: usize = size_of::<u64>();

#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    /// For each action, where in `order` its denials begin, and where what it allows.
    starts: Vec<[u32; 2]>,
    /// The statements that speak of an action: denials first.
    order: Vec<Entry>,
}

/// A statement, and bytes that every path has to which it applies.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Entry {
    pub place: u16,
    /// The first statements that have the same principals and the same resources.
    same_principals: u16,
    same_resources: u16,
    /// Where they are in the path, and how many.
    offset: u16,
    length: u16,
    mask: u64,
    bytes: u64,
}

impl Index {
    pub fn of(statements: &[Statement]) -> Self {
        let entries: Vec<_> =
            (0..).take(statements.len()).map(|it| Entry::of(statements, it)).collect();
        let mut starts = Vec::with_capacity(ACTIONS + 1);
        let mut order = Vec::new();
        for action in Action::ALL {
            let mut begin = [0; 2];
            for (begin, effect) in begin.iter_mut().zip([Effect::Deny, Effect::Allow]) {
                *begin = order.len() as u32;
                let speaking = statements.iter().zip(&entries);
                let speaking = speaking.filter(|(statement, _)| {
                    statement.effect == effect && statement.actions.contains(*action)
                });
                order.extend(speaking.map(|(_, entry)| *entry));
            }
            starts.push(begin);
        }
        starts.push([order.len() as u32; 2]);
        Self { starts, order }
    }

    pub fn bytes(&self) -> usize {
        size_of_val(self.order.as_slice())
    }

    /// The statements of one effect that speak of an action, in order.
    pub fn about(&self, action: Action, effect: Effect) -> &[Entry] {
        let starts = |action: usize| self.starts.get(action).copied().unwrap_or_default();
        let [denials, allowances] = starts(action.index());
        let [next, _] = starts(action.index() + 1);
        let (begin, end) = match effect {
            Effect::Deny => (denials, allowances),
            Effect::Allow => (allowances, next),
        };
        self.order.get(begin as usize..end as usize).unwrap_or_default()
    }
}

impl Entry {
    fn of(statements: &[Statement], place: u16) -> Self {
        let Some(statement) = statements.get(usize::from(place)) else { return Self::default() };
        let first = |same: &dyn Fn(&Statement) -> bool| {
            let found = statements.iter().zip(0..place).find(|(other, _)| same(other));
            found.map_or(place, |(_, found)| found)
        };
        let prefix = statement.resources.prefix().as_bytes();
        // The end tells more: all begin with the name of the bucket.
        let skipped = prefix.len().saturating_sub(WINDOW);
        let (offset, end) = match (u16::try_from(skipped), prefix.get(skipped..)) {
            (Ok(offset), Some(end)) => (offset, end),
            _ => (0, &[][..]),
        };
        let mask = window(&vec![0xff; end.len()]);
        Self {
            place,
            same_principals: first(&|other| other.principals == statement.principals),
            same_resources: first(&|other| other.resources == statement.resources),
            offset,
            length: end.len() as u16,
            mask,
            bytes: window(end),
        }
    }

    /// Whether the statement may apply to `bucket` or `bucket/key`.
    pub fn may_apply(&self, path: &str) -> bool {
        if self.length == 0 {
            return true;
        }
        let rest = path.as_bytes().get(usize::from(self.offset)..).unwrap_or_default();
        rest.len() >= usize::from(self.length) && window(rest) & self.mask == self.bytes
    }
}

/// One question to the statements of a document, with what the latest of them answered.
pub struct Asking<'q> {
    pub context: &'q Context<'q>,
    /// `bucket/key`, made when it is first needed.
    pub path: &'q OnceCell<String>,
    naming: Option<(u16, Naming)>,
    included: Option<(u16, bool)>,
}

impl<'q> Asking<'q> {
    pub fn new(context: &'q Context<'q>, path: &'q OnceCell<String>) -> Self {
        Self { context, path, naming: None, included: None }
    }

    /// How a statement names the principal, if it applies.
    pub fn ask(&mut self, entry: &Entry, statement: &Statement) -> Naming {
        let naming = match self.naming {
            Some((same, naming)) if same == entry.same_principals => naming,
            _ => statement.principals.names(self.context.facts),
        };
        self.naming = Some((entry.same_principals, naming));
        if naming == Naming::None {
            return Naming::None;
        }
        let included = match self.included {
            Some((same, included)) if same == entry.same_resources => included,
            _ => statement.resources.include(self.context, self.path),
        };
        self.included = Some((entry.same_resources, included));
        if included && statement.holds(self.context) { naming } else { Naming::None }
    }
}

/// The first bytes; zeroes follow where there are fewer.
fn window(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<WINDOW>() {
        Some(whole) => u64::from_le_bytes(*whole),
        None => bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::{Document, Kind};

    fn entry(resources: &str) -> Entry {
        let text = format!(
            r#"{{"Version": "2012-10-17", "Statement":
                {{"Effect": "Allow", "Action": "s3:GetObject", {resources}}}}}"#
        );
        let document = Document::parse(&text, Kind::Identity).expect("a policy");
        Entry::of(&document.statements, 0)
    }

    #[test]
    fn what_begins_otherwise_is_passed_over() {
        let long = entry(r#""Resource": "arn:aws:s3:::a-long-bucket/team-07/*""#);
        let short = entry(r#""Resource": "arn:aws:s3:::bkt/*""#);
        for (path, expected) in [
            ("a-long-bucket/team-07/x", [true, false]),
            ("a-long-bucket/team-07/", [true, false]),
            ("a-long-bucket/team-08/x", [false, false]),
            ("a-long-bucket/team-07", [false, false]),
            ("bkt/x", [false, true]),
            ("bkt/", [false, true]),
            ("bkt", [false, false]),
            ("bkt2", [false, false]),
        ] {
            assert_eq!([long.may_apply(path), short.may_apply(path)], expected, "{path}");
        }
    }

    #[test]
    fn where_several_fit_only_what_they_share_counts() {
        let several = r#""Resource": ["arn:aws:s3:::bkt/ab*", "arn:aws:s3:::bkt/ac${aws:userid}"]"#;
        for (path, expected) in [("bkt/ab", true), ("bkt/acx", true), ("bkt/b", false)] {
            assert_eq!(entry(several).may_apply(path), expected, "{path}");
        }
        for anywhere in [
            r#""Resource": "*""#,
            r#""NotResource": "arn:aws:s3:::bkt/*""#,
            r#""Resource": ["arn:aws:s3:::bkt/a", "arn:aws:*:::other"]"#,
        ] {
            assert!(entry(anywhere).may_apply("other/key"), "{anywhere}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_fits_is_passed_over(prefix in "[ab/é]{3,24}", more in "[ab/é]{0,12}") {
            let entry = entry(&format!(r#""Resource": "arn:aws:s3:::{prefix}*""#));
            let path = format!("{prefix}{more}");
            prop_assert!(entry.may_apply(&path), "{}", path);
        }
    }
}
