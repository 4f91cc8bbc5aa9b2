//! Operations on the node itself.

use std::sync::Arc;

use strongroom_base::ErrorKind;

use super::admit::disk_full;
use super::body::read_body;
use super::{Answer, Call, CatchPanic};
use crate::audit::{Entry, Outcome};
use crate::namespaces::Namespace;
use crate::node::Node;
use crate::plug::Verb;

/// Carries an operation on the node itself out. It is recorded where there is a log to record it
/// in: while the node is active.
pub(super) async fn run(
    node: &Arc<Node>,
    call: &Call,
    id: String,
    fields: &'static [strongroom_base::FieldSpec],
    run: &crate::plug::NodeFn,
) -> Answer {
    let started = node.clock.now();
    if call.verb == Verb::Write && node.active().is_ok_and(|services| services.is_full()) {
        return Answer::failure(id, disk_full());
    }
    let raw = match read_body(call) {
        Ok(raw) => raw,
        Err(e) => return Answer::failure(id, e),
    };
    let source = strongroom_base::FieldSource::new(&[], &raw, fields);
    let about = crate::plug::NodeCall {
        peer: &call.peer,
        token: call.token.as_ref(),
        query: &call.query,
        verb: call.verb,
        authorised: false,
        wraps: false,
    };
    let mut result = CatchPanic::new(run(node, &about, source)).await;
    if call.verb == Verb::Write
        && let Ok(services) = node.active()
    {
        let root = Namespace::root();
        let recorded = services
            .audit
            .record(&Entry {
                id: &id,
                started,
                verb: call.verb,
                creates: false,
                namespace: &root,
                mount: None,
                path: call.path.as_str(),
                peer: &call.peer,
                headers: &call.headers,
                shown_headers: &[],
                accessor: "",
                token: None,
                home: "",
                token_text: call.token.as_ref(),
                identity_policies: &[],
                fields: &raw,
                wrap_ttl: None,
                granting: &[],
                trace: None,
                lease_id: "",
                outcome: match &result {
                    Ok(reply) => Outcome::Reply(reply),
                    Err(e) => Outcome::Refused(e),
                },
            })
            .await;
        let stands = match &result {
            Ok(reply) => reply.recorded,
            Err(e) => e.kind == ErrorKind::InDoubt,
        };
        if let Err(e) = recorded
            && !stands
        {
            result = Err(e);
        }
    }
    if let Err(error) = &result {
        super::note_trouble(node, &id, call.path.as_str(), error);
    }
    Answer {
        request_id: id,
        mount_kind: "system".to_owned(),
        result,
        lease: None,
        explain: None,
        rate: None,
        of_inline_login: false,
        access: None,
    }
}
