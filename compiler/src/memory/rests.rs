//! Columns that fill no panel.
//!
//! Where the columns of a variable in panels are no multiple of a panel's width, its last panel is not full. To kernels such a
//! variable is two: the columns of its whole panels, and its *rest*, a few columns by rows that are as far apart as those of a
//! panel ([`rest_of`] numbers it). Whatever runs along all columns runs along the first ones and then along the rest: two
//! kernels for an axis of a kernel, two stages for one of a stage; and of a fold the second stage, which combines its result
//! with that of the first and ends as the whole did.

use std::collections::{HashMap, HashSet};

use super::layout::PANEL;
use super::panels::{accesses, each_access, each_access_of, names};
use super::rows::copy;
use crate::fuse::splice::{splice, store_roots};
use crate::kernel::{
    Access, Affine, Axis, BinaryOp, BodyBuilder, Buffer, BufferId, BufferKind, Extent, Fold, FoldKind,
    FoldOp, InstKind, Kernel, KernelFunction, Stage, Store, most,
};
use crate::tensor::{Scalar, Tensor};

/// The number under which kernels know the rest of the n-th of so many variables.
pub fn rest_of(variable: usize, variables: usize) -> usize {
    variables + variable
}

/// Buffers whose columns were split, with the number of those that stay and the buffer of the others.
type Rests = HashMap<BufferId, (usize, BufferId)>;

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
    let mut split: Vec<BufferId> =
        names(f, stored).into_iter().filter(|&id| ragged(f, f.storage(id))).collect();
    // Those that aliases stand for come first.
    split.sort_unstable();
    let mut rests = Rests::new();
    for id in split {
        let all = columns(f, id);
        let whole = all / PANEL * PANEL;
        let rest = rest(f, id, whole, variables, &rests);
        rests.insert(id, (whole, f.buffers.push(rest)));
        if let Some(extent) = f.buffers[id].shape.last_mut() {
            *extent = whole.into();
        }
        if let BufferKind::Constant(tensor) = &mut f.buffers[id].kind {
            *tensor = columns_of(tensor, 0, whole);
        }
    }
    for kernel in std::mem::take(&mut f.kernels) {
        cut(f, kernel, &rests);
    }
}

/// The buffer for the columns of another one from the `first` on.
fn rest(f: &KernelFunction, id: BufferId, first: usize, variables: usize, rests: &Rests) -> Buffer {
    let buffer = &f.buffers[id];
    let mut shape = buffer.shape.clone();
    if let Some(extent) = shape.last_mut() {
        *extent = (extent.most() - first).into();
    }
    let kind = match &buffer.kind {
        BufferKind::Variable(v) => BufferKind::Variable(rest_of(*v, variables)),
        BufferKind::Next(v) => BufferKind::Next(rest_of(*v, variables)),
        BufferKind::Alias(of) => BufferKind::Alias(rests[of].1),
        BufferKind::Constant(tensor) => {
            BufferKind::Constant(columns_of(tensor, first, tensor_columns(tensor)))
        }
        other => other.clone(),
    };
    Buffer { shape, kind, pitch: Some(PANEL), ..buffer.clone() }
}

fn tensor_columns(tensor: &Tensor) -> usize {
    tensor.shape().last().copied().unwrap_or(0)
}

/// Columns `first..end` of a tensor.
fn columns_of(tensor: &Tensor, first: usize, end: usize) -> Tensor {
    let columns = tensor_columns(tensor);
    let mut shape = tensor.shape().to_vec();
    if let Some(extent) = shape.last_mut() {
        *extent = end - first;
    }
    let elements = tensor.scalars().enumerate().filter(|(n, _)| (first..end).contains(&(n % columns)));
    Tensor::from_scalars(tensor.dtype(), &shape, elements.map(|(_, element)| element))
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
            let &(whole, _) = rests.get(&buffer)?;
            let column = index.last()?;
            match side(column, &extents, whole) {
                Some(_) => None,
                None => Some((n, column.as_axis()?, whole)),
            }
        })
    });
    let Some((n, axis, whole)) = wanted else {
        choose_sides(&mut kernel, rests);
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
            let Some((&(whole, rest), column)) = rests.get(buffer).zip(index.last_mut()) else { return };
            if side(column, &extents, whole) == Some(Side::Rest) {
                *column = column.plus_constant(-(whole as i64));
                *buffer = rest;
            }
        });
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
            assert_eq!((most(&rest.shape), rest.pitch), (vec![7, columns % PANEL], Some(PANEL)));
            assert_eq!(f.kernels[1].name, "k0_rest");
        }
        assert_eq!(split(&product(48)).kernels.len(), 1);
    }

    #[test]
    fn what_is_folded_over_columns_is_combined() {
        for (lanes, op) in
            [(1, "dot s0, s1"), (16, "dot s0, s1"), (1, "max s1"), (4, "min s1"), (1, "sum s1")]
        {
            let f = split(&format!(
                r#"
  buffer buf0 "d" : f32[5,37] param 0
  buffer buf1 "w" : f32[7,37] variable 0
  buffer buf2 "y" : f32[7,5] result 0
  kernel k0 (i0 < 5) {{
    stage (i1 < 7) {{
      fold reduce lanes {lanes} (i2 < 37) {{
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
            ));
            let [kernel] = f.kernels.as_slice() else { panic!("{f}") };
            let folds = kernel.stages.iter().map(|stage| most(&stage.fold.as_ref().unwrap().axes));
            assert_eq!(folds.collect::<Vec<_>>(), [vec![2, 16], vec![5]], "{f}");
            let kept = f.buffers.values().find(|b| b.kind == BufferKind::Local).unwrap();
            assert_eq!(most(&kept.shape), [7, 5], "in the order of what is stored");
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
  buffer buf0 "w" : f32[7,35] variable 0
  buffer buf1 "w" : f32[7,35] next 0
  buffer buf2 "s" : f32[7] result 0
  kernel k0 (i0 < 7) {
    stage {
      fold reduce (i1 < 35) {
        s0 = load buf0[i0, i1] : f32
        acc0 = sum s0 : f32
      }
      s0 = acc0 : f32
      store s0, buf2[i0]
    }
    stage (i1 < 35) {
      s0 = load buf0[i0, i1] : f32
      s1 = load buf2[i0] : f32
      s2 = add s0, s1 : f32
      store s2, buf1[i0, i1]
    }
  }"#,
        );
        let [kernel] = f.kernels.as_slice() else { panic!("{f}") };
        let own: Vec<Vec<usize>> = kernel.stages.iter().map(|stage| most(&stage.axes)).collect();
        assert_eq!(own, [vec![], vec![], vec![2, 16], vec![3]], "{f}");
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
        assert_eq!(constants.map(|b| most(&b.shape)).collect::<Vec<_>>(), [[2, 256], [16, 2]]);
        // What reads it otherwise is no worse off than before.
        let f = split(&text.replace("      store", "      s1 = load buf1[0, i1] : f32\n      store"));
        assert_eq!(axes_of(&f), [[5, 34]]);
    }

    #[test]
    fn elements_are_read_where_they_are() {
        let tensor = Tensor::from_vec(&[2, 3], (0..6).map(|n| n as f32).collect());
        let columns = columns_of(&tensor, 1, 3);
        assert_eq!((columns.dtype(), columns.shape()), (DType::F32, &[2, 2][..]));
        assert_eq!(columns.scalars().collect::<Vec<_>>(), [1.0, 2.0, 4.0, 5.0].map(Scalar::F32));
    }
}
