//! The table by which requests find their mounts, for those who look for a fault (OpenBao's API page
//! "/sys/internal/inspect/router"). Only where the configuration sets `introspection_endpoint`.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::System;

/// Adds the operations of this file.
pub fn add_inspect(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<InspectRouter>("internal/inspect/router/{tag}")
}

fields! {
    /// Lists all mounts of all namespaces, as requests find them.
    pub struct InspectRouter {
        /// By what: `root` (paths), `uuid`, `accessor` or `storage`.
        tag: String,
    }
}

ops! { InspectRouter JsonMap, Read, Sudo; }

impl Query<InspectRouter> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: InspectRouter) -> Result<Reply<JsonMap>> {
        if !cx.kernel().config.introspection_endpoint {
            return Err(Error::bad_request(
                "the Vault configuration must set \"introspection_endpoint\" to true to enable \
                 this endpoint",
            ));
        }
        let by_place = match op.tag.as_str() {
            "root" | "storage" => true,
            "uuid" | "accessor" => false,
            _ => return Err(Error::not_found()),
        };
        let table = cx.kernel().router.table().await?;
        let mut mounts: Vec<_> = table.iter().collect();
        mounts.sort_by_key(|entry| (&entry.namespace.path, &entry.mount.path));
        let records: Vec<Json> = mounts
            .into_iter()
            .map(|entry| {
                let (mount, namespace) = (&entry.mount, &entry.namespace);
                let mut record = json!({
                    "mount_path": mount.path,
                    "mount_namespace": namespace.path,
                    "uuid": mount.uuid,
                    "accessor": mount.accessor,
                });
                if by_place {
                    record["tainted"] = (!table.namespaces.is_live(namespace.scope)).into();
                    // The number under which the storage keeps the mount's records.
                    record["storage_prefix"] = mount.scope.0.to_string().into();
                }
                record
            })
            .collect();
        Ok(Reply::data(JsonMap::from_iter([(op.tag, records.into())])))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strongroom_kernel::node::KernelConfig;
    use strongroom_testkit::TestNode;

    use crate::testing;

    #[tokio::test]
    async fn mounts_as_requests_find_them() {
        let config = KernelConfig { introspection_endpoint: true, ..KernelConfig::default() };
        let node = TestNode::start_with(crate::specs(), config).await;
        node.root("WRITE", "sys/namespaces/team", json!({})).await;
        let inspect = async |tag: &str| {
            node.root("READ", &format!("sys/internal/inspect/router/{tag}"), Value::Null).await
        };
        for (tag, keys) in [("root", 6), ("storage", 6), ("uuid", 4), ("accessor", 4)] {
            let got = inspect(tag).await;
            let records = got.data()[tag].as_array().expect("a list").clone();
            let of = |ns: &str, path: &str| {
                records.iter().find(|r| r["mount_path"] == path && r["mount_namespace"] == ns)
            };
            assert!(of("", "sys/").is_some() && of("team/", "sys/").is_some(), "{records:?}");
            assert!(records.iter().all(|r| r.as_object().is_some_and(|r| r.len() == keys)));
        }
        assert_eq!(inspect("other").await.status, 404);
    }

    #[tokio::test]
    async fn only_where_the_configuration_says_so() {
        let node = testing::node().await;
        let got = node.root("READ", "sys/internal/inspect/router/root", Value::Null).await;
        assert_eq!(got.status, 400);
        assert!(got.errors().contains("introspection_endpoint"), "{got:?}");
    }
}
