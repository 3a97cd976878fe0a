//! How large panels are.

use super::{LINE, operand};
use crate::codegen::access::Side;
use crate::codegen::columns::Columns;
use crate::kernel::{Packed, Stage, StageSchedule, points};
use crate::types::DType;

/// Bytes of a panel of 128-bit vectors: half of a first-level cache of 32 KiB.
const PANEL_BYTES: usize = 16 << 10;
/// Bytes of a panel of wider vectors, whose tiles have so many rows that a vector comes from the second-level cache in the time
/// of its multiplications: what stays of that cache, of 512 KiB, beside the rows' operand.
const WIDE_PANEL_BYTES: usize = 320 << 10;
/// Blocks of columns that a panel has before it has more elements of the fold.
const BLOCKS: usize = 4;
/// Rows whose accumulators are kept between two parts of a fold.
pub(in crate::codegen) const KEPT_ROWS: usize = 256;

/// The sizes of the panel of the vector operand, and of what lies behind it: the accumulators that are kept, and the panel of
/// the broadcast operand.
#[derive(Clone, Copy, Debug)]
pub(in crate::codegen) struct PanelShape {
    pub(in crate::codegen) dtype: DType,
    /// The axes of the columns.
    pub(super) columns: Columns,
    /// Columns of a block.
    pub(super) cols: usize,
    /// Rows of a tile.
    pub(super) rows: usize,
    /// Tiles whose rows the broadcast operand's panel has; 0 if it has none.
    pub(super) tiles: usize,
    /// Blocks.
    pub(in crate::codegen) blocks: usize,
    /// Coordinates of the fold's outermost axis in a part.
    pub(in crate::codegen) part: usize,
    /// Elements of the fold for one coordinate of its outermost axis.
    inner: usize,
    /// Whether there are several parts.
    pub(in crate::codegen) parts: bool,
    /// Partial results of an accumulator.
    lanes: usize,
}

impl PanelShape {
    /// The panel of a stage that is scheduled to have one; `extents` are those of the stage's points.
    pub(in crate::codegen) fn new(
        stage: &Stage,
        schedule: &StageSchedule,
        extents: &[usize],
    ) -> Option<PanelShape> {
        let (&StageSchedule::Tile { row_axis, rows, cols, lanes, row_operand, pack, .. }, Some(fold)) =
            (schedule, &stage.fold)
        else {
            return None;
        };
        if pack == Packed::Neither {
            return None;
        }
        let operand = operand(fold, row_operand, Side::Columns)?;
        let dtype = fold.body.insts[operand].dtype;
        let tiles = match pack {
            Packed::Both => (LINE as usize / dtype.bytes()).min(extents[row_axis]).div_ceil(rows).max(1),
            _ => 0,
        };
        let extent = fold.axes.first().map_or(1, |e| e.most());
        let inner = points(fold.axes.iter().skip(1));
        let columns = Columns::new(stage, schedule, extents)?;
        let all_blocks = columns.count(extents).div_ceil(cols).max(1);
        let (bytes, least) = match lanes * dtype.bytes() > 16 {
            true => (WIDE_PANEL_BYTES, BLOCKS.min(all_blocks)),
            false => (PANEL_BYTES, 1),
        };
        // Coordinates of the fold's outermost axis, of so many blocks, that fit.
        let fit = |blocks: usize| {
            let coordinate = cols.saturating_mul(inner).saturating_mul(blocks).saturating_mul(dtype.bytes());
            bytes / coordinate.max(1)
        };
        let part = if fit(least.min(2)) >= extent {
            extent
        } else {
            // Parts of one axis must be whole rounds of the partial results.
            let unit = if fold.axes.len() > 1 { 1 } else { fold.lanes };
            let most = (fit(least) / unit * unit).max(unit);
            // Equal parts need code for one size only.
            let is_equal =
                |part: &usize| *part > 0 && part.is_multiple_of(unit) && extent.is_multiple_of(*part);
            (most / 2..=most).rev().find(is_equal).unwrap_or(most).min(extent)
        };
        // As many blocks as fit, and about as many in each panel.
        let most = if least > 1 { (fit(1) / part.max(1)).clamp(1, all_blocks) } else { 1 };
        let blocks = all_blocks.div_ceil(all_blocks.div_ceil(most));
        Some(PanelShape {
            dtype,
            columns,
            cols,
            rows,
            tiles,
            blocks,
            part,
            inner,
            parts: part < extent,
            lanes: fold.lanes,
        })
    }

    /// Columns of the panel.
    pub(in crate::codegen) fn all_cols(self) -> usize {
        self.cols * self.blocks
    }

    /// Rows of the panel of the broadcast operand.
    pub(super) fn all_rows(self) -> usize {
        self.rows * self.tiles
    }

    /// Elements of one column, or of one row, of a panel; `None` if they are more than memory has bytes.
    fn elements(self) -> Option<usize> {
        self.part
            .checked_mul(self.inner)
            .filter(|elements| elements.checked_mul(self.dtype.bytes()).is_some())
    }

    /// Bytes of one column of a block.
    pub(super) fn column_bytes(self) -> i64 {
        self.elements().map_or(0, |elements| (elements * self.dtype.bytes()) as i64)
    }

    /// Where the panel, the accumulators behind it and the other panel end; `None` if that is beyond memory.
    fn ends(self) -> Option<[usize; 3]> {
        let kept = match self.parts {
            true => self.all_cols().checked_mul(KEPT_ROWS)?.checked_mul(self.lanes)?,
            false => 0,
        };
        let elements = self.elements()?;
        let mut end = 0usize;
        let mut ends = [0; 3];
        let sizes = [elements.checked_mul(self.all_cols())?, kept, elements.checked_mul(self.all_rows())?];
        for (n, size) in sizes.into_iter().enumerate() {
            end = end.checked_add(size.checked_mul(self.dtype.bytes())?)?.checked_next_multiple_of(64)?;
            ends[n] = end;
        }
        Some(ends)
    }

    /// Bytes of everything; `None` if they are more than memory.
    pub(in crate::codegen) fn bytes(self) -> Option<usize> {
        self.ends().map(|ends| ends[2])
    }

    /// Bytes from the panel to the accumulators.
    pub(in crate::codegen) fn kept_offset(self) -> i64 {
        self.ends().map_or(0, |ends| ends[0] as i64)
    }

    /// Bytes from the panel to that of the broadcast operand.
    pub(super) fn rows_offset(self) -> i64 {
        self.ends().map_or(0, |ends| ends[1] as i64)
    }

    /// Bytes from the accumulators to the vector of partial results of a row that starts at a column.
    pub(in crate::codegen) fn kept_at(self, row: i64, partial: usize, col: i64) -> i64 {
        ((row * self.lanes as i64 + partial as i64) * self.all_cols() as i64 + col)
            * self.dtype.bytes() as i64
    }
}

/// How many blocks of columns the rows of a tile run on over, in a stage whose points have these extents: those of a panel,
/// or as many as stay in cache where nothing is packed and the operand lies in panels.
pub(crate) fn blocks_of_panels(stage: &Stage, schedule: &StageSchedule, extents: &[usize]) -> usize {
    if let Some(shape) = PanelShape::new(stage, schedule, extents) {
        return shape.blocks;
    }
    let (&StageSchedule::Tile { cols, row_operand, .. }, Some(fold)) = (schedule, &stage.fold) else {
        return 1;
    };
    let columns = Columns::new(stage, schedule, extents).filter(|columns| columns.axis != columns.along);
    let (Some(columns), Some(operand)) = (columns, operand(fold, row_operand, Side::Columns)) else {
        return 1;
    };
    let bytes = [cols, points(&fold.axes), fold.body.insts[operand].dtype.bytes()];
    let bytes = bytes.into_iter().fold(1, usize::saturating_mul).max(1);
    let all = columns.count(extents).div_ceil(cols).max(1);
    let most = (WIDE_PANEL_BYTES / bytes).clamp(1, all);
    all.div_ceil(all.div_ceil(most))
}
