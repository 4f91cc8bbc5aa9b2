//! What a template makes of its fields.

use strongroom_base::{Rng, Timestamp};

use super::functions::{self, Surroundings};
use super::parse::{Expr, Node};
use super::{Error, OUTPUT_BYTES_MAX, Position, WORK_BYTES_MAX};

/// A value. It has no `Debug`: a field may hold anything.
#[derive(Clone, PartialEq)]
pub(super) enum Value {
    Text(Vec<u8>),
    Integer(i64),
    Truth(bool),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into().into_bytes())
    }

    /// What `if` makes of it: empty and zero are false.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Integer(value) => *value != 0,
            Self::Truth(value) => *value,
        }
    }

    /// Adds it as the result shows it.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => out.extend_from_slice(text),
            Self::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
            Self::Truth(value) => out.extend_from_slice(value.to_string().as_bytes()),
        }
    }

    /// What it costs to handle it.
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len() + 1,
            Self::Integer(_) | Self::Truth(_) => 1,
        }
    }
}

/// The bytes that these parts make.
pub(super) fn run(
    nodes: &[Node],
    variables: usize,
    fields: Vec<&str>,
    rng: &dyn Rng,
    now: Timestamp,
    may_stand: fn(&[u8]) -> bool,
) -> Result<Vec<u8>, Error> {
    let mut run = Run {
        surroundings: Surroundings { rng, now },
        fields,
        variables: vec![Value::Truth(false); variables],
        work: 0,
        place: Position { line: 1, column: 1 },
        out: Vec::new(),
        may_stand,
    };
    run.list(nodes)?;
    Ok(run.out)
}

struct Run<'a> {
    surroundings: Surroundings<'a>,
    fields: Vec<&'a str>,
    variables: Vec<Value>,
    work: usize,
    /// The last place that is known.
    place: Position,
    out: Vec<u8>,
    /// May these bytes of a value go to the result?
    may_stand: fn(&[u8]) -> bool,
}

impl Run<'_> {
    fn list(&mut self, nodes: &[Node]) -> Result<(), Error> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.extend_from_slice(text.as_bytes()),
                Node::Print(expr) => {
                    let value = self.value(expr)?;
                    let before = self.out.len();
                    value.append_to(&mut self.out);
                    if !(self.may_stand)(self.out.get(before..).unwrap_or_default()) {
                        return Err(Error::new(self.place, "a value may not stand here"));
                    }
                }
                Node::Set(slot, expr) => {
                    let value = self.value(expr)?;
                    if let Some(variable) = self.variables.get_mut(*slot) {
                        *variable = value;
                    }
                }
                Node::If { condition, then, otherwise } => {
                    let holds = self.value(condition)?.is_true();
                    self.list(if holds { then } else { otherwise })?;
                }
            }
            if self.out.len() > OUTPUT_BYTES_MAX {
                let message = format!("the result is longer than {OUTPUT_BYTES_MAX} bytes");
                return Err(Error::new(self.place, message));
            }
        }
        Ok(())
    }

    fn value(&mut self, expr: &Expr) -> Result<Value, Error> {
        let value = match expr {
            Expr::Text(text) => Value::Text(text.clone()),
            Expr::Integer(value) => Value::Integer(*value),
            Expr::Truth(value) => Value::Truth(*value),
            Expr::Field(index) => Value::text(self.fields.get(*index).copied().unwrap_or_default()),
            Expr::Variable(slot) => {
                self.variables.get(*slot).cloned().unwrap_or(Value::Truth(false))
            }
            Expr::Call(function, position, arguments) => {
                let values = self.values(arguments)?;
                self.place = *position;
                if let (Some(range), Some(Value::Integer(n))) = (&function.range, values.first())
                    && !range.contains(n)
                {
                    let message = functions::out_of_range(function.name, range);
                    return Err(Error::new(*position, message));
                }
                (function.body)(&self.surroundings, &values)
                    .map_err(|why| Error::new(*position, format!("{}: {why}", function.name)))?
            }
            Expr::Format(format, position, arguments) => {
                let values = self.values(arguments)?;
                self.place = *position;
                Value::Text(format.apply(&values))
            }
            Expr::Decide(decisive, arguments) => {
                let mut last = Value::Truth(false);
                for argument in arguments {
                    last = self.value(argument)?;
                    if last.is_true() == *decisive {
                        break;
                    }
                }
                last
            }
        };
        self.charge(&value)?;
        Ok(value)
    }

    fn values(&mut self, exprs: &[Expr]) -> Result<Vec<Value>, Error> {
        exprs.iter().map(|expr| self.value(expr)).collect()
    }

    /// Counts a value, however it came to be.
    fn charge(&mut self, value: &Value) -> Result<(), Error> {
        self.work += value.size();
        if value.size() > OUTPUT_BYTES_MAX + 1 {
            let message = format!("a value is longer than {OUTPUT_BYTES_MAX} bytes");
            return Err(Error::new(self.place, message));
        }
        if self.work > WORK_BYTES_MAX {
            let message = format!("the template handles more than {WORK_BYTES_MAX} bytes");
            return Err(Error::new(self.place, message));
        }
        Ok(())
    }
}
