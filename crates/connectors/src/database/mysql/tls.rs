//! TLS towards MySQL. The client library has its own, so the operator's certificates are only checked
//! here, by the rules of all drivers, and handed on.

use mysql_async::{ClientIdentity, SslOpts};

use crate::database::tls::{self, Check};
use crate::database::{DatabaseError, TlsMaterial};

/// When TLS is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Never.
    Off,
    /// Always.
    On,
    /// Always, without looking at the server's certificate.
    Unverified,
    /// The same, and without TLS where the server has none.
    Preferred,
}

/// When to use TLS, as the URL says and certificates imply, and how.
pub fn options(
    asked: Mode,
    material: &TlsMaterial,
) -> Result<(Mode, Option<SslOpts>), DatabaseError> {
    let TlsMaterial { ca, certificate, private_key, server_name, skip_verify } = material;
    let key = private_key.expose_secret();
    let given = !(ca.is_empty() && certificate.is_empty() && key.is_empty());
    let mode = if given && asked != Mode::Unverified { Mode::On } else { asked };
    if mode == Mode::Off {
        return Ok((mode, None));
    }
    let check = if mode == Mode::On && !skip_verify { Check::Name } else { Check::Nothing };
    tls::client(check, ca, certificate, key)?;
    let mut ssl = SslOpts::default().with_danger_accept_invalid_certs(check == Check::Nothing);
    if check == Check::Name {
        let authorities = match ca.as_str() {
            // The library would take a list of its own.
            "" => tls::of_this_machine().map(|one| one.to_vec().into()).collect(),
            ca => vec![ca.as_bytes().to_vec().into()],
        };
        ssl = ssl.with_disable_built_in_roots(true).with_root_certs(authorities);
    }
    if !certificate.is_empty() {
        let (certificate, key) = (certificate.as_bytes().to_vec(), key.as_bytes().to_vec());
        ssl = ssl.with_client_identity(Some(ClientIdentity::new(certificate.into(), key.into())));
    }
    if !server_name.is_empty() {
        ssl = ssl.with_danger_tls_hostname_override(Some(server_name.clone()));
    }
    Ok((mode, Some(ssl)))
}
