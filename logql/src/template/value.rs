//! The values that flow through a template, with Go's types as far as templates can tell them apart.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::template::fields::Fields;
use crate::template::time::GoTime;

/// A value of Go, as templates of labels can meet. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    /// No value at all; prints as `<no value>`.
    Invalid,
    /// A nil of type `interface {}`, from JSON.
    Nil,
    Bool(bool),
    Int(i64),
    Int64(i64),
    Uint8(u8),
    Float(f64),
    Complex(f64, f64),
    Str(&'a [u8]),
    Text(Rc<[u8]>),
    Time(Rc<GoTime>),
    List(Rc<[Value<'a>]>),
    Map(Rc<BTreeMap<Box<[u8]>, Value<'a>>>),
    /// The labels of the line, `map[string]string`.
    Labels,
}

/// Go's kinds, as far as comparisons need them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basic {
    Bool,
    Complex,
    Float,
    Int,
    Str,
    Uint,
    Other,
}

impl<'a> Value<'a> {
    pub(crate) fn text(bytes: impl Into<Rc<[u8]>>) -> Self {
        Value::Text(bytes.into())
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Value::Invalid | Value::Nil)
    }

    pub(crate) fn as_str(&self) -> Option<&[u8]> {
        match self {
            Value::Str(s) => Some(s),
            Value::Text(s) => Some(s),
            _ => None,
        }
    }

    /// The value as an integer of any of Go's integer types.
    pub(crate) fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(n) | Value::Int64(n) => Some(*n),
            Value::Uint8(n) => Some(i64::from(*n)),
            _ => None,
        }
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Invalid | Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Int64(_) => "int64",
            Value::Uint8(_) => "uint8",
            Value::Float(_) => "float64",
            Value::Complex(..) => "complex128",
            Value::Str(_) | Value::Text(_) => "string",
            Value::Time(_) => "time.Time",
            Value::List(_) => "[]interface {}",
            Value::Map(_) => "map[string]interface {}",
            Value::Labels => "map[string]string",
        }
    }

    pub(crate) fn basic(&self) -> Basic {
        match self {
            Value::Bool(_) => Basic::Bool,
            Value::Complex(..) => Basic::Complex,
            Value::Float(_) => Basic::Float,
            Value::Int(_) | Value::Int64(_) => Basic::Int,
            Value::Uint8(_) => Basic::Uint,
            Value::Str(_) | Value::Text(_) => Basic::Str,
            _ => Basic::Other,
        }
    }

    /// Go's truth of a value: not zero, not empty, not nil.
    pub(crate) fn truth(&self, fields: &dyn Fields) -> bool {
        match self {
            Value::Invalid | Value::Nil => false,
            Value::Bool(b) => *b,
            Value::Int(n) | Value::Int64(n) => *n != 0,
            Value::Uint8(n) => *n != 0,
            Value::Float(f) => *f != 0.0,
            Value::Complex(re, im) => *re != 0.0 || *im != 0.0,
            Value::Time(_) => true,
            Value::Str(_) | Value::Text(_) | Value::List(_) | Value::Map(_) | Value::Labels => {
                self.len(fields) != Some(0)
            }
        }
    }

    /// How long a string, list or map is.
    pub(crate) fn len(&self, fields: &dyn Fields) -> Option<usize> {
        Some(match self {
            Value::Str(s) => s.len(),
            Value::Text(s) => s.len(),
            Value::List(l) => l.len(),
            Value::Map(m) => m.len(),
            Value::Labels => {
                let mut count = 0;
                fields.visit(&mut |_, _| count += 1);
                count
            }
            _ => return None,
        })
    }
}

/// All labels, sorted by name, as Go goes through maps.
pub(crate) fn sorted_labels(fields: &dyn Fields) -> Vec<(&str, &[u8])> {
    let mut all = Vec::new();
    fields.visit(&mut |name, value| all.push((name, value)));
    all.sort_unstable_by_key(|(name, _)| *name);
    all
}
