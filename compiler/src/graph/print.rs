//! The text of modules: the parser reads back what this writes as an equal module, which prints the same text again.

use std::fmt::{self, Display, Formatter, Write as _};

use cranelift_entity::SecondaryMap;

use super::{Argument, Call, Function, Module, Node, Train, ValueId, Variable};
use crate::ops::attributes::Attribute;
use crate::text::quote;

/// Name of the result of a function that has one, where text gives it no name.
pub(super) const ONLY_RESULT: &str = "out";

impl Display for Module {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut paragraph = Paragraphs::default();
        if !self.name.is_empty() {
            paragraph.start(f)?;
            writeln!(f, "module @{}", self.name)?;
        }
        if !self.variables.is_empty() {
            paragraph.start(f)?;
        }
        for variable in self.variables.values() {
            writeln!(f, "{variable}")?;
        }
        for function in self.functions.values() {
            paragraph.start(f)?;
            writeln!(f, "{function}")?;
        }
        if !self.trains.is_empty() {
            paragraph.start(f)?;
        }
        for train in &self.trains {
            writeln!(f, "{train}")?;
        }
        Ok(())
    }
}

/// Puts an empty line between paragraphs.
#[derive(Default)]
struct Paragraphs {
    started: bool,
}

impl Paragraphs {
    fn start(&mut self, f: &mut Formatter<'_>) -> fmt::Result {
        if std::mem::replace(&mut self.started, true) { f.write_char('\n') } else { Ok(()) }
    }
}

impl Display for Variable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "var @{} : {} = {}", self.name, self.ty, self.init)?;
        if !self.trainable {
            f.write_str(" {trainable = false}")?;
        }
        Ok(())
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.args.is_empty() {
            return Ok(());
        }
        f.write_char('(')?;
        separated(f, &self.args, |f, (name, argument)| match name {
            Some(name) => write!(f, "{name} = {argument}"),
            None => write!(f, "{argument}"),
        })?;
        f.write_char(')')
    }
}

impl Display for Argument {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        /// Every whole number up to here is an f64.
        const EXACT: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;
        match self {
            Argument::Number(v) if v.fract() == 0.0 && v.abs() <= EXACT => write!(f, "{v}"),
            Argument::Number(v) => write!(f, "{}", Attribute::Float(*v)),
            Argument::Bool(v) => write!(f, "{v}"),
            Argument::Text(v) => f.write_str(&quote(v)),
            Argument::Param(name) => write!(f, "%{name}"),
            Argument::Variables(names) => {
                f.write_char('(')?;
                separated(f, names, |f, name| write!(f, "@{name}"))?;
                f.write_char(')')
            }
            Argument::Call(call) => write!(f, "{call}"),
        }
    }
}

impl Display for Train {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "train @{}(", self.name)?;
        separated(f, &self.params, |f, (name, ty)| write!(f, "%{name}: {ty}"))?;
        write!(f, ") = minimize @{}", self.loss)?;
        if !self.over.is_empty() {
            f.write_str(" over (")?;
            separated(f, &self.over, |f, name| write!(f, "@{name}"))?;
            f.write_char(')')?;
        }
        f.write_str(" with ")?;
        separated(f, &self.with, |f, call| write!(f, "{call}"))
    }
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names = self.value_names();
        write!(f, "func @{}(", self.name)?;
        separated(f, &self.params, |f, &v| write!(f, "%{}: {}", names[v], self.ty(v)))?;
        f.write_char(')')?;
        match self.results.as_slice() {
            [] => {}
            [only] if only.name == ONLY_RESULT => write!(f, " -> {}", self.ty(only.value))?,
            results => {
                f.write_str(" -> (")?;
                separated(f, results, |f, r| write!(f, "{}: {}", r.name, self.ty(r.value)))?;
                f.write_char(')')?;
            }
        }
        f.write_str(" {\n")?;
        for node in self.nodes.values() {
            f.write_str("  ")?;
            self.write_node(f, node, &names)?;
            f.write_char('\n')?;
        }
        for assign in &self.assigns {
            writeln!(f, "  assign @{}, %{}", assign.variable, names[assign.value])?;
        }
        f.write_str("  return")?;
        if !self.results.is_empty() {
            f.write_char(' ')?;
        }
        separated(f, &self.results, |f, r| write!(f, "%{}", names[r.value]))?;
        f.write_str("\n}")
    }
}

impl Function {
    /// Writes `%3 = matmul %x, %0 {transpose_b=true} : f32[N,10]`, with the names of
    /// [`value_names`](Function::value_names).
    pub(super) fn write_node(
        &self,
        f: &mut dyn fmt::Write,
        node: &Node,
        names: &SecondaryMap<ValueId, String>,
    ) -> fmt::Result {
        separated(f, &node.results, |f, &v| write!(f, "%{}", names[v]))?;
        write!(f, " = {}", node.op.name())?;
        let (symbols, attributes): (Vec<_>, Vec<_>) =
            node.op.attributes().into_iter().partition(|(_, a)| matches!(a, Attribute::Symbol(_)));
        for (_, symbol) in &symbols {
            write!(f, " {symbol}")?;
        }
        if !node.operands.is_empty() {
            f.write_str(if symbols.is_empty() { " " } else { ", " })?;
        }
        separated(f, &node.operands, |f, &v| write!(f, "%{}", names[v]))?;
        if !attributes.is_empty() {
            f.write_str(" {")?;
            separated(f, &attributes, |f, (name, value)| write!(f, "{name}={value}"))?;
            f.write_char('}')?;
        }
        f.write_str(" : ")?;
        separated(f, &node.results, |f, &v| write!(f, "{}", self.ty(v)))
    }
}

/// Writes items with `, ` between them.
fn separated<W: fmt::Write + ?Sized, T>(
    f: &mut W,
    items: &[T],
    mut write: impl FnMut(&mut W, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}
