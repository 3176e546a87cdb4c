//! A body that its connection sends itself.
//!
//! The HTTP library copies every byte of a body into a buffer of its own. A large body goes round
//! that: asked for its first bytes, [`HandedOver`] gives the pieces to the connection and says
//! that there is nothing yet. The library then writes the head and flushes the connection, which
//! from then on sends pieces at each flush, where it can without any copy ([`Piece::send`]). When
//! all are out, the library is told that the body has ended.
//!
//! This rests on HTTP/1 answering the requests of a connection one after another, and on the
//! library flushing only when it has written all it has, each time a body had nothing. If it wrote
//! before the body was out, the connection would end with an error rather than mix the two.

use std::{
    cell::Cell,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use actix_http::body::{BodySize, MessageBody};
use actix_rt::net::TcpStream;
use actix_tls::accept::rustls_0_23::TlsStream;
use bytes::Bytes;
use model::Condition;
use service::Piece;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest},
    task::yield_now,
};

use super::watch::Activity;
use crate::wire::Pieces;

/// Bytes that one connection sends before it is the turn of the next one, as long as its client
/// takes all.
const TURN_BYTES: usize = 1024 * 1024;

/// What bytes go out by.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// The socket, if bytes go into it as they are.
    fn socket(&self) -> Option<&TcpStream>;
}

impl Transport for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Transport for TlsStream<TcpStream> {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

/// A body on its way out.
pub struct Outgoing {
    pieces: Pieces,
    piece: Option<Piece>,
    /// Bytes that are still to come from `pieces`.
    left_bytes: u64,
    /// The head is out: what the library writes from now on is of another answer.
    begun: bool,
    end: Option<Result<(), service::Error>>,
}

type Slot = Cell<Option<Box<Outgoing>>>;

impl Outgoing {
    /// Sends on what is in `slot`; ready when nothing is left.
    pub fn poll_in(
        slot: &Slot,
        io: &mut impl Transport,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(mut outgoing) = slot.take() else { return Poll::Ready(Ok(())) };
        let sent = outgoing.poll(io, context);
        slot.set(Some(outgoing));
        sent
    }

    /// An error if bytes of the library would come in the midst of what is in `slot`.
    pub fn check_between(slot: &Slot) -> io::Result<()> {
        let outgoing = slot.take();
        let amidst = outgoing.as_ref().is_some_and(|it| it.begun && it.end.is_none());
        slot.set(outgoing);
        if amidst { Err(io::Error::other("an answer would be cut in two")) } else { Ok(()) }
    }

    fn poll(&mut self, io: &mut impl Transport, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.begun = true;
        let mut turn_bytes = 0;
        while self.end.is_none() {
            if turn_bytes >= TURN_BYTES {
                // Unlike a waker, this also lets the runtime see what others have sent meanwhile.
                return pin!(yield_now()).poll(context).map(Ok);
            }
            let sent = match &mut self.piece {
                Some(piece) => ready!(poll_piece(piece, io, context))?,
                None => Ok(()),
            };
            self.piece = None;
            let next = match sent {
                Ok(()) => ready!(self.pieces.as_mut().poll_next(context)).transpose(),
                Err(error) => {
                    tracing::error!(%error, "an answer broke off");
                    Err(error)
                }
            };
            let wrong = || service::Error::new(Condition::Internal, "The length is wrong.");
            self.end = match next {
                Ok(Some(piece)) => {
                    turn_bytes += piece.len();
                    let left = self.left_bytes.checked_sub(piece.len() as u64);
                    self.left_bytes = left.unwrap_or(0);
                    self.piece = left.map(|_| piece);
                    left.is_none().then(|| Err(wrong()))
                }
                Ok(None) if self.left_bytes > 0 => Some(Err(wrong())),
                Ok(None) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            };
            if self.end.is_some() {
                // The library is to ask the body once more.
                context.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Sends a piece to its end. The inner error is one of reading it.
fn poll_piece(
    piece: &mut Piece,
    io: &mut impl Transport,
    context: &mut Context<'_>,
) -> Poll<io::Result<Result<(), service::Error>>> {
    while !piece.is_empty() {
        if let Some(socket) = io.socket()
            && piece.is_sendable()
        {
            ready!(socket.poll_write_ready(context))?;
            // An error is met again in the next round, which sends the bytes.
            let _ = socket.try_io(Interest::WRITABLE, || piece.send(socket));
            continue;
        }
        let bytes = match ready!(piece.poll_bytes(context)) {
            Ok(bytes) => bytes,
            Err(error) => return Poll::Ready(Ok(Err(error.into()))),
        };
        let sent = ready!(Pin::new(&mut *io).poll_write(context, &bytes))?;
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        piece.advance(sent);
    }
    Poll::Ready(Ok(Ok(())))
}

/// The body of an answer whose bytes the library never sees.
pub struct HandedOver {
    activity: Activity,
    outgoing: Option<Box<Outgoing>>,
}

impl HandedOver {
    /// A body of exactly `size_bytes` bytes.
    pub fn new(activity: Activity, pieces: Pieces, size_bytes: u64) -> Self {
        let outgoing =
            Outgoing { pieces, piece: None, left_bytes: size_bytes, begun: false, end: None };
        Self { activity, outgoing: Some(Box::new(outgoing)) }
    }
}

impl MessageBody for HandedOver {
    type Error = service::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let slot = this.activity.outgoing();
        if let Some(outgoing) = this.outgoing.take() {
            slot.set(Some(outgoing));
            return Poll::Pending;
        }
        let mut outgoing = slot.take();
        let end = outgoing.as_mut().and_then(|outgoing| outgoing.end.take());
        match end {
            None => {
                slot.set(outgoing);
                Poll::Pending
            }
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
        }
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        if self.outgoing.is_none() {
            self.activity.outgoing().set(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{future::poll_fn, stream};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        time::timeout,
    };

    use super::{super::watch::Watched, *};

    const LIMIT: Duration = Duration::from_secs(1);

    impl Transport for DuplexStream {
        fn socket(&self) -> Option<&TcpStream> {
            None
        }
    }

    /// A connection that takes few bytes at once, its client, and a body of two pieces.
    fn handed_over(size_bytes: u64) -> (DuplexStream, Watched<DuplexStream>, HandedOver) {
        let (client, server) = duplex(64);
        let server = Watched::new(server, Some(LIMIT), LIMIT, None);
        let piece = |byte| Ok(Piece::from(Bytes::from(vec![byte; 100])));
        let pieces = Box::pin(stream::iter([piece(b'a'), piece(b'b')]));
        let body = HandedOver::new(server.activity().clone(), pieces, size_bytes);
        (client, server, body)
    }

    /// What the library gets of a body now.
    async fn ask(body: &mut HandedOver) -> Poll<Option<Result<Bytes, service::Error>>> {
        poll_fn(|context| Poll::Ready(Pin::new(&mut *body).poll_next(context))).await
    }

    #[actix_rt::test]
    async fn an_answer_is_sent_behind_its_head_and_never_cut_in_two() {
        let (mut client, mut server, mut body) = handed_over(200);
        assert!(ask(&mut body).await.is_pending());
        server.write_all(b"head").await.unwrap();
        assert!(timeout(Duration::ZERO, server.flush()).await.is_err(), "the client reads nothing");
        assert!(ask(&mut body).await.is_pending());
        assert!(server.write(b"other").await.is_err());
        let mut came = [0; 204];
        let (read, sent) = tokio::join!(client.read_exact(&mut came), server.flush());
        sent.unwrap();
        assert_eq!(read.unwrap(), 204);
        assert_eq!(came.to_vec(), [b"head".to_vec(), vec![b'a'; 100], vec![b'b'; 100]].concat());
        assert!(matches!(ask(&mut body).await, Poll::Ready(None)));
        server.write_all(b"other").await.unwrap();
    }

    #[actix_rt::test]
    async fn a_client_that_takes_all_lets_others_have_their_turn() {
        const PIECES: usize = 5;
        let (mut client, server) = duplex(PIECES * TURN_BYTES);
        let mut server = Watched::new(server, Some(LIMIT), LIMIT, None);
        let piece = |_| Ok(Piece::from(Bytes::from(vec![b'a'; TURN_BYTES])));
        let pieces = Box::pin(stream::iter((0..PIECES).map(piece)));
        let size_bytes = PIECES * TURN_BYTES;
        let mut body = HandedOver::new(server.activity().clone(), pieces, size_bytes as u64);
        assert!(ask(&mut body).await.is_pending());
        let mut turns = 0;
        poll_fn(|context| {
            turns += 1;
            Pin::new(&mut server).poll_flush(context)
        })
        .await
        .unwrap();
        assert_eq!(turns, 1 + PIECES);
        client.read_exact(&mut vec![0; size_bytes]).await.unwrap();
    }

    #[actix_rt::test]
    async fn a_body_of_another_length_is_an_error() {
        for size_bytes in [150, 250] {
            let (mut client, mut server, mut body) = handed_over(size_bytes);
            assert!(ask(&mut body).await.is_pending());
            let mut came = Vec::new();
            let (read, sent) =
                tokio::join!(timeout(LIMIT / 10, client.read_to_end(&mut came)), server.flush());
            sent.unwrap();
            assert!(read.is_err() && came.len() as u64 <= size_bytes);
            assert!(matches!(ask(&mut body).await, Poll::Ready(Some(Err(_)))));
        }
    }
}
