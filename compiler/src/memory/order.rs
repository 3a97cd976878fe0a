//! The order in which kernels run.

use std::collections::{BTreeSet, HashSet};

use cranelift_entity::SecondaryMap;

use super::Uses;
use crate::kernel::{BufferId, BufferKind, KernelFunction};

/// Puts kernels into an order that lets variables be assigned in place and temporaries die early.
///
/// *Entry:* the kernels are in some order of execution. *Exit:* they are in one that computes the same.
///
/// - Always: of two kernels that touch the same buffer, one of them storing to it, the one that came first stays first.
/// - Where possible: kernels that load a variable run before those that store its next value, and kernels that
///   check an index before those that store the next value of any variable. Such a wish is given up only where
///   it contradicts the others.
/// - Of the kernels that may run, one that lets more bytes of temporaries die than it needs new ones goes first. So an
///   update is applied to a gradient as soon as it is complete.
/// - Else the order stays.
pub fn order(f: &mut KernelFunction) {
    let uses: Vec<Uses> = f.kernels.iter().map(|k| f.uses(k)).collect();
    let mut scheduler = Scheduler::new(f, &uses);
    let mut positions = vec![0; f.kernels.len()];
    for position in 0..f.kernels.len() {
        let kernel = scheduler.choose();
        scheduler.run(kernel);
        positions[kernel] = position;
    }
    let mut kernels: Vec<_> = positions.into_iter().zip(f.kernels.drain(..)).collect();
    kernels.sort_by_key(|(position, _)| *position);
    f.kernels.extend(kernels.into_iter().map(|(_, kernel)| kernel));
}

/// How eagerly a kernel whose operands are there should run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// It frees more than it needs.
    Frees,
    /// It may run.
    Free,
    /// Others should run first.
    Held,
}

/// What happens to a buffer.
#[derive(Clone, Default)]
struct Traffic {
    /// Kernels that load from it, in order.
    readers: Vec<usize>,
    /// Kernels that store to it, in order.
    writers: Vec<usize>,
    /// How many of the readers have not run.
    readers_left: usize,
}

struct Scheduler<'a> {
    f: &'a KernelFunction,
    uses: &'a [Uses],
    traffic: SecondaryMap<BufferId, Traffic>,
    /// For every buffer with a variable's value at entry: the one with its next value; and the other way round.
    next_of: SecondaryMap<BufferId, Option<BufferId>>,
    old_of: SecondaryMap<BufferId, Option<BufferId>>,
    /// Kernels that must run before each kernel, and after it.
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    /// How many of `before` have not run.
    pending: Vec<usize>,
    done: Vec<bool>,
    /// Kernels with nothing pending, and the class they are in.
    ready: BTreeSet<(Class, usize)>,
    class: Vec<Option<Class>>,
    /// Kernels that check indices, and how many of them have not run.
    checkers: Vec<usize>,
    checkers_left: usize,
    /// Kernels that store the next value of a variable.
    assigners: Vec<usize>,
}

impl<'a> Scheduler<'a> {
    fn new(f: &'a KernelFunction, uses: &'a [Uses]) -> Scheduler<'a> {
        let n = uses.len();
        let mut traffic: SecondaryMap<BufferId, Traffic> = SecondaryMap::new();
        let mut before = vec![Vec::new(); n];
        for (k, u) in uses.iter().enumerate() {
            for &b in &u.reads {
                before[k].extend(traffic[b].writers.last());
            }
            for &b in &u.writes {
                let t = &traffic[b];
                let since = t.writers.last().copied();
                before[k].extend(since);
                before[k].extend(t.readers.iter().rev().take_while(|&&r| Some(r) >= since));
            }
            for &b in &u.reads {
                traffic[b].readers.push(k);
                traffic[b].readers_left += 1;
            }
            for &b in &u.writes {
                traffic[b].writers.push(k);
            }
            before[k].sort_unstable();
            before[k].dedup();
        }
        let mut after = vec![Vec::new(); n];
        for (k, earlier) in before.iter().enumerate() {
            earlier.iter().for_each(|&e| after[e].push(k));
        }
        let (next_of, old_of) = pair_variables(f);
        let is_next = |b: &BufferId| matches!(f.buffers[*b].kind, BufferKind::Next(_));
        let checkers: Vec<usize> = (0..n).filter(|&k| uses[k].checks).collect();
        let mut scheduler = Scheduler {
            f,
            uses,
            traffic,
            next_of,
            old_of,
            pending: before.iter().map(Vec::len).collect(),
            before,
            after,
            done: vec![false; n],
            ready: BTreeSet::new(),
            class: vec![None; n],
            checkers_left: checkers.len(),
            checkers,
            assigners: (0..n).filter(|&k| uses[k].writes.iter().any(is_next)).collect(),
        };
        (0..n).for_each(|k| scheduler.classify_if_ready(k));
        scheduler
    }

    /// The kernel to run next. There is one as long as not all have run.
    fn choose(&self) -> usize {
        match self.ready.first() {
            Some(&(Class::Held, kernel)) => self.on_a_cycle(kernel),
            Some(&(_, kernel)) => kernel,
            None => unreachable!("the first kernel that has not run depends on none but earlier ones"),
        }
    }

    /// Marks a kernel as run, and looks again at all whose class that may change.
    fn run(&mut self, kernel: usize) {
        self.done[kernel] = true;
        if let Some(class) = self.class[kernel].take() {
            self.ready.remove(&(class, kernel));
        }
        let mut changed = Vec::new();
        for &k in &self.after[kernel] {
            self.pending[k] -= 1;
            if self.pending[k] == 0 {
                changed.push(k);
            }
        }
        for &b in &self.uses[kernel].reads {
            let t = &mut self.traffic[b];
            t.readers_left -= 1;
            if t.readers_left <= 1 {
                changed.extend(t.readers.iter().copied().filter(|&k| !self.done[k]));
                if let Some(next) = self.next_of[b] {
                    changed.extend(&self.traffic[next].writers);
                }
            }
        }
        if self.uses[kernel].checks {
            self.checkers_left -= 1;
            if self.checkers_left <= 1 {
                changed.extend(&self.assigners);
            }
        }
        changed.into_iter().for_each(|k| self.classify_if_ready(k));
    }

    fn classify_if_ready(&mut self, kernel: usize) {
        if self.pending[kernel] > 0 || self.done[kernel] {
            return;
        }
        let class = if self.holder(kernel).is_some() {
            Class::Held
        } else if self.freed_bytes(kernel) > self.new_bytes(kernel) {
            Class::Frees
        } else {
            Class::Free
        };
        if let Some(old) = self.class[kernel].replace(class) {
            self.ready.remove(&(old, kernel));
        }
        self.ready.insert((class, kernel));
    }

    /// A kernel that should run before this one and has not.
    fn holder(&self, kernel: usize) -> Option<usize> {
        let u = &self.uses[kernel];
        let other = |kernels: &[usize], left: usize, own: bool| {
            if left <= usize::from(own) {
                return None;
            }
            kernels.iter().copied().find(|&k| k != kernel && !self.done[k])
        };
        let mut assigned =
            u.writes.iter().filter(|&&b| matches!(self.f.buffers[b].kind, BufferKind::Next(_)));
        assigned.clone().next()?;
        other(&self.checkers, self.checkers_left, u.checks).or_else(|| {
            assigned.find_map(|&next| {
                let old = self.old_of[next]?;
                let t = &self.traffic[old];
                other(&t.readers, t.readers_left, u.reads.binary_search(&old).is_ok())
            })
        })
    }

    /// Bytes of temporaries that nobody needs after this kernel.
    fn freed_bytes(&self, kernel: usize) -> usize {
        let last = self.uses[kernel].reads.iter().filter(|&&b| self.traffic[b].readers_left == 1);
        last.map(|&b| self.temporary_bytes(b)).fold(0, usize::saturating_add)
    }

    /// Bytes of temporaries that this kernel makes.
    fn new_bytes(&self, kernel: usize) -> usize {
        let made = self.uses[kernel].writes.iter();
        made.map(|&b| self.temporary_bytes(b)).fold(0, usize::saturating_add)
    }

    fn temporary_bytes(&self, buffer: BufferId) -> usize {
        let buffer = &self.f.buffers[buffer];
        if matches!(buffer.kind, BufferKind::Temp) { buffer.bytes() } else { 0 }
    }

    /// A ready kernel that is held by kernels which wait for it in turn. All ready kernels are held.
    ///
    /// Going from a held kernel to its holder, and from there to a ready kernel that the holder waits for, must end in
    /// a circle.
    fn on_a_cycle(&self, mut kernel: usize) -> usize {
        let mut seen = HashSet::new();
        while seen.insert(kernel) {
            let Some(holder) = self.holder(kernel) else { return kernel };
            kernel = holder;
            while let Some(&earlier) = self.before[kernel].iter().find(|&&k| !self.done[k]) {
                kernel = earlier;
            }
        }
        kernel
    }
}

pub(crate) type Pairs = SecondaryMap<BufferId, Option<BufferId>>;

/// For every buffer with a variable's value at entry the one with its next value, and the other way round.
pub(crate) fn pair_variables(f: &KernelFunction) -> (Pairs, Pairs) {
    let (mut next_of, mut old_of) = (Pairs::new(), Pairs::new());
    let nexts: std::collections::HashMap<usize, BufferId> = f
        .buffers
        .iter()
        .filter_map(|(b, buffer)| match buffer.kind {
            BufferKind::Next(v) => Some((v, b)),
            _ => None,
        })
        .collect();
    for (old, buffer) in &f.buffers {
        if let BufferKind::Variable(v) = buffer.kind
            && let Some(&next) = nexts.get(&v)
        {
            next_of[old] = Some(next);
            old_of[next] = Some(old);
        }
    }
    (next_of, old_of)
}
