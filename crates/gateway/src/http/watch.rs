//! A limit on the time a kept-alive connection may take for its next head.
//!
//! The HTTP library limits it for the first head of a connection only.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use actix_http::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    crowd::{Guest, PATIENCE_WITHOUT_PLACE},
    handover::{Outgoing, Transport},
};

/// Bytes of a connection that are read in one go, and ahead of a request, when many run.
const AHEAD_BYTES: usize = 16 * 1024;

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
    /// The running request waits for more of its body.
    hungry: Cell<bool>,
    /// Bytes that came since it last did.
    ahead: Cell<usize>,
    /// Reads on when there is reason to.
    reader: Cell<Option<Waker>>,
    /// Requests of the connection are answered one after another.
    in_turn: Cell<bool>,
    /// The body that the connection sends itself.
    outgoing: Cell<Option<Box<Outgoing>>>,
    /// `None` without TLS.
    tls_version: Cell<Option<&'static str>>,
    /// `None` in tests.
    guest: Option<Guest>,
}

impl Activity {
    fn of(guest: Option<Guest>) -> Self {
        Self(Rc::new(State { guest, ..State::default() }))
    }

    /// Whether the connection may have its requests answered.
    pub fn has_place(&self) -> bool {
        self.0.guest.as_ref().is_none_or(Guest::take_place)
    }

    /// To be kept until the answer was read out.
    pub fn begin(&self) -> Running {
        let state = &self.0;
        state.running.set(state.running.get() + 1);
        state.begun.set(true);
        state.since.set(None);
        state.hungry.set(false);
        state.ahead.set(0);
        if let Some(guest) = &state.guest {
            guest.begin();
        }
        Running(self.clone())
    }

    /// Whether the connection can send the body of an answer itself.
    pub fn takes_bodies(&self) -> bool {
        self.0.in_turn.get()
    }

    /// As conditions name it, such as `1.3`; `None` without TLS.
    pub fn tls_version(&self) -> Option<&'static str> {
        self.0.tls_version.get()
    }

    pub(super) fn set_tls_version(&self, version: Option<&'static str>) {
        self.0.tls_version.set(version);
    }

    pub(super) fn outgoing(&self) -> &Cell<Option<Box<Outgoing>>> {
        &self.0.outgoing
    }

    /// Says whether the running request waits for more of its body.
    pub fn set_hungry(&self, hungry: bool) {
        let state = &self.0;
        state.hungry.set(hungry);
        if hungry {
            state.ahead.set(0);
            self.read_on();
        }
    }

    fn read_on(&self) {
        if let Some(reader) = self.0.reader.take() {
            reader.wake();
        }
    }

    /// Whether enough was read ahead of a request that is busy with something else.
    fn is_ahead(&self) -> bool {
        let state = &self.0;
        state.running.get() > 0
            && !state.hungry.get()
            && state.ahead.get() >= AHEAD_BYTES
            && state.guest.as_ref().is_some_and(Guest::is_one_of_many)
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
        if let Some(guest) = &self.0.0.guest {
            guest.end();
        }
        self.0.read_on();
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
    linger: Duration,
    /// By when a connection without a place must have sent a request.
    until: Option<Instant>,
    /// Bytes read since the HTTP library last looked at them; `None` where requests share the
    /// connection.
    in_one_go: Option<usize>,
}

impl<I> Watched<I> {
    /// - `linger`: how long a connection without a place is read after it was refused.
    pub fn new(
        io: I,
        head_timeout: Option<Duration>,
        linger: Duration,
        guest: Option<Guest>,
    ) -> Self {
        let activity = Activity::of(guest);
        activity.0.in_turn.set(head_timeout.is_some());
        let in_one_go = head_timeout.map(|_| 0);
        let until = (!activity.has_place()).then(|| Instant::now() + PATIENCE_WITHOUT_PLACE);
        Self { io, activity, head_timeout, linger, sleep: None, until, in_one_go }
    }

    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// True when the request is to catch up with what was read, or the HTTP library is to look at
    /// it: for each connection it reads up to 256 KiB otherwise.
    fn is_held_back(&mut self, context: &Context<'_>) -> bool {
        let Some(in_one_go) = &mut self.in_one_go else { return false };
        if self.activity.is_ahead() {
            *in_one_go = 0;
            self.activity.0.reader.set(Some(context.waker().clone()));
            return true;
        }
        let many = || self.activity.0.guest.as_ref().is_some_and(Guest::is_one_of_many);
        let enough = *in_one_go >= AHEAD_BYTES && many();
        if enough {
            *in_one_go = 0;
            context.waker().wake_by_ref();
        }
        enough
    }

    /// Ready when the head that has begun should be complete.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let state = &self.activity.0;
        let next = state.since.get().zip(self.head_timeout);
        let next = next.map(|(since, timeout)| since + timeout);
        let waiting = state.running.get() == 0 && self.until.is_some();
        let without_place = self.until.filter(|_| waiting && !self.activity.has_place());
        // Whoever was refused is read on, to see why.
        let linger = if state.begun.get() { self.linger } else { Duration::ZERO };
        let without_place = without_place.map(|until| until + linger);
        let Some(deadline) = without_place.or(next) else { return Poll::Pending };
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
        if this.is_held_back(context) {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut this.io).poll_read(context, buffer) {
            let came = buffer.filled().len() - before;
            if came > 0 {
                this.activity.received();
            }
            let ahead = &this.activity.0.ahead;
            ahead.set(ahead.get() + came);
            this.in_one_go = this.in_one_go.map(|bytes| bytes + came);
            return Poll::Ready(result);
        }
        this.in_one_go = this.in_one_go.map(|_| 0);
        ready!(this.poll_late(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: Transport> AsyncWrite for Watched<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Outgoing::check_between(self.activity.outgoing())?;
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Outgoing::poll_in(this.activity.outgoing(), &mut this.io, context))?;
        Pin::new(&mut this.io).poll_flush(context)
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

    use super::{super::crowd::Crowd, *};

    const LIMIT: Duration = Duration::from_millis(40);

    async fn read(io: &mut Watched<impl AsyncRead + Unpin>) -> Option<io::Result<usize>> {
        timeout(LIMIT * 5, io.read(&mut [0; 8])).await.ok()
    }

    #[actix_rt::test]
    async fn a_head_that_has_begun_must_end_in_time() {
        let (mut client, server) = duplex(64);
        let mut server = Watched::new(server, Some(LIMIT), LIMIT, None);
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
        let mut server = Watched::new(server, Some(LIMIT), LIMIT, None);
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

    /// A connection of many, whose client has sent a lot.
    async fn of_many() -> (Vec<Running>, tokio::io::DuplexStream, Watched<impl AsyncRead + Unpin>) {
        let crowd = Crowd::new(1000);
        let running = |_| Activity::of(crowd.enter()).begin();
        let running = (0..100).map(running).collect();
        let (mut client, server) = duplex(1024 * 1024);
        client.write_all(&vec![b'x'; 512 * 1024]).await.unwrap();
        (running, client, Watched::new(server, Some(LIMIT), LIMIT, crowd.enter()))
    }

    /// What is read before the HTTP library has to wait.
    async fn read_ready(io: &mut Watched<impl AsyncRead + Unpin>) -> usize {
        let (mut came, mut bytes) = (0, [0; 4096]);
        while let Ok(read) = timeout(Duration::ZERO, io.read(&mut bytes)).await {
            came += read.unwrap();
        }
        came
    }

    #[actix_rt::test]
    async fn of_many_requests_none_is_read_far_ahead() {
        let (_others, _client, mut server) = of_many().await;
        let running = server.activity().begin();
        assert_eq!(read_ready(&mut server).await, AHEAD_BYTES);
        assert_eq!(read_ready(&mut server).await, 0, "nobody waits for more");
        let activity = server.activity().clone();
        let hungry = async {
            tokio::task::yield_now().await;
            activity.set_hungry(true);
        };
        let mut bytes = [0; 4096];
        let (read, ()) = tokio::join!(server.read(&mut bytes), hungry);
        assert!(read.unwrap() > 0, "who waits wakes the reader");
        drop(running);
        assert!(read_ready(&mut server).await > 0, "after the request it is read on");
    }
}
