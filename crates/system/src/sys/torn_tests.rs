//! What an operation reads while another request commits.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom_base::{Error, Result};
use strongroom_kernel::plug::{Class, EngineSpec, Query, ReadCx, Reply, ops};
use strongroom_kernel::record::Record;
use strongroom_testkit::TestNode;

/// An engine whose reading is overtaken by another's commit between two records.
struct Overtaken;

#[derive(Serialize, Deserialize)]
struct Part(u64);
impl Record for Part {
    const KIND: u8 = 1;
}

strongroom_base::fields! {
    /// Reads two parts that belong together.
    pub struct ReadBoth {
        /// How often it is overtaken.
        times: String,
    }
}

ops! { ReadBoth Value, Read; }

impl Query<ReadBoth> for Overtaken {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadBoth) -> Result<Reply<Value>> {
        let times = op.times.parse().unwrap_or(0);
        let first = cx.view().named::<Part>(0, "first").await?.map_or(0, |part| part.0);
        if first < times {
            let mount = cx.request.mount.scope;
            let write = |tx: std::sync::Arc<strongroom_kernel::record::Tx>| async move {
                for name in ["first", "second"] {
                    tx.write(mount).put_named(0, name, &Part(first + 1))?;
                }
                Ok(())
            };
            cx.kernel().store.transact(write).await?;
        }
        let second = cx.view().named::<Part>(0, "second").await?.map_or(0, |part| part.0);
        // Where nobody got in between, this is damage.
        if first != second || op.times == "damaged" {
            return Err(Error::internal("the parts do not belong together"));
        }
        Ok(Reply::data(json!({ "both": first })))
    }
}

#[tokio::test]
async fn what_a_commit_tore_is_read_again_and_damage_is_told() {
    let spec = EngineSpec::new("overtaken", Class::Secret, |_| Ok(Overtaken))
        .query::<ReadBoth>("{times}")
        .docs("Reads while others write.")
        .build();
    let node = TestNode::start(crate::specs().into_iter().chain([spec])).await;
    node.mount("overtaken", "o/").await;
    for (times, status, both) in [
        ("0", 200, json!({"both": 0})),
        ("1", 200, json!({"both": 1})),
        ("4", 200, json!({"both": 4})),
        ("damaged", 500, Value::Null),
        // Whoever is overtaken again and again is told so.
        ("1000", 400, Value::Null),
    ] {
        let got = node.root("READ", &format!("o/{times}"), Value::Null).await;
        assert_eq!((got.status, &got.body["data"]), (status, &both), "{times}: {got:?}");
    }
}
