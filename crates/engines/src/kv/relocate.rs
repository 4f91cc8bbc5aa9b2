//! `move/…` and `copy/…`: secrets and folders with their versions, settings and labels, within a
//! mount or to another one.
//!
//! Rights (our own design's row of the threat list): neither shows a value to who could not read
//! it. For each secret taken from S to D the caller needs
//! * `read` on `data/S`; or instead the capability `move` on both `data/S` and `data/D`, and then
//!   nothing may show at D what is not shown to the caller at S: no `read` on `data/D`, none on
//!   `subkeys/D` or `metadata/D` and no detailed list of it, unless the same is allowed on S;
//! * `create` on `data/D`, and on `metadata/D` where settings or labels come along;
//! * to move: `delete` on `metadata/S`;
//! * for a folder: `list` on each of its folders' `metadata/`.
//!
//! A deleted version that the caller could bring back at D but not at S does not come along: a copy
//! leaves its value out, a move is refused.

use std::collections::BTreeMap;

use strongroom_base::{Error, Json, JsonMap, RawFields, RequestPath, Result, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Command, Need, Reply, Rights, WriteCx, ops};
use strongroom_kernel::policy::Capability;
use strongroom_kernel::record::{Id, WriteView, rows};

use super::aws::rotation;
use super::limits::{COPY_BYTES_MAX, COPY_SECRETS_MAX, MOVE_SECRETS_MAX};
use super::secret::{Head, State};
use super::store::{self, Secret};
use super::{Kv, new_id, tree};

fields! {
    /// Moves a secret, or with `recursive` a folder, to another path.
    pub struct Move {
        /// What to move.
        path: String,
        /// Where to: the new path, or with a trailing slash the folder that takes the secret.
        to: String,
        /// Another versioned KV mount that takes it; else it stays in this one.
        to_mount: Option<String>,
        /// Is it a folder with all that is in it?
        recursive: Option<bool>,
    }
}

fields! {
    /// Copies a secret, or with `recursive` a folder, to another path.
    pub struct Copy {
        /// What to copy.
        path: String,
        /// Where to: the new path, or with a trailing slash the folder that takes the secret.
        to: String,
        /// Another versioned KV mount that takes it; else it stays in this one.
        to_mount: Option<String>,
        /// Is it a folder with all that is in it?
        recursive: Option<bool>,
    }
}

ops! {
    Move Json, Write, Needs;
    Copy Json, Write, Needs;
}

/// A move or copy as it was asked for, its paths checked.
struct Plan {
    /// The source: a secret's path, or a folder's with its slash.
    from: String,
    /// The destination, likewise.
    to: String,
    /// The destination's mount path.
    to_mount: String,
    folder: bool,
    /// Does the source go?
    moves: bool,
}

/// A secret's place.
#[derive(Clone, Copy)]
struct Place<'a> {
    mount: &'a str,
    path: &'a str,
}

impl Plan {
    fn new(mount: &Mount, from: &str, op: (&str, Option<&str>, bool), moves: bool) -> Result<Self> {
        let (to, to_mount, folder) = op;
        if from.ends_with('/') {
            return Err(Error::bad_request(
                "the path must not end in '/': a folder is named without, and with recursive=true",
            ));
        }
        let to = RequestPath::parse(to).map_err(|e| Error::bad_request(format!("to: {e}")))?;
        let to = to.as_str();
        if to.is_empty() {
            return Err(Error::bad_request("missing to"));
        }
        let (from, to) = match folder {
            true => (format!("{from}/"), format!("{}/", to.trim_end_matches('/'))),
            false if to.ends_with('/') => (from.to_owned(), format!("{to}{}", tree::split(from).1)),
            false => (from.to_owned(), to.to_owned()),
        };
        let to_mount = match to_mount.map(|m| m.trim_matches('/')) {
            None | Some("") => mount.path.clone(),
            Some(path) => {
                let path = RequestPath::parse(path)
                    .map_err(|e| Error::bad_request(format!("to_mount: {e}")))?;
                format!("{}/", path.as_str())
            }
        };
        if to_mount == mount.path && folder && to.starts_with(&from) {
            return Err(Error::bad_request("a folder cannot be taken into itself"));
        }
        if to_mount == mount.path && from == to {
            return Err(Error::bad_request("source and destination are the same"));
        }
        Ok(Self { from, to, to_mount, folder, moves })
    }

    /// What policy must allow before anything is read.
    fn needs(&self, mount: &Mount) -> Vec<Need> {
        let mut needs = Vec::new();
        if self.folder {
            let path = format!("{}metadata/{}", mount.path, self.from);
            needs.push(Need::new(path, Capability::List));
        } else {
            let path = format!("{}data/{}", self.to_mount, self.to);
            needs.push(Need::new(path, Capability::Create));
            if self.moves {
                let path = format!("{}metadata/{}", mount.path, self.from);
                needs.push(Need::new(path, Capability::Delete));
            }
        }
        needs
    }
}

fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
    moves: bool,
) -> Result<Vec<Need>> {
    use strongroom_base::FieldSource;
    use strongroom_base::fields::Fields;
    let op = Copy::decode(&FieldSource::new(captures, raw, Copy::SPECS))?;
    let what = (op.to.as_str(), op.to_mount.as_deref(), op.recursive.unwrap_or(false));
    Ok(Plan::new(mount, &op.path, what, moves)?.needs(mount))
}

/// What a move needs before anything is read.
pub(super) fn needs_of_move(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
) -> Result<Vec<Need>> {
    needs(mount, captures, raw, true)
}

/// What a copy needs before anything is read.
pub(super) fn needs_of_copy(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
) -> Result<Vec<Need>> {
    needs(mount, captures, raw, false)
}

/// The caller's rights on the places of one move or copy.
struct Asked<'a> {
    rights: &'a Rights,
    moves: bool,
    /// What a write of a value is judged by, where a rule constrains parameters.
    written: JsonMap,
}

impl Asked<'_> {
    fn allow(&self, place: Place<'_>, endpoint: &str, capability: Capability) -> bool {
        let path = format!("{}{endpoint}/{}", place.mount, place.path);
        let fields = (capability == Capability::Create).then_some(&self.written);
        self.rights.allow(&path, capability, fields)
    }

    /// Would the caller have `capability` at the destination and not at the source?
    fn gains(&self, from: Place<'_>, to: Place<'_>, endpoint: &str, c: Capability) -> bool {
        self.allow(to, endpoint, c) && !self.allow(from, endpoint, c)
    }

    /// Does a detailed list that the caller may have show a secret's metadata?
    fn listed_with_details(&self, place: Place<'_>) -> bool {
        let folders = place.path.match_indices('/').map(|(i, _)| i + 1);
        let mut folders: Vec<&str> = folders.filter_map(|i| place.path.get(..i)).collect();
        folders.insert(0, "");
        let parent = folders.last().copied().unwrap_or_default();
        let at = |folder| Place { mount: place.mount, path: folder };
        self.allow(at(parent), "detailed-metadata", Capability::List)
            || folders.iter().any(|f| self.allow(at(f), "detailed-metadata", Capability::Scan))
    }

    fn require(&self, place: Place<'_>, endpoint: &str, capability: Capability) -> Result<()> {
        match self.allow(place, endpoint, capability) {
            true => Ok(()),
            false => Err(self.denied(place, endpoint, capability)),
        }
    }

    fn denied(&self, place: Place<'_>, endpoint: &str, capability: Capability) -> Error {
        let path = format!("{}{endpoint}/{}", place.mount, place.path);
        let fields = (capability == Capability::Create).then_some(&self.written);
        self.rights.denied(&path, capability, fields)
    }

    /// Refuses what the caller may not take from `from` to `to`. Nothing is read yet.
    fn check(&self, from: Place<'_>, to: Place<'_>) -> Result<()> {
        self.require(to, "data", Capability::Create)?;
        if self.moves {
            self.require(from, "metadata", Capability::Delete)?;
        }
        let unseen = self.allow(from, "data", Capability::Move)
            && self.allow(to, "data", Capability::Move)
            && !self.allow(to, "data", Capability::Read)
            && !self.gains(from, to, "subkeys", Capability::Read)
            && !self.gains(from, to, "metadata", Capability::Read)
            && (self.allow(from, "metadata", Capability::Read) || !self.listed_with_details(to));
        // To whom it would show something, reading the source is what is missing.
        if unseen { Ok(()) } else { self.require(from, "data", Capability::Read) }
    }

    /// Must settings and labels stay behind?
    fn keeps_metadata(&self, to: Place<'_>) -> bool {
        !self.allow(to, "metadata", Capability::Create)
    }

    /// Could the caller bring back at the destination what it could not at the source?
    fn gains_undelete(&self, from: Place<'_>, to: Place<'_>) -> bool {
        self.gains(from, to, "undelete", Capability::Update)
    }
}

/// Both sides of a move or copy within its transaction.
struct Sides<'a> {
    from: WriteView<'a>,
    from_mount: String,
    to: WriteView<'a>,
    to_mount: String,
}

impl Sides<'_> {
    fn within_one_mount(&self) -> bool {
        self.from_mount == self.to_mount
    }

    fn from<'p>(&'p self, path: &'p str) -> Place<'p> {
        Place { mount: &self.from_mount, path }
    }

    fn to<'p>(&'p self, path: &'p str) -> Place<'p> {
        Place { mount: &self.to_mount, path }
    }
}

async fn run(cx: &mut WriteCx<'_>, plan: Plan) -> Result<Reply<Json>> {
    cx.queue(&plan.from).await;
    let from_mount = cx.request.mount.path.clone();
    let to = if plan.to_mount == from_mount {
        cx.edit()
    } else {
        let missing = || Error::bad_request("to_mount is no versioned KV mount");
        let (mount, edit) = cx.sibling(&plan.to_mount).await?.ok_or_else(missing)?;
        if mount.options.get("version").map(String::as_str) != Some("2") {
            return Err(missing());
        }
        edit
    };
    let sides = Sides { from: cx.edit(), from_mount, to, to_mount: plan.to_mount.clone() };
    let rights = cx.request.rights.as_ref().ok_or_else(Error::denied)?;
    let written = JsonMap::from_iter([("data".to_owned(), Json::Object(JsonMap::new()))]);
    let asked = Asked { rights, moves: plan.moves, written };
    let count = match plan.folder {
        true => take_folder(cx, &sides, &asked, &plan).await?,
        false => {
            take_secret(cx, &sides, &asked, &plan).await?;
            1
        }
    };
    Ok(Reply::data(serde_json::json!({
        "from": format!("{}{}", sides.from_mount, plan.from),
        "secrets": count,
        "to": format!("{}{}", sides.to_mount, plan.to),
    })))
}

/// Whatever rotates a secret knows it by its name.
fn is_rotated() -> Error {
    Error::bad_request("a secret that is rotated cannot move: cancel its rotation")
}

async fn take_secret(
    cx: &WriteCx<'_>,
    sides: &Sides<'_>,
    asked: &Asked<'_>,
    plan: &Plan,
) -> Result<()> {
    let (from, to) = (sides.from(&plan.from), sides.to(&plan.to));
    asked.check(from, to)?;
    let secret = store::find(&sides.from, from.path).await?.ok_or_else(Error::not_found)?;
    if tree::leaf(&sides.to, to.path).await?.is_some() {
        return Err(Error::bad_request("there is a secret at the destination already"));
    }
    check_head(asked, from, to, &secret.head, cx)?;
    if plan.moves && rotation::is_rotated(&sides.from, from.path).await? {
        return Err(is_rotated());
    }
    if plan.moves && sides.within_one_mount() {
        tree::insert(&sides.to, to.path, secret.row).await?;
        return tree::remove(&sides.from, from.path).await;
    }
    let mut bytes = 0;
    carry(cx, sides, asked, (from, to), &secret, &mut bytes).await?;
    if plan.moves {
        store::purge(&sides.from, from.path, &secret, cx.now()).await?;
    }
    Ok(())
}

async fn take_folder(
    cx: &WriteCx<'_>,
    sides: &Sides<'_>,
    asked: &Asked<'_>,
    plan: &Plan,
) -> Result<usize> {
    let id = tree::folder(&sides.from, &plan.from).await?.ok_or_else(Error::not_found)?;
    let one_row = plan.moves && sides.within_one_mount();
    let most = if one_row { MOVE_SECRETS_MAX } else { COPY_SECRETS_MAX };
    let secrets = tree::secrets_below(&sides.from, id, most, |folder| {
        let path = format!("{}metadata/{}{folder}", sides.from_mount, plan.from);
        match asked.rights.allow(&path, Capability::List, None) {
            true => Ok(()),
            false => Err(asked.rights.denied(&path, Capability::List, None)),
        }
    })
    .await?;
    let pairs: Vec<(String, String, Id)> = secrets
        .into_iter()
        .map(|(path, row)| (format!("{}{path}", plan.from), format!("{}{path}", plan.to), row))
        .collect();
    for (from, to, _) in &pairs {
        asked.check(sides.from(from), sides.to(to))?;
    }
    if tree::folder(&sides.to, &plan.to).await?.is_some() {
        return Err(Error::bad_request("there is a folder at the destination already"));
    }
    if plan.moves && rotation::is_any_rotated(&sides.from, &plan.from).await? {
        return Err(is_rotated());
    }
    let mut bytes = 0;
    let mut count = 0;
    for (from, to, row) in &pairs {
        let (from, to) = (sides.from(from), sides.to(to));
        // Heads are read only where something depends on them.
        if one_row && !asked.keeps_metadata(to) && !asked.gains_undelete(from, to) {
            count += 1;
            continue;
        }
        let head = sides.from.row::<Head>(rows::HEADS, *row).await?;
        let head = head.ok_or_else(|| Error::internal("a secret's head is missing"))?;
        let secret = Secret { row: *row, head };
        if secret.head.deletion.is_some() {
            match (plan.moves, one_row) {
                (false, _) => continue,
                (true, true) => {}
                (true, false) => {
                    return Err(Error::bad_request("a secret in it is scheduled for deletion"));
                }
            }
        }
        check_head(asked, from, to, &secret.head, cx)?;
        count += 1;
        if !one_row {
            carry(cx, sides, asked, (from, to), &secret, &mut bytes).await?;
            if plan.moves {
                store::purge(&sides.from, from.path, &secret, cx.now()).await?;
            }
        }
    }
    if one_row {
        let path = plan.to.trim_end_matches('/');
        let (folder, _) = tree::split(path);
        let parent = tree::make_folder(&sides.to, folder).await?;
        let name = plan.to.get(folder.len()..).unwrap_or_default();
        // The new name comes first, so that no folder looks empty that just got it.
        tree::put_folder(&sides.to, parent, name, id)?;
        tree::unlink_folder(&sides.from, &plan.from).await?;
    }
    Ok(count)
}

/// Refuses what the caller's rights forbid of this very secret.
fn check_head(
    asked: &Asked<'_>,
    from: Place<'_>,
    to: Place<'_>,
    head: &Head,
    cx: &WriteCx<'_>,
) -> Result<()> {
    let plain = head.settings.is_default()
        && head.labels.is_empty()
        && head.description.is_empty()
        && head.of_aws.is_none();
    if !plain {
        asked.require(to, "metadata", Capability::Create)?;
    }
    let now = cx.now();
    let hides = |v: &super::secret::Version| v.value.is_some() && v.readable(now).is_none();
    if asked.moves && head.versions.iter().any(hides) && asked.gains_undelete(from, to) {
        return Err(asked.denied(from, "undelete", Capability::Update));
    }
    Ok(())
}

/// Writes a secret with all its versions at the destination. A move keeps every id, a copy is
/// another secret.
async fn carry(
    cx: &WriteCx<'_>,
    sides: &Sides<'_>,
    asked: &Asked<'_>,
    (from, to): (Place<'_>, Place<'_>),
    secret: &Secret,
    bytes: &mut usize,
) -> Result<()> {
    let mut head = secret.head.clone();
    if !asked.moves {
        let leaves_deleted = asked.gains_undelete(from, to);
        head.id = new_id(cx);
        head.stages.clear();
        head.updated = cx.now();
        head.versions.retain(|v| v.number > 0);
        if let Some(of_aws) = &mut head.of_aws {
            of_aws.forget_origin();
        }
        let mut ids = BTreeMap::new();
        for version in &mut head.versions {
            version.id = *ids.entry(version.id).or_insert_with(|| new_id(cx));
            if let Some(extra) = &mut version.extra {
                extra.client_token = None;
            }
            if leaves_deleted && version.readable(cx.now()).is_none() {
                version.state = State::Destroyed;
                version.value = None;
            }
        }
    }
    let mut copied: BTreeMap<Id, Id> = BTreeMap::new();
    for version in &mut head.versions {
        let Some(row) = version.value else { continue };
        let copy = match copied.get(&row) {
            Some(copy) => *copy,
            None => {
                let value = store::value(&sides.from, row).await?;
                *bytes += value.expose_secret().len();
                if *bytes > COPY_BYTES_MAX {
                    return Err(Error::bad_request(format!(
                        "the values are more than the {COPY_BYTES_MAX} bytes that one request may \
                         take along"
                    )));
                }
                let copy = sides.to.new_id();
                sides.to.put_row_bytes(rows::VALUES, copy, value.expose_secret())?;
                copied.insert(row, copy);
                copy
            }
        };
        version.value = Some(copy);
    }
    let copy = Secret { row: sides.to.new_id(), head };
    store::save(&sides.to, to.path, &copy, true).await
}

impl Command<Move> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Move) -> Result<Reply<Json>> {
        let what = (op.to.as_str(), op.to_mount.as_deref(), op.recursive.unwrap_or(false));
        let plan = Plan::new(&cx.request.mount, &op.path, what, true)?;
        run(cx, plan).await
    }
}

impl Command<Copy> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Copy) -> Result<Reply<Json>> {
        let what = (op.to.as_str(), op.to_mount.as_deref(), op.recursive.unwrap_or(false));
        let plan = Plan::new(&cx.request.mount, &op.path, what, false)?;
        run(cx, plan).await
    }
}
