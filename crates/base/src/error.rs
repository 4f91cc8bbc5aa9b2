//! The one error type of the server side. What a caller may read (`public`) and what only the
//! operator's log may hold (`cause`) are different fields.

use std::fmt;

/// What kind of failure it is. The set is closed: every door maps each kind to its protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ErrorKind {
    /// The request is wrong in itself; nothing was changed.
    BadRequest,
    /// The credential is missing, unknown, expired or wrong, or its policies do not allow it.
    /// One kind for all of them: the answer must not tell which.
    PermissionDenied,
    /// The path is served, but nothing is there.
    NotFound,
    /// No mount serves the path.
    NoRoute,
    /// A mount serves the path, but not this verb.
    Unsupported,
    /// A condition of the request (a consistency state) is not met here.
    PreconditionFailed,
    /// The request is larger than a bound allows.
    TooLarge,
    /// A quota or a lockout refuses the request for now.
    RateLimited,
    /// The store is sealed, or not initialised.
    Sealed,
    /// This node is no longer, or not yet, the active one.
    Standby,
    /// The server can't serve this now (disk full, shutting down, overload); a retry may help.
    Unavailable,
    /// The storage failed while the request's change was being made: whether it was made is known only later.
    /// What is repeated may be done twice.
    InDoubt,
    /// Another transaction changed what this one had read; the pipeline re-runs the operation.
    Conflict,
    /// An outside service failed.
    Upstream,
    /// Something that must not happen.
    Internal,
}

/// A failure: its kind, what the caller reads, and what only the log holds.
#[derive(Debug)]
pub struct Error {
    /// The kind, from which each door takes its status.
    pub kind: ErrorKind,
    /// Texts for the caller. Invariant: never a submitted value, never a secret.
    pub public: Vec<String>,
    /// For the operator's log only.
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// A body that goes with the failure (a soft-deleted KV version is 404 with its metadata).
    pub data: Option<Box<crate::Json>>,
    /// The whole answer, where a client of another protocol than Vault's is to read it.
    pub foreign: Option<Box<Foreign>>,
    /// Its name in a protocol whose failures have names (AWS's `ResourceExistsException`); doors
    /// without such take the kind.
    pub code: Option<&'static str>,
}

/// A failure in the words of another protocol (ACME's problem documents, OCSP's error answers).
#[derive(Debug)]
pub struct Foreign {
    /// The status.
    pub status: u16,
    /// The content type.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// Headers of the protocol.
    pub headers: Vec<(&'static str, String)>,
}

/// The server side's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with one text for the caller.
    pub fn new(kind: ErrorKind, public: impl Into<String>) -> Self {
        Self {
            kind,
            public: vec![public.into()],
            cause: None,
            data: None,
            foreign: None,
            code: None,
        }
    }

    /// 400 with `public`.
    pub fn bad_request(public: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, public)
    }

    /// 403 `permission denied`.
    pub fn denied() -> Self {
        Self::new(ErrorKind::PermissionDenied, "permission denied")
    }

    /// 400 for a login whose name or secret is wrong: the lockout counts these, and no other
    /// failures.
    pub fn bad_credentials(public: impl Into<String>) -> Self {
        Self::bad_request(public).because(BadCredentials)
    }

    /// Is this the failure of [`Error::bad_credentials`]?
    pub fn is_bad_credentials(&self) -> bool {
        self.cause.as_ref().is_some_and(|c| c.is::<BadCredentials>())
    }

    /// 404 with an empty error list.
    pub fn not_found() -> Self {
        Self { public: vec![], ..Self::new(ErrorKind::NotFound, "") }
    }

    /// 404 for a path that no mount or no route serves.
    pub fn no_route(path: &str) -> Self {
        Self::new(
            ErrorKind::NoRoute,
            format!("no handler for route \"{path}\". route entry not found."),
        )
    }

    /// 405 `unsupported operation`.
    pub fn unsupported() -> Self {
        Self::new(ErrorKind::Unsupported, "unsupported operation")
    }

    /// 500; `cause` goes to the log only.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Internal, "internal error").because(cause)
    }

    /// 503 for a passing reason.
    pub fn unavailable(public: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, public)
    }

    /// 503 `Vault is sealed`.
    pub fn sealed() -> Self {
        Self::new(ErrorKind::Sealed, "Vault is sealed")
    }

    /// Adds the cause for the log.
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds a body to the failure.
    pub fn with_data(mut self, data: crate::Json) -> Self {
        self.data = Some(Box::new(data));
        self
    }

    /// Names the failure as a protocol does whose failures have names.
    pub fn called(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Says the failure in another protocol's words.
    pub fn in_words(mut self, foreign: Foreign) -> Self {
        self.foreign = Some(Box::new(foreign));
        self
    }
}

/// The cause that marks a login with a wrong name or secret.
#[derive(Debug)]
struct BadCredentials;

impl fmt::Display for BadCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrong credentials")
    }
}

impl std::error::Error for BadCredentials {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)?;
        for text in &self.public {
            write!(f, ": {text}")?;
        }
        if let Some(cause) = &self.cause {
            write!(f, " ({cause})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|c| &**c as _)
    }
}
