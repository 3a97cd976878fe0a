//! In which order the elements of a variable are stored.
//!
//! A contraction reads some rows of one operand, and of the other vectors of consecutive columns, for every row that it
//! sums over. Where that operand lies by rows, these columns of all rows are scattered over as many lines of memory as there
//! are rows; in *panels* they are one piece. So a variable that contractions read is stored in panels, once and
//! for all, and whatever updates it works on the panels.
//!
//! The layout of a variable follows from the module, not from a function or a batch size, so that all programs of a module
//! agree on it; variables of one type have one layout, so that a kernel walks through a variable, its
//! gradient and the state of its optimizer alike.

use std::collections::HashSet;

use crate::graph::Module;
use crate::types::{DType, Extent, TensorType};

/// Elements in a row of a panel: columns of the variable.
pub const PANEL: usize = 16;

/// With fewer rows than this, a panel is no longer than what a row has anyway.
const ROWS: usize = 16;

/// Columns that fill no panel are multiplied by kernels of their own. There are so many times as many columns as there are of
/// those, at least.
const FEW: usize = 16;

/// In which order the elements of a variable are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Row after row of the last axis.
    #[default]
    Rows,
    /// Panel after panel of [`PANEL`] columns: of shape `[.., N]` with R rows, element `(r, n)` is in panel `n / PANEL`, at
    /// `r · PANEL + n % PANEL` of it. Columns that fill no panel follow, one after the other.
    Panels,
}

impl Layout {
    /// Whether a tensor of this shape can be stored so: panels need a last axis of at least [`PANEL`].
    pub fn fits(self, shape: &[usize]) -> bool {
        match self {
            Layout::Rows => true,
            Layout::Panels => shape.last().is_some_and(|&n| n >= PANEL),
        }
    }
}

/// The shape of what is stored for a tensor of this shape, row-major: its own, or `[N / PANEL, R · PANEL]`, its whole panels,
/// for `[.., N]` with R rows. Rows of that are as far apart as [`pitch`](super::pitch) says.
///
/// # Panics
/// If the layout does not [fit](Layout::fits) the shape.
pub fn stored_shape(layout: Layout, shape: &[usize]) -> Vec<usize> {
    assert!(layout.fits(shape), "{shape:?} cannot be stored in {layout:?}");
    match (layout, shape) {
        (Layout::Panels, [outer @ .., n]) => vec![n / PANEL, rows(outer).saturating_mul(PANEL)],
        _ => shape.to_vec(),
    }
}

/// The shape of what is stored behind the panels for a tensor of this shape, if its columns do not fill them all: `[N % PANEL, R]`,
/// those columns one after the other.
pub fn rest_shape(shape: &[usize]) -> Option<Vec<usize>> {
    let [outer @ .., n] = shape else { return None };
    (!n.is_multiple_of(PANEL)).then(|| vec![n % PANEL, rows(outer)])
}

/// How many rows axes make. Without overflow, even where another axis is empty.
fn rows(outer: &[usize]) -> usize {
    match outer.contains(&0) {
        true => 0,
        false => outer.iter().fold(1, |product, &extent| product.saturating_mul(extent)),
    }
}

/// The layouts of a module's variables, in order, by what its functions do with them: panels for the type of an operand of a
/// contraction whose columns are not summed over but become rows or columns of the result, unless something reads a variable
/// of it that neither contracts nor walks through all elements in any order, as what looks rows up.
pub fn choose(module: &Module) -> Vec<Layout> {
    let (mut multiplied, mut looked_up) = (HashSet::new(), HashSet::new());
    for function in module.functions.values() {
        let is_variable = |value| function.def(value).is_some_and(|node| node.op.traits().reads_variable);
        for node in function.nodes.values() {
            let (traits, operands) = (node.op.traits(), &node.operands);
            let variables = operands.iter().copied().filter(|&value| is_variable(value));
            if traits.contraction {
                let shape = |value| function.ty(value).shape.0.as_slice();
                let kept = operands.iter().enumerate().filter(|&(n, &value)| {
                    is_variable(value)
                        && node.results.iter().any(|&result| keeps_columns(n, shape(value), shape(result)))
                });
                multiplied.extend(kept.map(|(_, &value)| function.ty(value)));
            } else if !traits.elementwise && !traits.view {
                looked_up.extend(variables.map(|value| function.ty(value)));
            }
        }
    }
    let layout = |ty: &TensorType| {
        let shape = ty.shape.as_fixed();
        let is_worth_it = shape.is_some_and(|shape| is_worth(ty.dtype, &shape));
        match is_worth_it && multiplied.contains(ty) && !looked_up.contains(ty) {
            true => Layout::Panels,
            false => Layout::Rows,
        }
    };
    module.variables.values().map(|variable| layout(&variable.ty)).collect()
}

/// Whether the columns of a contraction's operand become rows of the result, as those of a first operand that is transposed, or
/// columns, as those of a second one that is not. Of a square first operand the shapes do not say, and rows are as good.
fn keeps_columns(operand: usize, of: &[Extent], result: &[Extent]) -> bool {
    match (operand, of, result) {
        (0, [.., row, column], [.., rows, _]) => column == rows && row != column,
        (1, [.., column], [.., columns]) => column == columns,
        _ => false,
    }
}

/// Whether there are several panels of several rows, and few columns beside them, of the dtype that has kernels for them.
pub(super) fn is_worth(dtype: DType, shape: &[usize]) -> bool {
    let [outer @ .., n] = shape else { return false };
    dtype == DType::F32 && rows(outer) >= ROWS && *n >= 2 * PANEL && n % PANEL * FEW <= *n
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the variables that are stored in panels.
    fn in_panels(text: &str) -> Vec<String> {
        let module = Module::parse("t.bsm", text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let module = crate::train::expand(&module).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let layouts = choose(&module);
        assert_eq!(layouts.len(), module.variables.len());
        let variables = module.variables.values().zip(layouts);
        variables.filter(|(_, layout)| *layout == Layout::Panels).map(|(v, _)| v.name.clone()).collect()
    }

    /// A function that multiplies some rows by a variable of a dtype and shape.
    fn product(dtype: &str, rows: usize, columns: usize) -> String {
        format!(
            "var @w : {dtype}[{rows},{columns}] = zeros\n\
             func @f(%x: {dtype}[N,{rows}]) -> (y: {dtype}[N,{columns}]) {{\n  \
             %0 = read @w\n  %1 = matmul %x, %0\n  return %1\n}}\n"
        )
    }

    #[test]
    fn panels_have_sixteen_columns() {
        for (shape, fits, stored) in [
            (&[20, 48][..], true, &[3, 320][..]),
            (&[2, 3, 32], true, &[2, 96]),
            (&[32], true, &[2, 16]),
            (&[0, 32], true, &[2, 0]),
            (&[4, 47], true, &[2, 64]),
            (&[4, 15], false, &[4, 15]),
            (&[4, 0], false, &[4, 0]),
            (&[], false, &[]),
        ] {
            assert_eq!(Layout::Panels.fits(shape), fits, "{shape:?}");
            let layout = if fits { Layout::Panels } else { Layout::Rows };
            assert_eq!(stored_shape(layout, shape), stored, "{shape:?}");
            assert_eq!(stored_shape(Layout::Rows, shape), shape);
        }
    }

    #[test]
    fn what_contractions_read_is_in_panels() {
        for columns in [32, 34, 65, 100, 136, 255] {
            assert_eq!(in_panels(&product("f32", 16, columns)), ["w"], "{columns}");
        }
        for (dtype, rows, columns) in
            [("f32", 15, 32), ("f32", 16, 16), ("f32", 16, 40), ("f32", 16, 120), ("f64", 16, 32)]
        {
            assert!(in_panels(&product(dtype, rows, columns)).is_empty(), "{dtype}[{rows},{columns}]");
        }
        let filter = "var @w : f32[3,3,4,32] = zeros
func @f(%x: f32[N,8,8,4]) -> (y: f32[N,6,6,32]) {
  %0 = read @w
  %1 = conv %x, %0 {strides=[1,1], dilation=[1,1], groups=1}
  return %1
}";
        assert_eq!(in_panels(filter), ["w"]);
    }

    #[test]
    fn a_first_operand_is_in_panels_if_its_columns_become_rows() {
        let of = |rows: usize, columns: usize| {
            format!(
                "var @w : f32[{rows},{columns}] = zeros\n\
                 func @f(%x: f32[{rows},8]) -> (y: f32[{columns},8]) {{\n  \
                 %0 = read @w\n  %1 = matmul %0, %x {{transpose_a=true}}\n  return %1\n}}\n"
            )
        };
        assert_eq!(in_panels(&of(64, 48)), ["w"]);
        assert!(in_panels(&of(48, 48)).is_empty());
    }

    #[test]
    fn columns_that_are_summed_need_no_panels() {
        let transposed = product("f32", 32, 48)
            .replace("f32[N,32]", "f32[N,48]")
            .replace("(y: f32[N,48])", "(y: f32[N,32])");
        let transposed = transposed.replace("%x, %0", "%x, %0 {transpose_b=true}");
        assert!(in_panels(&transposed).is_empty(), "{transposed}");
        let first = product("f32", 32, 48)
            .replace("%x: f32[N,32]", "%x: f32[48,8]")
            .replace("f32[N,48]", "f32[32,8]");
        assert!(in_panels(&first.replace("%x, %0", "%0, %x")).is_empty());
    }

    #[test]
    fn what_nothing_contracts_is_by_rows() {
        let text = "var @w : f32[32,32] = zeros
func @f(%x: f32[32,32]) -> (y: f32[32,32]) {
  %0 = read @w
  %1 = mul %x, %0
  return %1
}";
        assert!(in_panels(text).is_empty());
    }

    #[test]
    fn the_state_of_an_optimizer_lies_as_its_variable_does() {
        let text = format!(
            "{}func @loss(%x: f32[N,16]) -> (loss: f32[]) {{
  %0 = read @w
  %1 = matmul %x, %0
  %2 = reduce_sum %1 {{axes=[0,1]}}
  return %2
}}
train @step() = minimize @loss with adam(lr = 0.1)",
            product("f32", 16, 32)
        );
        assert_eq!(in_panels(&text), ["w", "w/adam/m", "w/adam/v"]);
    }

    #[test]
    fn a_table_that_is_looked_up_is_by_rows_and_all_of_its_type() {
        let look_up = "var @table : f32[16,32] = zeros
func @g(%i: i32[N]) -> (y: f32[N,32]) {
  %0 = read @table
  %1 = gather %0, %i {axis=0}
  return %1
}\n";
        assert!(in_panels(&(product("f32", 16, 32) + look_up)).is_empty());
        assert_eq!(in_panels(&(product("f32", 32, 32) + look_up)), ["w"]);
    }
}
