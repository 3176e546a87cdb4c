//! What a connection is told that there is no room for, not even for the HTTP library's own state.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// How long the beginning of a request is waited for, and how long the rest is read after that.
const STEP: Duration = Duration::from_millis(200);

const HEALTHY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n\
    content-length: 3\r\nconnection: close\r\n\r\nok\n";
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    content-length: 0\r\nconnection: close\r\n\r\n";

/// Answers whether the process lives, and 503 to anything else. Then reads a little of what else is
/// sent: if it were left unread the client's system would throw the answer away.
pub async fn turned_away(io: impl AsyncRead + AsyncWrite + Unpin) {
    if let Err(error) = tell(io).await {
        tracing::debug!(%error, "a client that was turned away has gone");
    }
}

async fn tell(mut io: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut begin = [0; 4096];
    let length = timeout(STEP, io.read(&mut begin)).await.unwrap_or(Ok(0))?;
    let begin = begin.get(..length).unwrap_or_default();
    io.write_all(if begin.starts_with(b"GET /_larder/health ") { HEALTHY } else { BUSY }).await?;
    io.shutdown().await?;
    let rest = async {
        let mut unheard = [0; 4096];
        while io.read(&mut unheard).await? > 0 {}
        Ok(())
    };
    timeout(STEP, rest).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[actix_rt::test]
    async fn who_is_turned_away_hears_503_and_health_is_told() {
        for (request, status) in [
            (&b"GET /_larder/health HTTP/1.1\r\n\r\n"[..], "200"),
            (b"PUT /bucket/key HTTP/1.1\r\nContent-Length: 9999\r\n\r\nxxxx", "503"),
            (b"", "503"),
        ] {
            let (mut client, server) = duplex(4096);
            client.write_all(request).await.unwrap();
            let (_, answer) = tokio::join!(turned_away(server), async {
                let mut answer = String::new();
                client.read_to_string(&mut answer).await.unwrap();
                drop(client);
                answer
            });
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert_eq!(answer.contains("retry-after: 1\r\n"), status == "503");
        }
    }
}
