//! Columns that fill no panel.
//!
//! Where the columns of a variable in panels are no multiple of a panel's width, some are left over. To kernels such a variable
//! is two: the columns of its panels, and its *rest* ([`rest_of`] numbers it), the few other columns, which lie one after the
//! other ([`rest_shape`]) so that what runs along a column has vectors. Whatever runs along all columns runs along the first
//! ones and then along the rest: two kernels for an axis of a kernel, two stages for one of a stage; and of a fold the second
//! stage, which combines its result with that of the first and ends as the whole did, or, of very few columns, what comes after
//! the fold, which adds these first.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::layout::{PANEL, rest_shape};
use super::panels::{accesses, each_access, each_access_of, names, row_of};
use super::rows::copy;
use crate::fuse::splice::{splice, store_roots};
use crate::kernel::{
    Access, Affine, Axis, BinaryOp, BodyBuilder, Buffer, BufferId, BufferKind, Extent, Fold, FoldKind,
    FoldOp, InstKind, Kernel, KernelFunction, Part, ScalarId, Stage, Store, fixed, lanes_of_products, most,
};
use crate::tensor::{Scalar, Tensor};

/// Columns of a rest that a fold over them leaves to what comes after it.
const WRITTEN_OUT: usize = 3;

/// The number under which kernels know the rest of the n-th of so many variables.
pub fn rest_of(variable: usize, variables: usize) -> usize {
    variables + variable
}

/// Buffers whose columns were split.
type Rests = HashMap<BufferId, Rest>;

/// How the columns of a buffer were split.
struct Rest {
    /// The extents of the buffer's axes, with the columns of whole panels.
    whole: Vec<usize>,
    /// The buffer of the others.
    buffer: BufferId,
}

impl Rest {
    /// Columns of whole panels.
    fn first(&self) -> usize {
        self.whole.last().copied().unwrap_or(0)
    }
}

/// Makes two of each of the buffers that are to be `stored` in panels, of a function with so many variables, whose columns fill
/// none in the end. Where that cannot be, kernels work on a copy of a variable, or `may_stay` of the buffer and it is not stored so.
pub(super) fn split_off(
    f: &mut KernelFunction,
    stored: &mut HashSet<BufferId>,
    variables: usize,
    may_stay: &HashSet<BufferId>,
) {
    let columns = |f: &KernelFunction, id: BufferId| f.buffers[id].shape.last().map_or(0, |n| n.most());
    let ragged = |f: &KernelFunction, id: BufferId| !columns(f, id).is_multiple_of(PANEL);
    let chosen: HashSet<BufferId> = stored.iter().copied().filter(|&id| ragged(f, id)).collect();
    if chosen.is_empty() {
        return;
    }
    for misfit in misfits(f, &chosen) {
        stored.remove(&misfit);
        if !may_stay.contains(&misfit) {
            stored.insert(copy(f, misfit, None));
        }
    }
    let mut split: Vec<BufferId> = stored.iter().copied().filter(|&id| ragged(f, id)).collect();
    split.sort_unstable();
    let mut rests = Rests::new();
    for of in split {
        let (whole, rest) = halves(f, of, variables);
        f.buffers[of].kind = whole;
        let buffer = f.buffers.push(rest);
        for name in names(f, &HashSet::from([of])) {
            let shape = &mut f.buffers[name].shape;
            if let Some(extent) = shape.last_mut() {
                *extent = (extent.most() / PANEL * PANEL).into();
            }
            rests.insert(name, Rest { whole: most(shape), buffer });
        }
    }
    for kernel in std::mem::take(&mut f.kernels) {
        cut(f, kernel, &rests);
    }
}

/// What a buffer is without the columns that fill no panel, and the buffer of these.
fn halves(f: &KernelFunction, id: BufferId, variables: usize) -> (BufferKind, Buffer) {
    let buffer = &f.buffers[id];
    let shape = rest_shape(&most(&buffer.shape)).unwrap_or_default();
    let (whole, rest) = match &buffer.kind {
        kind @ BufferKind::Variable(v) => (kind.clone(), BufferKind::Variable(rest_of(*v, variables))),
        kind @ BufferKind::Next(v) => (kind.clone(), BufferKind::Next(rest_of(*v, variables))),
        BufferKind::Constant(tensor) => {
            let (whole, rest) = halves_of_tensor(tensor, &shape);
            (BufferKind::Constant(whole), BufferKind::Constant(rest))
        }
        other => (other.clone(), other.clone()),
    };
    (whole, Buffer { shape: fixed(&shape), kind: rest, ..buffer.clone() })
}

/// The columns of a tensor that fill panels, by rows, and the others, one after the other.
fn halves_of_tensor(tensor: &Tensor, rest: &[usize]) -> (Tensor, Tensor) {
    let mut whole = tensor.shape().to_vec();
    let columns = whole.last().copied().unwrap_or(0);
    let first = columns - rest[0];
    whole.pop();
    whole.push(first);
    let elements: Vec<Scalar> = tensor.scalars().collect();
    let rows = || elements.chunks(columns.max(1));
    let of_whole = rows().flat_map(|row| row[..first].iter().copied());
    let of_rest = (first..columns).flat_map(|column| rows().map(move |row| row[column]));
    let of = |shape: &[usize], elements| Tensor::from_scalars(tensor.dtype(), shape, elements);
    (of(&whole, of_whole.collect::<Vec<_>>()), of(rest, of_rest.collect()))
}

/// The buffers of which some access runs along columns of both sides and cannot be cut, in order.
fn misfits(f: &KernelFunction, chosen: &HashSet<BufferId>) -> Vec<BufferId> {
    let columns = |id: BufferId| f.buffers[id].shape.last().copied();
    let of_names = names(f, chosen);
    let mut misfits: HashSet<BufferId> = of_names
        .iter()
        .map(|&id| (id, f.storage(id)))
        .filter(|&(id, of)| columns(id) != columns(of))
        .map(|(_, of)| of)
        .collect();
    for kernel in &f.kernels {
        for stage in &kernel.stages {
            let extents = kernel.axes_of(stage);
            for (buffer, index, is_plain) in accesses(stage).filter(|(buffer, ..)| of_names.contains(buffer))
            {
                let all = columns(buffer).map_or(0, |extent| extent.most());
                let fits = is_plain
                    && index.last().is_some_and(|column| match side(column, &extents, all / PANEL * PANEL) {
                        Some(_) => true,
                        None => column.as_axis().is_some_and(|axis| {
                            extents[axis] == all
                                && (axis < kernel.axes_of_points(stage).len() || is_combined(stage))
                        }),
                    });
                if !fits {
                    misfits.insert(f.storage(buffer));
                }
            }
        }
    }
    let mut misfits: Vec<BufferId> = misfits.into_iter().collect();
    misfits.sort_unstable();
    misfits
}

/// On which side all columns are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Whole,
    Rest,
}

fn side(column: &Affine, extents: &[Extent], whole: usize) -> Option<Side> {
    let (low, high) = column.range(&most(extents)).unwrap_or((0, 0));
    match whole as i64 {
        whole if high < whole => Some(Side::Whole),
        whole if low >= whole => Some(Side::Rest),
        _ => None,
    }
}

/// How the results of two parts of a fold are combined.
fn combination(op: FoldOp) -> Option<BinaryOp> {
    match op {
        FoldOp::Sum(_) | FoldOp::Dot(..) => Some(BinaryOp::Add),
        FoldOp::Prod(_) => Some(BinaryOp::Mul),
        FoldOp::Max(_) => Some(BinaryOp::Max),
        FoldOp::Min(_) => Some(BinaryOp::Min),
        FoldOp::ArgMax(_) | FoldOp::ArgMin(_) => None,
    }
}

/// Whether a fold may be two, whose results are combined.
fn is_combined(stage: &Stage) -> bool {
    stage.fold.as_ref().is_some_and(|Fold { kind, accumulators, .. }| {
        let combines = accumulators.iter().all(|a| a.dtype.is_float() && combination(a.op).is_some());
        *kind == FoldKind::Reduce && combines
    })
}

/// Appends a kernel to the function's, as many as it takes for each access to be of one side.
fn cut(f: &mut KernelFunction, mut kernel: Kernel, rests: &Rests) {
    let wanted = kernel.stages.iter().enumerate().find_map(|(n, stage)| {
        let extents = kernel.axes_of(stage);
        accesses(stage).find_map(|(buffer, index, _)| {
            let whole = rests.get(&buffer)?.first();
            let column = index.last()?;
            match side(column, &extents, whole) {
                Some(_) => None,
                None => Some((n, column.as_axis()?, whole)),
            }
        })
    });
    let Some((n, axis, whole)) = wanted else {
        choose_sides(&mut kernel, rests);
        let is_rest = |buffer: BufferId| rests.values().any(|rest| rest.buffer == buffer);
        if kernel.stages.iter().flat_map(accesses).any(|(buffer, ..)| is_rest(buffer)) {
            kernel.merge_axes();
            group_sums(f, &mut kernel, is_rest);
        }
        return f.kernels.push(kernel);
    };
    let (axes, position) = kernel.list_of(n, axis);
    let parts = [whole, axes[position].most() - whole];
    if axis < kernel.axes.len() {
        for (first, extent) in [0, whole].into_iter().zip(parts) {
            let part = part_of_kernel(f, &kernel, axis, first, extent);
            cut(f, part, rests);
        }
        return;
    }
    let points = kernel.axes_of_points(&kernel.stages[n]);
    if axis >= points.len() && axes_of_fold(&kernel.stages[n]) == 1 && parts[1] <= WRITTEN_OUT {
        let (axes, position) = kernel.list_of(n, axis);
        axes[position] = whole.into();
        write_out(&mut kernel.stages[n], axis, whole..whole + parts[1]);
        return cut(f, kernel, rests);
    }
    let mut second = kernel.stages[n].clone();
    second.move_axes(&from(axis, whole));
    kernel.stages.insert(n + 1, second);
    for (stage, extent) in [n, n + 1].into_iter().zip(parts) {
        let (axes, position) = kernel.list_of(stage, axis);
        axes[position] = extent.into();
    }
    if axis >= points.len() {
        combine(f, &mut kernel, n, &points);
    }
    cut(f, kernel, rests);
}

fn axes_of_fold(stage: &Stage) -> usize {
    stage.fold.as_ref().map_or(0, |fold| fold.axes.len())
}

/// Lets the body of a stage add some elements of the axis of its fold, which is left without them.
fn write_out(stage: &mut Stage, axis: Axis, elements: Range<usize>) {
    let Some(fold) = &stage.fold else { return };
    let b = BodyBuilder::new();
    let mut results: Vec<ScalarId> =
        fold.accumulators.iter().enumerate().map(|(n, a)| b.acc(n, false, a.dtype)).collect();
    for element in elements {
        let here = |other| if other == axis { Affine::constant(element as i64) } else { Affine::axis(other) };
        let values = splice(&b, &fold.body, fold.body.insts.keys(), &here, &mut |_, _| None);
        for (result, accumulator) in results.iter_mut().zip(&fold.accumulators) {
            *result = match accumulator.op {
                FoldOp::Dot(x, y) => b.fma(values[&x], values[&y], *result),
                FoldOp::Sum(x) | FoldOp::Prod(x) | FoldOp::Max(x) | FoldOp::Min(x) => {
                    combination(accumulator.op).map_or(*result, |op| b.binary(op, *result, values[&x]))
                }
                FoldOp::ArgMax(_) | FoldOp::ArgMin(_) => *result,
            };
        }
    }
    let values = splice(&b, &stage.body, stage.body.insts.keys(), &Affine::axis, &mut |_, inst| {
        let InstKind::Acc { index, .. } = inst.kind else { return None };
        Some(results[index])
    });
    stage.body = b.finish();
    for root in store_roots(&mut stage.stores) {
        *root = values[root];
    }
}

/// The coordinates of an axis from the `first` on.
fn from(axis: Axis, first: usize) -> impl Fn(Axis) -> Affine {
    move |other| Affine::axis(other).plus_constant(if other == axis { first as i64 } else { 0 })
}

/// A kernel for so many coordinates of one of its axes, with local buffers of its own.
fn part_of_kernel(
    f: &mut KernelFunction,
    kernel: &Kernel,
    axis: Axis,
    first: usize,
    extent: usize,
) -> Kernel {
    let mut part = kernel.clone();
    let is_rest = first > 0;
    while is_rest && (part.name == kernel.name || f.kernels.iter().any(|k| k.name == part.name)) {
        part.name.push_str("_rest");
    }
    part.axes[axis] = extent.into();
    part.stages.iter_mut().for_each(|stage| stage.move_axes(&from(axis, first)));
    let mut own: HashMap<BufferId, BufferId> = HashMap::new();
    let back = |other| Affine::axis(other).plus_constant(if other == axis { -(first as i64) } else { 0 });
    each_access(&mut part, &mut |buffer, index| {
        if f.buffers[*buffer].kind == BufferKind::Local {
            index.iter_mut().for_each(|expr| *expr = expr.substitute(&back));
            *buffer = *own.entry(*buffer).or_insert_with(|| f.buffers.push(f.buffers[*buffer].clone()));
        }
    });
    // What runs along the axis alone is as long as it.
    let mut runs_along: HashMap<BufferId, Vec<bool>> = HashMap::new();
    each_access(&mut part, &mut |buffer, index| {
        let along = runs_along.entry(*buffer).or_insert_with(|| vec![true; index.len()]);
        along.iter_mut().zip(index).for_each(|(along, expr)| *along &= expr.as_axis() == Some(axis));
    });
    for local in own.into_values() {
        let shape = f.buffers[local].shape.iter_mut().zip(&runs_along[&local]);
        shape.filter(|(_, along)| **along).for_each(|(length, _)| *length = extent.into());
    }
    part
}

/// Lets a stage, which is the first part of one whose fold was cut, keep its results for each of the `points`, and the next one, the
/// second part, combine its own with them.
fn combine(f: &mut KernelFunction, kernel: &mut Kernel, stage: usize, points: &[Extent]) {
    let [first, second] = &mut kernel.stages[stage..stage + 2] else { return };
    let Some(fold) = &first.fold else { return };
    // Results lie in the order in which what comes of them is stored, so that both stages run alike.
    let stored = second.stores.iter().flat_map(|store| &store.index).flat_map(Affine::terms);
    let stored: Vec<Axis> = stored.map(|&(axis, _)| axis).collect();
    let mut axes: Vec<Axis> = (0..points.len()).collect();
    axes.sort_by_key(|axis| stored.iter().position(|other| other == axis));
    let index: Vec<Affine> = axes.iter().map(|&axis| Affine::axis(axis)).collect();
    let shape: Vec<Extent> = axes.iter().map(|&axis| points[axis]).collect();
    let name = kernel.origin.first().cloned().unwrap_or_default();
    let b = BodyBuilder::new();
    first.stores.clear();
    let mut kept = Vec::new();
    for (n, accumulator) in fold.accumulators.iter().enumerate() {
        let dtype = accumulator.dtype;
        let buffer =
            Buffer { name: name.clone(), dtype, shape: shape.clone(), pitch: None, kind: BufferKind::Local };
        let buffer = f.buffers.push(buffer);
        let value = b.acc(n, false, dtype);
        first.stores.push(Store { value, buffer, index: index.clone(), indirect: None, add: false });
        let access = Access {
            buffer,
            index: index.clone(),
            indirect: None,
            guards: vec![],
            fill: Scalar::zero(dtype),
        };
        kept.push((combination(accumulator.op), access));
    }
    first.body = b.finish();
    let b = BodyBuilder::new();
    let values = splice(&b, &second.body, second.body.insts.keys(), &Affine::axis, &mut |b, inst| {
        let InstKind::Acc { index, .. } = inst.kind else { return None };
        let (op, access) = &kept[index];
        let before = b.load(access.clone(), inst.dtype);
        Some(b.binary((*op)?, before, b.inst(inst.kind.clone(), inst.dtype)))
    });
    second.body = b.finish();
    for root in store_roots(&mut second.stores) {
        *root = values[root];
    }
}

/// Lets accesses of columns behind the whole panels be of the rest.
fn choose_sides(kernel: &mut Kernel, rests: &Rests) {
    let extents: Vec<Vec<Extent>> = kernel.stages.iter().map(|stage| kernel.axes_of(stage)).collect();
    for (stage, extents) in kernel.stages.iter_mut().zip(extents) {
        each_access_of(stage, &mut |buffer, index| {
            let Some((rest, (column, outer))) = rests.get(buffer).zip(index.split_last()) else { return };
            if side(column, &extents, rest.first()) == Some(Side::Rest) {
                *index = vec![
                    column.plus_constant(-(rest.first() as i64)),
                    row_of(outer, &rest.whole[..outer.len()]),
                ];
                *buffer = rest.buffer;
            }
        });
    }
}

/// Gives the products of a rest, which are few columns, partial results where that pays, as when kernels are lowered.
fn group_sums(f: &KernelFunction, kernel: &mut Kernel, is_rest: impl Fn(BufferId) -> bool) {
    let of_points: Vec<Vec<Extent>> =
        kernel.stages.iter().map(|stage| kernel.axes_of_points(stage).to_vec()).collect();
    for (stage, points) in kernel.stages.iter_mut().zip(of_points) {
        let loads: Vec<Access> =
            stage.loads().filter(|(part, _)| *part == Part::Fold).map(|(_, access)| access.clone()).collect();
        let Some(fold) = &mut stage.fold else { continue };
        let sums_products = fold.kind == FoldKind::Reduce
            && fold.accumulators.iter().all(|a| matches!(a.op, FoldOp::Dot(..)))
            && loads.iter().all(|access| access.indirect.is_none())
            && loads.iter().any(|access| is_rest(access.buffer));
        if sums_products {
            let operands =
                loads.iter().map(|access| (&f.buffers[access.buffer].shape[..], &access.index[..]));
            fold.lanes = fold.lanes.max(lanes_of_products(&points, &fold.axes, operands));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{VARIABLES, axes_of, in_panels_of, with_local};
    use super::*;
    use crate::types::DType;

    /// The function with all of its variables in panels, which gives the same values as before: sums of these are exact in any
    /// order.
    fn split(text: &str) -> KernelFunction {
        in_panels_of(text, |n| (n * 7919 % 23) as f32 - 11.0)
    }

    fn product(columns: usize) -> String {
        format!(
            r#"
  buffer buf0 "x" : f32[5,7] param 0
  buffer buf1 "w" : f32[7,{columns}] variable 0
  buffer buf2 "y" : f32[5,{columns}] result 0
  kernel k0 (i0 < 5, i1 < {columns}) {{
    stage {{
      fold reduce (i2 < 7) {{
        s0 = load buf0[i0, i2] : f32
        s1 = load buf1[i2, i1] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      store s0, buf2[i0, i1]
    }}
  }}"#
        )
    }

    #[test]
    fn the_rest_of_the_columns_has_a_kernel_of_its_own() {
        for columns in [33, 40, 47, 17] {
            let f = split(&product(columns));
            let panels = if columns < 2 * PANEL { vec![5, PANEL] } else { vec![5, columns / PANEL, PANEL] };
            assert_eq!(axes_of(&f), [panels, vec![5, columns % PANEL]][..], "{f}");
            let rest = f.buffers.values().find(|b| b.kind == BufferKind::Variable(VARIABLES)).unwrap();
            assert_eq!(most(&rest.shape), [columns % PANEL, 7]);
            assert_eq!(f.kernels[1].name, "k0_rest");
        }
        assert_eq!(split(&product(48)).kernels.len(), 1);
    }

    /// A fold over the columns of a variable, in so many partial results.
    fn fold_over(columns: usize, lanes: usize, op: &str) -> KernelFunction {
        split(&format!(
            r#"
  buffer buf0 "d" : f32[5,{columns}] param 0
  buffer buf1 "w" : f32[7,{columns}] variable 0
  buffer buf2 "y" : f32[7,5] result 0
  kernel k0 (i0 < 5) {{
    stage (i1 < 7) {{
      fold reduce lanes {lanes} (i2 < {columns}) {{
        s0 = load buf0[i0, i2] : f32
        s1 = load buf1[i1, i2] : f32
        acc0 = {op} : f32
      }}
      s0 = const 2.0 : f32
      s1 = acc0 : f32
      s2 = mul s0, s1 : f32
      store s2, buf2[i1, i0]
    }}
  }}"#
        ))
    }

    /// The extents of the folds of a function of one kernel.
    fn folds(f: &KernelFunction) -> Vec<Vec<usize>> {
        let [kernel] = f.kernels.as_slice() else { panic!("{f}") };
        kernel.stages.iter().map(|stage| most(&stage.fold.as_ref().unwrap().axes)).collect()
    }

    #[test]
    fn what_is_folded_over_columns_is_combined() {
        for (lanes, op) in
            [(1, "dot s0, s1"), (16, "dot s0, s1"), (1, "max s1"), (4, "min s1"), (1, "sum s1")]
        {
            let f = fold_over(37, lanes, op);
            assert_eq!(folds(&f), [vec![2, 16], vec![5]], "{f}");
            let kept = f.buffers.values().find(|b| b.kind == BufferKind::Local).unwrap();
            assert_eq!(most(&kept.shape), [7, 5], "in the order of what is stored");
        }
    }

    #[test]
    fn a_few_columns_are_added_behind_a_fold() {
        for (columns, lanes, op) in [
            (33, 1, "dot s0, s1"),
            (34, 4, "dot s0, s1"),
            (34, 1, "max s1"),
            (35, 1, "sum s0"),
            (35, 1, "prod s1"),
        ] {
            let f = fold_over(columns, lanes, op);
            assert_eq!(folds(&f), [[2, 16]], "{f}");
        }
    }

    #[test]
    fn sums_of_a_few_columns_have_partial_results() {
        for (columns, rows, lanes) in [(33, 64, 16), (35, 64, 16), (40, 64, 1), (33, 16, 4)] {
            let text = product(columns)
                .replace("[5,7]", &format!("[5,{rows}]"))
                .replace("i2 < 7", &format!("i2 < {rows}"));
            let f = split(&text.replace("f32[7,", &format!("f32[{rows},")));
            let found = f.kernels.iter().map(|kernel| kernel.stages[0].fold.as_ref().unwrap().lanes);
            assert_eq!(found.collect::<Vec<_>>(), [1, lanes], "{f}");
        }
    }

    #[test]
    fn what_cannot_be_combined_is_of_a_copy() {
        for (fold, dtype) in [
            ("fold reduce (i1 < 37) {\nA\nacc0 = argmax s0 : i32\n}", "i32"),
            ("fold scan (i1 < 37) {\nA\nacc0 = sum s0 : f32\n}", "f32"),
        ] {
            let scans = fold.contains("scan");
            let f = split(&format!(
                "buffer buf0 \"w\" : f32[7,37] variable 0
                 buffer buf1 \"y\" : {dtype}[7{}] result 0
                 kernel k0 (i0 < 7) {{ stage {{ {} s0 = acc0 : {dtype}\nstore s0, buf1[i0{}] }} }}",
                if scans { ",37" } else { "" },
                fold.replace('A', "s0 = load buf0[i0, i1] : f32"),
                if scans { ", i1" } else { "" },
            ));
            // Two that copy, and the kernel.
            assert_eq!(f.kernels.len(), 3, "{f}");
        }
    }

    #[test]
    fn axes_of_stages_are_cut_within_the_kernel() {
        let f = split(
            r#"
  buffer buf0 "w" : f32[7,37] variable 0
  buffer buf1 "w" : f32[7,37] next 0
  buffer buf2 "s" : f32[7] result 0
  kernel k0 (i0 < 7) {
    stage {
      fold reduce (i1 < 37) {
        s0 = load buf0[i0, i1] : f32
        acc0 = sum s0 : f32
      }
      s0 = acc0 : f32
      store s0, buf2[i0]
    }
    stage (i1 < 37) {
      s0 = load buf0[i0, i1] : f32
      s1 = load buf2[i0] : f32
      s2 = add s0, s1 : f32
      store s2, buf1[i0, i1]
    }
  }"#,
        );
        let [kernel] = f.kernels.as_slice() else { panic!("{f}") };
        let own: Vec<Vec<usize>> = kernel.stages.iter().map(|stage| most(&stage.axes)).collect();
        assert_eq!(own, [vec![], vec![], vec![2, 16], vec![5]], "{f}");
    }

    #[test]
    fn parts_keep_what_is_local_for_themselves() {
        let f = split(&with_local(37));
        assert_eq!(axes_of(&f), [vec![2, 16], vec![5]]);
        let local = |kernel: &Kernel| {
            let store = kernel.stages.iter().flat_map(|stage| &stage.stores);
            let buffer = store.map(|store| store.buffer).find(|&b| f.buffers[b].kind == BufferKind::Local);
            most(&f.buffers[buffer.unwrap()].shape)
        };
        assert_eq!(local(&f.kernels[0]), [2, 16, 9]);
        assert_eq!(local(&f.kernels[1]), [5, 9]);
    }

    #[test]
    fn both_axes_of_a_square_are_cut() {
        let f = split(
            r#"
  buffer buf0 "w" : f32[20,20] variable 0
  buffer buf1 "y" : f32[20,20] result 0
  kernel k0 (i0 < 20, i1 < 20) {
    stage {
      s0 = load buf0[i0, i1] : f32
      s1 = load buf0[i1, i0] : f32
      s2 = add s0, s1 : f32
      store s2, buf1[i0, i1]
    }
  }"#,
        );
        let mut names: Vec<&str> = f.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 4, "{f}");
    }

    #[test]
    fn other_views_are_of_a_copy() {
        for (view, axes, index, copied) in [
            ("f32[4,37]", "i0 < 4, i1 < 37", "i0, i1", false),
            ("f32[148]", "i0 < 148", "i0", true),
            ("f32[2,2,37]", "i0 < 2, i1 < 2, i2 < 37", "i0, i1, i2", false),
            ("f32[4,37]", "i0 < 4, i1 < 32", "i0, i1", false),
            ("f32[4,37]", "i0 < 4, i1 < 5", "i0, i1 + 32", false),
            ("f32[4,37]", "i0 < 4, i1 < 2", "i0, 2*i1 + 33", false),
            ("f32[4,37]", "i0 < 4, i1 < 6", "i0, i1 + 31", true),
            ("f32[4,37]", "i0 < 4, i1 < 37", "i0, -i1 + 36", true),
            ("f32[4,37]", "i0 < 4, i1 < 19", "i0, 2*i1", true),
        ] {
            let extents =
                axes.split(", ").map(|axis| axis.split(' ').next_back().unwrap()).collect::<Vec<_>>();
            let own = (0..extents.len()).map(|n| format!("i{n}")).collect::<Vec<_>>().join(", ");
            let f = split(&format!(
                r#"
  buffer buf0 "w" : f32[4,37] variable 0
  buffer buf1 "v" : {view} alias buf0
  buffer buf2 "y" : f32[{}] result 0
  kernel k0 ({axes}) {{
    stage {{
      s0 = load buf1[{index}] : f32
      store s0, buf2[{own}]
    }}
  }}"#,
                extents.join(",")
            ));
            let copies = f.kernels.iter().filter(|kernel| kernel.name.starts_with("copy")).count();
            assert_eq!(copies, if copied { 2 } else { 0 }, "{view} [{index}]\n{f}");
        }
    }

    #[test]
    fn constants_that_are_multiplied_with_are_split_too() {
        let values: Vec<String> = (0..16 * 34).map(|n| format!("{}", n as f32 - 99.5)).collect();
        let text = product(34)
            .replace("variable 0", &format!("constant [{}]", values.join(", ")))
            .replace("[7,34]", "[16,34]")
            .replace("i2 < 7", "i2 < 16")
            .replace("[5,7]", "[5,16]");
        let f = split(&text);
        assert_eq!(axes_of(&f), [vec![5, 2, 16], vec![5, 2]]);
        let constants = f.buffers.values().filter(|b| matches!(b.kind, BufferKind::Constant(_)));
        assert_eq!(constants.map(|b| most(&b.shape)).collect::<Vec<_>>(), [[2, 256], [2, 16]]);
        // What reads it otherwise is no worse off than before.
        let f = split(&text.replace("      store", "      s1 = load buf1[0, i1] : f32\n      store"));
        assert_eq!(axes_of(&f), [[5, 34]]);
    }

    #[test]
    fn elements_are_read_where_they_are() {
        let columns = PANEL + 2;
        let tensor = Tensor::from_vec(&[2, columns], (0..2 * columns).map(|n| n as f32).collect());
        let (whole, rest) = halves_of_tensor(&tensor, &[2, 2]);
        assert_eq!((whole.dtype(), whole.shape()), (DType::F32, &[2, PANEL][..]));
        let elements = (0..PANEL).chain(columns..columns + PANEL).map(|n| Scalar::F32(n as f32));
        assert!(whole.scalars().eq(elements));
        assert_eq!((rest.dtype(), rest.shape()), (DType::F32, &[2, 2][..]));
        assert_eq!(rest.scalars().collect::<Vec<_>>(), [16.0, 34.0, 17.0, 35.0].map(Scalar::F32));
    }
}
