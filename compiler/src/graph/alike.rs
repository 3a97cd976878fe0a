//! Equality of modules but for what text does not say: places, and how values are numbered internally.

use cranelift_entity::SecondaryMap;

use super::{Argument, Call, Function, Module, Node, Train, ValueId, Variable};

impl Module {
    /// Whether both modules say the same: they may differ in places and in the numbering of values only.
    pub fn is_alike(&self, other: &Module) -> bool {
        self.name == other.name
            && all(self.variables.values(), other.variables.values(), variables_alike)
            && all(self.functions.values(), other.functions.values(), Function::is_alike)
            && all(self.trains.iter(), other.trains.iter(), trains_alike)
    }
}

impl Function {
    /// Whether both functions say the same: they may differ in places and in the numbering of values only.
    pub fn is_alike(&self, other: &Function) -> bool {
        let (a, b) = (self.value_names(), other.value_names());
        let same = |x: &ValueId, y: &ValueId| a[*x] == b[*y] && self.ty(*x) == other.ty(*y);
        let same_node = |x: &Node, y: &Node| {
            x.op == y.op && all(&x.operands, &y.operands, same) && all(&x.results, &y.results, same)
        };
        self.name == other.name
            && names_alike(self, &a, other, &b)
            && all(&self.params, &other.params, same)
            && all(self.nodes.values(), other.nodes.values(), same_node)
            && all(&self.results, &other.results, |x, y| x.name == y.name && same(&x.value, &y.value))
            && all(&self.assigns, &other.assigns, |x, y| x.variable == y.variable && same(&x.value, &y.value))
    }
}

/// Whether the values that have names of their own are the same.
fn names_alike(
    x: &Function,
    x_names: &SecondaryMap<ValueId, String>,
    y: &Function,
    y_names: &SecondaryMap<ValueId, String>,
) -> bool {
    let named = |f: &Function, names: &SecondaryMap<ValueId, String>| {
        let mut own: Vec<String> = f
            .values
            .iter()
            .filter(|(_, value)| value.name.is_some())
            .map(|(id, _)| names[id].clone())
            .collect();
        own.sort_unstable();
        own
    };
    x.values.len() == y.values.len() && named(x, x_names) == named(y, y_names)
}

fn variables_alike(a: &Variable, b: &Variable) -> bool {
    a.name == b.name && a.ty == b.ty && a.trainable == b.trainable && calls_alike(&a.init, &b.init)
}

fn trains_alike(a: &Train, b: &Train) -> bool {
    a.name == b.name
        && a.params == b.params
        && a.loss == b.loss
        && a.over == b.over
        && all(&a.with, &b.with, calls_alike)
}

fn calls_alike(a: &Call, b: &Call) -> bool {
    a.name == b.name && all(&a.args, &b.args, |(x, p), (y, q)| x == y && arguments_alike(p, q))
}

fn arguments_alike(a: &Argument, b: &Argument) -> bool {
    match (a, b) {
        (Argument::Number(x), Argument::Number(y)) => x.to_bits() == y.to_bits(),
        (Argument::Call(x), Argument::Call(y)) => calls_alike(x, y),
        _ => a == b,
    }
}

fn all<T>(
    a: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    b: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    alike: impl Fn(T, T) -> bool,
) -> bool {
    let (a, b) = (a.into_iter(), b.into_iter());
    a.len() == b.len() && a.zip(b).all(|(x, y)| alike(x, y))
}
