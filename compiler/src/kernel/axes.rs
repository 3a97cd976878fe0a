//! Other axes for the same points.

use super::{Affine, Axis, Extent, Guard, InstKind, Kernel, Stage};

/// How axes are replaced.
pub type AxisMap<'a> = &'a dyn Fn(Axis) -> Affine;

/// Replaces the axes of an index.
pub fn move_index(index: &mut [Affine], axes: AxisMap<'_>) {
    for expr in index {
        *expr = expr.substitute(axes);
    }
}

fn move_guards(guards: &mut [Guard], axes: AxisMap<'_>) {
    for guard in guards {
        guard.expr = guard.expr.substitute(axes);
    }
}

impl InstKind {
    /// Replaces the axes of an instruction.
    pub fn move_axes(&mut self, axes: AxisMap<'_>) {
        match self {
            InstKind::Index(expr) | InstKind::Check { position: expr, .. } => *expr = expr.substitute(axes),
            InstKind::Load(access) => {
                move_index(&mut access.index, axes);
                move_guards(&mut access.guards, axes);
            }
            InstKind::InBounds(guards) => move_guards(guards, axes),
            _ => {}
        }
    }

    /// Calls `f` for every expression of axes.
    fn each_expr<'a>(&'a self, f: &mut impl FnMut(&'a Affine)) {
        let guards = |guards: &'a [Guard], f: &mut dyn FnMut(&'a Affine)| {
            guards.iter().for_each(|guard| f(&guard.expr));
        };
        match self {
            InstKind::Index(expr) | InstKind::Check { position: expr, .. } => f(expr),
            InstKind::Load(access) => {
                access.index.iter().for_each(&mut *f);
                guards(&access.guards, f);
            }
            InstKind::InBounds(of) => guards(of, f),
            _ => {}
        }
    }
}

impl Stage {
    /// Replaces the axes of all its code; how many it has is not changed.
    pub fn move_axes(&mut self, axes: AxisMap<'_>) {
        let bodies = self.fold.iter_mut().map(|fold| &mut fold.body).chain([&mut self.body]);
        bodies.flat_map(|body| body.insts.values_mut()).for_each(|inst| inst.kind.move_axes(axes));
        self.stores.iter_mut().for_each(|store| move_index(&mut store.index, axes));
    }

    /// Whether an axis runs along the outermost one of every buffer that is stored to, so that what its coordinates store lies
    /// one behind the other.
    pub fn stores_one_behind_the_other(&self, axis: Axis) -> bool {
        self.stores.iter().all(|store| store.index.first().is_some_and(|expr| expr.factor(axis) != 0))
    }

    /// Calls `f` for every expression of axes.
    fn each_expr<'a>(&'a self, mut f: impl FnMut(&'a Affine)) {
        for (_, body) in self.bodies() {
            body.insts.values().for_each(|inst| inst.kind.each_expr(&mut f));
        }
        self.stores.iter().flat_map(|store| &store.index).for_each(f);
    }
}

impl Kernel {
    /// Extents of the axes of a stage's points: the kernel's and its own.
    pub fn axes_of_points(&self, stage: &Stage) -> Vec<Extent> {
        [self.axes.as_slice(), &stage.axes].concat()
    }

    /// Extents of all axes that a stage numbers: the kernel's, its own and its fold's.
    pub fn axes_of(&self, stage: &Stage) -> Vec<Extent> {
        let fold = stage.fold.as_ref().map_or(&[][..], |fold| &fold.axes);
        [self.axes.as_slice(), &stage.axes, fold].concat()
    }

    /// The list that has an axis as a stage numbers it, and its position there: the kernel's, the stage's or its fold's.
    pub fn list_of(&mut self, stage: usize, axis: Axis) -> (&mut Vec<Extent>, usize) {
        let kernel_axes = self.axes.len();
        let stage = &mut self.stages[stage];
        let points = kernel_axes + stage.axes.len();
        match &mut stage.fold {
            _ if axis < kernel_axes => (&mut self.axes, axis),
            Some(fold) if axis >= points => (&mut fold.axes, axis - points),
            _ => (&mut stage.axes, axis - kernel_axes),
        }
    }

    /// Makes two axes of one: the outer one in its place, and behind it one with `inner` coordinates, of which its extent,
    /// which is fixed, is a multiple. The axis is one of the kernel's, or of a stage's or its fold's as that stage numbers it.
    /// The order of elements in a fold stays the same.
    pub fn split_axis(&mut self, stage: usize, axis: Axis, inner: usize) {
        let map = |other: Axis| match other.cmp(&axis) {
            std::cmp::Ordering::Less => Affine::axis(other),
            std::cmp::Ordering::Equal => Affine::axis(axis).times(inner as i64).plus(&Affine::axis(axis + 1)),
            std::cmp::Ordering::Greater => Affine::axis(other + 1),
        };
        let kernel_axes = self.axes.len();
        let stages = if axis < kernel_axes { &mut self.stages[..] } else { &mut self.stages[stage..=stage] };
        stages.iter_mut().for_each(|stage| stage.move_axes(&map));
        let (axes, position) = self.list_of(stage, axis);
        axes[position] = (axes[position].most() / inner).into();
        axes.insert(position + 1, inner.into());
    }

    /// Makes one axis of every two of the kernel's that are run along as one: where a step on the first is, in all that is
    /// read, written and computed, as many steps on the second as that has.
    pub fn merge_axes(&mut self) {
        while let Some((outer, inner)) = self.mergeable() {
            let steps = self.axes[inner].most();
            self.axes[inner] = self.axes[outer].times(steps);
            self.axes.remove(outer);
            let map = |axis: Axis| match axis.cmp(&outer) {
                std::cmp::Ordering::Less => Affine::axis(axis),
                std::cmp::Ordering::Equal => Affine::constant(0),
                std::cmp::Ordering::Greater => Affine::axis(axis - 1),
            };
            self.stages.iter_mut().for_each(|stage| stage.move_axes(&map));
        }
    }

    fn mergeable(&self) -> Option<(Axis, Axis)> {
        let count = self.axes.len();
        let pairs = (0..count).flat_map(|outer| (0..count).map(move |inner| (outer, inner)));
        pairs.filter(|(outer, inner)| outer != inner && self.axes[*inner].each().is_none()).find(
            |&(outer, inner)| {
                let steps = self.axes[inner].most() as i64;
                let mut runs_on = true;
                for stage in &self.stages {
                    stage.each_expr(|expr| runs_on &= expr.factor(outer) == steps * expr.factor(inner));
                }
                runs_on
            },
        )
    }
}
