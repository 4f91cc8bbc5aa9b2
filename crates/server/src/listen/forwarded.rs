//! `X-Forwarded-For` and forwarded client certificates: what a trusted proxy says of the client.
//!
//! Invariant: these headers change the peer only if the connection comes from an authorised
//! address; otherwise they are removed or the request is refused, and never believed.

use std::{net::SocketAddr, sync::Arc};

use base64::Engine;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use rustls_pki_types::CertificateDer;

use super::{Peer, PeerAddress, PeerTls, proxy::contains};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The `x_forwarded_for_*` settings of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Proxies whose header is believed.
    pub authorized: Vec<IpNet>,
    /// How many entries, from the right, are further proxies.
    pub hop_skips: usize,
    /// Refuse requests without the header.
    pub reject_not_present: bool,
    /// Refuse requests of others that bring the header (else it is ignored).
    pub reject_not_authorized: bool,
    /// The header in which a proxy passes its client's certificate on.
    pub certificate: Option<CertificateHeader>,
}

/// How a proxy passes its client's certificate on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateHeader {
    /// The header.
    pub name: HeaderName,
    /// Applied in order; what comes out must be Base64 of DER.
    pub decoders: Vec<Decoder>,
}

/// One step of `x_forwarded_for_client_cert_decoders`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoder {
    /// `:Base64:` (RFC 9440 §2.1).
    Rfc9440,
    /// Percent-encoding.
    Url,
    /// PEM armour.
    Pem,
}

impl Forwarded {
    /// The peer that a request is really from; an error is the text of a 400.
    pub fn apply(&self, headers: &mut HeaderMap, peer: Arc<Peer>) -> Result<Arc<Peer>, String> {
        let authorised = contains(&self.authorized, peer.address.ip());
        let certificate = self.take_certificate(headers, authorised)?;
        if !headers.contains_key(X_FORWARDED_FOR) {
            return if self.reject_not_present {
                Err("missing x-forwarded-for header and configured to reject when not present"
                    .to_owned())
            } else {
                Ok(with_certificate(peer, certificate))
            };
        }
        if !authorised {
            headers.remove(X_FORWARDED_FOR);
            return if self.reject_not_authorized {
                Err("client address not authorized for x-forwarded-for and configured to reject \
                     connection"
                    .to_owned())
            } else {
                Ok(peer)
            };
        }
        let address = self.chosen(headers, &peer)?;
        let mut peer = Arc::unwrap_or_clone(with_certificate(peer, certificate));
        peer.address = PeerAddress::Ip(address);
        Ok(Arc::new(peer))
    }

    /// The entry that `hop_skips` leaves as the last, counted from the right.
    fn chosen(&self, headers: &HeaderMap, peer: &Peer) -> Result<SocketAddr, String> {
        let malformed = || "malformed x-forwarded-for header".to_owned();
        let mut entries = Vec::new();
        for value in headers.get_all(X_FORWARDED_FOR) {
            let text = value.to_str().map_err(|_| malformed())?;
            entries.extend(text.split(',').map(str::trim));
        }
        let entry = entries.iter().rev().nth(self.hop_skips).ok_or_else(|| {
            format!(
                "malformed x-forwarded-for configuration or request, hops to skip ({}) would \
                 skip before earliest chain link (chain length {})",
                self.hop_skips,
                entries.len()
            )
        })?;
        if let Ok(with_port) = entry.parse::<SocketAddr>() {
            return Ok(with_port);
        }
        let ip = entry.trim_matches(['[', ']']).parse().map_err(|_| malformed())?;
        let port = match peer.address {
            PeerAddress::Ip(address) => address.port(),
            PeerAddress::Unix => 0,
        };
        Ok(SocketAddr::new(ip, port))
    }

    /// Removes the certificate's header, and decodes it if it came from an authorised proxy.
    fn take_certificate(
        &self,
        headers: &mut HeaderMap,
        authorised: bool,
    ) -> Result<Option<CertificateDer<'static>>, String> {
        let Some(header) = &self.certificate else { return Ok(None) };
        let values: Vec<_> = headers.get_all(&header.name).iter().cloned().collect();
        headers.remove(&header.name);
        match values.as_slice() {
            [value] if authorised && !value.is_empty() => value
                .to_str()
                .ok()
                .and_then(|text| header.decode(text))
                .map(|der| Some(CertificateDer::from(der)))
                .ok_or_else(|| "error decoding client certificate header".to_owned()),
            [_, _, ..] if authorised => {
                Err("too many values for client certificate header".to_owned())
            }
            _ => Ok(None),
        }
    }
}

fn with_certificate(peer: Arc<Peer>, certificate: Option<CertificateDer<'static>>) -> Arc<Peer> {
    let Some(certificate) = certificate else { return peer };
    let mut peer = Arc::unwrap_or_clone(peer);
    peer.tls =
        Some(PeerTls { certificates: vec![certificate], verified: false, server_name: None });
    Arc::new(peer)
}

impl CertificateHeader {
    fn decode(&self, text: &str) -> Option<Vec<u8>> {
        let mut text = text.to_owned();
        for decoder in &self.decoders {
            text = match decoder {
                Decoder::Rfc9440 => text.strip_prefix(':')?.strip_suffix(':')?.to_owned(),
                Decoder::Url => strongroom_base::percent::decode(&text)?.to_string(),
                Decoder::Pem => pem_body(&text)?,
            };
        }
        let text: String = text.split_ascii_whitespace().collect();
        base64::engine::general_purpose::STANDARD.decode(text).ok().filter(|der| !der.is_empty())
    }
}

fn pem_body(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    Some(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::ListenerOptions;

    fn peer(address: &str) -> Arc<Peer> {
        Arc::new(Peer {
            address: PeerAddress::Ip(address.parse().unwrap()),
            tls: None,
            flow: Arc::default(),
            listener: Arc::new(ListenerOptions::plain("127.0.0.1:0")),
        })
    }

    fn settings(hop_skips: usize, reject: bool) -> Forwarded {
        Forwarded {
            authorized: vec!["10.0.0.0/8".parse().unwrap()],
            hop_skips,
            reject_not_present: reject,
            reject_not_authorized: reject,
            certificate: Some(CertificateHeader {
                name: HeaderName::from_static("x-client-cert"),
                decoders: vec![Decoder::Url, Decoder::Pem],
            }),
        }
    }

    #[test]
    fn only_authorised_proxies_are_believed() {
        // (socket, header lines, hops skipped, strict, resulting address or None = refused)
        for (socket, lines, hops, strict, expect) in [
            ("10.0.0.1:9", &["1.2.3.4"][..], 0, true, Some("1.2.3.4:9")),
            ("10.0.0.1:9", &["9.9.9.9, 1.2.3.4"], 0, true, Some("1.2.3.4:9")),
            ("10.0.0.1:9", &["1.2.3.4", "5.6.7.8"], 1, true, Some("1.2.3.4:9")),
            ("10.0.0.1:9", &["[2001:db8::1]"], 0, true, Some("[2001:db8::1]:9")),
            ("10.0.0.1:9", &["1.2.3.4:77"], 0, true, Some("1.2.3.4:77")),
            ("[::ffff:10.0.0.1]:9", &["1.2.3.4"], 0, true, Some("1.2.3.4:9")),
            ("10.0.0.1:9", &["1.2.3.4"], 1, true, None),
            ("10.0.0.1:9", &["what"], 0, true, None),
            ("10.0.0.1:9", &[], 0, true, None),
            ("10.0.0.1:9", &[], 0, false, Some("10.0.0.1:9")),
            ("11.0.0.1:9", &["1.2.3.4"], 0, true, None),
            ("11.0.0.1:9", &["1.2.3.4"], 0, false, Some("11.0.0.1:9")),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(X_FORWARDED_FOR, line.parse().unwrap());
            }
            let got = settings(hops, strict).apply(&mut headers, peer(socket));
            let got = got.ok().map(|peer| peer.address.to_string());
            assert_eq!(got.as_deref(), expect, "{socket} {lines:?}");
        }
    }

    #[test]
    fn certificates_of_strangers_are_dropped() {
        let header = "-----BEGIN%20CERTIFICATE-----%0AAQID%0A-----END%20CERTIFICATE-----";
        for (socket, header, expect) in [
            ("10.0.0.1:9", header, Ok(Some(vec![1, 2, 3]))),
            ("11.0.0.1:9", header, Ok(None)),
            ("10.0.0.1:9", "%zz", Err(())),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-client-cert", header.parse().unwrap());
            let got = settings(0, false).apply(&mut headers, peer(socket));
            let got = got
                .map_err(|_| ())
                .map(|peer| peer.tls.as_ref().map(|tls| tls.certificates[0].as_ref().to_vec()));
            assert_eq!(got, expect, "{socket}");
            assert!(!headers.contains_key("x-client-cert"));
        }
    }
}
