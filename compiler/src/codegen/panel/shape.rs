//! How large panels are.

use super::{LINE, operand};
use crate::codegen::access::Side;
use crate::codegen::columns::Columns;
use crate::codegen::kept::KeptShape;
use crate::kernel::{Packed, Stage, StageSchedule, points};
use crate::types::DType;

/// Bytes of a panel of 128-bit vectors: half of a first-level cache of 32 KiB.
const PANEL_BYTES: usize = 16 << 10;
/// Bytes of a panel of vectors of 256 and of 512 bits, whose tiles have so many rows that a vector comes from the second-level
/// cache in the time of its multiplications: what stays of that cache, of 512 KiB and 1 MiB, beside the rows' operand.
const WIDE_PANEL_BYTES: [usize; 2] = [320 << 10, 640 << 10];
/// Bytes of the blocks of such a panel that several chunks run on over. With vectors of 256 bits, reading rows again for each chunk
/// costs less than what a longer panel leaves less of the cache to them.
const RUN_BYTES: [usize; 2] = [128 << 10, 640 << 10];
/// Blocks of columns that a panel has before it has more elements of the fold.
const BLOCKS: usize = 4;
/// Bytes of a panel of columns beside panels of rows, for vectors of 256 and of 512 bits: it comes from the cache that cores share, a
/// block at a time.
const FAR_PANEL_BYTES: [usize; 2] = [512 << 10, 2 << 20];
/// Bytes of one block of such a panel, which all tiles of a panel of rows read: of the first-level cache, or, where tiles have rows of
/// 512 bits and multiply so much for what they read of columns, of the second-level one of 1 MiB. Then few folds are run in parts.
const NEAR_BLOCK_BYTES: [usize; 2] = [48 << 10, 256 << 10];
/// Coordinates of the fold's outermost axis in a part where nothing is packed: the fewest, and the most. As many streams come from
/// memory at a time; with more rows there is more time for each, and accumulators are better loaded and stored less often.
const STREAMS: [usize; 2] = [16, 64];
/// Bytes of the accumulators that are kept then, which stay in the second-level cache.
const STREAMED_KEPT_BYTES: usize = 128 << 10;
/// Rows whose accumulators are kept between two parts of a fold, beside a panel in a near cache, and beside one in a far one.
const KEPT_ROWS: [usize; 2] = [256, 1024];
/// Bytes of the rows' operand that stay in the second-level cache, so that blocks of columns need not share what is read of it.
const NEAR_ROWS_BYTES: usize = 256 << 10;
/// Lines of the cache that a panel of rows has of each element of the fold, where it is no larger than [`ROW_PANEL_BYTES`]: the
/// fewer, the more pages are visited for the same bytes.
const ROW_LINES: usize = 4;
/// Bytes of a panel of rows of more than one line, for vectors of up to 256 and of 512 bits: it stays in the second-level cache.
const ROW_PANEL_BYTES: [usize; 2] = [128 << 10, 192 << 10];
/// Bytes from a column or row of a panel to the next one that are not used, so that blocks, whose columns are often a power of two
/// bytes, do not compete for the same lines of the cache.
const PAD: usize = 16;

/// The sizes of the panel of the vector operand, if there is one, and of what lies behind it: the accumulators that are kept, and
/// the panel of the broadcast operand.
#[derive(Clone, Copy, Debug)]
pub(in crate::codegen) struct PanelShape {
    pub(in crate::codegen) dtype: DType,
    /// The axes of the columns.
    pub(super) columns: Columns,
    /// Whether the vector operand is packed.
    pub(super) packs: bool,
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
    /// Rows whose accumulators are kept between two parts.
    pub(in crate::codegen) kept_rows: usize,
    /// Partial results of an accumulator.
    lanes: usize,
}

impl PanelShape {
    /// The sizes for a stage that is scheduled to have a panel, or to be run in parts without one; `extents` are those of the
    /// stage's points.
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
        let extent = fold.axes.first().map_or(1, |e| e.most());
        let inner = points(fold.axes.iter().skip(1));
        let columns = Columns::new(stage, schedule, extents)?;
        let all_blocks = columns.count(extents).div_ceil(cols).max(1);
        // Coordinates of the fold's outermost axis, of so many blocks, that fit so many bytes.
        let fit = |bytes: usize, blocks: usize| {
            let coordinate = cols.saturating_mul(inner).saturating_mul(blocks).saturating_mul(dtype.bytes());
            bytes / coordinate.max(1)
        };
        let vector = lanes * dtype.bytes();
        let is_wide = vector > 16;
        let wide = of_vectors(WIDE_PANEL_BYTES, vector);
        let least = BLOCKS.min(all_blocks);
        let kept_rows = match pack {
            // Whole tiles.
            Packed::Streamed => extents[row_axis].min(KEPT_ROWS[0]).next_multiple_of(rows),
            _ => KEPT_ROWS[usize::from(pack == Packed::Both)],
        };
        // What the panel may take, the coordinates for which the fold is in parts, and those of a part.
        let (bytes, whole, most) = match pack {
            Packed::Streamed => {
                let [fewest, most] = STREAMS;
                let streams = (2 * extents[row_axis].min(most)).clamp(fewest, most);
                (0, streams, streams)
            }
            Packed::Both if is_wide => {
                let near = fit(of_vectors(NEAR_BLOCK_BYTES, vector), 1);
                (of_vectors(FAR_PANEL_BYTES, vector), near, near / 2)
            }
            _ if is_wide => (wide, fit(wide, least.min(2)), fit(wide, least)),
            _ => (0, fit(PANEL_BYTES, 1), fit(PANEL_BYTES, 1)),
        };
        let part = if whole >= extent {
            extent
        } else {
            // Parts of one axis must be whole rounds of the partial results.
            let unit = if fold.axes.len() > 1 { 1 } else { fold.lanes };
            let most = (most / unit * unit).max(unit);
            // Equal parts need code for one size only.
            let is_equal =
                |part: &usize| *part > 0 && part.is_multiple_of(unit) && extent.is_multiple_of(*part);
            (most / 2..=most).rev().find(is_equal).unwrap_or(most).min(extent)
        };
        // As many blocks as fit, and about as many in each panel; one where each is stored from end to end, and no less than what
        // is read again of rows, which are near.
        let elements = points(&fold.axes);
        let is_stream = columns.along != columns.axis
            && pack == Packed::Vectors
            && elements <= columns.each * stage.stores.len()
            && extents[row_axis].saturating_mul(elements * dtype.bytes()) <= NEAR_ROWS_BYTES
            && stage.stores_one_behind_the_other(columns.along);
        let kept_row = cols.saturating_mul(fold.lanes).saturating_mul(dtype.bytes());
        let most = match pack {
            _ if is_stream => 1,
            // Panels are streams themselves.
            Packed::Streamed if columns.along != columns.axis => 1,
            Packed::Streamed => STREAMED_KEPT_BYTES / kept_row.saturating_mul(kept_rows).max(1),
            _ => fit(bytes, 1) / part.max(1),
        };
        let most = most.clamp(1, all_blocks);
        let blocks = all_blocks.div_ceil(all_blocks.div_ceil(most));
        let tiles = match pack {
            Packed::Both => {
                let line = LINE as usize / dtype.bytes();
                let bytes_of_lines = part.saturating_mul(inner).saturating_mul(LINE as usize).max(1);
                let lines = (of_vectors(ROW_PANEL_BYTES, vector) / bytes_of_lines).clamp(1, ROW_LINES);
                let most = (line * lines).min(extents[row_axis]).div_ceil(rows).max(1);
                // Whole lines, if tiles can have them.
                (1..=most).rev().find(|tiles| (tiles * rows).is_multiple_of(line)).unwrap_or(most)
            }
            _ => 0,
        };
        Some(PanelShape {
            dtype,
            columns,
            packs: pack != Packed::Streamed,
            cols,
            rows,
            tiles,
            blocks,
            part,
            inner,
            parts: part < extent,
            kept_rows,
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

    /// Bytes from a column of a block, or a row of a tile, to the next one; `None` if they are more than memory.
    fn pitch(self) -> Option<usize> {
        self.part.checked_mul(self.inner)?.checked_mul(self.dtype.bytes())?.checked_add(PAD)
    }

    /// See [`PanelShape::pitch`].
    pub(super) fn column_bytes(self) -> i64 {
        self.pitch().map_or(0, |bytes| bytes as i64)
    }

    /// What is kept between two parts, for [`kept_rows`](PanelShape::kept_rows).
    pub(in crate::codegen) fn kept(self) -> KeptShape {
        self.kept_behind(self.ends().map_or(0, |ends| ends[0]))
    }

    fn kept_behind(self, offset: usize) -> KeptShape {
        KeptShape { offset, cols: self.all_cols(), values: self.lanes, element: self.dtype.bytes() }
    }

    /// Where the panel, the accumulators behind it and the other panel end; `None` if that is beyond memory.
    fn ends(self) -> Option<[usize; 3]> {
        let pitch = self.pitch()?;
        let panel = if self.packs { pitch.checked_mul(self.all_cols())? } else { 0 };
        let kept = if self.parts { self.kept_behind(0).bytes(self.kept_rows)? } else { 0 };
        let mut end = 0usize;
        let mut ends = [0; 3];
        for (n, size) in [panel, kept, pitch.checked_mul(self.all_rows())?].into_iter().enumerate() {
            end = end.checked_add(size)?.checked_next_multiple_of(64)?;
            ends[n] = end;
        }
        Some(ends)
    }

    /// Bytes of everything; `None` if they are more than memory.
    pub(in crate::codegen) fn bytes(self) -> Option<usize> {
        self.ends().map(|ends| ends[2])
    }

    /// Bytes from the panel to that of the broadcast operand.
    pub(super) fn rows_offset(self) -> i64 {
        self.ends().map_or(0, |ends| ends[1] as i64)
    }
}

/// How many blocks of columns the rows of a tile run on over, in a stage whose points have these extents: those of a panel,
/// or as many as stay in cache where nothing is packed and the operand lies in panels.
pub(crate) fn blocks_of_panels(stage: &Stage, schedule: &StageSchedule, extents: &[usize]) -> usize {
    if let Some(shape) = PanelShape::new(stage, schedule, extents) {
        return shape.blocks;
    }
    let (&StageSchedule::Tile { cols, lanes, row_operand, .. }, Some(fold)) = (schedule, &stage.fold) else {
        return 1;
    };
    let columns = Columns::new(stage, schedule, extents).filter(|columns| columns.axis != columns.along);
    let (Some(columns), Some(operand)) = (columns, operand(fold, row_operand, Side::Columns)) else {
        return 1;
    };
    let element = fold.body.insts[operand].dtype.bytes();
    let bytes = [cols, points(&fold.axes), element].into_iter().fold(1, usize::saturating_mul).max(1);
    let all = columns.count(extents).div_ceil(cols).max(1);
    let most = (of_vectors(WIDE_PANEL_BYTES, lanes * element) / bytes).clamp(1, all);
    all.div_ceil(all.div_ceil(most))
}

/// How many blocks of columns of chunks that are run as one share what is read of rows. Where rows are packed or columns come in
/// streams these are those of a panel.
pub(in crate::codegen) fn blocks_of_runs(
    stage: &Stage,
    schedule: &StageSchedule,
    extents: &[usize],
) -> usize {
    let Some(shape) = PanelShape::new(stage, schedule, extents) else { return 1 };
    match *schedule {
        StageSchedule::Tile { lanes, pack: Packed::Vectors, .. } => {
            let block = shape.pitch().map_or(usize::MAX, |pitch| pitch.saturating_mul(shape.cols));
            let most = of_vectors(RUN_BYTES, lanes * shape.dtype.bytes()) / block;
            most.clamp(1, shape.blocks)
        }
        _ => shape.blocks,
    }
}

/// What there is for vectors of so many bytes: that for up to 256 bits, or for 512.
fn of_vectors(bytes: [usize; 2], vector: usize) -> usize {
    bytes[usize::from(vector > 32)]
}
