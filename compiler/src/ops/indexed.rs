//! What ops that read or write a table at indices share: how the axes of table, indices and result correspond.

use super::IndexFault;
use super::elementwise::expect_dtype;
use super::sample::Sampler;
use crate::diagnostic::Diagnostic;
use crate::kernel::{Affine, most};
use crate::lower::LowerCx;
use crate::tensor::{Element as _, Tensor};
use crate::types::{DType, Extent, Shape, TensorType, dense_strides};

/// Table `[b.., o.., K, r..]`, indices `[b.., i..]`, result `[b.., o.., i.., r..]`.
pub struct Indexing {
    axis: usize,
    batch: usize,
    table: Vec<usize>,
    indices: Vec<usize>,
}

impl Indexing {
    /// The indexing of tensors with these shapes, which [`infer`](Indexing::infer) accepted.
    pub fn new(axis: usize, batch: usize, table: &[usize], indices: &[usize]) -> Indexing {
        Indexing { axis, batch, table: table.to_vec(), indices: indices.to_vec() }
    }

    /// The indexing of operands 0 and 1 of a node.
    pub fn lowered(axis: usize, batch: usize, cx: &LowerCx<'_>) -> Indexing {
        let (table, indices) = (cx.operand_extents(0), cx.operand_extents(1));
        cx.fixed(table[axis]);
        Indexing::new(axis, batch, &most(&table), &cx.row_major(&indices))
    }

    /// Shape of the result.
    ///
    /// # Errors
    /// E0202 for indices that are no integers, E0217 for shapes that do not fit.
    pub fn infer(
        op: &str,
        axis: usize,
        batch: usize,
        table: &TensorType,
        indices: &TensorType,
    ) -> Result<Shape, Diagnostic> {
        expect_dtype(op, indices, |d| matches!(d, DType::I32 | DType::I64), "indices of dtype i32 or i64")?;
        let refuse = |why: &str| {
            Diagnostic::new("E0217", format!("`{op}` along axis {axis} does not fit"))
                .note(format!("the table is {table}, the indices are {indices}"))
                .note(why)
        };
        if axis >= table.rank() {
            return Err(refuse("the table has no such axis"));
        }
        if batch > axis || batch > indices.rank() || table.shape.0[..batch] != indices.shape.0[..batch] {
            return Err(refuse("both must agree on the first `batch_axes` axes, which come before `axis`"));
        }
        if table.shape.0[axis] == Extent::Const(0) && indices.shape.elements() != Some((0, 0)) {
            return Err(refuse("an empty axis has no element to index"));
        }
        let (outer, inner) = (&table.shape.0[..axis], &table.shape.0[axis + 1..]);
        Ok(Shape([outer, &indices.shape.0[batch..], inner].concat()))
    }

    /// Indices must be below this.
    pub fn bound(&self) -> usize {
        self.table[self.axis]
    }

    /// Extents of the result.
    pub fn result_shape(&self) -> Vec<usize> {
        [&self.table[..self.axis], &self.indices[self.batch..], &self.table[self.axis + 1..]].concat()
    }

    /// The axes of a kernel that walks the result.
    pub fn result_axes(&self) -> Vec<Affine> {
        (0..self.result_shape().len()).map(Affine::axis).collect()
    }

    /// Index of the indices for a coordinate of the result.
    pub fn indices_index(&self, result: &[Affine]) -> Vec<Affine> {
        let own = self.indices.len() - self.batch;
        [&result[..self.batch], &result[self.axis..self.axis + own]].concat()
    }

    /// Row-major position within the indices for a coordinate of the result.
    pub fn position(&self, result: &[Affine]) -> Affine {
        row_major(&self.indices, &self.indices_index(result))
    }

    /// Index of the table for a coordinate of the result, with 0 where the loaded index is to be added.
    pub fn table_index(&self, result: &[Affine]) -> Vec<Affine> {
        let own = self.indices.len() - self.batch;
        [&result[..self.axis], &[Affine::constant(0)], &result[self.axis + own..]].concat()
    }

    /// In terms of the axes of a kernel over everything but the rows, the coordinate of the table (with the row as the
    /// stage's axis) and the coordinate of the result (with the index axes as the fold's).
    pub fn scatter_axes(&self) -> (Vec<Affine>, Vec<Affine>) {
        let (outer, all, own) = (self.axis, self.table.len() - 1, self.indices.len() - self.batch);
        let axis = Affine::axis;
        let table = (0..outer).map(axis).chain([axis(all)]).chain((outer..all).map(axis)).collect();
        let result =
            (0..outer).map(axis).chain((all..all + own).map(axis)).chain((outer..all).map(axis)).collect();
        (table, result)
    }

    /// For every element of the result, in order, its row-major position in the table.
    ///
    /// # Errors
    /// The first index out of range; `operand` holds the indices.
    pub fn positions(&self, indices: &Tensor, operand: usize) -> Result<Vec<usize>, IndexFault> {
        let indices: Vec<i64> = indices.scalars().map(i64::convert).collect();
        let bound = self.bound();
        let outside = |v: &i64| usize::try_from(*v).map_or(true, |v| v >= bound);
        if let Some(position) = indices.iter().position(outside) {
            return Err(IndexFault { operand, position, value: indices[position], bound });
        }
        let strides = dense_strides(&self.table);
        let shape = self.result_shape();
        let axes = self.result_axes();
        let (position, table) = (self.position(&axes), row_major(&self.table, &self.table_index(&axes)));
        let points = ndarray::indices(shape.as_slice()).into_iter();
        Ok(points
            .map(|at| {
                let at = ndarray::Dimension::as_array_view(&at).to_vec();
                let row = indices[position.at(&at) as usize] as usize;
                table.at(&at) as usize + row * strides[self.axis]
            })
            .collect())
    }
}

/// Row-major position of an index in a dense tensor.
pub fn row_major(shape: &[usize], index: &[Affine]) -> Affine {
    dense_strides(shape)
        .iter()
        .zip(index)
        .fold(Affine::constant(0), |sum, (&stride, expr)| sum.plus(&expr.times(stride as i64)))
}

/// Axis, batch axes, table, indices and shape of the result to try ops at.
pub fn samples(s: &mut Sampler) -> Vec<(usize, usize, Tensor, Tensor, Vec<usize>)> {
    let cases: [(usize, usize, &[usize], &[usize]); 9] = [
        (0, 0, &[1], &[]),
        (0, 0, &[5], &[7]),
        (0, 0, &[5, 3], &[0]),
        (0, 0, &[0, 3], &[0]),
        (0, 0, &[5, 17], &[4]),
        (1, 0, &[3, 4], &[2, 5]),
        (1, 1, &[3, 4], &[3]),
        (1, 1, &[3, 4, 2], &[3, 5]),
        (2, 1, &[2, 3, 4, 2], &[2, 3]),
    ];
    let mut samples = Vec::new();
    for (axis, batch, table, indices) in cases {
        let result = Indexing::new(axis, batch, table, indices).result_shape();
        let rows = s.ints(indices, 0, table[axis].max(1) as i64);
        let rows = if samples.len() % 2 == 1 { rows.cast(DType::I64) } else { rows };
        samples.push((axis, batch, s.floats(table, -2.0, 2.0), rows, result));
    }
    samples
}
