//! Graph IR: modules of variables and functions, where a function is a static dataflow graph in SSA form.
//!
//! ```text
//! module @mnist
//! var @w : f32[784,10] = glorot_uniform(seed = 1)
//!
//! func @predict(%x: f32[N,784]) -> (scores: f32[N,10]) {
//!   %0 = read @w : f32[784,10]
//!   %1 = matmul %x, %0 : f32[N,10]
//!   return %1
//! }
//! ```
//!
//! - Every read of a variable in a function sees its value at entry; assignments take effect when the function returns.
//! - A node's operands are defined before it: parameters, then nodes in order.
//! - An extent may be `c·N`, where `N` is the batch size ([`bind`]); every other number is fixed.

mod alike;
pub mod bind;
mod builder;
mod dot;
pub mod eval;
mod expr;
mod parse;
mod print;
mod suggest;
mod variables;
pub mod verify;

pub use builder::{Builder, Graph};
pub(crate) use expr::broadcast_shapes;
pub use expr::{Expr, Operand};
pub use variables::Variables;

use std::sync::Arc;

use cranelift_entity::{PrimaryMap, SecondaryMap, entity_impl};

use crate::diagnostic::{Place, Source};
use crate::ops::Op;
use crate::types::TensorType;

/// A variable of a [`Module`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariableId(u32);
entity_impl!(VariableId, "variable");

/// A function of a [`Module`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(u32);
entity_impl!(FunctionId, "function");

/// A node of a [`Function`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);
entity_impl!(NodeId, "node");

/// A value of a [`Function`]: a parameter or a result of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(u32);
entity_impl!(ValueId, "value");

/// Variables, the functions over them, and the training steps to derive from those.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// Name without the `@`.
    pub name: String,
    /// State that outlives a call.
    pub variables: Variables,
    /// Dataflow graphs.
    pub functions: PrimaryMap<FunctionId, Function>,
    /// Training steps that are declared and not yet expanded into functions.
    pub trains: Vec<Train>,
    /// The text that the module was parsed from, for errors.
    pub source: Option<Arc<Source>>,
}

impl Module {
    /// The variable with this name, in constant time.
    pub fn variable(&self, name: &str) -> Option<VariableId> {
        self.variables.find(name)
    }

    /// The function with this name.
    pub fn function(&self, name: &str) -> Option<FunctionId> {
        self.functions.iter().find(|(_, f)| f.name == name).map(|(id, _)| id)
    }
}

/// A tensor that lives from call to call.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Name without the `@`, in scopes: `dense1/kernel`.
    pub name: String,
    /// Its type; no extent depends on the batch size.
    pub ty: TensorType,
    /// How it gets its first value; see [`initializers`](crate::initializers).
    pub init: Call,
    /// Whether training changes it unless told otherwise.
    pub trainable: bool,
    /// Where it was declared.
    pub place: Place,
}

/// A word with arguments, as initialisers, optimizers and their modifiers are written: `adam(lr = %lr, beta1 = 0.9)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The word.
    pub name: String,
    /// Arguments in order; positional ones have no name.
    pub args: Vec<(Option<String>, Argument)>,
    /// Where it was written.
    pub place: Place,
}

/// An argument of a [`Call`].
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A number.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A text in quotes.
    Text(String),
    /// A parameter of the training step, `%lr`, without the `%`.
    Param(String),
    /// Variables, `(@w, @b)`, without the `@`.
    Variables(Vec<String>),
    /// A further call, such as a schedule.
    Call(Call),
}

impl Call {
    /// A call without arguments.
    pub fn word(name: &str) -> Call {
        Call { name: name.to_owned(), args: Vec::new(), place: Place::Unknown }
    }

    /// Adds a named argument.
    #[must_use]
    pub fn with(mut self, name: &str, argument: impl Into<Argument>) -> Call {
        self.args.push((Some(name.to_owned()), argument.into()));
        self
    }

    /// Adds a positional argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<Argument>) -> Call {
        self.args.push((None, argument.into()));
        self
    }
}

impl From<f64> for Argument {
    fn from(number: f64) -> Argument {
        Argument::Number(number)
    }
}

impl From<bool> for Argument {
    fn from(flag: bool) -> Argument {
        Argument::Bool(flag)
    }
}

impl From<&str> for Argument {
    fn from(text: &str) -> Argument {
        Argument::Text(text.to_owned())
    }
}

impl From<Call> for Argument {
    fn from(call: Call) -> Argument {
        Argument::Call(call)
    }
}

/// `train @name(params) = minimize @loss over (variables) with optimizer(…), modifier(…)`: an entry point to derive.
/// Its parameters are those of the loss and then its own; its results are those of the loss, whose first is minimized.
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// Name of the entry point.
    pub name: String,
    /// Parameters beyond those of the loss, such as the learning rate.
    pub params: Vec<(String, TensorType)>,
    /// Name of the function whose first result, a float scalar, is minimized.
    pub loss: String,
    /// Names of the variables to train; empty means every trainable one that the loss reads.
    pub over: Vec<String>,
    /// The optimizer first, then what modifies it; see [`optimizers`](crate::optimizers).
    pub with: Vec<Call>,
    /// Where it was declared.
    pub place: Place,
}

/// A static dataflow graph in SSA form.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Name without the `@`.
    pub name: String,
    /// Placeholders, in order.
    pub params: Vec<ValueId>,
    /// Nodes, in order.
    pub nodes: PrimaryMap<NodeId, Node>,
    /// Parameters and results of nodes.
    pub values: PrimaryMap<ValueId, ValueData>,
    /// What the function returns.
    pub results: Vec<Output>,
    /// What becomes of variables when the function returns; at most one for each.
    pub assigns: Vec<Assign>,
    /// Where it was declared.
    pub place: Place,
}

/// A named result of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Unique among the function's results.
    pub name: String,
    /// What is returned.
    pub value: ValueId,
    /// Where it was written.
    pub place: Place,
}

/// A new value for a variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Assign {
    /// Name of the variable.
    pub variable: String,
    /// Its value when the function returns; of the variable's type.
    pub value: ValueId,
    /// Where it was written.
    pub place: Place,
}

/// An operation with its operands.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// Values that are read.
    pub operands: Vec<ValueId>,
    /// Values that are defined.
    pub results: Vec<ValueId>,
    /// Where it was written.
    pub place: Place,
}

/// What is known of a value.
#[derive(Clone, Debug)]
pub struct ValueData {
    /// Dtype and shape.
    pub ty: TensorType,
    /// What defines it.
    pub def: ValueDef,
    /// Source name in scopes, such as `dense1/z`; unique within the function. Parameters always have one.
    pub name: Option<String>,
    /// Where it was defined.
    pub place: Place,
}

/// What defines a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueDef {
    /// The n-th parameter.
    Param(usize),
    /// The n-th result of a node.
    Node(NodeId, usize),
}

impl Function {
    /// Type of a value.
    pub fn ty(&self, value: ValueId) -> &TensorType {
        &self.values[value].ty
    }

    /// The node that defines a value, if it is not a parameter.
    pub fn def(&self, value: ValueId) -> Option<&Node> {
        match self.values[value].def {
            ValueDef::Param(_) => None,
            ValueDef::Node(node, _) => Some(&self.nodes[node]),
        }
    }

    /// The value's name for people and in text, without the `%`: its own, or its number among the values without a name.
    /// Takes time linear in the number of values; see [`value_names`](Function::value_names) for all of them.
    pub fn value_name(&self, value: ValueId) -> String {
        let data = &self.values[value];
        data.name.clone().unwrap_or_else(|| {
            let before = self.values.values().take(value.as_u32() as usize);
            before.filter(|v| v.name.is_none()).count().to_string()
        })
    }

    /// The names of all values, as [`value_name`](Function::value_name) gives them.
    pub fn value_names(&self) -> SecondaryMap<ValueId, String> {
        let mut names = SecondaryMap::with_capacity(self.values.len());
        let mut unnamed = 0;
        for (id, value) in &self.values {
            names[id] = value.name.clone().unwrap_or_else(|| {
                unnamed += 1;
                (unnamed - 1).to_string()
            });
        }
        names
    }

    /// Adds a parameter. Its name must be unique, which the verifier checks.
    pub fn add_param(&mut self, name: &str, ty: TensorType, place: Place) -> ValueId {
        let def = ValueDef::Param(self.params.len());
        let value = self.values.push(ValueData { ty, def, name: Some(name.to_owned()), place });
        self.params.push(value);
        value
    }

    /// Adds a node whose results have the given types, as inference gave them.
    pub fn add_node(
        &mut self,
        op: Op,
        operands: Vec<ValueId>,
        types: Vec<TensorType>,
        place: Place,
    ) -> NodeId {
        let node = self.nodes.next_key();
        let results = types
            .into_iter()
            .enumerate()
            .map(|(i, ty)| {
                let def = ValueDef::Node(node, i);
                self.values.push(ValueData { ty, def, name: None, place: place.clone() })
            })
            .collect();
        self.nodes.push(Node { op, operands, results, place })
    }

    /// Names of the variables that the function reads, in order of first use.
    pub fn reads(&self) -> Vec<String> {
        let mut names = Vec::new();
        for node in self.nodes.values().filter(|n| n.op.traits().reads_variable) {
            for name in node.op.symbols() {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        names
    }
}
