use super::attributes::op_struct;
use super::def::result_shape;
use super::elementwise::{expect_dtype, expect_operands};
use super::sample::{Case, Sampler};
use super::scaling::with_scaled;
use super::{EvalCx, Gradient, IndexFault, InferCx, Op, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::Affine;
use crate::lower::{LowerCx, identity};
use crate::tensor::{Element, Tensor, with_element};
use crate::types::{DType, Extent, Shape, TensorType};

op_struct! {
    /// Matrix product over the last two axes: `out[.., m, n] = Σ_k a[.., m, k] · b[.., k, n]`.
    ///
    /// - C1 `a`: float `[.., M, K]`, or `[.., K, M]` if `transpose_a`; `b`: same dtype, `[.., K, N]`, or `[.., N, K]` if
    ///   `transpose_b`; the result: same dtype, `[.., M, N]`.
    /// - C2 both agree on K. K = 0 gives zeros.
    /// - C3 the axes before the last two (batch axes) are the same; or `b` has none, and is the one matrix of them all.
    /// - C4 one fused multiply-add per product; where the CPU level lacks it, two roundings. They are added in order of k,
    ///   or as partial sums, where k is long and each element of an operand is used seven times at most.
    /// - Gradient: `d_a = d_out · bᵀ`, `d_b = aᵀ · d_out`, transposed where the operand is. If `b` is the one matrix of all
    ///   batch axes, `d_b` is the product of what these and the rows are as one axis.
    ///
    /// # Errors
    /// E0201, E0202 (C1), E0208 for operands of different dtype or fewer than two axes, or where C2 or C3 fails.
    ///
    /// Reference: StableHLO `dot_general` with one contracting axis.
    Matmul = "matmul" {
        /// Whether the last two axes of `a` are swapped.
        transpose_a: bool = false,
        /// Whether the last two axes of `b` are swapped.
        transpose_b: bool = false,
    }
}

impl OpDef for Matmul {
    const NAME: &'static str = "matmul";
    const TRAITS: OpTraits = OpTraits { contraction: true, ..OpTraits::PLAIN };
    const RULES: &'static [Rule<Self>] = &[
        Rule {
            pass: "fold-transposes",
            law: "matmul (transpose a) (transpose b) = matmul a b, transposed",
            apply: fold_transposes,
        },
        Rule {
            pass: "fold-scales",
            law: "matmul a b * s = matmul a (b * s) where s is of columns",
            apply: scaled,
        },
    ];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 2)?;
        expect_dtype(Self::NAME, &operands[0], DType::is_float, "a float dtype")?;
        let [a, b] = [&operands[0], &operands[1]];
        let refuse = |why: &str| Diagnostic::new("E0208", format!("matmul operands {why}"))
            .note(format!("they are {a} and {b}"));
        if a.dtype != b.dtype {
            return Err(refuse("disagree on the dtype").help(format!("`cast {{to={}}}` one of them", a.dtype)));
        }
        if a.rank() < 2 || b.rank() < 2 {
            return Err(refuse("must have at least two axes").help("use `reshape` to add an axis of extent 1"));
        }
        let (batch_a, m, k) = split(&a.shape, self.transpose_a);
        let (batch_b, k_b, n) = split(&b.shape, self.transpose_b);
        if batch_a != batch_b && !batch_b.is_empty() {
            return Err(refuse("disagree on the batch axes").help("use `broadcast` on one of them"));
        }
        if k != k_b {
            let error = refuse("disagree on the contracted axis").note(format!("{k} ≠ {k_b}"));
            let fits = |ta, tb| split(&a.shape, ta).2 == split(&b.shape, tb).1;
            return Err(match (fits(!self.transpose_a, self.transpose_b), fits(self.transpose_a, !self.transpose_b)) {
                (true, _) => error.help(format!("set `transpose_a={}`", !self.transpose_a)),
                (_, true) => error.help(format!("set `transpose_b={}`", !self.transpose_b)),
                _ => error,
            });
        }
        Ok(vec![a.with_shape(Shape([batch_a, &[m, n]].concat()))])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![with_element!(operands[0].dtype(), T => self.product::<T>(operands[0], operands[1]))])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let (a, b, d) = (cx.operand(0), cx.operand(1), cx.cotangent());
        let d_a = match self.transpose_a {
            false => d.matmul_transposed(b, false, !self.transpose_b),
            true => b.matmul_transposed(d, self.transpose_b, true),
        };
        let product = |a: Expr<'g>, transpose_a: bool, d: Expr<'g>| match self.transpose_b {
            false => a.matmul_transposed(d, !transpose_a, false),
            true => d.matmul_transposed(a, true, transpose_a),
        };
        let d_b = if a.rank() == b.rank() {
            product(a, self.transpose_a, d)
        } else if let (Some(a), Some(d)) = (as_matrix(a, self.transpose_a), as_matrix(d, false)) {
            product(a, false, d)
        } else {
            product(a, self.transpose_a, d).reduce_sum(&(0..a.rank() - 2).collect::<Vec<_>>(), false)
        };
        vec![Gradient::Value(d_a), Gradient::Value(d_b)]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let (to, axes) = (cx.result(0), cx.result_extents(0));
        let batch = axes.len() - 2;
        let (m, n, k) = (Affine::axis(batch), Affine::axis(batch + 1), Affine::axis(batch + 2));
        let index = |batch: usize, x: &Affine, y: &Affine, transposed: bool| {
            let matrix = if transposed { [y.clone(), x.clone()] } else { [x.clone(), y.clone()] };
            (0..batch).map(Affine::axis).chain(matrix).collect::<Vec<_>>()
        };
        let a_shape = cx.operand_extents(0);
        let batch_b = cx.operand_extents(1).len() - 2;
        let a_index = index(batch, &m, &k, self.transpose_a);
        let b_index = index(batch_b, &k, &n, self.transpose_b);
        let contracted = a_shape[batch + usize::from(!self.transpose_a)];
        let (index, operands) = (identity(axes.len()), [(cx.operand(0), a_index), (cx.operand(1), b_index)]);
        cx.contract([axes, vec![contracted]], operands, (to, index));
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases = Vec::new();
        let sizes = [(1, 1, 1), (3, 17, 5), (4, 8, 16), (17, 3, 1), (0, 3, 2), (2, 0, 3), (2, 3, 0), (20, 33, 18)];
        for (m, k, n) in sizes {
            for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true), (true, true)] {
                let a = if transpose_a { [k, m] } else { [m, k] };
                let b = if transpose_b { [n, k] } else { [k, n] };
                let op = Matmul { transpose_a, transpose_b };
                cases.push(Case::smooth(op, vec![s.floats(&a, -1.0, 1.0), s.floats(&b, -1.0, 1.0)]));
            }
        }
        let op = Matmul { transpose_a: false, transpose_b: true };
        cases.push(Case::smooth(op.clone(), vec![s.floats(&[2, 3, 4, 5], -1.0, 1.0), s.floats(&[2, 3, 6, 5], -1.0, 1.0)]));
        cases.push(Case::smooth(op, vec![s.floats(&[0, 4, 5], -1.0, 1.0), s.floats(&[0, 6, 5], -1.0, 1.0)]));
        for (transpose_a, transpose_b) in [(false, false), (true, false), (false, true), (true, true)] {
            for batch in [&[2, 3][..], &[0]] {
                let a = [batch, &if transpose_a { [5, 4] } else { [4, 5] }].concat();
                let b = if transpose_b { [17, 5] } else { [5, 17] };
                let op = Matmul { transpose_a, transpose_b };
                cases.push(Case::smooth(op, vec![s.floats(&a, -1.0, 1.0), s.floats(&b, -1.0, 1.0)]));
            }
        }
        cases
    }
}

/// Batch axes, rows and columns of a matrix that may be transposed.
fn split(shape: &Shape, transposed: bool) -> (&[Extent], Extent, Extent) {
    let (batch, matrix) = shape.0.split_at(shape.rank() - 2);
    match transposed {
        false => (batch, matrix[0], matrix[1]),
        true => (batch, matrix[1], matrix[0]),
    }
}

/// Matrices, transposed or not, below one another: all batch axes and the rows as one axis. `None` if its extent is none.
fn as_matrix(x: Expr<'_>, transposed: bool) -> Option<Expr<'_>> {
    let shape = x.shape();
    let (batch, rows, columns) = split(&shape, transposed);
    let rows = match Shape([batch, &[rows]].concat()).elements()? {
        (rows, 0) => Extent::Const(rows),
        (rows, 1) => Extent::Batch(rows),
        _ => return None,
    };
    let mut permutation: Vec<usize> = (0..x.rank()).collect();
    permutation.swap(x.rank() - 2, x.rank() - 1);
    let x = if transposed { x.transpose(&permutation) } else { x };
    Some(x.reshape([rows, columns]))
}

fn scaled<'g>(op: &Matmul, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let axis = if op.transpose_b { 2 } else { 1 };
    with_scaled(op, cx, axis)
}

impl Matmul {
    fn product<T: Element>(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let shape = result_shape(self, &[a, b]);
        let (a, b) = (a.array::<T>(), b.array::<T>());
        let swap = |mut at: Vec<usize>, transposed: bool| {
            let rank = at.len();
            if transposed {
                at.swap(rank - 2, rank - 1);
            }
            at
        };
        let contracted = a.shape()[shape.len() - if self.transpose_a { 2 } else { 1 }];
        let elements = ndarray::indices(shape.as_slice()).into_iter().map(|at| {
            let at = ndarray::Dimension::as_array_view(&at).to_vec();
            let (batch, matrix) = at.split_at(at.len() - 2);
            let sum = (0..contracted).fold(0.0, |sum, k| {
                let left = swap([batch, &[matrix[0], k]].concat(), self.transpose_a);
                let right = swap([&batch[..b.ndim() - 2], &[k, matrix[1]]].concat(), self.transpose_b);
                sum + f64::convert(a[left.as_slice()].scalar()) * f64::convert(b[right.as_slice()].scalar())
            });
            T::convert(sum.scalar())
        });
        Tensor::from_vec(&shape, elements.collect())
    }
}

fn fold_transposes<'g>(op: &Matmul, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let [(a, swap_a), (b, swap_b)] = [0, 1].map(|n| match matrix_transposed(cx.operands[n]) {
        Some(inner) => (inner, true),
        None => (cx.operands[n], false),
    });
    (swap_a || swap_b)
        .then(|| vec![a.matmul_transposed(b, op.transpose_a ^ swap_a, op.transpose_b ^ swap_b)])
}

/// The operand of a transpose that swaps just the last two axes.
fn matrix_transposed(value: Expr<'_>) -> Option<Expr<'_>> {
    let (Op::Transpose(transpose), operands) = value.def()? else { return None };
    let rank = transpose.permutation.len();
    let mut swapped: Vec<usize> = (0..rank).collect();
    swapped.swap(rank.checked_sub(2)?, rank - 1);
    (transpose.permutation == swapped).then(|| operands[0])
}
