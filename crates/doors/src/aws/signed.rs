//! The signature of a request: where it stands, whether its form is right, and what was signed. Whose it
//! is and whether it is good, the kernel finds out.
//!
//! Invariant: what says what is asked, or on whose behalf, is signed, or the request is refused.

use strongroom_base::{Error, ErrorKind, Result, SecretString, Timestamp};
use strongroom_cloudwire::sigv4::{
    self, Authorization, Presigned, canonical_request, hash_of, read_date, string_to_sign,
};
use strongroom_kernel::plug::Signature;

use super::request::{Form, Received, text_of};

/// Headers that no signature need cover: they say nothing of what is asked.
const UNSIGNED: &[&str] = &["x-amz-user-agent"];

fn refused(code: &'static str, text: &str) -> Error {
    Error::new(ErrorKind::PermissionDenied, text).called(code)
}

fn incomplete() -> Error {
    refused(
        "IncompleteSignatureException",
        "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters, and \
         existence of either a 'X-Amz-Date' or a 'Date' header.",
    )
}

/// A signature that is not right.
pub(super) fn wrong(text: &str) -> Error {
    refused("InvalidSignatureException", text)
}

fn unsigned(name: &str) -> Error {
    wrong(&format!("'{name}' must be a 'SignedHeader' in the AWS Authorization."))
}

impl Received<'_> {
    /// Who signed, and what.
    pub(super) fn signature(&self, form: Form) -> Result<Signature> {
        if self.parts.headers.get_all("authorization").iter().count() > 1 {
            return Err(incomplete());
        }
        let presigned = self.parts.uri.query().filter(|query| Presigned::is_in(query));
        let signature = match (text_of(self.parts, "authorization"), presigned) {
            (Some(_), Some(_)) => return Err(incomplete()),
            (Some(value), None) => self.of_header(value),
            (None, Some(query)) => self.of_query(query),
            (None, None) => {
                let text = "Request is missing Authentication Token";
                return Err(refused("MissingAuthenticationTokenException", text));
            }
        }?;
        let [date, _, service] = &signature.scope;
        if !signature.date.starts_with(date.as_str()) {
            return Err(wrong(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version \
                              of date from HTTP",
            ));
        }
        if *service != form.service() && !form.service().is_empty() {
            return Err(wrong("Credential should be scoped to correct service."));
        }
        Ok(signature)
    }

    fn of_header(&self, value: &str) -> Result<Signature> {
        let authorization = Authorization::parse(value).ok_or_else(incomplete)?;
        let date = self.date(&authorization)?;
        let query = self.parts.uri.query().unwrap_or_default();
        let session_token = self.session_token(&authorization)?;
        self.signed(&authorization, query, date, (None, session_token))
    }

    fn of_query(&self, query: &str) -> Result<Signature> {
        let presigned = Presigned::parse(query).ok_or_else(incomplete)?;
        let authorization = presigned.authorization().ok_or_else(incomplete)?;
        if read_date(&presigned.date).is_none() {
            return Err(incomplete());
        }
        let token = presigned.session_token.as_ref().map(SecretString::duplicate);
        let more = (Some(presigned.expires), token);
        self.signed(&authorization, &presigned.query, presigned.date.clone(), more)
    }

    /// `X-Amz-Date`, or `Date` in its place; signed, and there once.
    fn date(&self, authorization: &Authorization<'_>) -> Result<String> {
        for name in ["x-amz-date", "date"] {
            let mut all = self.parts.headers.get_all(name).iter();
            let (Some(value), None) = (all.next(), all.next()) else { continue };
            let text = value.to_str().map_err(|_| incomplete())?;
            if !authorization.signs(name) {
                return Err(unsigned(name));
            }
            if read_date(text).is_some() {
                return Ok(text.to_owned());
            }
            let at = Timestamp::parse_http_date(text).ok_or_else(incomplete)?;
            return Ok(sigv4::amz_date(at));
        }
        Err(incomplete())
    }

    fn session_token(&self, authorization: &Authorization<'_>) -> Result<Option<SecretString>> {
        let name = "x-amz-security-token";
        let mut all = self.parts.headers.get_all(name).iter();
        match (all.next(), all.next()) {
            (None, _) => Ok(None),
            (Some(value), None) if authorization.signs(name) => {
                let text = value.to_str().map_err(|_| incomplete())?;
                Ok(Some(SecretString::new(text.to_owned())))
            }
            _ => Err(unsigned(name)),
        }
    }

    /// What was signed, if all was that must be.
    fn signed(
        &self,
        authorization: &Authorization<'_>,
        query: &str,
        date: String,
        (expires, session_token): (Option<i64>, Option<SecretString>),
    ) -> Result<Signature> {
        let headers = self.headers(authorization)?;
        let payload = self.payload_hash()?;
        let request = sigv4::Request {
            method: self.parts.method.as_str(),
            path: self.parts.uri.path(),
            query,
            headers: &headers,
            payload: &payload,
            normalise: true,
        };
        let canonical = canonical_request(request, &authorization.signed_headers);
        let canonical = canonical.ok_or_else(|| wrong("A signed header is not in the request."))?;
        let scope = authorization.scope;
        Ok(Signature {
            key: authorization.access_key.to_owned(),
            scope: [scope.date, scope.region, scope.service].map(str::to_owned),
            text: string_to_sign(&canonical, &date, scope),
            date,
            expires,
            signature: authorization.signature.to_owned(),
            session_token,
        })
    }

    /// The headers as text, `host` among them. Those that say what is asked, or on whose behalf, must be
    /// signed: else a captured signature could be moved to another operation.
    fn headers(&self, authorization: &Authorization<'_>) -> Result<Vec<(&str, &str)>> {
        if !authorization.signs("host") {
            return Err(unsigned("host"));
        }
        let mut all = Vec::with_capacity(self.parts.headers.len() + 1);
        for (name, value) in &self.parts.headers {
            let name = name.as_str();
            let signs = authorization.signs(name);
            if name.starts_with("x-amz-") && !signs && !UNSIGNED.contains(&name) {
                return Err(unsigned(name));
            }
            if signs {
                // Bytes that are no ASCII are signed as they are sent, mostly UTF-8.
                let value = std::str::from_utf8(value.as_bytes()).map_err(|_| incomplete())?;
                all.push((name, value));
            }
        }
        // HTTP/2 sends the host as part of the address.
        if !self.parts.headers.contains_key("host") {
            let host = self.parts.uri.authority().ok_or_else(incomplete)?;
            all.push(("host", host.as_str()));
        }
        Ok(all)
    }

    /// The hash of the body. What a header says of it must be true; bodies signed in pieces are not
    /// taken.
    fn payload_hash(&self) -> Result<String> {
        let own = hash_of(&self.body);
        match text_of(self.parts, "x-amz-content-sha256") {
            None => Ok(own),
            Some(said) if said == own => Ok(own),
            Some(said) if said.starts_with("STREAMING-") => {
                Err(wrong("Bodies that are signed in pieces are not supported."))
            }
            Some(_) => Err(wrong(
                "The provided 'x-amz-content-sha256' header does not match what was computed.",
            )),
        }
    }
}
