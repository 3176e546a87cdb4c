//! A limit on the time a kept-alive connection may take for its next head.
//!
//! The HTTP library limits it for the first head of a connection only.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// What a connection does; its bytes and its requests share it.
#[derive(Clone, Default)]
pub struct Activity(Rc<State>);

#[derive(Default)]
struct State {
    /// Requests whose head was complete, and whose answer is not yet read out.
    running: Cell<usize>,
    /// A first head was complete: the library's own limit holds no more.
    begun: Cell<bool>,
    /// When the first byte came since no request is running.
    since: Cell<Option<Instant>>,
}

impl Activity {
    /// To be kept until the answer was read out.
    pub fn begin(&self) -> Running {
        let state = &self.0;
        state.running.set(state.running.get() + 1);
        state.begun.set(true);
        state.since.set(None);
        Running(self.clone())
    }

    fn received(&self) {
        let state = &self.0;
        if state.begun.get() && state.running.get() == 0 && state.since.get().is_none() {
            state.since.set(Some(Instant::now()));
        }
    }
}

/// A request is running on a connection.
pub struct Running(Activity);

impl Drop for Running {
    fn drop(&mut self) {
        let running = &self.0.0.running;
        running.set(running.get().saturating_sub(1));
    }
}

/// The body of an answer, whose request runs until it was read out. One that is there as a whole
/// is read out at once.
pub struct Watching {
    body: BoxBody,
    running: Running,
}

impl Watching {
    pub fn new(body: BoxBody, running: Running) -> Self {
        Self { body, running }
    }
}

impl MessageBody for Watching {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(context)
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, running } = self;
        body.try_into_bytes().map_err(|body| Self { body, running })
    }
}

/// The bytes of a connection, which fail when a head takes too long.
pub struct Watched<I> {
    io: I,
    activity: Activity,
    /// `None` never fails.
    head_timeout: Option<Duration>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<I> Watched<I> {
    pub fn new(io: I, head_timeout: Option<Duration>) -> Self {
        Self { io, activity: Activity::default(), head_timeout, sleep: None }
    }

    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Ready when the head that has begun should be complete.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.activity.0.since.get().zip(self.head_timeout);
        let Some((since, timeout)) = deadline else { return Poll::Pending };
        let deadline = since + timeout;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut this.io).poll_read(context, buffer) {
            if buffer.filled().len() > before {
                this.activity.received();
            }
            return Poll::Ready(result);
        }
        ready!(this.poll_late(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use actix_http::body::{SizedStream, to_bytes};
    use futures_util::stream;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::timeout,
    };

    use super::*;

    const LIMIT: Duration = Duration::from_millis(40);

    async fn read(io: &mut Watched<impl AsyncRead + Unpin>) -> Option<io::Result<usize>> {
        timeout(LIMIT * 5, io.read(&mut [0; 8])).await.ok()
    }

    #[actix_rt::test]
    async fn a_head_that_has_begun_must_end_in_time() {
        let (mut client, server) = duplex(64);
        let mut server = Watched::new(server, Some(LIMIT));
        client.write_all(b"GET").await.unwrap();
        assert_eq!(read(&mut server).await.unwrap().unwrap(), 3);
        assert!(read(&mut server).await.is_none(), "the first head is not ours to watch");
        let running = server.activity().begin();
        client.write_all(b"body").await.unwrap();
        assert_eq!(read(&mut server).await.unwrap().unwrap(), 4);
        assert!(read(&mut server).await.is_none(), "a running request has all its time");
        drop(running);
        assert!(read(&mut server).await.is_none(), "an idle connection sent nothing");
        client.write_all(b"G").await.unwrap();
        assert_eq!(read(&mut server).await.unwrap().unwrap(), 1);
        let error = read(&mut server).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[actix_rt::test]
    async fn bytes_that_drip_win_no_time_and_a_complete_head_does() {
        let (mut client, server) = duplex(64);
        let mut server = Watched::new(server, Some(LIMIT));
        drop(server.activity().begin());
        let started = Instant::now();
        let error = loop {
            client.write_all(b"x").await.unwrap();
            tokio::time::sleep(LIMIT / 8).await;
            let one = timeout(LIMIT / 8, async {
                while server.read(&mut [0; 8]).await? > 0 {}
                Ok::<_, io::Error>(())
            });
            if let Ok(result) = one.await {
                break result.unwrap_err();
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() < LIMIT * 10);
        drop(server.activity().begin());
        assert!(read(&mut server).await.is_none(), "the next head begins anew");
    }

    #[actix_rt::test]
    async fn a_body_keeps_its_request_running_until_it_was_read_out() {
        let activity = Activity::default();
        let running = || activity.0.running.get();
        let whole = BoxBody::new(Watching::new(BoxBody::new("abc"), activity.begin()));
        assert_eq!((whole.size(), running()), (BodySize::Sized(3), 0));
        let chunks = stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"abc"))]);
        let streamed = BoxBody::new(SizedStream::new(3, chunks));
        let streamed = BoxBody::new(Watching::new(streamed, activity.begin()));
        assert_eq!((streamed.size(), running()), (BodySize::Sized(3), 1));
        assert_eq!(to_bytes(streamed).await.unwrap(), "abc");
        assert_eq!(running(), 0);
    }
}
