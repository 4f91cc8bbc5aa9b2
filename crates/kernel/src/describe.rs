//! What the plug-ins' specifications say of themselves: path-help (`?help=1`) and OpenAPI.

use serde_json::json;
use strongroom_base::{FieldKind, FieldSpec, Json};

use crate::mounts::MountEntry;
use crate::node::VAULT_VERSION;
use crate::plug::{Class, NodeSpec, Route, Rule, Spec, Verb};

/// The answer to `?help=1` at a path of a mount.
pub fn help(entry: &MountEntry, path: &str, below: &str) -> Option<Json> {
    let spec = entry.spec.as_ref()?;
    let routes: Vec<&Route> = spec.of_vault().filter(|r| r.serves(below)).collect();
    let text = if below.is_empty() {
        mount_help(spec)
    } else if let Some(first) = routes.first() {
        route_help(path, first.pattern, &routes)
    } else {
        return None;
    };
    let mut document = document();
    add_paths(&mut document, spec, routes.into_iter(), &entry.mount.path, None);
    Some(json!({ "help": text, "see_also": null, "openapi": document }))
}

fn mount_help(spec: &Spec) -> String {
    let mut text = format!("## DESCRIPTION\n\n{}\n\n## PATHS\n", spec.docs.trim());
    let mut patterns: Vec<&str> = spec.of_vault().map(|r| r.pattern).collect();
    patterns.sort_unstable();
    patterns.dedup();
    for pattern in patterns {
        let first = spec.of_vault().find(|r| r.pattern == pattern);
        let what = first.map_or("", |r| summary(r.help));
        text.push_str(&format!("\n    {pattern}\n        {what}\n"));
    }
    text
}

fn route_help(path: &str, pattern: &str, routes: &[&Route]) -> String {
    let mut text = format!("Request:        {path}\nMatching Route: {pattern}\n");
    for route in routes {
        text.push_str(&format!("\n## {}\n\n{}\n", method_name(route.verb), tidy(route.help)));
        if route.rule == Rule::Sudo {
            text.push_str("\nNeeds sudo.\n");
        }
        if !route.fields.is_empty() {
            text.push_str("\n## PARAMETERS\n");
        }
        for field in route.fields {
            let kind = kind_name(field.kind);
            text.push_str(&format!(
                "\n    {} ({kind})\n        {}\n",
                field.name,
                tidy(field.help)
            ));
        }
    }
    text
}

/// The HTTP method of a verb.
pub fn method_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Read => "GET",
        Verb::Write => "POST",
        Verb::List => "LIST",
        Verb::Delete => "DELETE",
        Verb::Patch => "PATCH",
        Verb::Scan => "SCAN",
    }
}

/// Doc comments have a space at each line's beginning.
fn tidy(help: &str) -> String {
    help.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn summary(help: &str) -> &str {
    help.lines().next().unwrap_or("").trim()
}

fn kind_name(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "string",
        FieldKind::Integer => "integer",
        FieldKind::Boolean => "boolean",
        FieldKind::Duration => "duration",
        FieldKind::List => "list",
        FieldKind::Pairs => "map of strings",
        FieldKind::Object => "object",
        FieldKind::Any => "any",
    }
}

/// An OpenAPI document without paths.
pub fn document() -> Json {
    json!({
        "openapi": "3.0.2",
        "info": {
            "title": "HashiCorp Vault API",
            "description": "HTTP API of Strongroom, as Vault's. All routes begin with `/v1/`.",
            "version": VAULT_VERSION,
            "license": { "name": "Apache License 2.0",
                         "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "paths": {},
        "components": { "schemas": {} },
    })
}

/// Adds all paths of a mount at `prefix` (with its trailing slash).
pub fn add_mount(document: &mut Json, spec: &Spec, prefix: &str) {
    add_paths(document, spec, spec.of_vault(), prefix, None);
}

/// As [`add_mount`], with a parameter in the place of where it is mounted, for whoever makes code of the
/// document: `/auth/{userpass_mount_path}/login/{username}`.
pub fn add_mount_anywhere(document: &mut Json, spec: &Spec, prefix: &str) {
    let (class, mount) = match prefix.strip_prefix("auth/") {
        Some(mount) => ("auth/", mount.trim_end_matches('/')),
        None => ("", prefix.trim_end_matches('/')),
    };
    let name = format!("{}_mount_path", mount.replace('-', "_"));
    let parameter = json!({
        "name": name,
        "description": "Path that the backend was mounted at",
        "in": "path",
        "required": true,
        "schema": { "type": "string", "default": mount },
    });
    let prefix = format!("{class}{{{name}}}/");
    add_paths(document, spec, spec.of_vault(), &prefix, Some(&parameter));
}

/// Adds the operations on the node itself.
pub fn add_node(document: &mut Json, node: &NodeSpec) {
    for route in node.routes() {
        let item = &mut document["paths"][format!("/{}", route.path)];
        if item.is_null() {
            *item = json!({ "description": summary(route.help), "x-vault-unauthenticated": true });
        }
        let words: Vec<&str> = route.path.split(['/', '-']).collect();
        let verb = method_name(route.verb).to_ascii_lowercase();
        item[openapi_method(route.verb)] = operation(
            format!("{verb}-{}", words.join("-")),
            Class::System,
            route.verb,
            summary(route.help),
            route.fields.iter(),
        );
    }
}

fn add_paths<'a>(
    document: &mut Json,
    spec: &Spec,
    routes: impl Iterator<Item = &'a Route>,
    prefix: &str,
    mounted: Option<&Json>,
) {
    for route in routes {
        let pattern = route.pattern.trim_end_matches('/').replace("..}", "}");
        let path = format!("/{prefix}{pattern}");
        let captured = route.capture_names();
        let item = &mut document["paths"][&path];
        if item.is_null() {
            *item = json!({ "description": summary(route.help) });
            let parameters: Vec<Json> = captured
                .iter()
                .map(|name| path_parameter(route, name))
                .chain(mounted.cloned())
                .collect();
            if !parameters.is_empty() {
                item["parameters"] = parameters.into();
            }
            if route.rule == Rule::Sudo {
                item["x-vault-sudo"] = true.into();
            }
            if route.rule == Rule::Open {
                item["x-vault-unauthenticated"] = true.into();
            }
        }
        let method = openapi_method(route.verb);
        let lists = matches!(route.verb, Verb::List | Verb::Scan);
        if lists && !item[method].is_null() {
            // One path reads and lists: the parameter `list` tells them apart.
            add_list_parameter(&mut item[method], false);
            continue;
        }
        item[method] = operation(
            operation_id(spec, route),
            spec.class,
            route.verb,
            summary(route.help),
            route.fields.iter().filter(|f| !captured.contains(&f.name) && !f.rest),
        );
        if lists {
            add_list_parameter(&mut item[method], true);
        }
    }
}

fn openapi_method(verb: Verb) -> &'static str {
    match verb {
        Verb::Read | Verb::List | Verb::Scan => "get",
        Verb::Write => "post",
        Verb::Delete => "delete",
        Verb::Patch => "patch",
    }
}

fn operation_id(spec: &Spec, route: &Route) -> String {
    let words = route.pattern.split(['/', '{', '}', '.', '-']).filter(|w| !w.is_empty());
    let name: Vec<&str> = words.collect();
    let verb = method_name(route.verb).to_ascii_lowercase();
    format!("{}-{verb}-{}", spec.kind, name.join("-"))
}

fn operation<'a>(
    id: String,
    class: Class,
    verb: Verb,
    summary: &str,
    fields: impl Iterator<Item = &'a FieldSpec>,
) -> Json {
    let mut operation = json!({
        "operationId": id,
        "summary": summary,
        "tags": [match class {
            Class::Secret => "secrets",
            Class::Auth => "auth",
            Class::System => "system",
        }],
        "responses": { "200": { "description": "OK" } },
    });
    if matches!(verb, Verb::Write | Verb::Patch) {
        let mut properties = serde_json::Map::new();
        let mut required = Vec::new();
        for field in fields {
            properties.insert(field.name.to_owned(), schema(field));
            if field.required {
                required.push(field.name);
            }
        }
        if !properties.is_empty() {
            let mut body = json!({ "type": "object", "properties": properties });
            if !required.is_empty() {
                body["required"] = required.into();
            }
            operation["requestBody"] =
                json!({ "content": { "application/json": { "schema": body } } });
        }
    } else {
        let parameters: Vec<Json> = fields.map(|f| parameter(f, "query", f.required)).collect();
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
    }
    operation
}

fn add_list_parameter(operation: &mut Json, required: bool) {
    let parameter = json!({
        "name": "list",
        "description": "Must be set to `true` to list.",
        "in": "query",
        "required": required,
        "schema": { "type": "string", "enum": ["true"] },
    });
    match operation["parameters"].as_array_mut() {
        Some(parameters) => parameters.push(parameter),
        None => operation["parameters"] = json!([parameter]),
    }
}

fn path_parameter(route: &Route, name: &str) -> Json {
    match route.fields.iter().find(|f| f.name == name) {
        Some(field) => parameter(field, "path", true),
        None => json!({
            "name": name, "in": "path", "required": true, "schema": { "type": "string" },
        }),
    }
}

fn parameter(field: &FieldSpec, place: &str, required: bool) -> Json {
    let mut schema = schema(field);
    let description = schema["description"].take();
    if let Some(map) = schema.as_object_mut() {
        map.remove("description");
    }
    json!({
        "name": field.name,
        "description": description,
        "in": place,
        "required": required,
        "schema": schema,
    })
}

fn schema(field: &FieldSpec) -> Json {
    let mut schema = match field.kind {
        FieldKind::Text => json!({ "type": "string" }),
        FieldKind::Integer => json!({ "type": "integer" }),
        FieldKind::Boolean => json!({ "type": "boolean" }),
        FieldKind::Duration => json!({ "type": "string", "format": "duration" }),
        FieldKind::List => json!({ "type": "array", "items": { "type": "string" } }),
        FieldKind::Pairs => {
            json!({ "type": "object", "additionalProperties": { "type": "string" } })
        }
        FieldKind::Object => json!({ "type": "object" }),
        FieldKind::Any => json!({}),
    };
    schema["description"] = tidy(field.help).into();
    schema
}
