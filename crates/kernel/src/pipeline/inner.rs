//! What one mount asks of another within its own transaction: a login's renewal, a lease's.

use strongroom_base::{FieldSource, Json, RawFields, Result, Timestamp};

use crate::mounts::MountEntry;
use crate::plug::{Handler, Matched, ReadCx, Reply, Request, TokenParams, Verb, WriteCx};
use crate::tokens::Token;

/// The request of what the kernel does to a mount by itself; `path` lies within the namespace.
pub(crate) fn background(
    rng: &dyn strongroom_base::Rng,
    entry: &MountEntry,
    path: &str,
    now: Timestamp,
) -> Request {
    background_of(rng.uuid(), entry, path, now)
}

/// The same within a request that has an id already.
pub(super) fn background_of(id: String, entry: &MountEntry, path: &str, now: Timestamp) -> Request {
    Request {
        id,
        now,
        namespace: entry.namespace.clone(),
        mount: entry.mount.clone(),
        verb: Verb::Write,
        head: false,
        path: path.strip_prefix(entry.mount.path.as_str()).unwrap_or(path).to_owned(),
        full_path: path.to_owned(),
        respelled: false,
        peer: Default::default(),
        token: None,
        token_text: None,
        wrap_ttl: None,
        headers: Vec::new(),
        query: Vec::new(),
        upload: None,
        rights: None,
        access: None,
    }
}

/// Runs the query that reads `path` of a mount's namespace within the transaction of `cx`, as the
/// caller of `cx`; `None` where no query serves it. It asks no policy: who calls it has asked.
pub async fn read_path(
    cx: &ReadCx<'_>,
    entry: &MountEntry,
    path: &str,
) -> Result<Option<Reply<Json>>> {
    let (Some(spec), Some(engine)) = (&entry.spec, &entry.engine) else { return Ok(None) };
    let request = Request {
        verb: Verb::Read,
        peer: cx.request.peer.clone(),
        token: cx.request.token.clone(),
        ..background(&*cx.kernel().store.rng, entry, path, cx.now())
    };
    let Matched::Route(route, captures) = spec.find(&request.path, Verb::Read) else {
        return Ok(None);
    };
    let Handler::Query(run) = &route.handler else { return Ok(None) };
    let raw = RawFields::default();
    let source = FieldSource::new(&captures, &raw, route.fields);
    let read = ReadCx::new(cx.kernel_tx(), cx.kernel(), &request);
    run(&**engine, &read, source).await.map(Some)
}

/// The token parameters that hold now for a login's token, as its auth method says; its error
/// refuses the renewal. A method that has no say leaves them as they were.
pub async fn renew_login(
    cx: &mut WriteCx<'_>,
    entry: &MountEntry,
    token: &Token,
) -> Result<TokenParams> {
    let services = cx.kernel().clone();
    let renew = entry.spec.as_ref().and_then(|spec| spec.renew.as_ref());
    let Some((renew, engine)) = renew.zip(entry.engine.as_ref()) else {
        return Ok(TokenParams {
            period: token.period,
            max_ttl: token.max_ttl,
            explicit_max_ttl: token.explicit_max_ttl,
            ..TokenParams::default()
        });
    };
    let request = Request {
        peer: cx.request.peer.clone(),
        ..background(&*services.store.rng, entry, &token.path, cx.now())
    };
    let read = ReadCx::new(cx.kernel_tx(), &services, &request);
    let mut inner = WriteCx::new(read);
    let params = renew(&**engine, &mut inner, token).await?;
    let (after, groups) = (inner.after, inner.groups);
    if let Some(groups) = groups.filter(|_| !token.entity_id.is_empty()) {
        let (tx, namespace) = (cx.kernel_tx(), entry.namespace.scope);
        services.identity.renewed(tx, namespace, &entry.mount, &token.entity_id, &groups).await?;
    }
    cx.after.extend(after);
    Ok(params)
}
