//! When a signature holds: clock skew, expiry, and the forms of dates.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use model::Condition;
use model::limits::{PRESIGN_SECONDS_MAX, SKEW_SECONDS_MAX};

use super::Refusal;

/// The time a signature speaks of.
#[derive(Clone)]
pub(super) enum Validity {
    /// Signed at that time, for use at once.
    At(Moment),
    /// A V4 URL: from that time, for a number of seconds.
    Window(Moment, i64),
    /// An older URL: until that time, in seconds since 1970, as sent and as understood.
    Until(String, DateTime<Utc>),
}

#[derive(Clone)]
pub(super) struct Moment {
    pub at: DateTime<Utc>,
    /// As sent.
    pub text: String,
}

impl Moment {
    /// Reads `20260102T030405Z`, RFC 1123 or RFC 3339; nothing before 1970.
    ///
    /// The day of the week is not compared with the date: a wrong one is no reason to refuse.
    pub fn parse(text: &str) -> Option<Self> {
        let date = text.split_once(',').map_or(text, |(_, date)| date.trim());
        let at = iso_basic(text)
            .or_else(|| DateTime::parse_from_rfc2822(date).ok().map(|at| at.to_utc()))
            .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc()))?;
        (at.timestamp() >= 0).then(|| Self { at, text: text.to_owned() })
    }

    /// Reads `20260102T030405Z` only.
    pub fn parse_iso_basic(text: &str) -> Option<Self> {
        iso_basic(text).and_then(|_| Self::parse(text))
    }

    /// `20260102T030405Z`
    pub fn iso_basic(&self) -> String {
        self.at.format("%Y%m%dT%H%M%SZ").to_string()
    }

    /// `20260102`
    pub fn day(&self) -> String {
        self.at.format("%Y%m%d").to_string()
    }
}

impl Validity {
    /// Reads the `Expires` of an older URL.
    pub fn until(expires: &str) -> Result<Self, Refusal> {
        let digits = expires.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = expires.parse().ok().filter(|_| digits);
        match seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)) {
            Some(at) => Ok(Self::Until(expires.to_owned(), at)),
            None => {
                let detail = format!("Invalid date (should be seconds since epoch): {expires}");
                Err(Refusal::new(Condition::AccessDenied, detail))
            }
        }
    }

    /// Whether a signature holds at `now`; both ends of every span count as inside.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        match self {
            Self::At(signed) => check_skew(signed, now),
            Self::Window(start, seconds) => {
                if start.at.signed_duration_since(now).num_milliseconds() > SKEW_SECONDS_MAX * 1000
                {
                    let detail = "Request is not valid yet";
                    let refusal = Refusal::new(Condition::AccessDenied, detail);
                    return Err(refusal.with("ServerTime", iso(now)));
                }
                let end = start.at.checked_add_signed(TimeDelta::seconds(*seconds));
                check_end(end, now, &[("X-Amz-Expires", seconds.to_string())])
            }
            Self::Until(_, end) => check_end(Some(*end), now, &[]),
        }
    }
}

/// Reads the seconds a V4 URL lives.
///
/// Source: S3 "X-Amz-Expires", OSS "x-oss-expires": 1 to 604800. Zero is let through here and is
/// expired in the next moment, as both services answer it.
pub(super) fn presign_seconds(text: &str, name: &str) -> Result<i64, String> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{name} should be a number"));
    }
    if negative {
        return Err(format!("{name} must be non-negative"));
    }
    digits.parse().ok().filter(|seconds| *seconds <= PRESIGN_SECONDS_MAX).ok_or_else(|| {
        format!(
            "{name} must be less than a week (in seconds); that is, the given {name} must be less \
             than {PRESIGN_SECONDS_MAX} seconds"
        )
    })
}

fn check_skew(signed: &Moment, now: DateTime<Utc>) -> Result<(), Refusal> {
    let apart = now.signed_duration_since(signed.at).abs();
    if apart <= TimeDelta::seconds(SKEW_SECONDS_MAX) {
        return Ok(());
    }
    let detail = "The difference between the request time and the current time is too large.";
    Err(Refusal::new(Condition::RequestTimeTooSkewed, detail)
        .with("RequestTime", signed.text.clone())
        .with("ServerTime", iso(now))
        .with("MaxAllowedSkewMilliseconds", (SKEW_SECONDS_MAX * 1000).to_string()))
}

fn check_end(
    end: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    fields: &[(&'static str, String)],
) -> Result<(), Refusal> {
    if end.is_some_and(|end| now <= end) {
        return Ok(());
    }
    let mut refusal = Refusal::new(Condition::ExpiredSignature, "Request has expired");
    refusal.fields.extend_from_slice(fields);
    let expires = end.map(iso).unwrap_or_default();
    Err(refusal.with("Expires", expires).with("ServerTime", iso(now)))
}

/// chrono reads fewer digits and signs too, hence the look at the shape.
fn iso_basic(text: &str) -> Option<DateTime<Utc>> {
    let (day, time) = text.strip_suffix('Z')?.split_once('T')?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if day.len() != 8 || time.len() != 6 || !digits(day) || !digits(time) {
        return None;
    }
    NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok().map(|at| at.and_utc())
}

fn iso(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_three_forms() {
        for text in [
            "20260102T030405Z",
            "Fri, 02 Jan 2026 03:04:05 GMT",
            "Fri, 02 Jan 2026 04:04:05 +0100",
            "2026-01-02T03:04:05Z",
        ] {
            let moment = Moment::parse(text).unwrap();
            assert_eq!(moment.at.timestamp(), 1_767_323_045, "{text}");
            assert_eq!(
                (moment.iso_basic(), moment.day()),
                ("20260102T030405Z".into(), { "20260102".into() })
            );
        }
    }

    #[test]
    fn other_dates_are_not_read() {
        for text in [
            "",
            "20260102T030405",
            "20260102T03040Z",
            "+2260102T030405Z",
            "2026010aT030405Z",
            "20261302T030405Z",
            "20260102T250405Z",
            "19500707T215304Z",
            "Tue, 07 Jul 1950 21:53:04 GMT",
            "99999999999999999999",
            "\u{7}",
        ] {
            assert!(Moment::parse(text).is_none(), "{text}");
        }
        assert!(Moment::parse_iso_basic("Fri, 02 Jan 2026 03:04:05 GMT").is_none());
    }

    #[test]
    fn expiry_in_seconds_since_1970_is_read_or_refused() {
        assert!(Validity::until("1767326645").is_ok());
        for text in ["", "-1", "+1", "1e9", "18446744073709551616", "9223372036854775807"] {
            let refusal = Validity::until(text).err().unwrap();
            assert_eq!(refusal.condition, Condition::AccessDenied, "{text}");
        }
    }

    #[test]
    fn a_presigned_life_is_at_most_a_week() {
        assert_eq!(presign_seconds("604800", "N"), Ok(604_800));
        assert_eq!(presign_seconds("1", "N"), Ok(1));
        for text in ["604801", "-1", "", "-", "+1", "1.5", "99999999999999999999999"] {
            assert!(presign_seconds(text, "N").is_err(), "{text}");
        }
    }

    #[test]
    fn spans_include_their_ends() {
        let start = Moment::parse("20260102T030405Z").unwrap();
        let after = |milliseconds| start.at + TimeDelta::milliseconds(milliseconds);
        let condition = |validity: &Validity, milliseconds| {
            validity.check(after(milliseconds)).err().map(|refusal| refusal.condition)
        };
        let at = Validity::At(start.clone());
        for (milliseconds, expected) in [
            (900_000, None),
            (-900_000, None),
            (901_000, Some(Condition::RequestTimeTooSkewed)),
            (900_001, Some(Condition::RequestTimeTooSkewed)),
            (-901_000, Some(Condition::RequestTimeTooSkewed)),
        ] {
            assert_eq!(condition(&at, milliseconds), expected, "{milliseconds}");
        }
        let window = Validity::Window(start.clone(), 60);
        for (milliseconds, expected) in [
            (60_000, None),
            (60_001, Some(Condition::ExpiredSignature)),
            (-900_000, None),
            (-900_001, Some(Condition::AccessDenied)),
        ] {
            assert_eq!(condition(&window, milliseconds), expected, "{milliseconds}");
        }
        let until = Validity::until("1767323045").unwrap();
        assert_eq!(condition(&until, 0), None);
        assert_eq!(condition(&until, 1_000), Some(Condition::ExpiredSignature));
    }
}
