//! What a start prints: where the server is, and lines to paste for the usual clients.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Printed where the secret key belongs and is not to be shown.
const HIDDEN: &str = "SECRET";

/// What the lines tell.
pub struct Access<'a> {
    pub endpoint: &'a str,
    pub region: &'a str,
    pub access_key: &'a str,
    /// `None`: the lines say how to get it.
    pub secret_key: Option<&'a str>,
}

/// The URL under which a listening address is reached from this machine.
pub fn local_url(address: SocketAddr, secure: bool) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let scheme = if secure { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

/// The lines to paste.
pub fn lines(access: &Access<'_>) -> String {
    let Access { endpoint, region, access_key, secret_key } = *access;
    let secret = secret_key.unwrap_or(HIDDEN);
    let mut text = String::new();
    let mut line = |name: &str, line: String| {
        let _ = writeln!(text, "{name:<9} {line}");
    };
    line("keys", format!("{access_key} {secret}"));
    if secret_key.is_none() {
        line("", format!("for {HIDDEN} see: larder env --show-secret"));
    }
    line("aws", format!("export AWS_ACCESS_KEY_ID={access_key} AWS_SECRET_ACCESS_KEY={secret} \\"));
    line("", format!("  AWS_ENDPOINT_URL={endpoint} AWS_DEFAULT_REGION={region}"));
    line("", "aws s3 mb s3://photos && aws s3 ls".into());
    line("ossutil", format!("ossutil ls -e {endpoint} -i {access_key} -k {secret}"));
    line(
        "rclone",
        "export RCLONE_CONFIG_LARDER_TYPE=s3 RCLONE_CONFIG_LARDER_PROVIDER=Other \\".into(),
    );
    line("", format!("  RCLONE_CONFIG_LARDER_ACCESS_KEY_ID={access_key} \\"));
    line("", format!("  RCLONE_CONFIG_LARDER_SECRET_ACCESS_KEY={secret} \\"));
    line("", format!("  RCLONE_CONFIG_LARDER_ENDPOINT={endpoint}"));
    line("", "rclone lsd larder:".into());
    line("curl", format!("curl --aws-sigv4 aws:amz:{region}:s3 --user {access_key}:{secret} \\"));
    line("", format!("  {endpoint}/"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_is_reached_by_the_loopback() {
        let url = |text: &str, secure| local_url(text.parse().unwrap(), secure);
        assert_eq!(url("0.0.0.0:9000", false), "http://127.0.0.1:9000");
        assert_eq!(url("[::]:443", true), "https://[::1]:443");
        assert_eq!(url("192.0.2.7:80", false), "http://192.0.2.7:80");
    }

    #[test]
    fn the_secret_is_shown_only_when_given() {
        let mut access = Access {
            endpoint: "http://127.0.0.1:9000",
            region: "us-east-1",
            access_key: "KEY",
            secret_key: None,
        };
        assert!(lines(&access).contains("larder env --show-secret"));
        access.secret_key = Some("hush");
        assert!(lines(&access).contains("AWS_SECRET_ACCESS_KEY=hush"));
    }
}
