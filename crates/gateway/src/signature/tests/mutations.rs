//! Nothing that was signed can be changed.

use proptest::prelude::*;

use super::*;
use crate::encoding::{decode, query_pairs};

/// A sample in whose query every parameter is signed by every scheme.
fn whole(scheme: Scheme, presigned: bool) -> Sample {
    let oss = scheme.dialect() == crate::dialect::Dialect::Oss;
    let meta = if oss { "x-oss-meta-a" } else { "x-amz-meta-a" };
    Sample::new("GET", "bkt.example.com", "/dir/a%20b+c.txt")
        .parameter("response-content-type", "a/b")
        .parameter("versionId", "v 1")
        .header("content-type", "text/plain")
        .header(meta, "one  two")
        .sign(scheme, presigned)
}

/// Whether the two mean the same to everybody who reads them.
fn same(left: &Sample, right: &Sample) -> bool {
    let meaning = |sample: &Sample| {
        let mut pairs = query_pairs(&sample.query).ok()?;
        pairs.sort_unstable();
        Some((decode(&sample.path).ok()?, pairs, sample.method.clone(), sample.host.clone()))
    };
    meaning(left).is_some() && meaning(left) == meaning(right)
}

/// The older schemes do not sign the key's name; another name gets another secret.
fn refused(sample: &Sample) -> bool {
    match sample.claim() {
        Ok(Some(claim)) => claim.access_key != "AKID" || sample.verify().is_err(),
        Ok(None) | Err(_) => true,
    }
}

fn replaced(text: &str, at: usize, with: char) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let at = at % characters.len();
    characters[at] = with;
    characters.into_iter().collect()
}

const CHARACTERS: &str = "[a-zA-Z0-9._~%&=+/;,:-]";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_character_of_path_or_query_can_be_changed(
        kind in 0..ALL.len(),
        in_path in any::<bool>(),
        at in any::<usize>(),
        with in CHARACTERS,
    ) {
        let (scheme, presigned) = ALL[kind];
        let right = whole(scheme, presigned);
        let with = with.chars().next().unwrap();
        let mut changed = right.clone();
        if in_path {
            changed.path = format!("/{}", replaced(&right.path[1..], at, with));
        } else {
            changed.query = replaced(&right.query, at, with);
        }
        prop_assume!(!same(&right, &changed));
        prop_assert!(refused(&changed), "{scheme:?} {presigned} {changed:?}");
    }

    #[test]
    fn no_signed_header_can_be_changed(
        kind in 0..ALL.len(),
        which in any::<usize>(),
        at in any::<usize>(),
        with in CHARACTERS,
    ) {
        let (scheme, presigned) = ALL[kind];
        let right = whole(scheme, presigned);
        let mut changed = right.clone();
        let which = which % changed.headers.len();
        let (_, value) = &mut changed.headers[which];
        *value = replaced(value, at, with.chars().next().unwrap());
        // The case of the scheme and of the names in the list of signed headers is free, and so is
        // the white space around the components.
        prop_assume!(folded(&changed) != folded(&right));
        prop_assert!(refused(&changed), "{scheme:?} {presigned} {changed:?}");
        changed = right;
        changed.headers.remove(which);
        prop_assert!(refused(&changed), "{scheme:?} {presigned} {changed:?}");
    }

    #[test]
    fn arbitrary_requests_never_panic(
        path in "/?[ -~]{0,30}",
        query in "[ -~]{0,60}",
        authorization in "((AWS|OSS|OSS2|AWS4-HMAC-SHA256|OSS4-HMAC-SHA256) )?[ -~]{0,80}",
        date in "[ -~]{0,30}",
    ) {
        let mut sample = Sample::new("GET", "localhost", "/").header("date", &date);
        sample.path = path;
        sample.query = query;
        let _ = sample.verify_garbage();
        let _ = sample.header("authorization", &authorization).verify_garbage();
    }
}

fn folded(sample: &Sample) -> Vec<String> {
    let folded = |(name, value): &(String, String)| {
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        if name == "authorization" { value.to_ascii_lowercase() } else { value }
    };
    sample.headers.iter().map(folded).collect()
}

impl Sample {
    fn verify_garbage(&self) -> Result<(), Refusal> {
        let now = DateTime::<Utc>::from_timestamp(NOW, 0).unwrap();
        self.with(|request| match claim(request)? {
            Some(claim) => claim.verify(request, SECRET, now).map(|_| ()),
            None => Ok(()),
        })
    }
}

#[test]
fn method_host_bucket_and_additions_are_bound() {
    for (scheme, presigned) in ALL {
        let right = whole(scheme, presigned);
        for method in ["HEAD", "PUT", "DELETE"] {
            let changed = Sample { method: method.into(), ..right.clone() };
            assert!(refused(&changed), "{scheme:?} {method}");
        }
        let changed = Sample { host: "other.example.com".into(), ..right.clone() };
        assert!(refused(&changed), "{scheme:?} another bucket");
        for name in ["acl", "tagging", "uploadId", "partNumber", "response-expires"] {
            assert!(refused(&right.clone().parameter(name, "")), "{scheme:?} {name}");
        }
        let prefix = scheme.dialect().header_prefix();
        let changed = right.clone().header(&format!("{prefix}acl"), "public-read");
        assert!(refused(&changed), "{scheme:?} another header");
    }
}
