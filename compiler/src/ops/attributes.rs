//! Typed attributes of ops, and the one form in which text, printing and binding see them.

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::tensor::{Element as _, Scalar, Tensor};
use crate::types::{DType, Extent, Shape};

/// An attribute as text says it. Equality is of bits: -0.0 is not 0.0, and a NaN equals itself.
#[derive(Clone, Debug)]
pub enum Attribute {
    /// `3`
    Int(i64),
    /// `0.5`, `inf`, `nan`
    Float(f64),
    /// `true`
    Bool(bool),
    /// `N`, `4*N`: a multiple of the batch size.
    Batch(usize),
    /// `f32`, or another word
    Word(String),
    /// `"text"`
    Text(String),
    /// `[1, 2]`
    List(Vec<Attribute>),
    /// `[1, 2]`: the elements of a tensor, in row-major order.
    Elements(Arc<Tensor>),
    /// `@w`: a variable or a function. It is written before the operands, without its key.
    Symbol(String),
}

impl PartialEq for Attribute {
    fn eq(&self, other: &Attribute) -> bool {
        match (self, other) {
            (Attribute::Int(a), Attribute::Int(b)) => a == b,
            (Attribute::Float(a), Attribute::Float(b)) => a.to_bits() == b.to_bits(),
            (Attribute::Bool(a), Attribute::Bool(b)) => a == b,
            (Attribute::Batch(a), Attribute::Batch(b)) => a == b,
            (Attribute::Word(a), Attribute::Word(b))
            | (Attribute::Text(a), Attribute::Text(b))
            | (Attribute::Symbol(a), Attribute::Symbol(b)) => a == b,
            (Attribute::List(a), Attribute::List(b)) => a == b,
            (Attribute::Elements(a), Attribute::Elements(b)) => a.same_bits(b),
            _ => false,
        }
    }
}

impl Eq for Attribute {}

impl Attribute {
    /// A number as text says it: of f32, the shortest decimal that reads back as the same.
    pub fn number(scalar: Scalar) -> Attribute {
        match scalar {
            Scalar::F32(v) if v.is_finite() => {
                Attribute::Float(v.to_string().parse().unwrap_or(f64::from(v)))
            }
            Scalar::F32(_) | Scalar::F64(_) => Attribute::Float(scalar.as_f64()),
            Scalar::I32(_) | Scalar::I64(_) | Scalar::U8(_) => Attribute::Int(i64::convert(scalar)),
            Scalar::Bool(v) => Attribute::Bool(v),
        }
    }

    /// The attribute with `f` applied to it, or to every element of a list that is not a tensor's.
    pub fn map(&self, f: &dyn Fn(&Attribute) -> Attribute) -> Attribute {
        match self {
            Attribute::List(items) => Attribute::List(items.iter().map(|a| a.map(f)).collect()),
            other => f(other),
        }
    }
}

impl std::fmt::Display for Attribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Attribute::Int(v) => write!(f, "{v}"),
            Attribute::Float(v) => write!(f, "{}", Scalar::F64(*v)),
            Attribute::Bool(v) => write!(f, "{v}"),
            Attribute::Batch(c) => write!(f, "{}", Extent::Batch(*c)),
            Attribute::Word(v) => f.write_str(v),
            Attribute::Text(v) => write!(f, "{v:?}"),
            Attribute::Symbol(v) => write!(f, "@{v}"),
            Attribute::List(items) => write_list(f, items),
            Attribute::Elements(tensor) => write_list(f, tensor.scalars().map(Attribute::number)),
        }
    }
}

fn write_list(
    f: &mut std::fmt::Formatter<'_>,
    items: impl IntoIterator<Item = impl std::fmt::Display>,
) -> std::fmt::Result {
    f.write_str("[")?;
    for (i, item) in items.into_iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        write!(f, "{comma}{item}")?;
    }
    f.write_str("]")
}

/// What text may say of one attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What text must give, for errors: `a list of numbers`.
    pub expected: &'static str,
    /// Whether it has a default, and so may be left out.
    pub optional: bool,
}

impl Field {
    /// A field of Rust type `T`.
    pub const fn of<T: AttributeValue>(name: &'static str, optional: bool) -> Field {
        Field { name, expected: T::EXPECTED, optional }
    }

    /// Whether it names a variable or function: text gives it before the operands, without its key.
    pub fn is_symbol(&self) -> bool {
        self.expected == Symbol::EXPECTED
    }
}

/// A Rust type that an attribute can have.
pub trait AttributeValue: Sized {
    /// What text must give, for errors: `a list of numbers`.
    const EXPECTED: &'static str;
    /// As text says it.
    fn to_attribute(&self) -> Attribute;
    /// From what text says, if it fits.
    fn from_attribute(attribute: &Attribute) -> Option<Self>;
}

/// The attributes of an op, by name, in the order in which they are printed.
pub trait Attributes: Sized {
    /// What text may say, in the order in which it is printed.
    const FIELDS: &'static [Field];

    /// Every attribute that does not equal its default.
    fn attributes(&self) -> Vec<(&'static str, Attribute)>;

    /// The op with these attributes.
    ///
    /// # Errors
    /// E0211 if one is missing, E0212 if one does not fit, E0213 if there is one that the op does not have.
    fn from_attributes(attributes: &[(String, Attribute)]) -> Result<Self, Diagnostic>;
}

impl AttributeValue for usize {
    const EXPECTED: &'static str = "a number, at least 0";
    fn to_attribute(&self) -> Attribute {
        Attribute::Int(*self as i64)
    }
    fn from_attribute(attribute: &Attribute) -> Option<usize> {
        match attribute {
            Attribute::Int(v) => usize::try_from(*v).ok(),
            _ => None,
        }
    }
}

impl AttributeValue for i64 {
    const EXPECTED: &'static str = "a whole number";
    fn to_attribute(&self) -> Attribute {
        Attribute::Int(*self)
    }
    fn from_attribute(attribute: &Attribute) -> Option<i64> {
        match attribute {
            Attribute::Int(v) => Some(*v),
            _ => None,
        }
    }
}

impl AttributeValue for f64 {
    const EXPECTED: &'static str = "a number";
    fn to_attribute(&self) -> Attribute {
        Attribute::Float(*self)
    }
    fn from_attribute(attribute: &Attribute) -> Option<f64> {
        match attribute {
            Attribute::Float(v) => Some(*v),
            Attribute::Int(v) => Some(*v as f64),
            _ => None,
        }
    }
}

impl AttributeValue for bool {
    const EXPECTED: &'static str = "`true` or `false`";
    fn to_attribute(&self) -> Attribute {
        Attribute::Bool(*self)
    }
    fn from_attribute(attribute: &Attribute) -> Option<bool> {
        match attribute {
            Attribute::Bool(v) => Some(*v),
            _ => None,
        }
    }
}

impl AttributeValue for DType {
    const EXPECTED: &'static str = "a dtype, such as `f32`";
    fn to_attribute(&self) -> Attribute {
        Attribute::Word(self.name().to_owned())
    }
    fn from_attribute(attribute: &Attribute) -> Option<DType> {
        match attribute {
            Attribute::Word(name) => DType::from_name(name),
            _ => None,
        }
    }
}

impl AttributeValue for Extent {
    const EXPECTED: &'static str = "an extent: a number, `N` or `c*N`";
    fn to_attribute(&self) -> Attribute {
        match *self {
            Extent::Const(c) => Attribute::Int(c as i64),
            Extent::Batch(c) => Attribute::Batch(c),
        }
    }
    fn from_attribute(attribute: &Attribute) -> Option<Extent> {
        match attribute {
            Attribute::Int(v) => usize::try_from(*v).ok().map(Extent::Const),
            Attribute::Batch(c) => Some(Extent::Batch(*c)),
            _ => None,
        }
    }
}

impl AttributeValue for Shape {
    const EXPECTED: &'static str = "a shape, such as `[N,784]`";
    fn to_attribute(&self) -> Attribute {
        self.0.to_attribute()
    }
    fn from_attribute(attribute: &Attribute) -> Option<Shape> {
        Vec::from_attribute(attribute).map(Shape)
    }
}

impl<T: AttributeValue> AttributeValue for Vec<T> {
    const EXPECTED: &'static str = "a list";
    fn to_attribute(&self) -> Attribute {
        Attribute::List(self.iter().map(T::to_attribute).collect())
    }
    fn from_attribute(attribute: &Attribute) -> Option<Vec<T>> {
        match attribute {
            Attribute::List(items) => items.iter().map(T::from_attribute).collect(),
            _ => None,
        }
    }
}

/// The name of a variable or function that an op refers to, without the `@`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Symbol(pub String);

impl AttributeValue for Symbol {
    const EXPECTED: &'static str = "the name of a variable or function, such as `@w`";
    fn to_attribute(&self) -> Attribute {
        Attribute::Symbol(self.0.clone())
    }
    fn from_attribute(attribute: &Attribute) -> Option<Symbol> {
        match attribute {
            Attribute::Symbol(name) => Some(Symbol(name.clone())),
            _ => None,
        }
    }
}

/// Reads the attribute `name` of op `op`, which may be missing where there is a default.
///
/// # Errors
/// E0211 if it is missing and has no default, E0212 if it does not fit.
pub fn read_field<T: AttributeValue>(
    op: &str,
    name: &str,
    attributes: &[(String, Attribute)],
    default: Option<T>,
) -> Result<T, Diagnostic> {
    match default {
        Some(default) if attributes.iter().all(|(n, _)| n != name) => Ok(default),
        _ => read_attribute(op, name, attributes),
    }
}

/// Reads the attribute `name` of op `op`; the arguments come from [`Attributes::from_attributes`].
///
/// # Errors
/// E0211 if it is missing, E0212 if it does not fit.
pub fn read_attribute<T: AttributeValue>(
    op: &str,
    name: &str,
    attributes: &[(String, Attribute)],
) -> Result<T, Diagnostic> {
    let Some((_, attribute)) = attributes.iter().find(|(n, _)| n == name) else {
        return Err(Diagnostic::new("E0211", format!("`{op}` lacks the attribute `{name}`"))
            .help(format!("add `{name}` = {} within braces after the operands", T::EXPECTED)));
    };
    T::from_attribute(attribute).ok_or_else(|| {
        Diagnostic::new("E0212", format!("attribute `{name}` of `{op}` is invalid"))
            .note(format!("it must be {}, found `{attribute}`", T::EXPECTED))
    })
}

/// Refuses attributes that the op `op` does not have.
///
/// # Errors
/// E0213 naming the first one.
pub fn no_other_attributes(
    op: &str,
    fields: &[Field],
    attributes: &[(String, Attribute)],
) -> Result<(), Diagnostic> {
    match attributes.iter().find(|(n, _)| fields.iter().all(|f| f.name != n)) {
        None => Ok(()),
        Some((name, _)) => Err(unknown_attribute(op, fields, name)),
    }
}

/// The error E0213 that the op `op` has no attribute `name`.
#[must_use]
pub fn unknown_attribute(op: &str, fields: &[Field], name: &str) -> Diagnostic {
    let error = Diagnostic::new("E0213", format!("`{op}` has no attribute `{name}`"));
    let names: Vec<&str> = fields.iter().map(|f| f.name).collect();
    match fields {
        [] => error.note("it takes none"),
        _ => error.note(format!("its attributes are `{}`", names.join("`, `"))),
    }
}

/// Declares the struct of an op and derives its [`Attributes`] from the fields. A field with a default, written
/// `keep: bool = false`, is left out of text where it equals it.
macro_rules! op_struct {
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
    (@optional) => { false };
    (@optional $default:expr) => { true };
    (
        $(#[$doc:meta])*
        $name:ident = $text:literal {
            $($(#[$field_doc:meta])* $field:ident: $ty:ty $(= $default:expr)?),* $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)*
        }

        impl PartialEq for $name {
            fn eq(&self, other: &$name) -> bool {
                $crate::ops::attributes::Attributes::attributes(self)
                    == $crate::ops::attributes::Attributes::attributes(other)
            }
        }

        impl $crate::ops::attributes::Attributes for $name {
            const FIELDS: &'static [$crate::ops::attributes::Field] = &[$(
                $crate::ops::attributes::Field::of::<$ty>(stringify!($field), $crate::ops::attributes::op_struct!(@optional $($default)?)),
            )*];

            fn attributes(&self) -> Vec<(&'static str, $crate::ops::attributes::Attribute)> {
                let all: Vec<(&'static str, $crate::ops::attributes::Attribute, Option<$crate::ops::attributes::Attribute>)> =
                    vec![$((
                        stringify!($field),
                        $crate::ops::attributes::AttributeValue::to_attribute(&self.$field),
                        $crate::ops::attributes::op_struct!(@default $($default)?)
                            .map(|default: $ty| $crate::ops::attributes::AttributeValue::to_attribute(&default)),
                    ),)*];
                all.into_iter()
                    .filter(|(_, value, default)| default.as_ref() != Some(value))
                    .map(|(name, value, _)| (name, value))
                    .collect()
            }

            fn from_attributes(
                attributes: &[(String, $crate::ops::attributes::Attribute)],
            ) -> Result<$name, $crate::diagnostic::Diagnostic> {
                let op = $name {
                    $($field: $crate::ops::attributes::read_field(
                        $text,
                        stringify!($field),
                        attributes,
                        $crate::ops::attributes::op_struct!(@default $($default)?),
                    )?,)*
                };
                $crate::ops::attributes::no_other_attributes($text, Self::FIELDS, attributes)?;
                Ok(op)
            }
        }
    };
}

pub(crate) use op_struct;
