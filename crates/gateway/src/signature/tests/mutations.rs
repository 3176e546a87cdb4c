//! Nothing that was signed can be changed.

use proptest::prelude::*;

use super::*;

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
        prop_assume!(!right.means(&changed));
        prop_assert!(changed.is_refused(), "{scheme:?} {presigned} {changed:?}");
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
        prop_assert!(changed.is_refused(), "{scheme:?} {presigned} {changed:?}");
        changed = right;
        changed.headers.remove(which);
        prop_assert!(changed.is_refused(), "{scheme:?} {presigned} {changed:?}");
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
            assert!(changed.is_refused(), "{scheme:?} {method}");
        }
        let changed = Sample { host: "other.example.com".into(), ..right.clone() };
        assert!(changed.is_refused(), "{scheme:?} another bucket");
        for name in ["acl", "tagging", "uploadId", "partNumber", "response-expires"] {
            let changed = right.clone().parameter(name, "");
            assert!(changed.is_refused(), "{scheme:?} {name}");
        }
        let prefix = scheme.dialect().header_prefix();
        let changed = right.clone().header(&format!("{prefix}acl"), "public-read");
        assert!(changed.is_refused(), "{scheme:?} another header");
    }
}

/// What is not signed is refused, or nobody takes it for a header.
#[test]
fn no_parameter_can_be_added_that_is_read_as_a_header() {
    for (scheme, presigned) in ALL {
        let right = whole(scheme, presigned);
        let prefix = scheme.dialect().header_prefix();
        for suffix in ["copy-source", "acl", "meta-b", "tagging", "security-token", "process"] {
            let name = format!("{prefix}{suffix}");
            for name in [name.clone(), name.to_uppercase(), titled(&name), mixed(&name)] {
                let changed = right.clone().parameter(&name, "/priv/secret");
                assert!(changed.is_refused(), "{scheme:?} {presigned} {name}");
                let mut first = right.clone();
                first.query = format!("{name}=/priv/secret&{}", right.query);
                assert!(first.is_refused(), "{scheme:?} {presigned} {name} in front");
            }
        }
    }
}

fn titled(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// The prefix as it must be, the rest not.
fn mixed(name: &str) -> String {
    name[..6].to_owned() + &titled(&name[6..])
}

#[test]
fn a_signed_text_of_s3_v2_has_one_reading() {
    let sign = |query: &str| {
        Sample::new("PUT", "bkt.example.com", &format!("/k?{query}")).sign(Scheme::S3V2, true)
    };
    for (signed, taken_for) in [
        ("partNumber=1&uploadId=x", "partNumber=1%26uploadId%3Dx"),
        ("partNumber=1&uploadId=x", "partNumber=1%26uploadId=x"),
        ("response-expires=1", "response-expires%3D1="),
        ("response-expires=1&versionId=2", "response-expires%3D1%26versionId=2"),
        ("x-amz-meta-a=b%3Ac", "x-amz-meta-a%3Ab=c"),
        ("x-amz-meta-a=b,c", "x-amz-meta-a=b&x-amz-meta-a=c"),
    ] {
        let right = sign(signed);
        assert!(!right.is_refused(), "{signed}");
        let mut changed = right.clone();
        changed.query = right.query.replace(signed, taken_for);
        assert_ne!(changed, right);
        assert!(changed.is_refused(), "{signed} as {taken_for}");
    }
    let mut split = sign("x-amz-meta-a=b,c");
    split.query = split.query.replace("b,c", "c");
    assert!(split.header("x-amz-meta-a", "b").is_refused());
    assert!(!sign("response-content-disposition=a%26b.txt%3D1").is_refused());
}

#[test]
fn a_signed_text_of_oss_v1_has_one_reading() {
    let sign = |target: &str, presigned| {
        Sample::new("PUT", "bkt.example.com", target).sign(Scheme::OssV1, presigned)
    };
    for (signed, taken_for) in [
        ("partNumber=1&uploadId=x", "partNumber=1%26uploadId%3Dx"),
        ("partNumber=1&uploadId=x", "partNumber=1%26uploadId=x"),
        ("acl&versionId=2", "acl=%26versionId%3D2"),
        ("position=1&x-oss-process=a", "position=1%26x-oss-process%3Da"),
        ("x-oss-process=a%3Db", "x-oss-process%3Da=b"),
        ("versionId=2", "versionId%3D2"),
        ("uploadId=x", "uploadId=x&acl"),
    ] {
        for presigned in [false, true] {
            let right = sign(&format!("/k?{signed}"), presigned);
            assert!(!right.is_refused(), "{signed}");
            let mut changed = right.clone();
            changed.query = right.query.replace(signed, taken_for);
            assert_ne!(changed, right);
            assert!(changed.is_refused(), "{signed} as {taken_for}");
        }
    }
    for value in ["a%26b.txt%3D1", "a%26b", "%26"] {
        let target = format!("/k?response-content-disposition={value}");
        assert!(!sign(&target, true).is_refused(), "{value} means nothing else");
    }
}

#[test]
fn a_url_of_oss_v1_names_no_key_that_could_be_parameters() {
    let sign = |target: &str, presigned| {
        Sample::new("GET", "bkt.example.com", target).try_sign(Scheme::OssV1, presigned)
    };
    for (key, ambiguous) in [
        ("/k%3Facl", true),
        ("/k%3FversionId=2", true),
        ("/k%3Fa%3Facl%26b", true),
        ("/k%3Fx-oss-process=a", true),
        ("/k%3F", false),
        ("/k%3Fpage=1", false),
        ("/k%3Faclx", false),
    ] {
        assert_eq!(sign(key, true).is_err(), ambiguous, "{key}");
        assert!(!sign(key, false).unwrap().is_refused(), "{key} in a header");
    }
    let mut url = sign("/k?acl", true).unwrap();
    assert!(!url.is_refused());
    url.path = "/k%3Facl".to_owned();
    url.query = url.query.replacen("acl&", "", 1);
    assert!(url.is_refused(), "{url:?}");
}

#[test]
fn a_parameter_without_a_name_is_bound_too() {
    for (scheme, presigned) in ALL {
        let whole_query = matches!(scheme, Scheme::S3V4 | Scheme::OssV2 | Scheme::OssV4);
        let changed = whole(scheme, presigned).parameter("", "x");
        assert!(!whole_query || changed.is_refused(), "{scheme:?} {presigned}");
    }
}
