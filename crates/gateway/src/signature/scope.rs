//! The credential scope of the two V4 schemes, and the key derived from it.

use super::mac::hmac_sha256;
use super::{Refusal, Scheme};

/// `day/region/service/terminal`; service and terminal are those of the scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub day: String,
    pub region: String,
    service: &'static str,
    scheme: Scheme,
}

impl Scope {
    /// Reads `access-key/day/region/service/terminal`, from the right: access keys may hold
    /// slashes.
    ///
    /// # Errors
    /// What is wrong, in the words of S3.
    ///
    /// - `form`: the body is a form for IAM or STS.
    pub fn parse(credential: &str, scheme: Scheme, form: bool) -> Result<(String, Self), String> {
        let terminal = terminal(scheme);
        let services = services(scheme, form);
        let service = services.first().copied().unwrap_or_default();
        let parts: Vec<&str> = credential.rsplitn(5, '/').collect();
        let &[last, named, region, day, access_key] = parts.as_slice() else {
            return Err(malformed(service, terminal));
        };
        // Any region is taken, and so is none: some clients of IAM, which has none, leave it empty.
        if access_key.is_empty() {
            return Err(malformed(service, terminal));
        }
        if day.len() != 8 || !day.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!(
                "incorrect date format \"{day}\". This date in the credential must be in the \
                 format \"yyyyMMdd\"."
            ));
        }
        let Some(service) = services.iter().copied().find(|known| *known == named) else {
            return Err(format!(
                "incorrect service \"{named}\". This endpoint belongs to \"{service}\"."
            ));
        };
        if last != terminal {
            return Err(format!(
                "incorrect terminal \"{last}\". This endpoint uses \"{terminal}\"."
            ));
        }
        let (day, region) = (day.to_owned(), region.to_owned());
        let scope = Self { day, region, service, scheme };
        Ok((access_key.to_owned(), scope))
    }

    /// `day/region/service/terminal`
    pub fn text(&self) -> String {
        format!("{}/{}/{}/{}", self.day, self.region, self.service, terminal(self.scheme))
    }

    /// `s3`, `oss`, `iam` or `sts`.
    pub const fn service(&self) -> &'static str {
        self.service
    }

    /// The key for this day, region and service.
    ///
    /// Source: "Calculate the signature" of "Create a signed AWS API request"; OSS the same with
    /// its own prefix and names.
    pub fn signing_key(&self, secret: &str) -> Result<[u8; 32], Refusal> {
        let prefix = if self.scheme == Scheme::OssV4 { "aliyun_v4" } else { "AWS4" };
        let day_key = hmac_sha256(format!("{prefix}{secret}").as_bytes(), self.day.as_bytes())?;
        let region_key = hmac_sha256(&day_key, self.region.as_bytes())?;
        let service_key = hmac_sha256(&region_key, self.service.as_bytes())?;
        hmac_sha256(&service_key, terminal(self.scheme).as_bytes())
    }
}

const fn terminal(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::OssV4 => "aliyun_v4_request",
        _ => "aws4_request",
    }
}

const fn services(scheme: Scheme, form: bool) -> &'static [&'static str] {
    match (scheme, form) {
        (Scheme::OssV4, _) => &["oss"],
        (_, true) => &["iam", "sts"],
        (_, false) => &["s3"],
    }
}

fn malformed(service: &str, terminal: &str) -> String {
    let service = if service == "s3" { "SERVICE" } else { service };
    format!(
        "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/{service}/\
         {terminal}\"."
    )
}
