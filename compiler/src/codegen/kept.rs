//! What is kept of accumulators in memory, between two parts of a fold.

use super::columns::Columns;
use super::emitter::VectorEmitter;
use super::fold::FoldPlan;
use super::loops::{Emission, Span};
use super::panel::near;
use super::point::{Coord, Point};
use crate::kernel::Axis;

/// How accumulators lie in the memory of panels: those of all columns for every row and kept value.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptShape {
    /// Bytes before the first one.
    pub(super) offset: usize,
    /// Columns of a row.
    pub(super) cols: usize,
    /// Values that are kept of a point.
    pub(super) values: usize,
    /// Bytes of a value.
    pub(super) element: usize,
}

impl KeptShape {
    /// Bytes of so many rows; `None` if they are more than memory.
    pub(super) fn bytes(self, rows: usize) -> Option<usize> {
        [self.cols, rows, self.values, self.element].into_iter().try_fold(1, usize::checked_mul)
    }

    /// Bytes from the first accumulator to a kept value of a row at a column.
    fn at(self, row: i64, value: usize, col: i64) -> i64 {
        ((row * self.values as i64 + value as i64) * self.cols as i64 + col) * self.element as i64
    }
}

/// Where accumulators are between two parts of a fold. Rows have whole vectors, also where not all lanes of the last one are
/// columns, unless these begin anywhere.
pub(super) struct Kept<W> {
    pub(super) shape: KeptShape,
    /// Where the memory of panels is.
    pub(super) start: Option<W>,
    /// Axes whose coordinates tell rows apart, the innermost first.
    pub(super) rows: Vec<(Axis, Span<W>)>,
    /// The axes of the columns, and where the first one is.
    pub(super) cols: (Columns, Coord<W>),
    /// Whether vectors begin anywhere in a row, so that lanes that are no columns may be those of the next row.
    pub(super) is_ragged: bool,
}

impl<W: Copy> Kept<W> {
    /// The address of what is kept for a point.
    fn address<E: VectorEmitter<Word = W>>(&self, emission: &mut Emission<E>, point: &Point<W>) -> (W, i64) {
        let e = &mut emission.e;
        let mut address = self.start.unwrap_or_else(|| e.word(0));
        let mut offset = self.shape.offset as i64;
        let mut step = 1;
        let mut terms = Vec::new();
        for &(axis, span) in &self.rows {
            terms.push((axis, span.start, self.shape.at(step, 0, 0)));
            step *= span.length.most() as i64;
        }
        let (columns, first) = self.cols;
        terms.push((columns.along, first, self.shape.at(0, 0, columns.each as i64)));
        if columns.along != columns.axis {
            terms.push((columns.axis, Coord::fixed(0), self.shape.at(0, 0, 1)));
        }
        for (axis, first, bytes) in terms {
            let Coord { base, offset: within } = point[axis];
            offset += (within - first.offset) * bytes;
            for (base, bytes) in [(base, bytes), (first.base, -bytes)] {
                if let Some(base) = base {
                    let term = e.word_times(base, bytes);
                    address = e.word_add(address, term);
                }
            }
        }
        (address, offset)
    }

    /// How many lanes of a vector are loaded and stored.
    fn active(&self, fold: &FoldPlan<'_>, lanes: usize) -> usize {
        if self.is_ragged { fold.active() } else { lanes }
    }

    /// Stores what every point starts from.
    pub(super) fn begin<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        (fold, points): (&FoldPlan<'_>, &[Point<W>]),
    ) {
        let start = fold.start(&mut emission.e);
        let values: Vec<_> = points.iter().flat_map(|_| start.clone()).collect();
        self.store(emission, (fold, points), &values);
    }

    /// What is kept for some points.
    pub(super) fn load<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        (fold, points): (&FoldPlan<'_>, &[Point<W>]),
    ) -> Vec<E::Value> {
        let types = fold.kept_types();
        let mut values = Vec::new();
        for point in points {
            let (address, offset) = self.address(emission, point);
            for (n, &ty) in types.iter().enumerate() {
                let offset = offset + self.shape.at(0, n, 0);
                let (address, offset) = near(&mut emission.e, address, offset);
                values.push(emission.e.load(ty, self.active(fold, ty.lanes), address, offset, false));
            }
        }
        values
    }

    /// Keeps what there is of some points.
    pub(super) fn store<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        (fold, points): (&FoldPlan<'_>, &[Point<W>]),
        values: &[E::Value],
    ) {
        let types = fold.kept_types();
        let mut values = values.iter();
        for point in points {
            let (address, offset) = self.address(emission, point);
            for ((n, &ty), &value) in types.iter().enumerate().zip(values.by_ref()) {
                let offset = offset + self.shape.at(0, n, 0);
                let (address, offset) = near(&mut emission.e, address, offset);
                emission.e.store(ty, self.active(fold, ty.lanes), value, address, offset);
            }
        }
    }
}
