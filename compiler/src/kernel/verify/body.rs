//! K0102, K0106 to K0117: what stands within one stage.

use super::super::{
    Access, Affine, Axis, BinaryOp, Body, BufferId, BufferKind, CheckSite, Fold, FoldKind, FoldOp, Guard,
    Indirect, Inst, InstKind, Kernel, KernelFunction, ScalarId, Stage, Store, most, points,
};
use super::bounds::{Interval, guarded_range, magnitude, range, whole, within_guards};
use super::types::{is_index, is_number, type_error};
use super::{Errors, extents, in_stage};
use crate::diagnostic::Diagnostic;
use crate::tensor::Scalar;
use crate::types::{DType, dense_strides};

pub(super) fn check(function: &KernelFunction, errors: &mut Errors) {
    for kernel in &function.kernels {
        for (n, stage) in kernel.stages.iter().enumerate() {
            StageRules::new(function, kernel, n, errors).check(stage);
        }
    }
}

/// The largest magnitude of an affine expression (K0108): sums of a few of them fit 64 bits.
const LIMIT: u128 = 1 << 62;

/// What the rules need to know around a line, and where errors go.
struct StageRules<'a> {
    function: &'a KernelFunction,
    kernel: &'a Kernel,
    number: usize,
    /// Extents of the stage's axes, the fold's included.
    extents: Vec<usize>,
    /// How many of them are in scope.
    scope: usize,
    errors: &'a mut Errors,
}

/// Code and message of a broken rule.
type Broken = (&'static str, String);

impl<'a> StageRules<'a> {
    fn new(
        function: &'a KernelFunction,
        kernel: &'a Kernel,
        number: usize,
        errors: &'a mut Errors,
    ) -> StageRules<'a> {
        let extents = extents(kernel, &kernel.stages[number]);
        StageRules { function, kernel, number, scope: extents.len(), extents, errors }
    }

    fn report(&mut self, (code, message): Broken, line: &dyn std::fmt::Display) {
        let place = format!("{}: `{line}`", in_stage(self.kernel, self.number));
        self.errors.report(Diagnostic::new(code, message).note(place));
    }

    fn check(&mut self, stage: &Stage) {
        if let Some(fold) = &stage.fold {
            self.check_fold(fold);
        }
        if stage.fold.as_ref().is_none_or(|f| f.kind == FoldKind::Reduce) {
            self.scope = self.kernel.axes.len() + stage.axes.len();
        }
        self.check_body(&stage.body, stage.fold.as_ref());
        for store in &stage.stores {
            if let Err(broken) = self.store(stage, store) {
                self.report(broken, store);
            }
        }
    }

    fn check_fold(&mut self, fold: &Fold) {
        let lanes_fit = fold.lanes.is_power_of_two() && (fold.kind == FoldKind::Reduce || fold.lanes == 1);
        if !lanes_fit {
            let message = format!("{} lanes are not a power of two, or not 1 in a scan", fold.lanes);
            self.report(("K0111", message), &"fold");
        }
        self.check_body(&fold.body, None);
        let positions = points(&fold.axes);
        for accumulator in &fold.accumulators {
            if let Err(broken) = combination(&fold.body, accumulator.op, accumulator.dtype, positions) {
                self.report(broken, &accumulator.op);
            }
        }
    }

    /// The body of a stage, given its fold, or of a fold.
    fn check_body(&mut self, body: &Body, fold: Option<&Fold>) {
        for (id, inst) in &body.insts {
            if let Err(broken) = self.inst(body, fold, id, inst) {
                self.report(broken, &format_args!("{id} = {inst}"));
            }
        }
    }

    fn inst(&self, body: &Body, fold: Option<&Fold>, id: ScalarId, inst: &Inst) -> Result<(), Broken> {
        if matches!(inst.dtype, DType::F16 | DType::BF16) {
            return Err(("K0102", format!("no value has the type {} yet", inst.dtype)));
        }
        let mut undefined = None;
        inst.kind.each_operand(|s| undefined = undefined.or((s >= id).then_some(s)));
        if let Some(operand) = undefined {
            return Err(("K0106", format!("`{operand}` is not defined before `{id}`")));
        }
        if let Some(message) = type_error(&inst.kind, inst.dtype, |s| body.insts[s].dtype) {
            return Err(("K0107", message));
        }
        match &inst.kind {
            InstKind::Index(expr) => {
                self.affine(expr)?;
                let fits = inst.dtype == DType::I64
                    || self.points().is_none_or(|axes| {
                        let (low, high) = range(expr, &axes);
                        low >= i128::from(i32::MIN) && high <= i128::from(i32::MAX)
                    });
                if fits { Ok(()) } else { Err(("K0109", format!("`{expr}` does not fit {}", inst.dtype))) }
            }
            InstKind::Load(access) => self.access(body, inst.dtype, access),
            InstKind::InBounds(guards) => self.guards(guards),
            &InstKind::Acc { index, before } => accumulator(fold, index, before, inst.dtype),
            InstKind::Check { site, position, .. } => self.check_inst(*site, position, inst.dtype),
            _ => Ok(()),
        }
    }

    /// K0108.
    fn affine(&self, expr: &Affine) -> Result<(), Broken> {
        let unknown = expr.terms().iter().find(|t| t.0 >= self.scope);
        if let Some((axis, _)) = unknown {
            return Err(("K0108", format!("axis `i{axis}` is not in scope")));
        }
        match magnitude(expr, &self.extents) <= LIMIT {
            true => Ok(()),
            false => Err(("K0108", format!("`{expr}` may exceed 2^62"))),
        }
    }

    fn guards(&self, guards: &[Guard]) -> Result<(), Broken> {
        guards.iter().try_for_each(|g| self.affine(&g.expr))
    }

    /// The indices of the axes in scope; `None` if there is no point.
    fn points(&self) -> Option<Vec<Interval>> {
        whole(&self.extents[..self.scope])
    }

    /// K0112.
    fn check_inst(&self, site: usize, position: &Affine, dtype: DType) -> Result<(), Broken> {
        self.affine(position)?;
        let Some(site) = self.function.checks.get(site) else {
            return Err(("K0112", format!("there is no check {site}")));
        };
        if dtype == DType::I32 && site.bound > 1 << 31 {
            return Err(("K0112", format!("the bound {} does not fit {dtype}", site.bound)));
        }
        let elements = elements(site);
        match self.points().map(|axes| range(position, &axes)) {
            Some((low, high)) if low < 0 || high >= elements => Err((
                "K0112",
                format!("position {low} to {high} is not within the {elements} elements of `{}`", site.name),
            )),
            _ => Ok(()),
        }
    }

    fn access(&self, body: &Body, dtype: DType, access: &Access) -> Result<(), Broken> {
        self.guards(&access.guards)?;
        if access.fill.dtype() != dtype {
            return Err(("K0113", format!("the fill is {}, not {dtype}", access.fill.dtype())));
        }
        self.element(body, dtype, access.buffer, &access.index, access.indirect, &access.guards)
    }

    /// K0113 to K0115.
    fn element(
        &self,
        body: &Body,
        dtype: DType,
        buffer: BufferId,
        index: &[Affine],
        indirect: Option<Indirect>,
        guards: &[Guard],
    ) -> Result<(), Broken> {
        let Some(to) = self.function.buffers.get(buffer) else {
            return Err(("K0113", format!("there is no buffer `{buffer}`")));
        };
        if to.dtype != dtype {
            return Err(("K0113", format!("`{buffer}` holds {}, not {dtype}", to.dtype)));
        }
        if index.len() != to.shape.len() {
            return Err((
                "K0113",
                format!("{} coordinates for the {} axes of `{buffer}`", index.len(), to.shape.len()),
            ));
        }
        index.iter().try_for_each(|expr| self.affine(expr))?;
        let terms = index.iter().zip(to.strides());
        if terms.map(|(expr, stride)| magnitude(expr, &self.extents) * stride as u128).sum::<u128>() > LIMIT {
            return Err(("K0113", format!("a position in `{buffer}` may exceed 2^62")));
        }
        let added =
            indirect.map(|i| self.indirect(body, index.len(), i).map(|bound| (i.axis, bound))).transpose()?;
        let Some(points) = self.points().and_then(|axes| within_guards(axes, guards)) else { return Ok(()) };
        let ranges: Option<Vec<Interval>> =
            index.iter().map(|expr| guarded_range(expr, &points, guards)).collect();
        for (axis, &(low, high)) in ranges.iter().flatten().enumerate() {
            let extent = to.shape[axis].most() as i128;
            let (high, code) = match added {
                Some((a, bound)) if a == axis => (high + bound - 1, "K0115"),
                _ => (high, "K0114"),
            };
            if low < 0 || high >= extent {
                return Err((
                    code,
                    format!(
                        "coordinate {axis} of `{buffer}` is {low} to {high}, but must be at least 0 and below {extent}"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The bound of an indirect coordinate.
    fn indirect(&self, body: &Body, rank: usize, indirect: Indirect) -> Result<i128, Broken> {
        if indirect.axis >= rank {
            return Err(("K0115", format!("there is no axis {} for the indirect coordinate", indirect.axis)));
        }
        let kind = |value: ScalarId| body.insts.get(value).map(|inst| &inst.kind);
        let constant = |value: ScalarId| match kind(value) {
            Some(InstKind::Const(Scalar::I32(c))) => Some(i128::from(*c)),
            Some(InstKind::Const(Scalar::I64(c))) => Some(i128::from(*c)),
            _ => None,
        };
        let bound = match kind(indirect.value) {
            None => return Err(("K0106", format!("`{}` is not defined", indirect.value))),
            Some(InstKind::Check { site, .. }) => self.function.checks.get(*site).map(|s| s.bound as i128),
            Some(InstKind::Binary(BinaryOp::Max, clamped, least)) => match (kind(*clamped), constant(*least))
            {
                (Some(InstKind::Binary(BinaryOp::Min, _, largest)), Some(0)) => {
                    constant(*largest).map(|c| c.max(0) + 1)
                }
                _ => None,
            },
            Some(_) => None,
        };
        bound.ok_or_else(|| ("K0115", format!("the indirect coordinate `{}` is not checked", indirect.value)))
    }

    /// K0106, K0113 to K0117.
    fn store(&self, stage: &Stage, store: &Store) -> Result<(), Broken> {
        let Some(value) = stage.body.insts.get(store.value) else {
            return Err(("K0106", format!("`{}` is not defined", store.value)));
        };
        self.element(&stage.body, value.dtype, store.buffer, &store.index, store.indirect, &[])?;
        let buffer = &self.function.buffers[store.buffer];
        let is_writable = matches!(
            buffer.kind,
            BufferKind::Result(_) | BufferKind::Next(_) | BufferKind::Temp | BufferKind::Local
        );
        let is_scan = stage.fold.as_ref().is_some_and(|f| f.kind == FoldKind::Scan);
        if !is_writable {
            return Err(("K0116", format!("`{}` is read only", store.buffer)));
        }
        if (store.add || store.indirect.is_some()) && !is_scan {
            return Err(("K0116", "an update must be in a scan, which has an order".into()));
        }
        if store.add && !is_number(value.dtype) {
            return Err(("K0116", format!("{} cannot be added to", value.dtype)));
        }
        let distinct = if updates(store) {
            let ordered = self.kernel.axes.len() + stage.axes.len();
            let kept = |axis: usize, expr: &Affine| {
                store.indirect.is_none_or(|i| i.axis != axis) && expr.terms().iter().all(|t| t.0 < ordered)
            };
            is_injective(store, &most(&buffer.shape), &self.extents[..ordered], kept)
        } else {
            is_injective(store, &most(&buffer.shape), &self.extents[..self.scope], |_, _| true)
        };
        match distinct {
            true => Ok(()),
            false => Err(("K0117", "different points may store to one element".into())),
        }
    }
}

/// Whether a store changes elements that were stored before, instead of defining them.
pub(super) fn updates(store: &Store) -> bool {
    store.add || store.indirect.is_some()
}

fn elements(site: &CheckSite) -> i128 {
    site.shape.iter().product::<usize>() as i128
}

/// Whether different points give different coordinates on the buffer's axes that are `kept`. Coordinates are within the
/// buffer, so that different coordinates are different addresses. Enough for that: in order of their steps in the
/// address, each axis steps further than all before it together reach.
fn is_injective(
    store: &Store,
    shape: &[usize],
    extents: &[usize],
    kept: impl Fn(usize, &Affine) -> bool,
) -> bool {
    if extents.contains(&0) {
        return true;
    }
    let strides = dense_strides(shape);
    let step = |axis: Axis| -> u128 {
        let coordinates = store.index.iter().enumerate().filter(|&(d, expr)| kept(d, expr));
        coordinates
            .map(|(d, expr)| i128::from(expr.factor(axis)) * strides[d] as i128)
            .sum::<i128>()
            .unsigned_abs()
    };
    let mut steps: Vec<(u128, usize)> =
        (0..extents.len()).filter(|&a| extents[a] > 1).map(|a| (step(a), extents[a])).collect();
    steps.sort_unstable();
    let mut reach = 0;
    steps.into_iter().all(|(step, extent)| {
        let further = step > reach;
        reach += step * (extent - 1) as u128;
        further
    })
}

/// K0110.
fn accumulator(fold: Option<&Fold>, index: usize, before: bool, dtype: DType) -> Result<(), Broken> {
    let Some(accumulator) = fold.and_then(|f| f.accumulators.get(index)) else {
        return Err(("K0110", format!("there is no `acc{index}` here")));
    };
    if accumulator.dtype != dtype {
        return Err(("K0110", format!("`acc{index}` is {}, not {dtype}", accumulator.dtype)));
    }
    if before && fold.is_some_and(|f| f.kind != FoldKind::Scan) {
        return Err(("K0110", "`before` is for scans".into()));
    }
    Ok(())
}

/// K0106 and K0111 of an accumulator: of a fold with this many elements.
fn combination(body: &Body, op: FoldOp, dtype: DType, positions: usize) -> Result<(), Broken> {
    let operand = |s: ScalarId| {
        body.insts.get(s).map(|inst| inst.dtype).ok_or_else(|| ("K0106", format!("`{s}` is not defined")))
    };
    let fits = match op {
        FoldOp::Sum(a) | FoldOp::Prod(a) => operand(a)? == dtype,
        FoldOp::Max(a) | FoldOp::Min(a) => operand(a)? == dtype && is_number(dtype),
        FoldOp::Dot(a, b) => operand(a)? == dtype && operand(b)? == dtype && dtype.is_float(),
        FoldOp::ArgMax(a) | FoldOp::ArgMin(a) => {
            is_number(operand(a)?) && is_index(dtype) && (dtype == DType::I64 || positions <= 1 << 31)
        }
    };
    if fits { Ok(()) } else { Err(("K0111", format!("`{op}` does not give {dtype}"))) }
}
