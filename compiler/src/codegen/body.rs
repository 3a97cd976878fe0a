//! Emits scalar bodies, for a point or for a vector of points that are consecutive on one axis.
//!
//! Loads are emitted right before the first instruction that needs them, for the code generator below keeps loads in
//! program order: loads that are all up front would occupy registers.

use std::collections::HashMap;

use cranelift_entity::EntityRef;

use super::access::{Bases, FlatAccess, extent_word};
use super::emitter::{CheckedIndex, VectorEmitter, VectorType};
use super::plan::{Axes, BodyPlan, Vector, is_shift};
use super::point::{Point, affine_at, whole};
use super::vectors::MAX_LANES;
use crate::kernel::{Axis, BinaryOp, Guard, InstKind, ScalarId};
use crate::types::DType;

/// A value at a vector of points.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lanes<V> {
    /// The same in every lane: a scalar.
    Uniform(V),
    /// A vector.
    Vector(V),
    /// A scalar for every lane.
    Each {
        /// Those of active lanes; all others are that of the first lane again.
        scalars: [V; MAX_LANES],
        /// How many lanes are active.
        active: usize,
    },
}

impl<V: Copy> Lanes<V> {
    /// Scalars, one for each of so many active lanes.
    pub(super) fn each(active: usize, mut of: impl FnMut(usize) -> V) -> Lanes<V> {
        let mut scalars = [of(0); MAX_LANES];
        for (lane, scalar) in scalars.iter_mut().enumerate().take(active).skip(1) {
            *scalar = of(lane);
        }
        Lanes::Each { scalars, active }
    }

    /// As a vector, or as the scalar that a vector of one lane is.
    pub(super) fn vector<E: VectorEmitter<Value = V>>(self, e: &mut E, ty: VectorType) -> V {
        match self {
            Lanes::Uniform(v) if ty.lanes == 1 => v,
            Lanes::Uniform(v) => e.splat(ty, v),
            Lanes::Vector(v) => v,
            Lanes::Each { scalars, active } => e.vector_of(ty, &scalars[..active]),
        }
    }

    /// One lane, as a scalar.
    pub(super) fn lane<E: VectorEmitter<Value = V>>(self, e: &mut E, ty: VectorType, lane: usize) -> V {
        match self {
            Lanes::Uniform(v) => v,
            Lanes::Vector(v) => e.lane(ty, v, lane),
            Lanes::Each { scalars, .. } => scalars[lane],
        }
    }
}

/// Values that several points of a leaf share, by the offsets of the point on the axes that they depend on.
pub(super) type Shared<V> = HashMap<(usize, Vec<i64>), Lanes<V>>;

/// Where a body is emitted.
pub(super) struct Site<'s, E: VectorEmitter> {
    pub(super) bases: &'s Bases<E::Word>,
    pub(super) point: &'s Point<E::Word>,
    /// The accumulators of the stage's fold: including the current element, and excluding it.
    pub(super) accumulators: &'s [[Lanes<E::Value>; 2]],
    /// The axis of the innermost loop of a fold that the code is in, if nothing is stored in it: there, loads that
    /// depend on it may move.
    pub(super) loop_axis: Option<Axis>,
}

/// Emits the values that a plan is for, in the order of its roots. `shared` are those of other points of the leaf, where
/// only the offsets of points differ.
pub(super) fn emit_body<E: VectorEmitter>(
    e: &mut E,
    plan: &BodyPlan<'_>,
    site: &Site<'_, E>,
    shared: &mut Shared<E::Value>,
) -> Vec<Lanes<E::Value>> {
    emit_bodies(e, plan, std::slice::from_ref(site), shared).pop().unwrap_or_default()
}

/// As [`emit_body`], at several sites in lockstep: each instruction for all of them before the next one, so that a CPU has as
/// many chains of instructions to work on.
pub(super) fn emit_bodies<E: VectorEmitter>(
    e: &mut E,
    plan: &BodyPlan<'_>,
    sites: &[Site<'_, E>],
    shared: &mut Shared<E::Value>,
) -> Vec<Vec<Lanes<E::Value>>> {
    let count = plan.insts.len();
    let mut values = vec![vec![None; count]; sites.len()];
    let mut each = |value: ScalarId| -> Vec<_> {
        let of = sites.iter().zip(&mut values);
        of.map(|(site, values)| Run { e, plan, site, shared, values }.ensure(value)).collect()
    };
    for i in 0..count {
        if plan.needed[i] && plan.accesses[i].is_none() {
            each(ScalarId::new(i));
        }
    }
    let roots: Vec<_> = plan.roots.iter().map(|&root| each(root)).collect();
    (0..sites.len()).map(|site| roots.iter().map(|root| root[site]).collect()).collect()
}

/// A body on its way out.
struct Run<'r, 's, E: VectorEmitter> {
    e: &'r mut E,
    plan: &'r BodyPlan<'r>,
    site: &'r Site<'s, E>,
    shared: &'r mut Shared<E::Value>,
    values: &'r mut [Option<Lanes<E::Value>>],
}

impl<E: VectorEmitter> Run<'_, '_, E> {
    /// The value, emitted unless it was already. Operands that are not loads were.
    fn ensure(&mut self, value: ScalarId) -> Lanes<E::Value> {
        let i = value.index();
        if let Some(known) = self.values[i] {
            return known;
        }
        let depends = self.plan.depends[i];
        let key = (depends != Axes::MAX).then(|| {
            let on = |&(axis, _): &(usize, _)| depends & (1 << axis) != 0;
            (i, self.site.point.iter().enumerate().filter(on).map(|(_, c)| c.offset).collect())
        });
        let emitted = match key.as_ref().and_then(|key| self.shared.get(key)) {
            Some(&known) => known,
            None => self.emit(value),
        };
        if let Some(key) = key {
            self.shared.insert(key, emitted);
        }
        self.values[i] = Some(emitted);
        emitted
    }

    fn emit(&mut self, value: ScalarId) -> Lanes<E::Value> {
        let plan = self.plan;
        if let InstKind::Acc { index, before } = plan.insts[value.index()].kind {
            return self.site.accumulators[index][usize::from(before)];
        }
        let operands: Vec<_> = match &plan.accesses[value.index()] {
            Some(access) => access.indirect.iter().map(|i| i.0).collect(),
            None => plan.operands(value).to_vec(),
        };
        let operands: Vec<_> = operands.into_iter().map(|s| (s, self.ensure(s))).collect();
        let lanes = plan.lanes();
        if !plan.varies(value) {
            let scalars: Vec<_> = operands.iter().map(|&(s, v)| self.scalar(s, v, 0)).collect();
            return Lanes::Uniform(self.emit_at(value, &scalars, 0, 1));
        }
        if plan.as_vector(value) {
            let vectors: Vec<_> = operands
                .iter()
                .enumerate()
                .map(|(n, &(s, v))| match &plan.insts[value.index()].kind {
                    // A shift is by a scalar, and so is a coordinate that is the same in every lane.
                    InstKind::Load(_) => self.scalar(s, v, 0),
                    InstKind::Binary(op, ..) if n == 1 && is_shift(*op) => self.scalar(s, v, 0),
                    _ => v.vector(self.e, VectorType { dtype: plan.dtype(s), lanes }),
                })
                .collect();
            return Lanes::Vector(self.emit_at(value, &vectors, 0, lanes));
        }
        Lanes::each(plan.active(), |lane| {
            let scalars: Vec<_> = operands.iter().map(|&(s, v)| self.scalar(s, v, lane)).collect();
            self.emit_at(value, &scalars, lane, 1)
        })
    }

    fn scalar(&mut self, value: ScalarId, lanes: Lanes<E::Value>, lane: usize) -> E::Value {
        lanes.lane(self.e, VectorType { dtype: self.plan.dtype(value), lanes: self.plan.lanes() }, lane)
    }

    /// The point of a lane.
    fn point(&self, lane: usize) -> Point<E::Word> {
        lane_point(self.plan, self.site.point, lane)
    }

    /// Emits an instruction for `lanes` lanes from lane `first`.
    fn emit_at(&mut self, value: ScalarId, operands: &[E::Value], first: usize, lanes: usize) -> E::Value {
        let plan = self.plan;
        let inst = plan.insts[value.index()];
        let ty = VectorType { dtype: inst.dtype, lanes };
        if let Some(access) = &plan.accesses[value.index()] {
            return self.load(access, operands, first, ty);
        }
        let operand_dtype = |n: usize| plan.dtype(plan.operands(value)[n]);
        match &inst.kind {
            InstKind::Const(c) => self.e.constant(*c, lanes),
            InstKind::Extent(extent) => {
                let word = extent_word(self.e, self.site.bases, *extent);
                self.e.word_value(word, inst.dtype)
            }
            InstKind::Index(index) => {
                let point = self.point(first);
                let word = affine_at(self.e, index, &point, None);
                let word = whole(self.e, word);
                let start = self.e.word_value(word, inst.dtype);
                match plan.vector {
                    Some(vector) if lanes > 1 => self.e.iota(ty, start, index.factor(vector.axis)),
                    _ => start,
                }
            }
            InstKind::Unary(op, _) => self.e.unary(*op, ty, operands[0]),
            InstKind::Binary(op, ..) if is_shift(*op) => self.e.shift(*op, ty, operands[0], operands[1]),
            InstKind::Binary(op, ..) => self.e.binary(*op, ty, operands[0], operands[1]),
            InstKind::Fma(..) => self.e.fma(ty, operands[0], operands[1], operands[2]),
            InstKind::Compare(op, ..) => {
                self.e.compare(*op, ty.with_dtype(operand_dtype(0)), operands[0], operands[1])
            }
            InstKind::Select(..) => self.e.select(ty, operands[0], operands[1], operands[2]),
            InstKind::Convert(_) => self.e.convert(ty, operand_dtype(0), operands[0]),
            InstKind::Bitcast(_) => self.e.bitcast(ty, operand_dtype(0), operands[0]),
            InstKind::InBounds(guards) => {
                let point = self.point(first);
                let mut all = None;
                for guard in guards {
                    let expr = affine_at(self.e, &guard.expr, &point, None);
                    let expr = whole(self.e, expr);
                    let holds = self.e.word_within(expr, guard.below);
                    all = Some(match all {
                        Some(all) => self.e.binary(BinaryOp::And, ty, all, holds),
                        None => holds,
                    });
                }
                all.unwrap_or_else(|| self.e.constant(crate::tensor::Scalar::Bool(true), 1))
            }
            InstKind::Check { site, position, .. } => {
                let point = self.point(first);
                let position = affine_at(self.e, position, &point, None);
                let position = whole(self.e, position);
                let what = CheckedIndex { site: *site, position, bound: plan.checks[*site].bound };
                self.e.check(inst.dtype, operands[0], what)
            }
            InstKind::Load(_) | InstKind::Acc { .. } | InstKind::Philox { .. } => {
                unreachable!("{:?} is handled or refused before", inst.kind)
            }
        }
    }

    fn load(&mut self, access: &FlatAccess, operands: &[E::Value], first: usize, ty: VectorType) -> E::Value {
        let point = self.point(first);
        let indirect = match (operands.first(), access.indirect) {
            (Some(&value), Some((s, _))) => Some(self.e.value_word(value, self.plan.dtype(s))),
            _ => None,
        };
        let fixed = access.read_only
            && self
                .site
                .loop_axis
                .is_some_and(|axis| access.bytes.factor(axis) != 0 && self.site.point[axis].base.is_some());
        let vector = self.plan.vector.filter(|_| ty.lanes > 1);
        if let Some(vector) = vector {
            let (free, guards) = access.split_guards(vector.axis);
            if !guards.is_empty() {
                return self.guarded_vector((access, &free), &guards, indirect, vector, ty.dtype);
            }
        }
        let (address, offset) = access.address(self.e, self.site.bases, &point, indirect);
        self.e.load(ty, vector.map_or(1, |v| v.active), address, offset, fixed)
    }

    /// Loads a vector some of whose active lanes may be outside of the guards: at once if none is, else lane by lane.
    fn guarded_vector(
        &mut self,
        (access, free): (&FlatAccess, &FlatAccess),
        guards: &[Guard],
        indirect: Option<E::Word>,
        Vector { axis, lanes, active }: Vector,
        dtype: DType,
    ) -> E::Value {
        let ty = VectorType { dtype, lanes };
        let (bases, plan, point) = (self.site.bases, self.plan, self.site.point);
        // A guard is linear: where it holds at both ends, it holds between them.
        let mut ends = Vec::new();
        for guard in guards {
            let (first, offset) = affine_at(self.e, &guard.expr, point, None);
            for lane in [0, active as i64 - 1] {
                let end = whole(self.e, (first, offset + guard.expr.factor(axis) * lane));
                ends.push(self.e.word_within(end, guard.below));
            }
        }
        let bool_type = VectorType::scalar(DType::Bool);
        let all = ends.into_iter().reduce(|a, b| self.e.binary(BinaryOp::And, bool_type, a, b));
        let all = all.unwrap_or_else(|| unreachable!("there are guards"));
        self.e.mostly(
            ty,
            all,
            &mut |e| {
                let (address, offset) = free.address(e, bases, point, indirect);
                e.load(ty, active, address, offset, false)
            },
            &mut |e| {
                let each = Lanes::each(active, |lane| {
                    let point = lane_point(plan, point, lane);
                    let (address, offset) = access.address(e, bases, &point, indirect);
                    e.load(VectorType::scalar(dtype), 1, address, offset, false)
                });
                each.vector(e, ty)
            },
        )
    }
}

/// The point of a lane of a vector of points.
pub(super) fn lane_point<W: Copy>(plan: &BodyPlan<'_>, point: &Point<W>, lane: usize) -> Point<W> {
    let mut point = point.clone();
    if let Some(vector) = plan.vector {
        point[vector.axis] = point[vector.axis].plus(lane as i64);
    }
    point
}
