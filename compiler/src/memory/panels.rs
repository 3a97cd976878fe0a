//! Variables in panels.
//!
//! What reads a weight by vectors, tile by tile of columns, wants the columns of a tile next to one another and the next
//! element of the fold behind them: a *panel*. A variable with [`Layout::Panels`] lies in memory like that, so no step copies
//! it before it multiplies with it. To kernels such a variable is a matrix of another shape, with a row for each panel
//! ([`stored_shape`]): the axes that run along its columns are split in two, one from panel to panel and one within a panel,
//! in everything that the kernel does, and the order of additions stays the same. Columns that fill no panel are a matrix of their
//! own (`rests.rs`). Kernels whose axes cannot be split so work on a copy by rows. Constants that contractions read, such as fixed weights, lie in panels as well.

use std::collections::HashSet;

use cranelift_entity::SecondaryMap;

use super::layout::{Layout, PANEL, is_worth, stored_shape};
use super::rests::split_off;
use super::rows::copy;
use crate::kernel::{
    Access, Affine, Axis, Buffer, BufferId, BufferKind, Extent, FoldOp, InstKind, Kernel, KernelFunction,
    Part, Stage, Store, fixed, most,
};
use crate::tensor::{Scalar, Tensor};
use crate::types::dense_strides;

/// Gives variables, and the values assigned to them, the shapes of their layouts.
///
/// # Panics
/// If a variable has no layout.
pub fn store_in_panels(f: &mut KernelFunction, layouts: &[Layout]) {
    let contracted = contracted_constants(f);
    let chosen = f.buffers.iter().filter(|(id, buffer)| match buffer.kind {
        BufferKind::Variable(v) | BufferKind::Next(v) => layouts[v] == Layout::Panels,
        _ => contracted.contains(id),
    });
    let mut stored: HashSet<BufferId> = chosen.map(|(id, _)| id).collect();
    if stored.is_empty() {
        return;
    }
    split_off(f, &mut stored, layouts.len(), &contracted);
    for misfit in misfits(f, &stored) {
        stored.remove(&misfit);
        if !contracted.contains(&misfit) {
            stored.insert(copy(f, misfit, None));
        }
    }
    let names = names(f, &stored);
    let mut kernels = std::mem::take(&mut f.kernels);
    for kernel in kernels.iter_mut().filter(|kernel| touches(kernel, &names)) {
        if let Ok(split) = split(kernel, &names) {
            *kernel = split;
        }
        split_locals(f, kernel);
        each_access(kernel, &mut |buffer, index| {
            if names.contains(buffer) {
                *index = in_panels(index, &most(&f.buffers[*buffer].shape));
                *buffer = f.storage(*buffer);
            }
        });
        kernel.merge_axes();
    }
    f.kernels = kernels;
    for name in names {
        let buffer = &mut f.buffers[name];
        buffer.shape = fixed(&stored_shape(Layout::Panels, &most(&buffer.shape)));
        if let BufferKind::Constant(tensor) = &mut buffer.kind {
            *tensor = tensor_in_panels(tensor);
        }
    }
}

/// The constants that contractions read, and nothing else does.
fn contracted_constants(f: &KernelFunction) -> HashSet<BufferId> {
    let may_be = |buffer: &Buffer| {
        matches!(buffer.kind, BufferKind::Constant(_)) && is_worth(buffer.dtype, &most(&buffer.shape))
    };
    let mut constants: HashSet<BufferId> =
        f.buffers.iter().filter(|(_, buffer)| may_be(buffer)).map(|(id, _)| id).collect();
    if constants.is_empty() {
        return constants;
    }
    let mut read = HashSet::new();
    for stage in f.kernels.iter().flat_map(|kernel| &kernel.stages) {
        let contracts = stage.fold.as_ref().is_some_and(|fold| {
            fold.accumulators.iter().all(|accumulator| matches!(accumulator.op, FoldOp::Dot(..)))
        });
        for (part, access) in stage.loads() {
            let constant = f.storage(access.buffer);
            match contracts && part == Part::Fold {
                true => _ = read.insert(constant),
                false => _ = constants.remove(&constant),
            }
        }
    }
    constants.retain(|constant| read.contains(constant));
    constants
}

/// The elements of a tensor in the order in which they are stored in panels.
fn tensor_in_panels(tensor: &Tensor) -> Tensor {
    let stored = stored_shape(Layout::Panels, tensor.shape());
    let [panels, row] = stored[..] else { return tensor.clone() };
    let elements: Vec<Scalar> = tensor.scalars().collect();
    let columns = panels * PANEL;
    let in_order =
        (0..panels * row).map(|n| elements[n % row / PANEL * columns + n / row * PANEL + n % PANEL]);
    Tensor::from_scalars(tensor.dtype(), &stored, in_order)
}

/// Buffers and their aliases.
pub(super) fn names(f: &KernelFunction, stored: &HashSet<BufferId>) -> HashSet<BufferId> {
    f.buffers.keys().filter(|&id| stored.contains(&f.storage(id))).collect()
}

/// The buffers of which some access has an axis that cannot be split, in order.
fn misfits(f: &KernelFunction, stored: &HashSet<BufferId>) -> Vec<BufferId> {
    let columns = |id: BufferId| f.buffers[id].shape.last().copied();
    let mut fitting: HashSet<BufferId> = stored.clone();
    for name in names(f, stored) {
        if columns(name) != columns(f.storage(name)) {
            fitting.remove(&f.storage(name));
        }
    }
    let mut known = names(f, &fitting);
    for kernel in &f.kernels {
        while let Err(misfit) = split(kernel, &known) {
            fitting.remove(&f.storage(misfit));
            known = names(f, &fitting);
        }
    }
    let mut misfits: Vec<BufferId> = stored.difference(&fitting).copied().collect();
    misfits.sort_unstable();
    misfits
}

pub(super) fn accesses(stage: &Stage) -> impl Iterator<Item = (BufferId, &[Affine], bool)> {
    let loads = stage.loads().map(|(_, access)| {
        let Access { buffer, index, indirect, guards, .. } = access;
        (*buffer, index.as_slice(), indirect.is_none() && guards.is_empty())
    });
    let stores = stage.stores.iter();
    loads.chain(stores.map(|store| (store.buffer, store.index.as_slice(), store.indirect.is_none())))
}

fn touches(kernel: &Kernel, names: &HashSet<BufferId>) -> bool {
    kernel.stages.iter().flat_map(accesses).any(|(buffer, ..)| names.contains(&buffer))
}

/// Calls `f` for the buffer and the index of every access.
pub(super) fn each_access(kernel: &mut Kernel, f: &mut dyn FnMut(&mut BufferId, &mut Vec<Affine>)) {
    kernel.stages.iter_mut().for_each(|stage| each_access_of(stage, f));
}

/// Calls `f` for the buffer and the index of every access of a stage.
pub(super) fn each_access_of(stage: &mut Stage, f: &mut dyn FnMut(&mut BufferId, &mut Vec<Affine>)) {
    let bodies = stage.fold.iter_mut().map(|fold| &mut fold.body).chain([&mut stage.body]);
    for inst in bodies.flat_map(|body| body.insts.values_mut()) {
        if let InstKind::Load(Access { buffer, index, .. }) = &mut inst.kind {
            f(buffer, index);
        }
    }
    for Store { buffer, index, .. } in &mut stage.stores {
        f(buffer, index);
    }
}

/// The kernel with axes split as far as the columns of these buffers want it; or a buffer for which that is not possible.
fn split(kernel: &Kernel, names: &HashSet<BufferId>) -> Result<Kernel, BufferId> {
    let mut kernel = kernel.clone();
    loop {
        let wanted = kernel.stages.iter().enumerate().find_map(|(n, stage)| {
            let extents = kernel.axes_of(stage);
            let mut wanted = accesses(stage).filter(|(buffer, ..)| names.contains(buffer)).filter_map(
                |(buffer, index, is_plain)| match index.last() {
                    Some(column) if is_plain && is_split(column, &extents) => None,
                    Some(column) if is_plain => Some(to_split(column, &extents, stage).ok_or(buffer)),
                    _ => Some(Err(buffer)),
                },
            );
            Some((n, wanted.next()?))
        });
        match wanted {
            None => return Ok(kernel),
            Some((stage, wanted)) => {
                let (axis, inner) = wanted?;
                kernel.split_axis(stage, axis, inner);
            }
        }
    }
}

const WIDTH: i64 = PANEL as i64;

/// Whether some terms of a column are multiples of a panel's width, and the others stay below it.
fn is_split(column: &Affine, extents: &[Extent]) -> bool {
    let within = column.terms().iter().filter(|(_, factor)| factor % WIDTH != 0);
    let most = within.clone().map(|&(axis, factor)| factor * (extents[axis].most() as i64 - 1)).sum::<i64>();
    column.offset() % WIDTH == 0 && within.into_iter().all(|&(_, factor)| factor > 0) && most < WIDTH
}

/// The axis of a column that is to be split, and the coordinates of the inner one of the two: so many as fill a panel.
fn to_split(column: &Affine, extents: &[Extent], stage: &Stage) -> Option<(Axis, usize)> {
    let within = column.terms().iter().filter(|(_, factor)| factor % WIDTH != 0);
    let &(axis, factor) = within.max_by_key(|(_, factor)| factor.abs())?;
    let inner = usize::try_from(WIDTH / factor).ok()?;
    let is_innermost = axis + 1 == extents.len();
    // The partial result that an element goes to is told by its coordinate on the innermost axis of a fold.
    let keeps_partials =
        !is_innermost || stage.fold.as_ref().is_none_or(|fold| inner.is_multiple_of(fold.lanes));
    let extent = extents[axis];
    let is_possible = WIDTH % factor == 0
        && factor > 0
        && extent.each().is_none()
        && extent.most() > inner
        && extent.most().is_multiple_of(inner)
        && keeps_partials
        && extents.len() < crate::kernel::MAX_AXES;
    is_possible.then_some((axis, inner))
}

/// The index of an element in a variable that lies in panels, from that in one of this shape.
fn in_panels(index: &[Affine], shape: &[usize]) -> Vec<Affine> {
    let (Some((column, outer)), Some((_, outer_shape))) = (index.split_last(), shape.split_last()) else {
        return index.to_vec();
    };
    let mut panel = Affine::constant(column.offset() / WIDTH);
    let mut within = row_of(outer, outer_shape).times(WIDTH);
    for &(axis, factor) in column.terms() {
        match factor % WIDTH {
            0 => panel = panel.plus(&Affine::axis(axis).times(factor / WIDTH)),
            _ => within = within.plus(&Affine::axis(axis).times(factor)),
        }
    }
    vec![panel, within]
}

/// The row of an element with this index on the axes of these extents, as one axis.
pub(super) fn row_of(index: &[Affine], extents: &[usize]) -> Affine {
    let terms = index.iter().zip(dense_strides(extents));
    terms.fold(Affine::constant(0), |row, (expr, stride)| row.plus(&expr.times(stride as i64)))
}

/// Lets local buffers of a kernel have two axes where all accesses run along two of the kernel's axes as one, so that a
/// worker can hold a part of them.
fn split_locals(f: &mut KernelFunction, kernel: &mut Kernel) {
    let mut indices: SecondaryMap<BufferId, Vec<Vec<Affine>>> = SecondaryMap::new();
    each_access(kernel, &mut |buffer, index| {
        if f.buffers[*buffer].kind == BufferKind::Local {
            indices[*buffer].push(index.clone());
        }
    });
    let two_axes = |expr: &Affine| match (expr.offset(), expr.terms()) {
        (0, &[(outer, steps), (inner, 1)]) | (0, &[(inner, 1), (outer, steps)])
            if outer < kernel.axes.len() && inner < kernel.axes.len() && steps > 1 =>
        {
            (kernel.axes[inner].most() as i64 == steps).then_some((outer, inner))
        }
        _ => None,
    };
    let mut axes: SecondaryMap<BufferId, Vec<Option<(Axis, Axis)>>> = SecondaryMap::new();
    for (id, of) in indices.iter().filter(|(_, of)| !of.is_empty()) {
        let same = |d: usize| of.iter().all(|index| index[d] == of[0][d]);
        axes[id] = (0..of[0].len()).map(|d| two_axes(&of[0][d]).filter(|_| same(d))).collect();
        let shape = f.buffers[id].shape.iter().zip(&axes[id]).flat_map(|(&extent, axes)| match axes {
            Some((outer, inner)) => vec![kernel.axes[*outer], kernel.axes[*inner]],
            None => vec![extent],
        });
        f.buffers[id].shape = shape.collect();
    }
    each_access(kernel, &mut |buffer, index| {
        let split = index.iter().zip(&axes[*buffer]).flat_map(|(expr, axes)| match axes {
            Some((outer, inner)) => vec![Affine::axis(*outer), Affine::axis(*inner)],
            None => vec![expr.clone()],
        });
        if !axes[*buffer].is_empty() {
            *index = split.collect();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, axes_of, with_local};
    use super::*;
    use crate::kernel::parse;

    /// The function with all of its variables in panels, which gives the same bits as before: sums of these depend on the order.
    fn in_panels_of(text: &str) -> KernelFunction {
        testing::in_panels_of(text, |n| {
            ((n * 7919 % 1013) as f32 - 500.0) * 1.1f32.powi((n % 37) as i32 - 18)
        })
    }

    const PRODUCT: &str = r#"
  buffer buf0 "x" : f32[5,7] param 0
  buffer buf1 "w" : f32[7,48] variable 0
  buffer buf2 "y" : f32[5,48] result 0
  kernel k0 (i0 < 5, i1 < 48) {
    stage {
      fold reduce (i2 < 7) {
        s0 = load buf0[i0, i2] : f32
        s1 = load buf1[i2, i1] : f32
        acc0 = dot s0, s1 : f32
      }
      s0 = acc0 : f32
      store s0, buf2[i0, i1]
    }
  }"#;

    #[test]
    fn the_axis_of_columns_is_split() {
        let f = in_panels_of(PRODUCT);
        assert_eq!(axes_of(&f), [[5, 3, 16]]);
        assert!(f.to_string().contains("load buf1[i1, i2 + 16*i3]"), "{f}");
        assert!(f.to_string().contains("store s0, buf2[i0, 16*i1 + i2]"), "{f}");
    }

    #[test]
    fn columns_that_are_summed_keep_their_order() {
        // The gradient of the operand, and a sum with partial results.
        for (lanes, copied) in [(1, false), (16, false), (32, true)] {
            let f = in_panels_of(&format!(
                r#"
  buffer buf0 "d" : f32[5,48] param 0
  buffer buf1 "w" : f32[7,48] variable 0
  buffer buf2 "y" : f32[5,7] result 0
  kernel k0 (i0 < 5, i1 < 7) {{
    stage {{
      fold reduce lanes {lanes} (i2 < 48) {{
        s0 = load buf0[i0, i2] : f32
        s1 = load buf1[i1, i2] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      store s0, buf2[i0, i1]
    }}
  }}"#
            ));
            let fold = f.kernels.last().and_then(|kernel| kernel.stages[0].fold.as_ref()).unwrap();
            assert_eq!(most(&fold.axes), if copied { vec![48] } else { vec![3, 16] });
            assert_eq!(f.kernels.len(), 1 + usize::from(copied));
        }
    }

    #[test]
    fn updates_run_through_panels_from_end_to_end() {
        let f = in_panels_of(
            r#"
  buffer buf0 "w" : f32[3,5,32] variable 0
  buffer buf1 "m" : f32[3,5,32] variable 1
  buffer buf2 "w" : f32[3,5,32] next 0
  buffer buf3 "m" : f32[3,5,32] next 1
  kernel k0 (i0 < 3, i1 < 5, i2 < 32) {
    stage {
      s0 = load buf0[i0, i1, i2] : f32
      s1 = load buf1[i0, i1, i2] : f32
      s2 = add s0, s1 : f32
      store s1, buf2[i0, i1, i2]
      store s2, buf3[i0, i1, i2]
    }
  }"#,
        );
        assert_eq!(axes_of(&f), [[2, 3 * 5 * 16]]);
    }

    #[test]
    fn what_a_kernel_keeps_for_itself_has_its_axes() {
        let f = in_panels_of(&with_local(32));
        let local = f.buffers.values().find(|b| b.kind == BufferKind::Local).unwrap();
        assert_eq!(most(&local.shape), [2, 16, 9]);
    }

    #[test]
    fn columns_of_groups_are_split_too() {
        // Four groups of eight channels, and of 24, which fill no panel.
        for (groups, channels, copied) in [(4, 8, false), (2, 24, true)] {
            let columns = groups * channels;
            let f = in_panels_of(&format!(
                r#"
  buffer buf0 "w" : f32[5,{columns}] variable 0
  buffer buf1 "y" : f32[5,{columns}] result 0
  kernel k0 (i0 < 5, i1 < {groups}, i2 < {channels}) {{
    stage {{
      s0 = load buf0[i0, {channels}*i1 + i2] : f32
      store s0, buf1[i0, {channels}*i1 + i2]
    }}
  }}"#
            ));
            assert_eq!(f.kernels.len(), 1 + usize::from(copied), "{f}");
        }
    }

    #[test]
    fn other_views_are_of_a_copy() {
        for (view, axes, index, copied) in [
            ("f32[4,48]", "i0 < 4, i1 < 48", "i0, i1", false),
            ("f32[192]", "i0 < 192", "i0", true),
            ("f32[2,2,48]", "i0 < 2, i1 < 2, i2 < 48", "i0, i1, i2", false),
            ("f32[4,48]", "i0 < 4, i1 < 24", "i0, 2*i1", false),
            ("f32[4,48]", "i0 < 4, i1 < 16", "i0, i1 + 32", false),
            ("f32[4,48]", "i0 < 4, i1 < 16", "i0, i1 + 31", true),
            ("f32[4,48]", "i0 < 4, i1 < 48", "i0, -i1 + 47", true),
        ] {
            let extents =
                axes.split(", ").map(|axis| axis.split(' ').next_back().unwrap()).collect::<Vec<_>>();
            let own = (0..extents.len()).map(|n| format!("i{n}")).collect::<Vec<_>>().join(", ");
            let f = in_panels_of(&format!(
                r#"
  buffer buf0 "w" : f32[4,48] variable 0
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
            assert_eq!(f.kernels.len(), 1 + usize::from(copied), "{view} [{index}]\n{f}");
        }
    }

    #[test]
    fn constants_that_are_multiplied_with_lie_in_panels() {
        let values: Vec<String> = (0..16 * 32).map(|n| format!("{}", n as f32 - 99.5)).collect();
        let text = |other: &str| {
            PRODUCT
                .replace("variable 0", &format!("constant [{}]", values.join(", ")))
                .replace("[7,48]", "[16,32]")
                .replace("i2 < 7", "i2 < 16")
                .replace("48", "32")
                .replace("[5,7]", "[5,16]")
                .replace("      store", &format!("{other}      store"))
        };
        let f = in_panels_of(&text(""));
        assert_eq!(axes_of(&f), [[5, 2, 16]]);
        // What reads it otherwise is no worse off than before.
        let f = in_panels_of(&text("      s1 = load buf1[0, i1] : f32\n"));
        assert_eq!(axes_of(&f), [[5, 32]]);
    }

    #[test]
    fn a_function_without_panels_stays_as_it_is() {
        let f = parse("test", &format!("kernels @f {{\n{PRODUCT}\n}}")).unwrap();
        let mut same = f.clone();
        store_in_panels(&mut same, &[Layout::Rows]);
        assert_eq!(f, same);
    }
}
