//! Which hosts are called, and at which ports.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::dns::Names;
use super::{Failure, FailureKind, Host, STEP};

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// The ports of the protocols. Only tests have others than the standard's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub http: u16,
    pub https: u16,
}

/// How somebody comes to be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    /// The identifier that is validated names it.
    Identifier,
    /// A server sent us there.
    Redirect,
}

impl Reach {
    pub const fn standard() -> Self {
        Self { http: 80, https: 443 }
    }

    /// Connects to one of the host's addresses.
    pub async fn connect(
        self,
        names: &Names,
        host: &Host,
        port: u16,
        by: By,
    ) -> Result<TcpStream, Failure> {
        if port != self.http && port != self.https {
            return Err(unreached("only the ports 80 and 443 are called"));
        }
        let all = match host {
            Host::Address(ip) => vec![*ip],
            Host::Name(name) => names.addresses(name).await?,
        };
        let mut last = unreached("the host has no address that is called");
        for ip in all.into_iter().filter(|ip| is_called(*ip, by)).take(ADDRESSES_MAX) {
            match timeout(STEP, TcpStream::connect(SocketAddr::new(ip, port))).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(_)) => last = unreached("the host refused the connection"),
                Err(_) => last = unreached("the host did not answer"),
            }
        }
        Err(last)
    }
}

fn unreached(text: &str) -> Failure {
    Failure::new(FailureKind::Connection, text)
}

/// May this address be called? Private ones may: this authority serves private networks.
pub(super) fn is_called(ip: IpAddr, by: By) -> bool {
    let ip = ip.to_canonical();
    let (link_local, broadcast) = match ip {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.is_broadcast() || v4.octets()[0] == 0),
        IpAddr::V6(v6) => (is_link_local(v6), embeds_local(v6)),
    };
    let loopback = ip.is_loopback() && by == By::Redirect;
    !(link_local || broadcast || loopback || ip.is_multicast() || ip.is_unspecified())
}

fn is_link_local(ip: Ipv6Addr) -> bool {
    // fe80::/10, and fec0::/10, which was for one site.
    ip.segments()[0] & 0xff80 == 0xfe80
}

/// An IPv4 address in the well-known prefix of translators (RFC 6052), or of 6to4, that may not be
/// called itself.
fn embeds_local(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        let v4 = std::net::Ipv4Addr::new(a, b, c, d);
        v4.is_link_local() || v4.is_loopback() || v4.is_unspecified() || v4.is_multicast()
    };
    match s {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => false,
    }
}
