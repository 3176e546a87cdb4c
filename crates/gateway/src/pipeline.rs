//! The life of a request: address, dialect, signature, caller, operation, reply.
//!
//! One verifier stands in front of everything, unknown routes too. What fails at any step goes to
//! `errors`, in the words of the dialect known by then.

use std::{cell::Cell, panic::AssertUnwindSafe, rc::Rc, sync::Arc, time::Instant};

use actix_http::{Response, body::BoxBody};
use actix_web::{
    dev::Payload,
    http::{Method, header::HeaderMap},
};
use futures_util::FutureExt as _;
use model::{
    Condition,
    entities::KeyUse,
    environment::unix_ms,
    limits::FORM_BYTES_MAX,
    policy::{Facts as CallerFacts, Principal},
};
use service::{
    Caller, Error, Identity,
    entities::SecondFactor,
    explain::{Asker, Explanation},
};
use sha2::{Digest as _, Sha256};
use tracing::Instrument as _;

use crate::{
    address::{self, Address},
    admin,
    body::Expected,
    cors,
    dialect::{self, Dialect},
    encoding::query_pairs,
    errors::{self, Facts},
    facts,
    form::{self, Form, PostPolicy},
    health,
    http::{Activity, Gateway, Head, respond},
    iam, metrics,
    operations::{absent, table},
    rpc::{self, Rpc},
    signature::{self, Claim, Payload as Binding, Refusal, SignedRequest, Verified},
    wire::{
        Arriving, Entry, Found, Handler, Query, Reply, Request, Result, Target, Wanted, find,
        hoisted,
    },
};

/// How many parameters a query may have.
const PARAMETERS_MAX: usize = 200;

/// How many parameters a form may have.
const FORM_PARAMETERS_MAX: usize = 4000;

/// Answers a request, whatever happens.
///
/// - `activity`: the connection's. If it is beyond those allowed, only health is told.
pub async fn serve(
    gateway: &Arc<Gateway>,
    head: Head,
    payload: Payload,
    activity: Option<Activity>,
) -> Response<BoxBody> {
    let started = Instant::now();
    let span = tracing::info_span!("request", id = %head.id.0, method = %head.method);
    let received = Rc::new(Cell::new(0));
    let patience = gateway.settings.patience;
    let arriving =
        Arriving::new(payload, head.framed, patience, received.clone(), activity.clone());
    let mut exchange = Exchange::new(gateway, head, activity);
    let outcome = AssertUnwindSafe(exchange.run(Some(arriving)))
        .catch_unwind()
        .instrument(span.clone())
        .await
        .unwrap_or_else(|_| Err(Error::new(Condition::Internal, "The request failed.")));
    span.in_scope(|| exchange.finish(outcome, started, received.get()))
}

/// Decides whether the body of a request may be sent: signature, operation and permission by
/// headers alone.
///
/// # Errors
/// The reply that refuses it.
pub async fn admit(
    gateway: &Arc<Gateway>,
    head: Head,
    activity: Option<Activity>,
) -> Result<(), Response<BoxBody>> {
    let started = Instant::now();
    let span = tracing::info_span!("admission", id = %head.id.0, method = %head.method);
    let mut exchange = Exchange::new(gateway, head, activity);
    let outcome = AssertUnwindSafe(exchange.admit())
        .catch_unwind()
        .instrument(span.clone())
        .await
        .unwrap_or_else(|_| Err(Error::new(Condition::Internal, "The request failed.")));
    outcome.map_err(|error| span.in_scope(|| exchange.finish(Err(error), started, 0)))
}

/// One request, and what became known of it on the way.
struct Exchange<'g> {
    gateway: &'g Arc<Gateway>,
    head: Head,
    dialect: Dialect,
    address: Option<Address>,
    operation: &'static str,
    /// The connection's; `None` in tests.
    activity: Option<Activity>,
    /// What browsers are told besides.
    cors: cors::Headers,
    /// A form for IAM or STS, which have errors of their own.
    is_form: bool,
    /// S3 Control wraps its errors.
    is_control: bool,
    /// A call for STS in the words of Alibaba Cloud.
    rpc: Option<Rpc>,
}

impl<'g> Exchange<'g> {
    fn new(gateway: &'g Arc<Gateway>, head: Head, activity: Option<Activity>) -> Self {
        let dialect = gateway.settings.default_dialect;
        let (address, operation, cors) = (None, "Unknown", cors::Headers::new());
        Self {
            gateway,
            head,
            dialect,
            address,
            operation,
            activity,
            cors,
            is_form: false,
            is_control: false,
            rpc: None,
        }
    }

    async fn run(&mut self, arriving: Option<Arriving>) -> Result<Reply> {
        let (address, query) = self.locate()?;
        if let Some(reply) = health::reply(self.gateway, &self.head, &address) {
            self.operation = "Health";
            return Ok(reply);
        }
        self.refuse_without_place()?;
        if self.head.method == Method::OPTIONS {
            self.operation = "OptionsObject";
            return cors::preflight(&self.gateway.service, &address, &self.head.headers).await;
        }
        if self.rpc.is_some() {
            return self.rpc(arriving).await;
        }
        self.tell_browsers(&address).await;
        if self.is_form {
            return self.form(address, query, arriving).await;
        }
        let mut request = self.verify(address, query, arriving, None).await?;
        let outcome = self.answer(&mut request).await;
        outcome.map_err(|error| self.of_caller(&request, error))
    }

    /// Does what a request asks for.
    async fn answer(&mut self, request: &mut Request) -> Result<Reply> {
        if admin::is_ours(&request.address) {
            self.operation = "Admin";
            return admin::reply(request, self.gateway).await;
        }
        if form::is_form(request) {
            self.read_form(request).await?;
        }
        let entry = self.find(request)?;
        let service = &self.gateway.service;
        match entry.handler {
            Handler::Operation { run, .. } => run(request, service).await,
            Handler::Absent(answer) => absent::answer(request, service, &entry.route, answer).await,
            Handler::Refused(_) => Err(refusal(request, self.operation)),
        }
    }

    async fn admit(&mut self) -> Result<()> {
        let (address, query) = self.locate()?;
        self.refuse_without_place()?;
        if self.head.method == Method::OPTIONS || self.is_form || self.rpc.is_some() {
            // The signature of a form for IAM or STS is over the body: that must come first.
            return Ok(());
        }
        self.tell_browsers(&address).await;
        let mut request = self.verify(address, query, None, None).await?;
        if admin::is_ours(&request.address) {
            return admin::permit(&request);
        }
        match self.find(&request)?.handler {
            Handler::Operation { admit, .. } => admit(&mut request, &self.gateway.service).await,
            // These read no body: they are answered at once.
            Handler::Absent(_) => Ok(()),
            Handler::Refused(_) => Err(refusal(&request, self.operation)),
        }
    }

    /// A page may read errors too.
    async fn tell_browsers(&mut self, address: &Address) {
        let (service, head) = (&self.gateway.service, &self.head);
        let method = head.method.as_str();
        self.cors = cors::headers(service, address, self.dialect, method, &head.headers).await;
    }

    /// Answers a form for IAM or STS.
    async fn form(
        &mut self,
        address: Address,
        query: Query,
        arriving: Option<Arriving>,
    ) -> Result<Reply> {
        let arriving = arriving.ok_or(Condition::MissingRequestBody)?;
        let body = arriving.whole(FORM_BYTES_MAX).await?;
        refuse_many_in(&body)?;
        let form = iam::Form::parse(&body)?;
        if self.head.raw_query.is_empty()
            && rpc::is_ours(&self.head.method, &self.head.headers, form.pairs())
        {
            let rpc = Rpc { parameters: form.into_pairs() };
            (self.dialect, self.is_form) = (Dialect::Oss, false);
            self.operation = rpc.action().unwrap_or("Unknown");
            let outcome = self.answer_rpc(&rpc).await;
            self.rpc = Some(rpc);
            return outcome;
        }
        self.operation = iam::action(&form).map_or("Unknown", |action| action.name());
        let sha256: [u8; 32] = Sha256::digest(&body).into();
        let request = self.verify(address, query, None, Some(sha256)).await?;
        let bound = request.verified.is_none() || request.payload == Binding::Sha256(sha256);
        if !bound {
            return Err(Condition::ContentSha256Mismatch.into());
        }
        let outcome = iam::reply(&request, &form, &self.gateway.service).await;
        outcome.map_err(|error| self.of_caller(&request, error))
    }

    /// Answers a call for STS in the words of Alibaba Cloud, whose parameters may go on in a form.
    async fn rpc(&mut self, arriving: Option<Arriving>) -> Result<Reply> {
        let mut rpc = self.rpc.take().ok_or(Condition::Internal)?;
        let read = async {
            let Some(arriving) = arriving else { return Ok(Vec::new()) };
            let body = arriving.whole(FORM_BYTES_MAX).await?;
            refuse_many_in(&body)?;
            let text = std::str::from_utf8(&body).map_err(|_| Condition::InvalidArgument)?;
            Ok::<_, Error>(query_pairs(text)?)
        };
        let outcome = match read.await {
            Err(error) => Err(error),
            Ok(form) => {
                rpc.parameters.extend(form);
                self.operation = rpc.action().unwrap_or("Unknown");
                self.answer_rpc(&rpc).await
            }
        };
        self.rpc = Some(rpc);
        outcome
    }

    async fn answer_rpc(&self, rpc: &Rpc) -> Result<Reply> {
        let claim = signature::rpc_claim(self.head.method.as_str(), &rpc.parameters)?;
        let service = &self.gateway.service;
        let found = service.identify(&claim.access_key, claim.token.as_deref()).await?;
        let identity = found.ok_or_else(|| {
            let detail = "Specified access key is not found.";
            let who = Asker { access_key: Some(claim.access_key.clone()), ..self.asker() };
            self.told(Error::new(Condition::InvalidAccessKeyId, detail), who)
        })?;
        let who = (&identity.account.id, identity.principal.lasting());
        let now = service.clock().now();
        let proven = claim.prove(&identity.secret, who, now, &self.gateway.nonces);
        proven.map_err(|refusal| self.unproven(&claim.access_key, &identity, refusal))?;
        if claim.token.is_none() {
            self.note(&claim.access_key, "sts", None);
        }
        let caller = self.caller(Some((identity, claim.access_key)));
        rpc.reply(&caller, service, &self.head.id.0).await
    }

    fn refuse_without_place(&self) -> Result<()> {
        match self.activity.as_ref().is_none_or(Activity::has_place) {
            true => Ok(()),
            false => Err(Error::new(Condition::SlowDown, "Too many connections are open.")),
        }
    }

    /// Finds bucket, key and dialect.
    fn locate(&mut self) -> Result<(Address, Query)> {
        let head = &self.head;
        if head.too_large {
            return Err(Condition::RequestHeadersTooLarge.into());
        }
        refuse_many(&head.raw_query)?;
        let settings = &self.gateway.settings;
        let address = address::resolve(head.host.as_deref(), &head.path, &settings.domains);
        let mut pairs = query_pairs(&head.raw_query)?;
        let endpoint = address.as_ref().map_or("", |address| &address.endpoint);
        let is_root = address.as_ref().is_ok_and(|address| address.bucket.is_none());
        if is_root && rpc::is_ours(&head.method, &head.headers, &pairs) {
            self.dialect = Dialect::Oss;
            self.rpc = Some(Rpc { parameters: pairs.clone() });
        } else {
            self.dialect = dialect::detect(&head.headers, &pairs, endpoint, self.dialect)?;
        }
        let mut address = address?;
        let is_s3 = self.dialect == Dialect::S3;
        let names_account = is_s3 && head.headers.contains_key("x-amz-account-id");
        if let Some(asked) = address::control(&head.path, names_account) {
            pairs.push((asked.to_owned(), String::new()));
            address = address.of_control();
            self.is_control = true;
        }
        self.is_form =
            self.rpc.is_none() && iam::is_ours(self.dialect, &head.method, &address, &head.headers);
        if self.is_form {
            self.dialect = Dialect::S3;
        }
        self.address = Some(address.clone());
        Ok((address, Query::new(pairs)))
    }

    /// Checks the signature and makes the request the operations see.
    async fn verify(
        &self,
        address: Address,
        query: Query,
        arriving: Option<Arriving>,
        form_sha256: Option<[u8; 32]>,
    ) -> Result<Request> {
        let head = &self.head;
        let signed = SignedRequest {
            method: head.method.as_str(),
            raw_path: &head.path,
            raw_query: &head.raw_query,
            headers: &head.headers,
            address: &address,
            form_sha256,
        };
        let proven = self.prove(&signed).await?;
        let payload = match &proven {
            Some((verified, ..)) => verified.payload.clone(),
            None => signature::unsigned_payload(&head.headers, self.dialect)?,
        };
        let (verified, signer) = match proven {
            Some((verified, identity, key)) => (Some(verified), Some((identity, key))),
            None => (None, None),
        };
        let headers = hoisted(verified.as_ref(), &head.headers, &query)?;
        let mut caller = self.caller(signer);
        let facts = &mut caller.facts;
        facts.request = facts::request(self.dialect, &address, &query, &headers);
        facts.signature = verified.as_ref().map(|it| facts::signature(it, facts.now_ms));
        let owner = |suffix: &str| {
            let value = headers.get(format!("{}{suffix}", self.dialect.header_prefix()))?;
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            Some(value).filter(|value| !value.is_empty())
        };
        caller.expected_owner = owner("expected-bucket-owner");
        caller.expected_source_owner = owner("source-expected-bucket-owner");
        caller.factor = self.second_factor(&headers)?;
        Ok(Request {
            dialect: self.dialect,
            method: head.method.clone(),
            path: head.path.clone(),
            query,
            headers,
            caller,
            verified,
            payload,
            secure: head.secure,
            presence: self.gateway.presence.clone(),
            arriving,
            wanted_body: false,
            form: None,
            noted: None,
            address,
        })
    }

    /// What the request shows of a second factor.
    ///
    /// S3 wants it sent over HTTPS only. Nobody listens between programs of one machine, where a
    /// proxy may be that nobody named as trusted.
    fn second_factor(&self, headers: &HeaderMap) -> Result<Option<SecondFactor>> {
        let value = headers.get("x-amz-mfa").filter(|_| self.dialect == Dialect::S3);
        let Some(value) = value else { return Ok(None) };
        if !self.head.secure && !self.head.source.is_some_and(|source| source.is_loopback()) {
            let detail = "Requests that include x-amz-mfa must use HTTPS. Behind a proxy that does \
                          so, its address belongs in server.trusted_proxies.";
            return Err(Error::new(Condition::InvalidRequest, detail));
        }
        let text = value.to_str().ok().map(str::trim).and_then(|text| text.rsplit_once(' '));
        let Some((serial, code)) = text else {
            let detail = "x-amz-mfa is the serial number of a device, a space and its code.";
            return Err(Error::new(Condition::InvalidArgument, detail));
        };
        Ok(Some(SecondFactor { serial: serial.trim().to_owned(), code: code.to_owned() }))
    }

    /// Who signed, when the signature holds; `None` for an anonymous request.
    async fn prove(
        &self,
        signed: &SignedRequest<'_>,
    ) -> Result<Option<(Verified, Identity, String)>> {
        let Some(claim) = signature::claim(signed)? else { return Ok(None) };
        let identity = self.identify(&claim).await?;
        let now = self.gateway.service.clock().now();
        let verified = claim.verify(signed, &identity.secret, now);
        let key = &claim.access_key;
        let verified = verified.map_err(|refusal| self.unproven(key, &identity, refusal))?;
        self.note_use(&claim, &verified);
        Ok(Some((verified, identity, claim.access_key)))
    }

    /// Who a claim says has signed: nothing is proven yet.
    async fn identify(&self, claim: &Claim) -> Result<Identity> {
        let service = &self.gateway.service;
        let token = claim.session_token.as_deref();
        let Some(identity) = service.identify(&claim.access_key, token).await? else {
            let product = match self.dialect {
                Dialect::S3 => "AWS",
                Dialect::Oss => "OSS",
            };
            let detail =
                format!("The {product} Access Key Id you provided does not exist in our records.");
            let error = Error::new(Condition::InvalidAccessKeyId, detail);
            let error = error.field(self.dialect.access_key_element(), &claim.access_key);
            let who = Asker { access_key: Some(claim.access_key.clone()), ..self.asker() };
            return Err(self.told(error, who));
        };
        Ok(identity)
    }

    /// Why a signature did not hold, told to the account whose key it claims.
    fn unproven(&self, access_key: &str, identity: &Identity, error: impl Into<Error>) -> Error {
        let access_key = Some(access_key.to_owned());
        let account = Some(identity.account.id.clone());
        self.told(error.into(), Asker { access_key, account, ..self.asker() })
    }

    /// A refusal that has its reason from no policy is told to the account of whoever asked.
    fn of_caller(&self, request: &Request, error: Error) -> Error {
        let refused = errors::status(error.condition, self.dialect) == 403;
        match (error.denial.is_none(), &request.verified) {
            (true, Some(_)) if refused => self.told(error, Asker::of(&request.caller)),
            _ => error,
        }
    }

    fn told(&self, error: Error, who: Asker) -> Error {
        let why = Explanation::refused(who, &error, unix_ms(self.gateway.service.clock().now()));
        error.because(why)
    }

    /// Somebody of whom only the address is known.
    fn asker(&self) -> Asker {
        Asker { source: self.head.source, ..Asker::default() }
    }

    /// Reads the fields of a form, and takes for the caller who signed its policy.
    async fn read_form(&mut self, request: &mut Request) -> Result<()> {
        self.operation = "PostObject";
        let mut form = Form::read(request).await?;
        self.dialect = form.dialect().unwrap_or(self.dialect);
        request.dialect = self.dialect;
        let missing = |name| {
            let error = form::missing(name);
            Refusal::argument(error.detail.unwrap_or_default(), name, "")
        };
        let claim = signature::claim_form(&|name: &str| form.field(name), &missing)?;
        let now = self.gateway.service.clock().now();
        let text = form.field("policy").unwrap_or_default();
        let mut range = None;
        let mut signed = None;
        if let Some(claim) = claim {
            let identity = self.identify(&claim).await?;
            let verified = claim.verify_form(text, &identity.secret);
            let key = &claim.access_key;
            let verified = verified.map_err(|refusal| self.unproven(key, &identity, refusal))?;
            let policy = PostPolicy::parse(text)?;
            let (bucket, key) = (request.bucket()?, form.key()?);
            policy.check(self.dialect, form.fields(), (bucket.as_str(), &key), now)?;
            range = policy.range;
            self.note_use(&claim, &verified);
            request.caller = self.caller(Some((identity, claim.access_key.clone())));
            signed = Some(verified);
        }
        request.headers = form.headers(self.dialect)?;
        let facts = &mut request.caller.facts;
        facts.request =
            facts::request(self.dialect, &request.address, &request.query, &request.headers);
        facts.signature = signed.as_ref().map(|it| facts::form_signature(it, facts.now_ms));
        request.verified = signed;
        let expected = Expected::read(&request.headers, self.dialect, &Binding::Unsigned)?;
        form.file.expect(expected, range);
        request.form = Some(form);
        Ok(())
    }

    /// Remembers when the key was used; now and then that is written down, beside the request.
    fn note_use(&self, claim: &Claim, verified: &Verified) {
        if claim.session_token.is_some() {
            return;
        }
        self.note(&claim.access_key, verified.service, verified.region.as_deref());
    }

    fn note(&self, access_key: &str, of: &str, region: Option<&str>) {
        let service = self.gateway.service.clone();
        let used = KeyUse {
            at_ms: unix_ms(service.clock().now()),
            service: of.to_owned(),
            region: region.unwrap_or("N/A").to_owned(),
        };
        if service.note_use(access_key, &used) {
            let access_key = access_key.to_owned();
            actix_rt::spawn(async move { service.write_use(&access_key, &used).await });
        }
    }

    /// The caller, with all that policies may ask.
    fn caller(&self, signer: Option<(Identity, String)>) -> Caller {
        let head = &self.head;
        let text = |name: &str| {
            let value = head.headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let facts = CallerFacts {
            principal: Principal::Anonymous,
            source: head.source,
            now_ms: unix_ms(self.gateway.service.clock().now()),
            secure: head.secure,
            tls_version: head.tls_version,
            user_agent: text("user-agent"),
            referer: text("referer"),
            ..CallerFacts::system("", 0)
        };
        let request_id = head.id.0.clone();
        let Some((identity, access_key)) = signer else {
            return Caller { request_id, ..Caller::from_facts(facts, None) };
        };
        let Identity { account, principal, groups, tags, standing, .. } = identity;
        let Identity { token_issued_ms, mfa_ms, web, .. } = identity;
        let facts = CallerFacts {
            root: account.root && matches!(principal, Principal::Account(_)),
            canonical_id: Some(account.canonical_id.clone()),
            principal,
            groups,
            principal_tags: tags,
            token_issued_ms,
            mfa_age_seconds: mfa_ms.map(|shown_ms| (facts.now_ms - shown_ms).max(0) / 1000),
            web,
            access_key: Some(access_key),
            ..facts
        };
        Caller { standing, request_id, ..Caller::from_facts(facts, Some(account)) }
    }

    /// Finds the operation; who asks anonymously for none is not told so.
    fn find(&mut self, request: &Request) -> Result<&'static Entry> {
        let target = match (&request.address.bucket, &request.address.key) {
            (None, _) => Target::Service,
            (Some(_), None) => Target::Bucket,
            (Some(_), Some(_)) => Target::Object,
        };
        let wanted = Wanted {
            method: request.method.as_str(),
            target,
            dialect: request.dialect,
            query: &request.query,
            headers: &request.headers,
        };
        let error = match find(table(), &wanted) {
            Found::Entry(entry) => {
                self.operation = entry.route.name_in(request.dialect);
                return Ok(entry);
            }
            _ if !request.signed() => Condition::AccessDenied.into(),
            Found::Method => Error::from(Condition::MethodNotAllowed)
                .field("Method", request.method.as_str())
                .field("ResourceType", format!("{target:?}").to_uppercase()),
            Found::Unknown(name) => {
                let detail = "A query parameter you provided implies functionality that is not \
                    implemented.";
                Error::new(Condition::NotImplemented, detail).field("Parameter", name)
            }
        };
        Err(error)
    }

    /// Makes the response, and tells log and metrics.
    fn finish(
        &mut self,
        outcome: Result<Reply>,
        started: Instant,
        received: u64,
    ) -> Response<BoxBody> {
        let (mut reply, error) = match outcome {
            Ok(reply) => (reply, None),
            Err(error) => (self.refuse(&error), Some(error)),
        };
        if self.is_form && iam::json::is_wanted(&self.head.headers) {
            reply = iam::json::instead(reply);
        }
        // In some words a signature that does not hold has another status.
        if let Some(error) = &error
            && (reply.status == 403 || error.denial.is_some())
        {
            self.gateway.service.note_denial(&self.head.id.0, error, || self.asker());
        }
        reply.headers.append(&mut self.cors);
        let elapsed = started.elapsed();
        let record = metrics::Record {
            operation: self.operation,
            dialect: self.dialect,
            status: reply.status,
            elapsed,
            received,
        };
        record.log(error.as_ref());
        let count = record.count();
        let activity = self.activity.take();
        respond(reply, self.dialect, &self.head.id.0, elapsed.as_millis(), count, activity)
    }

    /// The answer to a request that failed, in the words of the interface it meant.
    fn refuse(&self, error: &Error) -> Reply {
        let id = &self.head.id.0;
        match &self.rpc {
            Some(rpc) => rpc.error(id, self.head.host.as_deref().unwrap_or_default(), error),
            None if self.is_form => iam::error_reply(id, error),
            None => errors::reply(&self.facts(), error),
        }
    }

    fn facts(&self) -> Facts<'_> {
        let address = self.address.as_ref();
        Facts {
            dialect: self.dialect,
            id: &self.head.id.0,
            head: self.head.method == Method::HEAD,
            host: self.head.host.as_deref().unwrap_or_default(),
            path: &self.head.path,
            bucket: address.and_then(|address| address.bucket.as_deref()),
            key: address.and_then(|address| address.key.as_deref()),
            wrapped: self.is_control,
        }
    }
}

/// The same for a form, which may hold long lists.
fn refuse_many_in(body: &[u8]) -> Result<()> {
    if body.iter().filter(|byte| **byte == b'&').count() < FORM_PARAMETERS_MAX {
        return Ok(());
    }
    let detail = format!("The form has more than {FORM_PARAMETERS_MAX} parameters.");
    Err(Error::new(Condition::InvalidInput, detail))
}

/// Refuses a query that only costs time: no operation has nearly as many parameters.
fn refuse_many(raw_query: &str) -> Result<()> {
    if raw_query.split('&').count() <= PARAMETERS_MAX {
        return Ok(());
    }
    let detail = format!("The query has more than {PARAMETERS_MAX} parameters.");
    Err(Error::new(Condition::InvalidRequest, detail))
}

/// The answer to an operation that is known and not served.
fn refusal(request: &Request, operation: &str) -> Error {
    if !request.signed() {
        return Condition::AccessDenied.into();
    }
    Error::new(Condition::NotImplemented, format!("{operation} is not implemented."))
        .field("Operation", operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_a_limited_number_of_parameters() {
        assert!(refuse_many(&vec!["a=1"; PARAMETERS_MAX].join("&")).is_ok());
        let error = refuse_many(&vec![""; PARAMETERS_MAX + 1].join("&")).unwrap_err();
        assert_eq!(error.condition, Condition::InvalidRequest);
    }
}
