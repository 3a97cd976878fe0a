//! What is known of a body before it is emitted: what it needs, and what becomes a vector.
//!
//! Over a vector of points, a value is one of three things. It is *uniform* if it does not depend on the vector's
//! axis, and is computed once, as a scalar. It is a *vector* if its instruction has a form over vectors. Else it is
//! computed for each *lane* on its own: strided loads, integer division, 64-bit values beside 32-bit vectors. So any
//! body can be emitted over vectors; [`can_vectorize`] says whether it is worth it.

use cranelift_entity::{EntityRef, SecondaryMap};

use super::access::{FlatAccess, Placement};
use super::cranelift_emitter::CraneliftEmitter;
use super::emitter::VectorEmitter;
use crate::kernel::{
    Affine, Axis, BinaryOp, Body, BufferId, CheckSite, FoldOp, Guard, Inst, InstKind, ScalarId,
};
use crate::types::DType;

/// The axes that a value depends on, one bit each. Values that depend on an accumulator have every bit.
pub(crate) type Axes = u64;

/// A vector of points: the axis that they are consecutive on, and how many they are.
pub(super) type VectorAxis = Option<(Axis, usize)>;

/// A body with everything that is the same wherever it is emitted.
pub(super) struct BodyPlan<'k> {
    pub(super) insts: Vec<&'k Inst>,
    operands: Vec<Vec<ScalarId>>,
    /// What the body is emitted for, such as stored values.
    pub(super) roots: Vec<ScalarId>,
    pub(super) needed: Vec<bool>,
    pub(super) depends: Vec<Axes>,
    /// What is read from memory instead of being computed.
    pub(super) accesses: Vec<Option<FlatAccess>>,
    as_vector: Vec<bool>,
    pub(super) checks: &'k [CheckSite],
    pub(super) vector: VectorAxis,
}

/// What is known of the kernel that a body is part of.
pub(super) struct Surroundings<'s> {
    pub(super) placements: &'s SecondaryMap<BufferId, Placement>,
    pub(super) checks: &'s [CheckSite],
    /// Extents of the stage's axes.
    pub(super) extents: &'s [usize],
}

fn bits_of<'a>(exprs: impl IntoIterator<Item = &'a Affine>) -> Axes {
    exprs.into_iter().flat_map(|e| e.terms()).fold(0, |bits, &(axis, _)| bits | 1 << axis)
}

fn guard_bits(guards: &[Guard]) -> Axes {
    bits_of(guards.iter().map(|g| &g.expr))
}

/// The axes that each value of a body depends on.
pub(crate) fn dependencies(body: &Body) -> Vec<Axes> {
    let mut depends: Vec<Axes> = Vec::with_capacity(body.insts.len());
    for inst in body.insts.values() {
        let own = match &inst.kind {
            InstKind::Acc { .. } => Axes::MAX,
            InstKind::Index(e) | InstKind::Check { position: e, .. } => bits_of([e]),
            InstKind::Load(access) => bits_of(&access.index) | guard_bits(&access.guards),
            InstKind::InBounds(guards) => guard_bits(guards),
            _ => 0,
        };
        let mut all = own;
        inst.kind.each_operand(|s| all |= depends[s.index()]);
        depends.push(all);
    }
    depends
}

/// Whether an operation is a shift, which over vectors is by a scalar.
pub(super) fn is_shift(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Shl | BinaryOp::ShrLogical | BinaryOp::ShrArith)
}

/// The operands of a fold, in order.
pub(crate) fn fold_operands(op: FoldOp) -> Vec<ScalarId> {
    match op {
        FoldOp::Sum(a)
        | FoldOp::Prod(a)
        | FoldOp::Max(a)
        | FoldOp::Min(a)
        | FoldOp::ArgMax(a)
        | FoldOp::ArgMin(a) => vec![a],
        FoldOp::Dot(a, b) => vec![a, b],
    }
}

impl<'k> BodyPlan<'k> {
    /// The plan of `body` for its values `roots`, at points or at vectors of points.
    pub(super) fn new<E: VectorEmitter>(
        body: &'k Body,
        roots: Vec<ScalarId>,
        around: &Surroundings<'k>,
        vector: VectorAxis,
    ) -> BodyPlan<'k> {
        let accesses = body.insts.values().map(|inst| match &inst.kind {
            InstKind::Load(a) => {
                let placement = &around.placements[a.buffer];
                let access = FlatAccess::new(a.buffer, placement, &a.index, a.indirect, inst.dtype);
                Some(access.guarded(&a.guards, a.fill, around.extents))
            }
            _ => None,
        });
        let mut plan = BodyPlan::with_accesses(body, roots, accesses.collect(), around.checks, vector);
        plan.analyse::<E>();
        plan
    }

    fn with_accesses(
        body: &'k Body,
        roots: Vec<ScalarId>,
        accesses: Vec<Option<FlatAccess>>,
        checks: &'k [CheckSite],
        vector: VectorAxis,
    ) -> BodyPlan<'k> {
        let operands = body.insts.values().map(|inst| {
            let mut operands = Vec::new();
            inst.kind.each_operand(|s| operands.push(s));
            operands
        });
        BodyPlan {
            insts: body.insts.values().collect(),
            operands: operands.collect(),
            roots,
            needed: vec![false; body.insts.len()],
            depends: dependencies(body),
            accesses,
            as_vector: vec![false; body.insts.len()],
            checks,
            vector,
        }
    }

    /// Reads `value` from memory that holds it instead of computing it.
    pub(super) fn replace<E: VectorEmitter>(&mut self, value: ScalarId, access: FlatAccess) {
        let i = value.index();
        self.depends[i] = bits_of([&access.bytes]);
        self.accesses[i] = Some(access);
        self.operands[i].clear();
        self.analyse::<E>();
    }

    /// Finds out which values are needed, and which of them are vectors.
    fn analyse<E: VectorEmitter>(&mut self) {
        self.needed.fill(false);
        for root in &self.roots {
            self.needed[root.index()] = true;
        }
        for i in (0..self.insts.len()).rev() {
            if self.needed[i] {
                for operand in &self.operands[i] {
                    self.needed[operand.index()] = true;
                }
            }
        }
        if let Some((axis, lanes)) = self.vector {
            self.as_vector = (0..self.insts.len()).map(|i| self.has_vector::<E>(i, axis, lanes)).collect();
        }
    }

    /// Whether an instruction can be emitted over vectors.
    fn has_vector<E: VectorEmitter>(&self, i: usize, axis: Axis, lanes: usize) -> bool {
        let inst = self.insts[i];
        if let Some(access) = &self.accesses[i] {
            return access.is_contiguous(axis, |s| self.varies(s)) && E::has_vector_memory(inst.dtype, lanes);
        }
        // The first operand of a selection is bool, the last has the type of the result.
        let operand = self.operands[i].last().map_or(inst.dtype, |&s| self.dtype(s));
        match inst.kind {
            InstKind::Binary(op, _, amount) if is_shift(op) => {
                E::has_vector_shift(inst.dtype, lanes) && !self.varies(amount)
            }
            _ => E::has_vector_form(&inst.kind, inst.dtype, operand, lanes),
        }
    }

    /// The operands of an instruction that is computed.
    pub(super) fn operands(&self, value: ScalarId) -> &[ScalarId] {
        &self.operands[value.index()]
    }

    /// Whether a value that varies is a vector.
    pub(super) fn as_vector(&self, value: ScalarId) -> bool {
        self.as_vector[value.index()]
    }

    /// Whether lanes may have different values.
    pub(super) fn varies(&self, value: ScalarId) -> bool {
        self.vector.is_some_and(|(axis, _)| self.depends[value.index()] & (1 << axis) != 0)
    }

    /// Whether no value is computed lane by lane.
    fn is_vectorized(&self) -> bool {
        (0..self.insts.len()).all(|i| !self.needed[i] || self.as_vector[i] || !self.varies(ScalarId::new(i)))
    }

    /// The dtype of a value.
    pub(super) fn dtype(&self, value: ScalarId) -> DType {
        self.insts[value.index()].dtype
    }

    /// How many points it is emitted for at a time.
    pub(super) fn lanes(&self) -> usize {
        self.vector.map_or(1, |v| v.1)
    }

    /// How often an instruction is emitted: once, or once for every lane.
    fn times(&self, value: ScalarId) -> usize {
        if self.as_vector(value) || !self.varies(value) { 1 } else { self.lanes() }
    }

    /// Number of instructions that are emitted.
    pub(super) fn cost(&self) -> usize {
        (0..self.insts.len()).filter(|&i| self.needed[i]).map(|i| self.times(ScalarId::new(i))).sum()
    }
}

/// The plan of a body whose loads are all contiguous.
fn plan_of_values<'k>(body: &'k Body, roots: &[ScalarId], axis: Axis, lanes: usize) -> BodyPlan<'k> {
    let accesses = vec![None; body.insts.len()];
    let vector = (lanes > 1).then_some((axis, lanes));
    let mut plan = BodyPlan::with_accesses(body, roots.to_vec(), accesses, &[], vector);
    plan.analyse::<CraneliftEmitter<'_, '_>>();
    plan
}

/// Whether a body, of which `roots` are needed, can be emitted over vectors of `lanes` consecutive points of `axis`
/// without computing a value lane by lane; loads that are strided or guarded along the axis are the exception.
pub fn can_vectorize(body: &Body, roots: &[ScalarId], axis: Axis, lanes: usize) -> bool {
    plan_of_values(body, roots, axis, lanes).is_vectorized()
}

/// The instructions that a body takes for one vector of points, each with how often it is emitted: once, or once for
/// every lane. Loads count as contiguous.
pub(crate) fn instruction_counts(
    body: &Body,
    roots: &[ScalarId],
    axis: Axis,
    lanes: usize,
) -> Vec<(ScalarId, usize)> {
    let plan = plan_of_values(body, roots, axis, lanes);
    body.insts.keys().filter(|s| plan.needed[s.index()]).map(|s| (s, plan.times(s))).collect()
}
