//! Programs: variables that are worked out one after the other, then an expression (OpenBao,
//! `cel_program`).
//!
//! What is wrong with a program is told when it is written: its form, names and functions that are not
//! there, fields that a struct has not. Then its tree is changed: names and loops are metered
//! ([`super::meter`]), and some functions become our own ([`super::functions`]).

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue, operators,
};
use cel::{Context, Env, StructDef, Value, extensions};
use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, Timestamp};

use super::functions::{self, OURS};
use super::meter::{LOOPED, Meter, USED};
use super::outcome::{FIELDS, STRUCTS};

/// Bytes of all of a program's expressions.
pub const PROGRAM_BYTES_MAX: usize = 16 * 1_024;
/// Bytes of one expression.
const EXPRESSION_BYTES_MAX: usize = 4 * 1_024;
/// Variables.
const VARIABLES_MAX: usize = 64;
/// Brackets and conditionals within each other.
const NESTED_MAX: u16 = 12;
/// Signs and words that make an expression deeper: see [`depth`].
const DEPTH_MAX: usize = 96;

/// Names that are there before a program's own.
const GIVEN: &[&str] = &["claims", "now", "operation"];
/// Functions that may be called, beside operators: those of the standard library and of the extensions
/// that are known to make no more of what they are given than it is long.
const FUNCTIONS: &[&str] = &[
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "bytes",
    "type",
    "dyn",
    "duration",
    "timestamp",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "of",
    "none",
    "ofNonZeroValue",
    "hasValue",
    "value",
    "or",
    "orValue",
    "charAt",
    "indexOf",
    "lastIndexOf",
    "lowerAscii",
    "upperAscii",
    "trim",
    "split",
    "substring",
    "replace",
    "join",
    "reverse",
    "quote",
    "slice",
    "distinct",
    "sort",
    "@sortByAssociatedKeys",
    "encode",
    "decode",
    "abs",
    "ceil",
    "floor",
    "round",
    "trunc",
    "sign",
    "sqrt",
    "isInf",
    "isNaN",
    "isFinite",
    "bitAnd",
    "bitOr",
    "bitXor",
    "bitNot",
    "bitShiftLeft",
    "bitShiftRight",
    "@max",
    "@min",
    "math.@max",
    "math.@min",
    "encode_json",
    "decode_json",
    "check_valid_email",
];
/// What stands before the names of functions, and is no value.
const NAMESPACES: &[&str] = &["math", "strings", "base64", "optional"];
/// Names of types, as values.
const TYPES: &[&str] =
    &["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];

/// A program as it is written and shown.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Worked out before the expression, in this order; each sees those before it.
    #[serde(default)]
    pub variables: Vec<Variable>,
    /// Whose value is the answer.
    #[serde(default)]
    pub expression: String,
}

/// A variable.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it is.
    pub expression: String,
}

/// A program that can be run.
pub struct Program {
    variables: Vec<(String, IdedExpr)>,
    expression: IdedExpr,
}

static ENV: LazyLock<Option<Arc<Env>>> = LazyLock::new(|| environment().map(Arc::new));

fn environment() -> Option<Env> {
    let mut env = Env::stdlib();
    env.add_extension(extensions::strings).ok()?;
    env.add_extension(extensions::math).ok()?;
    env.add_extension(extensions::lists).ok()?;
    env.add_extension(extensions::encoders).ok()?;
    for name in STRUCTS {
        let fields = FIELDS.iter().filter(|field| field.of == *name);
        let whole = fields.fold(StructDef::new((*name).to_owned()), |whole, field| {
            whole.add_field(field.name.to_owned(), field.kind.of_cel())
        });
        env.add_type(whole).ok()?;
    }
    Some(env)
}

fn env() -> Result<&'static Arc<Env>> {
    ENV.as_ref().ok_or_else(|| Error::internal("the language of programs can't be set up"))
}

fn refuse<T>(text: String) -> Result<T> {
    Err(Error::bad_request(text))
}

impl Program {
    /// Reads a program, and refuses one that can't be run.
    pub fn new(source: &Source) -> Result<Self> {
        if source.expression.is_empty() {
            return refuse("cel_program.expression cannot be empty".to_owned());
        }
        if source.variables.len() > VARIABLES_MAX {
            return refuse(format!("cel_program has more than {VARIABLES_MAX} variables"));
        }
        let texts = source.variables.iter().map(|variable| variable.expression.len());
        if texts.sum::<usize>() + source.expression.len() > PROGRAM_BYTES_MAX {
            return refuse(format!("cel_program is longer than {PROGRAM_BYTES_MAX} bytes"));
        }
        let mut names: BTreeSet<String> = GIVEN.iter().map(|name| (*name).to_owned()).collect();
        let mut variables = Vec::new();
        for (n, Variable { name, expression }) in source.variables.iter().enumerate() {
            let what = format!("variable[{n}]");
            if !is_name(name) || GIVEN.contains(&name.as_str()) {
                return refuse(format!("{what}: its name is none, or taken"));
            }
            variables.push((name.clone(), compile(&what, expression, &names)?));
            names.insert(name.clone());
        }
        let expression = compile("main expression", &source.expression, &names)?;
        Ok(Self { variables, expression })
    }

    /// Runs it over these claims; `None` where it can't come to an end.
    pub fn run(&self, claims: Value, now: Timestamp) -> Result<Option<Value>> {
        let meter = Meter::new();
        let mut cx = Context::with_env(env()?.clone());
        functions::add(&mut cx, &meter).map_err(Error::internal)?;
        cx.add_variable_from_value("claims", claims);
        cx.add_variable_from_value("now", timestamp(now)?);
        cx.add_variable_from_value("operation", "update");
        for (name, expression) in &self.variables {
            let Ok(value) = Value::resolve(expression, &cx) else { return Ok(None) };
            cx.add_variable_from_value(name.clone(), value);
        }
        let answer = Value::resolve(&self.expression, &cx).ok();
        Ok(answer.filter(|_| meter.sufficed()))
    }
}

/// A time as programs have it.
fn timestamp(now: Timestamp) -> Result<Value> {
    let mut cx = Context::with_env(env()?.clone());
    cx.add_variable_from_value("seconds", now.seconds());
    let expression = env()?.parser().parse("timestamp(seconds)").map_err(Error::internal)?;
    Value::resolve(&expression, &cx).map_err(Error::internal)
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars().all(fits) && text.starts_with(|c: char| !c.is_ascii_digit()) && text.len() <= 128
}

/// The metered tree of an expression, in which `names` may stand.
fn compile(what: &str, text: &str, names: &BTreeSet<String>) -> Result<IdedExpr> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return refuse(format!("{what} is longer than {EXPRESSION_BYTES_MAX} bytes"));
    }
    if depth(text) > DEPTH_MAX {
        return refuse(format!("{what} is too long: divide it by variables"));
    }
    let parser = env()?.parser().max_recursion_depth(NESTED_MAX);
    let mut parsed = parser.parse(text).or_else(|errors| {
        let at = errors.errors.first().map_or((1, 0), |error| error.pos);
        refuse(format!("invalid CEL syntax for {what}: at line {}, column {}", at.0, at.1))
    })?;
    let mut tree = Tree { names: names.iter().cloned().collect() };
    match tree.meter(&mut parsed) {
        Ok(()) => Ok(parsed),
        Err(why) => refuse(format!("error type-checking {what}: {why}")),
    }
}

/// A bound of how deep the tree of an expression is, by its text: nothing that recurses may see a text
/// of which this is not known. Each level is there for a sign or a word; what stands in a string counts
/// as well, which makes the bound no less good.
fn depth(text: &str) -> usize {
    let signs = text.bytes().filter(|byte| b".+-*/%!<>=?&|([{".contains(byte)).count();
    signs + text.matches("in").count()
}

/// A tree as it is changed.
struct Tree {
    /// What names stand for values here.
    names: Vec<String>,
}

/// Why a tree can't be run. It holds nothing of the program but names of ours.
type Why = String;

impl Tree {
    // Trees are changed in place: what recurses keeps its frames small.

    fn meter(&mut self, expression: &mut IdedExpr) -> Result<(), Why> {
        if self.is_named(expression) {
            self.meter_within_named(expression)?;
            let named = std::mem::take(expression);
            *expression = call(USED, vec![named]);
            return Ok(());
        }
        match &mut expression.expr {
            Expr::Ident(name) if name.starts_with('@') || TYPES.contains(&name.as_str()) => Ok(()),
            Expr::Ident(_) => Err("undeclared reference".to_owned()),
            Expr::Call(called) => self.meter_call(called),
            Expr::Comprehension(looped) => self.meter_loop(looped),
            Expr::List(list) => self.meter_all(&mut list.elements),
            Expr::Map(map) => self.meter_entries(&mut map.entries),
            // Whether a field is there costs nothing.
            Expr::Select(select) if select.test && self.is_named(&select.operand) => {
                self.meter_within_named(&mut select.operand)
            }
            Expr::Select(select) => self.meter(&mut select.operand),
            Expr::Struct(whole) => {
                check_fields(&whole.type_name, &whole.entries)?;
                self.meter_entries(&mut whole.entries)
            }
            Expr::Literal(_) | Expr::Unspecified => Ok(()),
        }
    }

    /// Is it a value's name, or something that is picked out of one?
    fn is_named(&self, expression: &IdedExpr) -> bool {
        match &expression.expr {
            Expr::Ident(name) => !name.starts_with('@') && self.names.contains(name),
            Expr::Select(select) => !select.test && self.is_named(&select.operand),
            Expr::Call(called) if called.func_name == operators::INDEX => {
                called.args.first().is_some_and(|of| self.is_named(of))
            }
            _ => false,
        }
    }

    /// Of a name, and what is picked out of it, only what picks.
    fn meter_within_named(&mut self, expression: &mut IdedExpr) -> Result<(), Why> {
        match &mut expression.expr {
            Expr::Select(select) => self.meter_within_named(&mut select.operand),
            Expr::Call(called) => {
                let Some((of, by)) = called.args.split_first_mut() else { return Ok(()) };
                self.meter_within_named(of)?;
                self.meter_all(by)
            }
            _ => Ok(()),
        }
    }

    fn meter_all(&mut self, expressions: &mut [IdedExpr]) -> Result<(), Why> {
        for one in expressions {
            self.meter(one)?;
        }
        Ok(())
    }

    fn meter_entries(&mut self, entries: &mut [IdedEntryExpr]) -> Result<(), Why> {
        for entry in entries {
            match &mut entry.expr {
                EntryExpr::StructField(field) => self.meter(&mut field.value)?,
                EntryExpr::MapEntry(pair) => {
                    self.meter(&mut pair.key)?;
                    self.meter(&mut pair.value)?;
                }
            }
        }
        Ok(())
    }

    fn meter_call(&mut self, called: &mut CallExpr) -> Result<(), Why> {
        let name = called.func_name.as_str();
        let is_operator = name.starts_with(|c: char| !c.is_ascii_alphabetic());
        if !is_operator && !FUNCTIONS.contains(&name) {
            return Err("undeclared reference to a function".to_owned());
        }
        if let Some((_, ours)) = OURS.iter().find(|(theirs, _)| *theirs == name) {
            // `list.join()`
            if *ours == "@join" && called.args.is_empty() {
                called.args.push(literal(LiteralValue::String("".into())));
            }
            called.func_name = (*ours).to_owned();
        }
        self.meter_all(&mut called.args)?;
        match &mut called.target {
            Some(target) if !is_namespace(target) || self.is_named(target) => self.meter(target),
            _ => Ok(()),
        }
    }

    fn meter_loop(&mut self, looped: &mut ComprehensionExpr) -> Result<(), Why> {
        let body = parts(&looped.loop_cond) + parts(&looped.loop_step);
        let body = i64::try_from(body).unwrap_or(i64::MAX);
        self.meter(&mut looped.iter_range)?;
        let range = std::mem::take(&mut looped.iter_range);
        looped.iter_range = call(LOOPED, vec![range, literal(LiteralValue::Int(body.into()))]);
        self.meter(&mut looped.accu_init)?;
        let known = self.names.len();
        self.names.push(looped.accu_var.clone());
        self.meter(&mut looped.result)?;
        self.names.push(looped.iter_var.clone());
        self.names.extend(looped.iter_var2.clone());
        self.meter(&mut looped.loop_cond)?;
        self.meter(&mut looped.loop_step)?;
        self.names.truncate(known);
        Ok(())
    }
}

/// The parts of a tree, loops within counted by their bodies alone: they pay for themselves.
fn parts(expression: &IdedExpr) -> u64 {
    let entry = |entry: &IdedEntryExpr| match &entry.expr {
        EntryExpr::StructField(field) => parts(&field.value),
        EntryExpr::MapEntry(pair) => parts(&pair.key) + parts(&pair.value),
    };
    1 + match &expression.expr {
        Expr::Call(called) => {
            called.target.iter().map(|target| parts(target)).sum::<u64>()
                + called.args.iter().map(parts).sum::<u64>()
        }
        Expr::List(list) => list.elements.iter().map(parts).sum(),
        Expr::Map(map) => map.entries.iter().map(entry).sum(),
        Expr::Struct(whole) => whole.entries.iter().map(entry).sum(),
        Expr::Select(select) => parts(&select.operand),
        Expr::Comprehension(looped) => parts(&looped.iter_range) + parts(&looped.loop_step),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

fn check_fields(type_name: &str, entries: &[IdedEntryExpr]) -> Result<(), Why> {
    let name = type_name.trim_start_matches('.');
    if !STRUCTS.contains(&name) {
        return Err("undeclared reference to a type".to_owned());
    }
    let is_field = |given: &str| FIELDS.iter().any(|field| field.of == name && field.name == given);
    let known = entries.iter().all(|entry| match &entry.expr {
        EntryExpr::StructField(field) => is_field(&field.field),
        EntryExpr::MapEntry(_) => false,
    });
    if known {
        Ok(())
    } else {
        Err(format!("no such field in {name}, or none that a program sets"))
    }
}

fn is_namespace(target: &IdedExpr) -> bool {
    matches!(&target.expr, Expr::Ident(name) if NAMESPACES.contains(&name.as_str()))
}

fn call(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    let expr = Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args });
    IdedExpr { id: 0, expr }
}

fn literal(value: LiteralValue) -> IdedExpr {
    IdedExpr { id: 0, expr: Expr::Literal(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threat: no text ends the process. The deepest programs take half of a thread's stack at most
    /// (tokio's have 2 MiB), to read and to run.
    #[test]
    fn the_deepest_programs_have_room() {
        let nested = usize::from(NESTED_MAX);
        let round = |inner: &str, n: usize| format!("{}{inner}{}", "(".repeat(n), ")".repeat(n));
        let texts = vec![
            round("1", nested - 1),
            format!("{}1{}", "[".repeat(nested - 1), "]".repeat(nested - 1)),
            round("1", 4_000 / 2),
            format!("claims{}", ".a".repeat(DEPTH_MAX)),
            format!("has(claims{})", ".a".repeat(DEPTH_MAX - 1)),
            format!("claims{}", ".?a".repeat(DEPTH_MAX / 2)),
            vec!["1"; DEPTH_MAX + 1].join("-"),
            vec!["claims.l"; DEPTH_MAX / 2].join("+"),
            vec!["1"; DEPTH_MAX / 2 + 1].join(" in "),
            format!("{}true", "!".repeat(DEPTH_MAX)),
            format!("{}1", "-".repeat(DEPTH_MAX)),
            format!("{}false", "true?false:".repeat(nested - 2)),
            format!("'x'{}", ".trim()".repeat(DEPTH_MAX / 2)),
            format!("[[1]]{}", ".map(a,a)".repeat(DEPTH_MAX / 2)),
            format!("{}1{}", "[1].map(a,".repeat(nested - 2), ")".repeat(nested - 2)),
            format!("claims{}", "[0]".repeat(DEPTH_MAX)),
            vec!["claims.a==1"; DEPTH_MAX / 4].join("&&"),
        ];
        let work = move || {
            for text in texts {
                let source = Source { variables: Vec::new(), expression: text.clone() };
                let Ok(program) = Program::new(&source) else { continue };
                let claims = serde_json::json!({"l": [1]});
                let claims = super::super::values::from_json(&claims);
                program.run(claims, Timestamp::from_seconds(1_000)).unwrap();
            }
        };
        let thread = std::thread::Builder::new().stack_size(1024 * 1024).spawn(work).unwrap();
        thread.join().unwrap();
    }
}
