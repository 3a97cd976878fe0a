//! What a text says before its names are resolved. Variables and training steps refer to others by name in a module
//! too, so they are read as what they become.

use std::ops::Range;

use crate::diagnostic::Place;
use crate::graph::{Train, Variable};
use crate::ops::attributes::Attribute;
use crate::types::TensorType;

/// A name or word and its bytes in the text.
#[derive(Clone, Debug)]
pub struct Name<'a> {
    pub text: &'a str,
    pub range: Range<usize>,
}

impl Name<'_> {
    /// Where it stands.
    pub fn place(&self) -> Place {
        Place::Text(self.range.clone())
    }
}

impl<'a> From<(&'a str, Range<usize>)> for Name<'a> {
    fn from((text, range): (&'a str, Range<usize>)) -> Name<'a> {
        Name { text, range }
    }
}

/// A whole text.
#[derive(Debug, Default)]
pub struct File<'a> {
    pub name: &'a str,
    pub variables: Vec<Variable>,
    pub functions: Vec<Func<'a>>,
    pub trains: Vec<Train>,
}

/// A function.
#[derive(Debug)]
pub struct Func<'a> {
    pub name: Name<'a>,
    pub params: Vec<(Name<'a>, TensorType)>,
    pub results: Vec<FuncResult<'a>>,
    pub body: Body<'a>,
}

/// The statements of a function.
#[derive(Debug, Default)]
pub struct Body<'a> {
    pub nodes: Vec<NodeSyntax<'a>>,
    /// Variables and the values they get.
    pub assigns: Vec<(Name<'a>, Name<'a>)>,
    /// The last statement.
    pub returned: Option<Returned<'a>>,
}

/// The statement `return`.
#[derive(Debug)]
pub struct Returned<'a> {
    /// Bytes of the word.
    pub range: Range<usize>,
    pub values: Vec<Name<'a>>,
}

/// A result as the header of a function declares it.
#[derive(Debug)]
pub struct FuncResult<'a> {
    pub name: Option<Name<'a>>,
    pub ty: TensorType,
    /// Bytes of the type.
    pub range: Range<usize>,
}

/// A node.
#[derive(Debug)]
pub struct NodeSyntax<'a> {
    pub results: Vec<Name<'a>>,
    pub op: Name<'a>,
    pub symbols: Vec<Name<'a>>,
    pub operands: Vec<Name<'a>>,
    pub attributes: Vec<AttributeSyntax<'a>>,
    /// Empty where they are left to inference.
    pub types: Vec<(TensorType, Range<usize>)>,
}

/// An attribute within braces.
#[derive(Debug)]
pub struct AttributeSyntax<'a> {
    pub name: Name<'a>,
    pub value: Attribute,
    /// Bytes of the value.
    pub range: Range<usize>,
}
