//! Operations on aliases.

use strongroom_base::{Json, JsonMap, Result};

use super::super::input::{Input, given, put, required, text_of};
use super::super::{Planned, Scope};
use super::keys::listed;
use super::names::{self, ALIAS, alias_arn, key_alone};
use super::{nothing, page};

/// The request's alias, without its `alias/`.
fn alias(input: &mut Input) -> Result<String> {
    let name = required(input.text_within("AliasName", 1, 256)?, "AliasName")?;
    names::alias(&name)
}

fn give(scope: &Scope, input: JsonMap, operation: &str) -> Result<Planned> {
    let mut input = Input::new(input);
    let alias = alias(&mut input)?;
    let target = required(input.text_within("TargetKeyId", 1, 2_048)?, "TargetKeyId")?;
    let mut body = JsonMap::new();
    put(&mut body, "target", Some(key_alone(scope, &target)?.path));
    let path = scope.transit(operation, &alias);
    Ok(Planned::new(path, body, nothing).about(alias_arn(scope, &alias)))
}

pub fn create(scope: &Scope, input: JsonMap) -> Result<Planned> {
    give(scope, input, "create-alias")
}

pub fn update(scope: &Scope, input: JsonMap) -> Result<Planned> {
    give(scope, input, "update-alias")
}

pub fn delete(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let alias = alias(&mut Input::new(input))?;
    let path = scope.transit("delete-alias", &alias);
    Ok(Planned::new(path, JsonMap::new(), nothing).about(alias_arn(scope, &alias)))
}

fn aliases(scope: &Scope, answer: Json) -> Json {
    let (list, mut out) = listed(answer, "aliases", |mut entry| {
        let alias = text_of(&entry, "alias");
        let mut out = JsonMap::new();
        put(&mut out, "AliasName", Some(format!("{ALIAS}{alias}")));
        put(&mut out, "AliasArn", Some(alias_arn(scope, &alias)));
        put(&mut out, "TargetKeyId", given(&mut entry, "key_id"));
        put(&mut out, "CreationDate", given(&mut entry, "created"));
        put(&mut out, "LastUpdatedDate", given(&mut entry, "updated"));
        Json::Object(out)
    });
    out.insert("Aliases".to_owned(), list);
    Json::Object(out)
}

pub fn list(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let mut body = JsonMap::new();
    page(&mut input, &mut body)?;
    match input.text_within("KeyId", 1, 2_048)? {
        None => Ok(Planned::new(scope.transit("list-aliases", ""), body, aliases)),
        Some(asked) => {
            let key = names::managed(scope, &asked)?;
            let path = scope.transit("list-aliases", &key.path);
            Ok(Planned::new(path, body, aliases).about(key.arn))
        }
    }
}
