//! From an HTTP request to a call of the kernel.
//!
//! What is wrong with a signature's form is said here; whose it is and whether it is good, the kernel
//! finds out. A request that is well signed but asks for what cannot be (an operation that is not there,
//! a name that is none) still goes to the kernel: who asks is found out, and recorded, before anything
//! else is said of it.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::request::Parts;
use strongroom_base::json::{self, Json};
use strongroom_base::limits::HEADER_BYTES_MAX;
use strongroom_base::{Error, JsonMap, RawFields, RequestPath, Result, SecretString};
use strongroom_cloudwire::sigv4::{self, Presigned};
use strongroom_kernel::pipeline::{Bounds, Call};
use strongroom_kernel::plug::{Asked, Credential, Peer, Proof, Protocol, Verb};

use super::{Operation, Planned, Regions, Scope, Service, Shape, signed, sts};

/// Bytes of a body: the longest value twice over, in base64, with all that goes with it.
pub const BODY_BYTES_MAX: usize = 512 * 1024;

/// In which form the answer goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// JSON 1.1, for this service.
    Json(&'static str),
    /// XML.
    Query,
}

impl Form {
    /// The service's name.
    pub fn service(self) -> &'static str {
        match self {
            Self::Json(service) => service,
            Self::Query => "sts",
        }
    }
}

/// A request that goes to the kernel.
pub struct Prepared {
    /// The call.
    pub call: Call,
    /// How its answer is made.
    pub answer: Answering,
}

/// How an answer is made.
pub struct Answering {
    /// Its form.
    pub form: Form,
    /// The operation's name.
    pub operation: &'static str,
    /// The region.
    pub scope: Option<Scope>,
    /// Makes the answer of the reply.
    pub shape: Shape,
    /// What is answered once it is known who asks, in place of the reply.
    pub refusal: Option<Error>,
    /// What is asked, for refusals.
    pub asked: Arc<Asked>,
}

/// A refusal before anybody was asked, and in which form it goes.
pub type Refusal = (Form, Error);

/// What stands in the audit log for a request that is refused before anybody was asked: who sent it, and
/// that it was for this door.
pub fn refused(regions: &Regions, peer: Peer) -> Result<Call> {
    let path = RequestPath::parse(&format!("{}{REFUSED}", regions.auth)).map_err(|_| bad_name())?;
    Ok(blank(regions.namespace.clone(), path, peer))
}

/// The operation of the auth mount that stands for what cannot be carried out.
const REFUSED: &str = "aws/refused";

/// A call of this door that says nothing yet.
fn blank(namespace: String, path: RequestPath, peer: Peer) -> Call {
    Call {
        namespace,
        path,
        verb: Verb::Write,
        protocol: Protocol::Aws,
        head: false,
        token: None,
        inline: None,
        credential: None,
        body: Bytes::new(),
        fields: None,
        upload: None,
        query: Vec::new(),
        wrap_ttl: None,
        headers: Vec::new(),
        peer,
        bounds: Bounds::default(),
    }
}

/// What is asked, before the region and the caller are known.
enum Target {
    Known(&'static Service, &'static Operation),
    Sts(&'static sts::Operation),
    Unknown(Form),
}

impl Target {
    fn form(&self) -> Form {
        match self {
            Self::Known(service, _) => Form::Json(service.name),
            Self::Sts(_) => Form::Query,
            Self::Unknown(form) => *form,
        }
    }
}

/// Does a request look like one of AWS's clients? Its path is `/`, which no other door serves.
pub fn is_for_us(parts: &Parts) -> bool {
    let header = |name: &str| parts.headers.contains_key(name);
    parts.uri.path() == "/"
        && (header("x-amz-target")
            || header("x-amz-date")
            || parts
                .headers
                .get("authorization")
                .is_some_and(|v| v.as_bytes().starts_with(sigv4::ALGORITHM.as_bytes()))
            || parts.uri.query().is_some_and(Presigned::is_in)
            || parts.method == Method::POST && is_form(parts))
}

fn is_form(parts: &Parts) -> bool {
    let kind = parts.headers.get("content-type").map(http::HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded"))
}

/// The form in which to answer a request of which nothing else is known.
pub fn form_of(parts: &Parts) -> Form {
    match text_of(parts, "x-amz-target").map(super::find) {
        Some(Some((service, _))) => Form::Json(service.name),
        Some(None) => Form::Json(""),
        None => Form::Query,
    }
}

pub(super) fn text_of<'p>(parts: &'p Parts, name: &str) -> Option<&'p str> {
    parts.headers.get(name)?.to_str().ok()
}

/// A request of one of AWS's clients.
pub struct Received<'a> {
    /// Its head.
    pub parts: &'a Parts,
    /// Its body.
    pub body: Bytes,
    /// Where it came from.
    pub peer: Peer,
    /// Did it come encrypted?
    pub secure: bool,
    /// What it may take of the server.
    pub bounds: Bounds,
}

impl Received<'_> {
    /// The call for it.
    pub fn prepare(self, regions: &Arc<Regions>) -> Result<Prepared, Refusal> {
        let (parameters, target) = self.target();
        let form = target.form();
        let fail = |error: Error| (form, error);
        if let Target::Sts(operation) = &target
            && operation.vouched
        {
            return self.vouched(operation, parameters, regions).map_err(fail);
        }
        let signature = self.signature(form).map_err(fail)?;
        let [_, region, _] = &signature.scope;
        let scope = regions
            .scope(region)
            .ok_or_else(|| fail(signed::wrong("Credential should be scoped to a valid region.")))?;
        let (operation, planned) = match &target {
            Target::Known(_, operation) => {
                let planned = self.members().and_then(|members| (operation.plan)(&scope, members));
                (operation.name, planned)
            }
            Target::Sts(operation) => (operation.name, (operation.plan)(&scope, &parameters)),
            Target::Unknown(_) => ("", Err(unknown_operation(form))),
        };
        let action = [form.service(), ":", operation].concat();
        let proof = Proof::Signature(signature);
        self.call(Answering::of(form, operation, scope), action, planned, proof).map_err(fail)
    }

    /// A form's fields, in the query or the body.
    fn parameters(&self) -> Vec<(String, String)> {
        let mut text = self.parts.uri.query().unwrap_or_default().to_owned();
        if is_form(self.parts)
            && let Ok(body) = std::str::from_utf8(&self.body)
        {
            text = format!("{text}&{body}");
        }
        strongroom_cloudwire::form::decode(&text).unwrap_or_default()
    }

    /// What is asked; of a form, with its fields.
    fn target(&self) -> (Vec<(String, String)>, Target) {
        if let Some(target) = text_of(self.parts, "x-amz-target") {
            let target = match super::find(target) {
                Some((service, Some(operation))) => Target::Known(service, operation),
                Some((service, None)) => Target::Unknown(Form::Json(service.name)),
                None => Target::Unknown(Form::Json("")),
            };
            return (Vec::new(), target);
        }
        let parameters = self.parameters();
        let mut actions = parameters.iter().filter(|(name, _)| name == "Action");
        let operation = match (actions.next(), actions.next()) {
            (Some((_, action)), None) => sts::OPERATIONS.iter().find(|op| op.name == action),
            _ => None,
        };
        let target = operation.map_or(Target::Unknown(Form::Query), Target::Sts);
        (parameters, target)
    }

    /// The members of a JSON body.
    fn members(&self) -> Result<JsonMap> {
        let wrong = || Error::bad_request("The request body is no JSON object.");
        let body = match self.body.is_empty() {
            true => Ok(Json::Object(JsonMap::new())),
            false => json::parse_within(&self.body, &self.bounds.json),
        };
        match body {
            Ok(Json::Object(members)) => Ok(members),
            _ => Err(wrong().called("SerializationException")),
        }
    }

    /// A request that nobody signed, with the token of another method.
    fn vouched(
        self,
        operation: &'static sts::Operation,
        parameters: Vec<(String, String)>,
        regions: &Arc<Regions>,
    ) -> Result<Prepared> {
        // It names no region: any does.
        let region = regions.places.keys().next().map_or("us-east-1", String::as_str);
        let scope = regions.scope(region).ok_or_else(Error::denied)?;
        let planned = (operation.plan)(&scope, &parameters)?;
        let one = |name: &str| {
            parameters.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value.as_str())
        };
        let token = SecretString::new(one("WebIdentityToken").to_owned());
        if token.expose_secret().is_empty() || token.expose_secret().len() > HEADER_BYTES_MAX {
            return Err(Error::bad_request("WebIdentityToken is missing or too long.")
                .called("ValidationError"));
        }
        let proof = Proof::Vouched { role: one("RoleArn").to_owned(), token };
        let action = format!("sts:{}", operation.name);
        let answer = Answering::of(Form::Query, operation.name, scope);
        self.call(answer, action, Ok(planned), proof)
    }

    fn call(
        self,
        mut answer: Answering,
        action: String,
        planned: Result<Planned>,
        proof: Proof,
    ) -> Result<Prepared> {
        let (auth, namespace, account) = match &answer.scope {
            Some(scope) => (scope.auth(), scope.namespace(), scope.account()),
            None => ("", "", ""),
        };
        let refused = |operation: &str| {
            let fields = [("operation".to_owned(), Json::from(operation))].into_iter().collect();
            Planned::shaped(format!("{auth}{REFUSED}"), fields, Shape::SAME)
        };
        let checked = planned.and_then(|planned| {
            let path = RequestPath::parse(&planned.path).map_err(|_| bad_name())?;
            planned.check_keys()?;
            Ok((path, planned))
        });
        let (path, planned) = match checked {
            Ok(both) => both,
            Err(error) => {
                answer.refusal = Some(error);
                let planned = refused(answer.operation);
                (RequestPath::parse(&planned.path).map_err(|_| bad_name())?, planned)
            }
        };
        answer.shape = planned.shape;
        let mut keys = planned.keys;
        let mut one = |key: &'static str, value: String| keys.push((key.into(), vec![value]));
        one("aws:SecureTransport", self.secure.to_string());
        if let Some(scope) = &answer.scope {
            one("aws:RequestedRegion", scope.region.clone());
        }
        let asked = Asked { action, resource: planned.resource, account: account.to_owned(), keys };
        let asked = Arc::new(asked);
        let credential = Credential { mount: auth.to_owned(), proof, asked: asked.clone() };
        let call = Call {
            credential: Some(Box::new(credential)),
            fields: Some(RawFields::from_map(planned.body)),
            bounds: self.bounds,
            ..blank(namespace.to_owned(), path, self.peer)
        };
        answer.asked = asked;
        Ok(Prepared { call, answer })
    }
}

impl Answering {
    fn of(form: Form, operation: &'static str, scope: Scope) -> Self {
        let (asked, scope) = (Arc::default(), Some(scope));
        Self { form, operation, scope, shape: Shape::SAME, refusal: None, asked }
    }
}

/// A name that makes a path which no mount could have.
fn bad_name() -> Error {
    Error::bad_request("Invalid name.").called("ValidationException")
}

fn unknown_operation(form: Form) -> Error {
    match form {
        Form::Json(_) => Error::bad_request("The operation is not supported.")
            .called("UnknownOperationException"),
        Form::Query => {
            Error::bad_request("Could not find operation for this version.").called("InvalidAction")
        }
    }
}
