//! A cotangent while it is being summed up.

use crate::graph::Expr;
use crate::ops::Addition;

/// A sum of tensors of one type, and of additions to some elements of such a tensor.
///
/// The additions are made last, one after the other, in whatever tensor the sum is wanted in. So the gradient of a table
/// of which a step reads a few rows need not be as large as the table.
#[derive(Clone)]
pub struct Sum<'g> {
    /// A value of the sum's type.
    like: Expr<'g>,
    dense: Option<Expr<'g>>,
    additions: Vec<Addition<'g>>,
}

impl<'g> Sum<'g> {
    /// The sum of nothing, of this value's type.
    pub fn zero(like: Expr<'g>) -> Sum<'g> {
        Sum { like, dense: None, additions: Vec::new() }
    }

    /// The sum of one tensor.
    pub fn of(value: Expr<'g>) -> Sum<'g> {
        Sum { like: value, dense: Some(value), additions: Vec::new() }
    }

    /// Adds a tensor.
    ///
    /// # Panics
    /// If it is not of the sum's type: a gradient rule gave it, which is a bug of the op.
    pub fn add(&mut self, more: Expr<'g>) {
        assert_eq!(more.ty(), self.like.ty(), "the cotangent of a value has its type");
        self.dense = Some(self.dense.map_or(more, |sum| sum + more));
    }

    /// Adds to some elements.
    pub fn add_to_some(&mut self, more: Addition<'g>) {
        self.additions.push(more);
    }

    /// Adds all that another sum of the same type adds.
    pub fn add_all(&mut self, other: Sum<'g>) {
        other.dense.into_iter().for_each(|more| self.add(more));
        self.additions.extend(other.additions);
    }

    /// The sum as a tensor.
    pub fn value(&self) -> Expr<'g> {
        let dense = self.dense.unwrap_or_else(|| self.like.full_like(0.0));
        self.additions.iter().fold(dense, |sum, addition| addition.onto(sum))
    }

    /// `from - rate · sum`, where every addition is made in `from`: with `rate · dense` subtracted, if there is a dense
    /// part, and then `-(rate · added)` added, one addition after the other. Elements that nothing is added to stay as
    /// they are. `rate` is a scalar.
    pub fn descend(&self, from: Expr<'g>, rate: Expr<'g>) -> Expr<'g> {
        let start = self.dense.map_or(from, |dense| from - rate * dense);
        self.additions.iter().fold(start, |sum, addition| {
            Addition { added: -(rate * addition.added), ..addition.clone() }.onto(sum)
        })
    }
}
