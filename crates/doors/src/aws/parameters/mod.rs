//! AWS Systems Manager's Parameter Store (API version 2014-11-06): the shapes of its operations, in and out.
//! What they do, the kv engine's operations below `aws/` say.
//!
//! Invariants:
//! * a parameter lies in the folder `ssm/` of its region's place, at its name without the first slash: so
//!   `/app/db` is `ssm/app/db` at Vault's door, and nothing at all for Secrets Manager;
//! * an answer has no member without a value.

mod answers;
mod names;
#[cfg(test)]
mod tests;

use strongroom_base::{Error, Json, JsonMap, Result};

use super::input::{Input, put, required, tag_keys, tags, text_of};
use super::{Make, Operation, Planned, Scope};
use names::Named;

/// All operations of the service.
pub const OPERATIONS: &[Operation] = &[
    Operation { name: "PutParameter", plan: put_parameter },
    Operation { name: "GetParameter", plan: get_parameter },
    Operation { name: "GetParameters", plan: get_parameters },
    Operation { name: "GetParametersByPath", plan: get_parameters_by_path },
    Operation { name: "GetParameterHistory", plan: get_parameter_history },
    Operation { name: "DescribeParameters", plan: describe_parameters },
    Operation { name: "DeleteParameter", plan: delete_parameter },
    Operation { name: "DeleteParameters", plan: delete_parameters },
    Operation { name: "LabelParameterVersion", plan: label_version },
    Operation { name: "UnlabelParameterVersion", plan: unlabel_version },
    Operation { name: "AddTagsToResource", plan: add_tags },
    Operation { name: "RemoveTagsFromResource", plan: remove_tags },
    Operation { name: "ListTagsForResource", plan: list_tags },
];

/// Kinds of what can have tags, in the model.
const RESOURCES: &[&str] = &[
    "Document",
    "ManagedInstance",
    "MaintenanceWindow",
    "Parameter",
    "PatchBaseline",
    "OpsItem",
    "OpsMetadata",
    "Automation",
    "Association",
    "CloudConnector",
];

/// The name of the parameter that a request is about.
fn name(input: &mut Input, member: &str) -> Result<String> {
    let name = required(input.text_within(member, 1, 2_048)?, member)?;
    Ok(name.trim_matches(' ').to_owned())
}

/// An operation on one parameter that is there.
fn on_one(
    scope: &Scope,
    named: &Named,
    operation: &str,
    mut body: JsonMap,
    make: Make,
) -> Result<Planned> {
    if named.reference || named.selector.is_some() {
        return Err(names::not_found());
    }
    put(&mut body, "secret_arn", Some(named.secret_arn.as_str()));
    let planned = Planned::new(scope.kv(operation, &named.path), body, make);
    Ok(planned.about(named.arn.clone()))
}

fn put_parameter(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let named = names::to_make(scope, &name(&mut input, "Name")?)?;
    let mut body = JsonMap::new();
    put(&mut body, "rooted", named.rooted.then_some(true));
    put(&mut body, "secret_arn", Some(named.secret_arn));
    put(&mut body, "value", Some(required(input.text("Value")?, "Value")?));
    put(&mut body, "type", input.one_of("Type", &["String", "StringList", "SecureString"])?);
    let overwrite = input.boolean("Overwrite")?;
    put(&mut body, "overwrite", overwrite);
    put(&mut body, "description", input.text_within("Description", 0, 1_024)?);
    put(&mut body, "key", input.text_within("KeyId", 1, 256)?);
    put(&mut body, "pattern", input.text_within("AllowedPattern", 0, 1_024)?);
    let tiers = ["Standard", "Advanced", "Intelligent-Tiering"];
    put(&mut body, "tier", input.one_of("Tier", &tiers)?);
    put(&mut body, "data_type", input.text_within("DataType", 0, 128)?);
    if input.text("Policies")?.is_some_and(|policies| !matches!(policies.trim(), "" | "[]")) {
        return Err(Error::bad_request("there are no parameter policies here")
            .called("InvalidPolicyTypeException"));
    }
    let tags = tags(&mut input, "Key", "Value")?;
    let keys = tags.as_deref().map(tag_keys).unwrap_or_default();
    put(&mut body, "tags", tags.filter(|tags| !tags.is_empty()));
    let planned = Planned::new(scope.kv("put-parameter", &named.path), body, answers::version);
    let mut planned = planned.about(named.arn);
    planned.keys = keys;
    Ok(planned.key("ssm:Overwrite", vec![overwrite.unwrap_or(false).to_string()]))
}

fn get_parameter(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let named = names::to_read(scope, &name(&mut input, "Name")?)?;
    let mut body = JsonMap::new();
    put(&mut body, "decrypt", input.boolean("WithDecryption")?);
    put(&mut body, "selector", named.selector);
    put(&mut body, "reference", named.reference.then_some(true));
    put(&mut body, "secret_arn", Some(named.secret_arn));
    let planned = Planned::new(scope.kv("get-parameter", &named.path), body, answers::one);
    Ok(planned.about(named.arn))
}

/// What a request with several names is about.
struct Several {
    /// The parameters, as the engine takes them.
    parameters: Vec<Json>,
    /// Names that mean none: the others are not their fault.
    invalid: Vec<String>,
    /// The ARN of the only one.
    about: String,
}

/// The parameters that a request names.
fn several(scope: &Scope, input: &mut Input) -> Result<Several> {
    let names = required(input.texts("Names")?, "Names")?;
    if !(1..=10).contains(&names.len()) {
        return Err(super::input::invalid("Names", "have length between 1 and 10"));
    }
    let mut several =
        Several { parameters: Vec::new(), invalid: Vec::new(), about: "*".to_owned() };
    for name in &names {
        let Ok(named) = names::to_read(scope, name.trim_matches(' ')) else {
            several.invalid.push(name.clone());
            continue;
        };
        let mut entry = JsonMap::new();
        put(&mut entry, "path", Some(named.path));
        put(&mut entry, "selector", named.selector);
        put(&mut entry, "reference", named.reference.then_some(true));
        put(&mut entry, "secret_arn", Some(named.secret_arn));
        put(&mut entry, "arn", Some(named.arn.as_str()));
        put(&mut entry, "name", Some(name.as_str()));
        several.parameters.push(Json::Object(entry));
        if names.len() == 1 {
            several.about = named.arn;
        }
    }
    Ok(several)
}

fn get_parameters(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let mut body = JsonMap::new();
    put(&mut body, "decrypt", input.boolean("WithDecryption")?);
    let Several { parameters, invalid, about } = several(scope, &mut input)?;
    put(&mut body, "parameters", Some(parameters));
    put(&mut body, "invalid", (!invalid.is_empty()).then_some(invalid));
    Ok(Planned::new(scope.kv("get-parameters", ""), body, answers::several).about(about))
}

fn delete_parameters(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let Several { parameters, mut invalid, about } = several(scope, &mut Input::new(input))?;
    // Neither a version nor a secret of Secrets Manager can be removed as a parameter.
    let whole = |p: &Json| p.get("selector").is_none() && p.get("reference").is_none();
    let (parameters, others): (Vec<Json>, Vec<Json>) = parameters.into_iter().partition(whole);
    let mut body = JsonMap::new();
    put(&mut body, "parameters", Some(parameters));
    invalid.extend(others.iter().map(|other| text_of(other, "name")));
    put(&mut body, "invalid", (!invalid.is_empty()).then_some(invalid));
    Ok(Planned::new(scope.kv("delete-parameters", ""), body, answers::deleted).about(about))
}

/// Filters of a request, as the engine takes them.
fn filters(input: &mut Input) -> Result<Option<Vec<Json>>> {
    let Some(list) = input.structures("ParameterFilters")? else { return Ok(None) };
    let filter = |mut filter: Input| {
        let mut out = JsonMap::new();
        put(&mut out, "key", Some(required(filter.text("Key")?, "Key")?));
        put(&mut out, "option", filter.text("Option")?);
        put(&mut out, "values", filter.texts("Values")?);
        Ok(Json::Object(out))
    };
    list.into_iter().map(filter).collect::<Result<_>>().map(Some)
}

fn page(input: &mut Input, most: i64, body: &mut JsonMap) -> Result<()> {
    put(body, "max_results", input.integer("MaxResults", 1, most)?);
    put(body, "next_token", input.text("NextToken")?.filter(|token| !token.is_empty()));
    Ok(())
}

fn get_parameters_by_path(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let folder = names::folder(scope, &name(&mut input, "Path")?)?;
    let mut body = JsonMap::new();
    let recursive = input.boolean("Recursive")?;
    put(&mut body, "recursive", recursive);
    put(&mut body, "secret_arn", Some(folder.secret_arn));
    put(&mut body, "decrypt", input.boolean("WithDecryption")?);
    put(&mut body, "filters", filters(&mut input)?);
    page(&mut input, 10, &mut body)?;
    let path = scope.kv("get-parameters-by-path", &folder.path);
    let planned = Planned::new(path, body, answers::page).about(folder.arn);
    Ok(planned.key("ssm:Recursive", vec![recursive.unwrap_or(false).to_string()]))
}

fn describe_parameters(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    if input.boolean("Shared")? == Some(true) {
        return Err(Error::bad_request("parameters of other accounts are not served here")
            .called("ValidationException"));
    }
    let mut body = JsonMap::new();
    let mut all = filters(&mut input)?.unwrap_or_default();
    // The older form: names are compared by their beginnings.
    for mut old in input.structures("Filters")?.unwrap_or_default() {
        if !all.is_empty() {
            return Err(Error::bad_request(
                "You can use either Filters or ParameterFilters in a single request.",
            )
            .called("ValidationException"));
        }
        let key = required(old.one_of("Key", &["Name", "Type", "KeyId"])?, "Key")?;
        let mut filter = JsonMap::new();
        put(&mut filter, "key", Some(key));
        put(&mut filter, "option", (key != "Type").then_some("BeginsWith"));
        put(&mut filter, "values", Some(required(old.texts("Values")?, "Values")?));
        all.push(Json::Object(filter));
    }
    put(&mut body, "filters", Some(all));
    page(&mut input, 50, &mut body)?;
    let path = scope.kv("describe-parameters", &names::top(scope));
    Ok(Planned::new(path, body, answers::page))
}

fn get_parameter_history(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let named = names::to_read(scope, &name(&mut input, "Name")?)?;
    let mut body = JsonMap::new();
    put(&mut body, "decrypt", input.boolean("WithDecryption")?);
    page(&mut input, 50, &mut body)?;
    on_one(scope, &named, "get-parameter-history", body, answers::page)
}

fn delete_parameter(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let named = names::to_read(scope, &name(&mut Input::new(input), "Name")?)?;
    on_one(scope, &named, "delete-parameter", JsonMap::new(), answers::nothing)
}

fn labels(input: &mut Input, body: &mut JsonMap) -> Result<()> {
    put(body, "version", input.integer("ParameterVersion", 1, i64::MAX)?);
    put(body, "labels", Some(required(input.texts("Labels")?, "Labels")?));
    Ok(())
}

fn label_version(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let named = names::to_read(scope, &name(&mut input, "Name")?)?;
    let mut body = JsonMap::new();
    labels(&mut input, &mut body)?;
    on_one(scope, &named, "label-parameter-version", body, answers::labelled)
}

fn unlabel_version(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let named = names::to_read(scope, &name(&mut input, "Name")?)?;
    let mut body = JsonMap::new();
    labels(&mut input, &mut body)?;
    required(body.get("version"), "ParameterVersion")?;
    on_one(scope, &named, "unlabel-parameter-version", body, answers::labelled)
}

/// The parameter whose tags a request is about.
fn tagged(scope: &Scope, input: &mut Input) -> Result<Named> {
    match required(input.one_of("ResourceType", RESOURCES)?, "ResourceType")? {
        "Parameter" => {}
        _ => {
            return Err(
                Error::bad_request("only parameters are served here").called("InvalidResourceType")
            );
        }
    }
    let id = required(input.text("ResourceId")?, "ResourceId")?;
    let invalid =
        |_| Error::bad_request("The resource ID isn't valid.").called("InvalidResourceId");
    names::to_read(scope, id.trim_matches(' ')).map_err(invalid)
}

fn add_tags(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let named = tagged(scope, &mut input)?;
    let tags = required(tags(&mut input, "Key", "Value")?, "Tags")?;
    let keys = tag_keys(&tags);
    let mut body = JsonMap::new();
    put(&mut body, "tags", Some(tags));
    let mut planned = on_one(scope, &named, "add-tags-to-parameter", body, answers::nothing)?;
    planned.keys = keys;
    Ok(planned)
}

fn remove_tags(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let mut input = Input::new(input);
    let named = tagged(scope, &mut input)?;
    let names = required(input.texts("TagKeys")?, "TagKeys")?;
    let mut body = JsonMap::new();
    put(&mut body, "tag_keys", Some(names.clone()));
    let planned = on_one(scope, &named, "remove-tags-from-parameter", body, answers::nothing)?;
    Ok(planned.key("aws:TagKeys", names))
}

fn list_tags(scope: &Scope, input: JsonMap) -> Result<Planned> {
    let named = tagged(scope, &mut Input::new(input))?;
    on_one(scope, &named, "list-tags-for-parameter", JsonMap::new(), answers::tags)
}
