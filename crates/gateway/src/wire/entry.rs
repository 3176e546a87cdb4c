//! The operation table's entries: a route and what to do there.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use service::{Ask, Error, Operation, Service};

use super::{Reply, Request, Result, Route};
use crate::operations::absent::Answer;

/// An operation on the wire: route, parse, render; nothing else.
#[allow(async_fn_in_trait)]
pub trait WireOperation: 'static {
    const ROUTE: Route;
    type Call: Operation;

    /// What the caller must be allowed before its document is even read, so that nobody else
    /// learns what is wrong with one. Every operation with a document says it.
    ///
    /// # Errors
    /// What is wrong with the names of bucket and key.
    fn before_document(_: &Request) -> Result<Option<Ask>> {
        Ok(None)
    }

    /// Makes the typed operation of what was sent.
    async fn parse(request: &mut Request) -> Result<Self::Call>;

    /// Makes the reply of what came out.
    fn render(request: &Request, output: <Self::Call as Operation>::Output) -> Result<Reply>;

    /// Turns an error into a reply, where a protocol wants that.
    ///
    /// # Errors
    /// The error itself, unless it has such a reply.
    fn recover(_: &Request, error: Error) -> Result<Reply> {
        Err(error)
    }
}

type Run = for<'r> fn(&'r mut Request, &'r Arc<Service>) -> LocalBoxFuture<'r, Result<Reply>>;
type Admit = for<'r> fn(&'r mut Request, &'r Arc<Service>) -> LocalBoxFuture<'r, Result<()>>;

/// A row of the table.
#[derive(Clone, Copy)]
pub struct Entry {
    pub route: Route,
    pub handler: Handler,
}

/// What happens at a route.
#[derive(Clone, Copy)]
pub enum Handler {
    /// It is served.
    Operation {
        run: Run,
        /// Asks for permission only, by headers alone.
        admit: Admit,
    },
    /// A document we know but do not keep: "none is set".
    Absent(Answer),
    /// Known, and refused by name for this reason.
    Refused(&'static str),
}

/// The entry of an operation that is served.
pub const fn entry<W: WireOperation>() -> Entry {
    let handler = Handler::Operation { run: run::<W>, admit: admit::<W> };
    Entry { route: W::ROUTE, handler }
}

fn run<'r, W: WireOperation>(
    request: &'r mut Request,
    service: &'r Arc<Service>,
) -> LocalBoxFuture<'r, Result<Reply>> {
    Box::pin(async move {
        ask::<W>(request, service).await?;
        let call = W::parse(request).await?;
        match service.call(&request.caller, call).await {
            Ok(output) => W::render(request, output),
            Err(error) => W::recover(request, error),
        }
    })
}

fn admit<'r, W: WireOperation>(
    request: &'r mut Request,
    service: &'r Arc<Service>,
) -> LocalBoxFuture<'r, Result<()>> {
    Box::pin(async move {
        ask::<W>(request, service).await?;
        match W::parse(request).await {
            Ok(call) => service.check(&request.caller, &call).await,
            // What it needs is in the body: the signature alone decides whether that is read.
            Err(_) if request.wanted_body => Ok(()),
            Err(error) => Err(error),
        }
    })
}

async fn ask<W: WireOperation>(request: &Request, service: &Arc<Service>) -> Result<()> {
    match W::before_document(request)? {
        Some(ask) => service.check(&request.caller, &ask).await,
        None => Ok(()),
    }
}
