//! Operations on the node itself, served in any state of its life.

use std::future::Future;
use std::sync::Arc;

use strongroom_base::{Error, FieldSource, FieldSpec, Json, Result, SecretString};
use strongroom_storage::BoxFuture;

use super::{Op, Peer, Reply, Verb};
use crate::node::Node;

/// An operation on the node itself, served in any state of its life, without a token: initialising,
/// unsealing, health. They lie below the root namespace's `sys/`.
pub trait NodeOp: Op {
    /// Carries it out.
    fn run(
        self,
        node: &Arc<Node>,
        call: &NodeCall<'_>,
    ) -> impl Future<Output = Result<Reply<Self::Reply>>> + Send;
}

/// What a node operation may know of the request around it.
pub struct NodeCall<'a> {
    /// Where it came from.
    pub peer: &'a Peer,
    /// A token, if one came along: some operations let its holder do more.
    pub token: Option<&'a SecretString>,
    /// Query parameters.
    pub query: &'a [(String, String)],
    /// The verb.
    pub verb: Verb,
    /// Policy has allowed the caller's token this operation, at a path that asks for one.
    pub authorised: bool,
    /// The answer is to be wrapped.
    pub wraps: bool,
}

pub(crate) type NodeFn = Box<
    dyn for<'a> Fn(
            &'a Arc<Node>,
            &'a NodeCall<'a>,
            FieldSource<'a>,
        ) -> BoxFuture<'a, Result<Reply<Json>>>
        + Send
        + Sync,
>;

/// The node operations of this binary.
#[derive(Default)]
pub struct NodeSpec {
    routes: Vec<NodeRoute>,
}

/// One of them.
pub(crate) struct NodeRoute {
    /// Its path below `/v1/`.
    pub path: &'static str,
    /// The verb.
    pub verb: Verb,
    /// Its fields.
    pub fields: &'static [FieldSpec],
    /// What it does.
    pub help: &'static str,
    run: NodeFn,
}

impl NodeSpec {
    /// Adds an operation at a path below `/v1/`, literal.
    pub fn op<O: NodeOp>(mut self, path: &'static str) -> Self {
        let run: NodeFn = Box::new(|node, call, source| {
            Box::pin(async move { O::decode(&source)?.run(node, call).await?.into_json() })
        });
        let (verb, fields, help) = (O::VERB, O::SPECS, O::HELP);
        self.routes.push(NodeRoute { path, verb, fields, help, run });
        self
    }

    /// All operations: their paths and verbs.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, Verb)> {
        self.routes.iter().map(|route| (route.path, route.verb))
    }

    /// All operations, with what they say of themselves.
    pub(crate) fn routes(&self) -> &[NodeRoute] {
        &self.routes
    }

    /// The operation at a path; `Err` where the path is one of the node's but not with this verb.
    pub(crate) fn find(
        &self,
        path: &str,
        verb: Verb,
    ) -> Option<Result<(&'static [FieldSpec], &NodeFn)>> {
        let path = path.trim_end_matches('/');
        let mut other = false;
        for route in &self.routes {
            if route.path == path {
                if route.verb == verb {
                    return Some(Ok((route.fields, &route.run)));
                }
                other = true;
            }
        }
        other.then(|| Err(Error::unsupported()))
    }
}
