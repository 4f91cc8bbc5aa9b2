//! Looking up names, at the server an operator named or at the machine's own.

use std::net::IpAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;

use super::{Failure, FailureKind, RECORDS_MAX, Resolver, STEP};

/// Names, as one DNS server has them. Nothing is remembered: what a client writes into its zone
/// counts at once.
pub(super) struct Names(TokioResolver);

impl Names {
    pub fn of(resolver: Resolver) -> Result<Self, Failure> {
        let failed = |_| unresolved("the DNS server's configuration is not usable");
        let mut builder = match resolver {
            Some(server) => {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                let connections = connections.map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                let server = NameServerConfig::new(server.ip(), true, connections.into());
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                let mut builder =
                    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
                *builder.options_mut() = ResolverOpts::default();
                // The hosts file is the machine's word, and another server was to be asked.
                builder.options_mut().use_hosts_file = ResolveHosts::Never;
                builder
            }
            None => TokioResolver::builder_tokio().map_err(failed)?,
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.timeout = STEP / 2;
        options.attempts = 2;
        Ok(Self(builder.build().map_err(failed)?))
    }

    /// The addresses of a name.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        // The dot at the end keeps the machine's search list out.
        let found = self.0.lookup_ip(format!("{name}.")).await;
        let found = found.map_err(|_| unresolved("the name's address could not be looked up"))?;
        Ok(found.iter().collect())
    }

    /// The texts of a name.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, Failure> {
        let found = self.0.txt_lookup(format!("{name}.")).await;
        let found = found.map_err(|_| unresolved("the text records could not be looked up"))?;
        let texts = found.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => {
                let whole: Vec<u8> =
                    txt.txt_data.iter().flat_map(|piece| piece.iter()).copied().collect();
                String::from_utf8(whole).ok()
            }
            _ => None,
        });
        Ok(texts.take(RECORDS_MAX).collect())
    }
}

fn unresolved(text: &str) -> Failure {
    Failure::new(FailureKind::Dns, text)
}
