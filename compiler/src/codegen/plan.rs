//! What is known of a body before it is emitted: what it needs, and what becomes a vector.
//!
//! Over a vector of points, a value is one of three things. It is *uniform* if it does not depend on the vector's
//! axis, and is computed once, as a scalar. It is a *vector* if its instruction has a form over vectors. Else it is
//! computed for each *lane* on its own: strided loads, integer division, 64-bit values beside 32-bit vectors. So any
//! body can be emitted over vectors; [`instruction_counts`] says what that costs.

use cranelift_entity::{EntityRef, SecondaryMap};

use super::access::{FlatAccess, Placement};
use super::vectors::Vectors;
use crate::kernel::{
    Affine, Axis, BinaryOp, Body, BufferId, CheckSite, FoldOp, Guard, Inst, InstKind, ScalarId,
};
use crate::types::DType;

/// The most vectors of points that a body is emitted for in lockstep: with more, a CPU gains little.
const TOGETHER: usize = 2;

/// The axes that a value depends on, one bit each. Values that depend on an accumulator have every bit.
pub(crate) type Axes = u64;

/// A vector of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Vector {
    /// The axis that they are consecutive on.
    pub(super) axis: Axis,
    /// How many lanes the vector has.
    pub(super) lanes: usize,
    /// How many of them are points, from the first one. In the others, values may be anything; nothing of them is stored,
    /// and they touch no memory.
    pub(super) active: usize,
}

impl Vector {
    /// With a point in every lane.
    pub(super) fn full(axis: Axis, lanes: usize) -> Vector {
        Vector { axis, lanes, active: lanes }
    }
}

/// Consecutive points that are run in the same way: as so many vectors, or one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) vector: Option<Vector>,
    /// The first point, counted from where the pieces start.
    first: usize,
    /// How many vectors or points.
    count: usize,
}

impl Piece {
    /// Lanes of its vectors.
    pub(super) fn lanes(self) -> Option<usize> {
        self.vector.map(|v| v.lanes)
    }

    /// Where each vector or point starts.
    pub(super) fn offsets(self) -> impl Iterator<Item = usize> {
        let step = self.vector.map_or(1, |v| v.lanes);
        (0..self.count).map(move |n| self.first + n * step)
    }
}

/// Cuts `size` consecutive points into full vectors, and what fills none: a partial vector where there are such, which may have
/// fewer lanes.
pub(super) fn pieces(vectors: Vectors, vector: Option<Vector>, size: usize) -> Vec<Piece> {
    let lanes = vector.map_or(1, |v| v.lanes);
    let (count, rest) = (size / lanes, size % lanes);
    let tail = match vector {
        Some(vector) if vectors.has_partial() => {
            let lanes = vectors.lanes_for(rest, lanes);
            Piece { vector: Some(Vector { lanes, active: rest, ..vector }), first: size - rest, count: 1 }
        }
        _ => Piece { vector: None, first: size - rest, count: rest },
    };
    let full = Piece { vector, first: 0, count };
    [(count, full), (rest, tail)].into_iter().filter(|p| p.0 > 0).map(|p| p.1).collect()
}

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
    pub(super) vectors: Vectors,
    pub(super) vector: Option<Vector>,
}

/// What is known of the kernel that a body is part of.
pub(super) struct Surroundings<'s> {
    pub(super) placements: &'s SecondaryMap<BufferId, Placement>,
    pub(super) checks: &'s [CheckSite],
    pub(super) vectors: Vectors,
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
    pub(super) fn new(
        body: &'k Body,
        roots: Vec<ScalarId>,
        around: &Surroundings<'k>,
        vector: Option<Vector>,
    ) -> BodyPlan<'k> {
        let accesses = body.insts.values().map(|inst| match &inst.kind {
            InstKind::Load(a) => {
                let placement = &around.placements[a.buffer];
                let access = FlatAccess::new(a.buffer, placement, &a.index, a.indirect, inst.dtype);
                Some(access.guarded(&a.guards, a.fill, around.extents))
            }
            _ => None,
        });
        let mut plan = BodyPlan::with_accesses(body, roots, accesses.collect(), around.vectors, vector);
        plan.checks = around.checks;
        plan.analyse();
        plan
    }

    fn with_accesses(
        body: &'k Body,
        roots: Vec<ScalarId>,
        accesses: Vec<Option<FlatAccess>>,
        vectors: Vectors,
        vector: Option<Vector>,
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
            checks: &[],
            vectors,
            vector,
        }
    }

    /// Reads `value` from memory that holds it instead of computing it.
    pub(super) fn replace(&mut self, value: ScalarId, access: FlatAccess) {
        let i = value.index();
        self.depends[i] = bits_of([&access.bytes]);
        self.accesses[i] = Some(access);
        self.operands[i].clear();
        self.analyse();
    }

    /// Finds out which values are needed, and which of them are vectors.
    fn analyse(&mut self) {
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
        if let Some(vector) = self.vector {
            self.as_vector = (0..self.insts.len()).map(|i| self.has_vector(i, vector)).collect();
        }
    }

    /// Whether an instruction can be emitted over vectors.
    fn has_vector(&self, i: usize, vector: Vector) -> bool {
        let (inst, Vector { axis, lanes, active }) = (self.insts[i], vector);
        if let Some(access) = &self.accesses[i] {
            return access.is_contiguous(axis, |s| self.varies(s))
                && self.vectors.has_memory(inst.dtype, lanes, active);
        }
        // The first operand of a selection is bool, the last has the type of the result.
        let operand = self.operands[i].last().map_or(inst.dtype, |&s| self.dtype(s));
        match inst.kind {
            InstKind::Binary(op, _, amount) if is_shift(op) => {
                self.vectors.has_shift(inst.dtype, lanes) && !self.varies(amount)
            }
            _ => self.vectors.has_form(&inst.kind, inst.dtype, operand, lanes),
        }
    }

    /// Loads of vectors that are read whole whatever the point.
    pub(super) fn vector_loads(&self) -> impl Iterator<Item = &FlatAccess> {
        let whole = |access: &&FlatAccess| access.guards.is_empty() && access.indirect.is_none();
        (0..self.insts.len())
            .filter(|&i| self.needed[i] && self.as_vector[i])
            .filter_map(move |i| self.accesses[i].as_ref().filter(whole))
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
        self.vector.is_some_and(|v| self.depends[value.index()] & (1 << v.axis) != 0)
    }

    /// Whether no value is computed lane by lane.
    pub(super) fn is_vectorized(&self) -> bool {
        (0..self.insts.len()).all(|i| !self.needed[i] || self.as_vector[i] || !self.varies(ScalarId::new(i)))
    }

    /// The dtype of a value.
    pub(super) fn dtype(&self, value: ScalarId) -> DType {
        self.insts[value.index()].dtype
    }

    /// How many lanes its vectors have.
    pub(super) fn lanes(&self) -> usize {
        self.vector.map_or(1, |v| v.lanes)
    }

    /// How many points it is emitted for at a time.
    pub(super) fn active(&self) -> usize {
        self.vector.map_or(1, |v| v.active)
    }

    /// For how many vectors of points the body is best emitted in lockstep: so many that what they need at once fits the registers,
    /// constants not counted, which can stay in memory.
    pub(super) fn together(&self) -> usize {
        match self.vectors.ordered_registers() {
            Some(registers) if self.vector.is_some() && self.is_vectorized() => {
                (registers / self.live().max(1)).clamp(1, TOGETHER)
            }
            _ => 1,
        }
    }

    /// How many values that vary are needed at once, at the most. Loads are emitted where they are needed first.
    fn live(&self) -> usize {
        let count = self.insts.len();
        let mut first: Vec<usize> = (0..count).collect();
        let mut last = first.clone();
        for i in (0..count).filter(|&i| self.needed[i]) {
            for operand in self.operands[i].iter().map(|operand| operand.index()) {
                if self.accesses[operand].is_some() && last[operand] == operand {
                    first[operand] = i;
                }
                last[operand] = i;
            }
        }
        self.roots.iter().for_each(|root| last[root.index()] = count);
        let (mut begins, mut ends) = (vec![0; count + 1], vec![0; count + 1]);
        for i in (0..count).filter(|&i| self.needed[i] && self.varies(ScalarId::new(i))) {
            begins[first[i]] += 1;
            ends[last[i]] += 1;
        }
        let (mut live, mut most) = (0, 0);
        for (begins, ends) in begins.iter().zip(&ends) {
            live = live + begins - ends;
            most = most.max(live);
        }
        most
    }

    /// How often an instruction is emitted: once, or once for every lane.
    fn times(&self, value: ScalarId) -> usize {
        if self.as_vector(value) || !self.varies(value) { 1 } else { self.active() }
    }

    /// Number of instructions that are emitted.
    pub(super) fn cost(&self) -> usize {
        (0..self.insts.len()).filter(|&i| self.needed[i]).map(|i| self.times(ScalarId::new(i))).sum()
    }
}

/// The plan of a body whose loads are all contiguous.
fn plan_of_values<'k>(
    body: &'k Body,
    roots: &[ScalarId],
    vectors: Vectors,
    (axis, lanes): (Axis, usize),
) -> BodyPlan<'k> {
    let accesses = vec![None; body.insts.len()];
    let vector = (lanes > 1).then(|| Vector::full(axis, lanes));
    let mut plan = BodyPlan::with_accesses(body, roots.to_vec(), accesses, vectors, vector);
    plan.analyse();
    plan
}

/// The instructions that a body takes for one vector of so many consecutive points of an axis, each with how often it is
/// emitted: once, or once for every lane. Loads count as contiguous.
pub(crate) fn instruction_counts(
    body: &Body,
    roots: &[ScalarId],
    vectors: Vectors,
    along: (Axis, usize),
) -> Vec<(ScalarId, usize)> {
    let plan = plan_of_values(body, roots, vectors, along);
    body.insts.keys().filter(|s| plan.needed[s.index()]).map(|s| (s, plan.times(s))).collect()
}
