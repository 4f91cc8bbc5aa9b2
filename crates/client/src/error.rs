//! What can go wrong between the client and the server, with the texts that people and scripts know
//! from Vault's tools.

use std::fmt;

/// A failed request.
#[derive(Debug)]
pub enum Error {
    /// The server answered with an error.
    Response(Box<ResponseError>),
    /// The server could not be reached or the connection broke.
    Transport {
        /// The HTTP verb.
        method: String,
        /// The address asked.
        url: String,
        /// What happened, in a form without submitted values.
        reason: String,
    },
    /// A setting makes no sense; nothing was sent.
    Config(String),
    /// The answer is not what the protocol promises.
    Protocol(String),
}

/// An answer with an error status.
#[derive(Debug)]
pub struct ResponseError {
    /// The HTTP verb.
    pub method: String,
    /// The address asked.
    pub url: String,
    /// The HTTP status.
    pub status: u16,
    /// The server's texts, or the raw body as the only one.
    pub errors: Vec<String>,
    /// True when the body was not Vault's error document.
    pub raw: bool,
    /// The namespace the server says it acted in.
    pub namespace: Option<String>,
    /// Where the decision behind a refusal can be looked up (`strongroom why`).
    pub explain: Option<String>,
}

impl Error {
    /// The HTTP status, if the server answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Response(response) => Some(response.status),
            Self::Transport { .. } | Self::Config(_) | Self::Protocol(_) => None,
        }
    }

    /// The id under which a refusal explains itself.
    pub fn explain(&self) -> Option<&str> {
        match self {
            Self::Response(response) => response.explain.as_deref(),
            Self::Transport { .. } | Self::Config(_) | Self::Protocol(_) => None,
        }
    }

    /// True if the server's texts say that it is sealed.
    pub fn is_sealed(&self) -> bool {
        match self {
            Self::Response(response) => response.errors.iter().any(|e| e.contains("is sealed")),
            Self::Transport { .. } | Self::Config(_) | Self::Protocol(_) => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(response) => response.fmt(f),
            // Go prints the verb as a word: `Get "http://…": dial tcp …`.
            Self::Transport { method, url, reason } => {
                let mut letters = method.chars();
                let first = letters.next().map(|c| c.to_ascii_uppercase());
                let rest = letters.as_str().to_ascii_lowercase();
                write!(f, "{}{rest} \"{url}\": {reason}", first.unwrap_or_default())
            }
            Self::Config(text) | Self::Protocol(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Error making API request.\n\n")?;
        if let Some(namespace) = &self.namespace {
            writeln!(f, "Namespace: {namespace}")?;
        }
        let title = if self.raw { "Raw Message" } else { "Errors" };
        write!(f, "URL: {} {}\nCode: {}. {title}:\n\n", self.method, self.url, self.status)?;
        if self.raw {
            return f.write_str(self.errors.first().map_or("", String::as_str));
        }
        for (i, error) in self.errors.iter().enumerate() {
            let gap = if i == 0 { "" } else { "\n" };
            write!(f, "{gap}* {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_in_vaults_tools() {
        let refused = ResponseError {
            method: "GET".into(),
            url: "http://127.0.0.1:8200/v1/secret/data/a".into(),
            status: 403,
            errors: vec!["permission denied".into(), "invalid token".into()],
            raw: false,
            namespace: None,
            explain: None,
        };
        assert_eq!(
            Error::Response(Box::new(refused)).to_string(),
            "Error making API request.\n\nURL: GET http://127.0.0.1:8200/v1/secret/data/a\n\
             Code: 403. Errors:\n\n* permission denied\n* invalid token"
        );
        let raw = ResponseError {
            method: "PUT".into(),
            url: "http://h/v1/x".into(),
            status: 502,
            errors: vec!["<html>".into()],
            raw: true,
            namespace: Some("team/".into()),
            explain: None,
        };
        assert_eq!(
            Error::Response(Box::new(raw)).to_string(),
            "Error making API request.\n\nNamespace: team/\nURL: PUT http://h/v1/x\n\
             Code: 502. Raw Message:\n\n<html>"
        );
        let unreachable = Error::Transport {
            method: "GET".into(),
            url: "http://h/v1/x".into(),
            reason: "dial tcp 127.0.0.1:1: connect: connection refused".into(),
        };
        assert_eq!(
            unreachable.to_string(),
            "Get \"http://h/v1/x\": dial tcp 127.0.0.1:1: connect: connection refused"
        );
    }
}
