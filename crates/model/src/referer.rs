//! Which pages may show what is in a bucket: OSS's lists of referers.
//!
//! Source: OSS "PutBucketReferer" and "Hotlink protection".

use minicbor::{Decode, Encode};

use crate::policy::Token;

/// Bytes of all entries together, and entries. Far more than OSS's console takes.
pub const ENTRY_BYTES_MAX: usize = 20 * 1024;
pub const ENTRIES_MAX: usize = 1000;
/// A longer referer fits no list, and is refused wherever there is one.
const REFERER_BYTES_MAX: usize = 4096;

/// The lists of a bucket. In entries `*` stands for any text, `?` for one character; an entry fits
/// whatever begins with it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RefererRules {
    /// Requests that name no page are let through.
    #[n(0)]
    pub allow_empty: bool,
    /// What follows `?` in a referer does not count.
    #[n(1)]
    pub truncate_query: bool,
    /// Nor does its path.
    #[n(2)]
    pub truncate_path: bool,
    /// If there are any, only these are let through.
    #[n(3)]
    pub allowed: Vec<String>,
    /// These never are.
    #[n(4)]
    pub denied: Vec<String>,
}

impl Default for RefererRules {
    fn default() -> Self {
        Self {
            allow_empty: true,
            truncate_query: true,
            truncate_path: false,
            allowed: Vec::new(),
            denied: Vec::new(),
        }
    }
}

impl RefererRules {
    /// Whether they are few and short enough to be kept.
    pub fn fits(&self) -> bool {
        let entries = || self.allowed.iter().chain(&self.denied);
        entries().count() <= ENTRIES_MAX
            && entries().map(String::len).sum::<usize>() <= ENTRY_BYTES_MAX
    }

    /// Whether a request from this page is let through.
    pub fn lets(&self, referer: Option<&str>) -> bool {
        if self.allowed.is_empty() && self.denied.is_empty() {
            return true;
        }
        let Some(referer) = referer.map(str::trim).filter(|referer| !referer.is_empty()) else {
            return self.allow_empty;
        };
        if referer.len() > REFERER_BYTES_MAX {
            return false;
        }
        let counted = self.counted(referer).to_ascii_lowercase();
        let fits = |entry: &String| {
            let mut pattern = Token::pattern(&entry.to_ascii_lowercase());
            if pattern.last() != Some(&Token::Many) {
                pattern.push(Token::Many);
            }
            crate::policy::matches(&pattern, &counted)
        };
        let denied = self.denied.iter().any(fits);
        !denied && (self.allowed.is_empty() || self.allowed.iter().any(fits))
    }

    /// The part of a referer that counts.
    fn counted<'r>(&self, referer: &'r str) -> &'r str {
        let end = |text: &str, signs: &[char]| text.find(signs).unwrap_or(text.len());
        let host = referer.find("://").map_or(0, |at| at + 3);
        let after = referer.get(host..).unwrap_or_default();
        let length = match (self.truncate_path, self.truncate_query) {
            (true, _) => host + end(after, &['/', '?', '#']),
            (false, true) => end(referer, &['?', '#']),
            (false, false) => referer.len(),
        };
        referer.get(..length).unwrap_or(referer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &[&str], denied: &[&str]) -> RefererRules {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        RefererRules { allowed: own(allowed), denied: own(denied), ..RefererRules::default() }
    }

    #[test]
    fn an_entry_fits_what_begins_with_it() {
        let rules = rules(&["http://www.a.com", "https://?.b.com/", "*.c.com"], &[]);
        for (referer, lets) in [
            ("http://www.a.com", true),
            ("http://WWW.a.com/page?x", true),
            ("http://www.a.com.cn", true),
            ("https://www.a.com", false),
            ("https://x.b.com/y", true),
            ("https://xy.b.com/y", false),
            ("https://x.b.com", false),
            ("https://help.c.com/", true),
            ("https://c.com/", false),
            ("", true),
        ] {
            assert_eq!(rules.lets(Some(referer)), lets, "{referer}");
        }
        assert!(!rules.lets(Some(&"a".repeat(REFERER_BYTES_MAX + 1))));
    }

    #[test]
    fn a_denied_page_is_never_let_through() {
        let one = rules(&["*"], &["*.bad.com"]);
        assert!(one.lets(Some("http://good.com/")) && !one.lets(Some("http://x.bad.com/a")));
        let only_denied = rules(&[], &["http://bad.com"]);
        assert!(only_denied.lets(Some("http://good.com")));
        assert!(!only_denied.lets(Some("http://bad.com/x")));
    }

    #[test]
    fn empty_referers_are_let_through_unless_a_list_says_otherwise() {
        let strict = RefererRules { allow_empty: false, ..rules(&["http://a.com"], &[]) };
        assert_eq!((strict.lets(None), strict.lets(Some(" "))), (false, false));
        let none = RefererRules { allow_empty: false, ..RefererRules::default() };
        assert!(none.lets(None) && none.lets(Some("http://any.org")));
    }

    #[test]
    fn what_is_cut_off_does_not_count() {
        let query = "http://evil.org/?.a.com";
        let path = "http://evil.org/.a.com/";
        let wild = rules(&["http://*.a.com"], &[]);
        assert_eq!((wild.lets(Some(query)), wild.lets(Some(path))), (false, true));
        let whole = RefererRules { truncate_query: false, ..wild.clone() };
        assert!(whole.lets(Some(query)));
        let host = RefererRules { truncate_path: true, ..wild };
        assert_eq!((host.lets(Some(query)), host.lets(Some(path))), (false, false));
        assert!(host.lets(Some("http://x.a.com/page")));
    }

    #[test]
    fn lists_have_a_limit() {
        assert!(rules(&["a"; 1000], &[]).fits() && !rules(&["a"; 1000], &["b"]).fits());
        assert!(!rules(&[&"a".repeat(ENTRY_BYTES_MAX + 1)], &[]).fits());
    }
}
