//! What is kept of accumulators between two parts of a fold.

use super::{Panel, PanelShape, near};
use crate::codegen::columns::Columns;
use crate::codegen::emitter::VectorEmitter;
use crate::codegen::fold::FoldPlan;
use crate::codegen::loops::{Emission, Span};
use crate::codegen::point::{Coord, Point};
use crate::kernel::Axis;

/// Where accumulators are between two parts of a fold: all columns of a panel for every row and partial result. Rows
/// have whole vectors, also where not all lanes of the last one are columns, unless these begin anywhere.
pub(in crate::codegen) struct Kept<W> {
    shape: PanelShape,
    /// Where the panel is.
    start: Option<W>,
    /// Axes whose coordinates tell rows apart, each with the first one, and how many rows one step on it is.
    rows: Vec<(Axis, Coord<W>, i64)>,
    /// The axes of the columns, and where the first one is.
    cols: (Columns, Coord<W>),
    /// Whether vectors begin anywhere in a row, so that lanes that are no columns may be those of the next row.
    is_ragged: bool,
}

impl<W: Copy> Kept<W> {
    /// What is kept for all points of some axes, the innermost first, and a panel with the columns from a first one on.
    pub(in crate::codegen) fn new(
        panel: &Panel<'_, W>,
        rows: &[(Axis, Span<W>)],
        first: Coord<W>,
    ) -> Kept<W> {
        let mut step = 1;
        let mut told_apart = Vec::new();
        for &(axis, span) in rows {
            told_apart.push((axis, span.start, step));
            step *= span.length.most() as i64;
        }
        let cols = (panel.columns, first);
        Kept { shape: panel.shape, start: panel.start, rows: told_apart, cols, is_ragged: panel.is_ragged }
    }

    /// The address of what is kept for a point.
    fn address<E: VectorEmitter<Word = W>>(&self, emission: &mut Emission<E>, point: &Point<W>) -> (W, i64) {
        let e = &mut emission.e;
        let mut address = self.start.unwrap_or_else(|| e.word(0));
        let mut offset = self.shape.kept_offset();
        let rows = self.rows.iter().map(|&(axis, first, step)| (axis, first, self.shape.kept_at(step, 0, 0)));
        let (columns, first) = self.cols;
        let along = (columns.along, first, self.shape.kept_at(0, 0, columns.each as i64));
        let within = (columns.along != columns.axis)
            .then(|| (columns.axis, Coord::fixed(0), self.shape.kept_at(0, 0, 1)));
        for (axis, first, bytes) in rows.chain([along]).chain(within) {
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

    pub(in crate::codegen) fn load<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        (fold, points): (&FoldPlan<'_>, &[Point<W>]),
    ) -> Vec<E::Value> {
        let types = fold.kept_types();
        let mut values = Vec::new();
        for point in points {
            let (address, offset) = self.address(emission, point);
            for (partial, &ty) in types.iter().enumerate() {
                let offset = offset + self.shape.kept_at(0, partial, 0);
                let (address, offset) = near(&mut emission.e, address, offset);
                values.push(emission.e.load(ty, self.active(fold, ty.lanes), address, offset, false));
            }
        }
        values
    }

    pub(in crate::codegen) fn store<E: VectorEmitter<Word = W>>(
        &self,
        emission: &mut Emission<E>,
        (fold, points): (&FoldPlan<'_>, &[Point<W>]),
        values: &[E::Value],
    ) {
        let types = fold.kept_types();
        let mut values = values.iter();
        for point in points {
            let (address, offset) = self.address(emission, point);
            for ((partial, &ty), &value) in types.iter().enumerate().zip(values.by_ref()) {
                let offset = offset + self.shape.kept_at(0, partial, 0);
                let (address, offset) = near(&mut emission.e, address, offset);
                emission.e.store(ty, self.active(fold, ty.lanes), value, address, offset);
            }
        }
    }
}
