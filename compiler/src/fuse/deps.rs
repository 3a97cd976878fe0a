//! Who writes and reads what while a pass merges kernels, and the order that this leaves to them.

use std::cell::Cell;
use std::collections::HashSet;

use cranelift_entity::SecondaryMap;

use super::dead::holds_check;
use crate::kernel::{Access, Body, BufferId, BufferKind, Fold, InstKind, Kernel, KernelFunction};
use crate::memory::{Pairs, loads_precede_stores, pair_variables};

/// The loads of a body.
pub fn loads(body: &Body) -> impl Iterator<Item = &Access> {
    body.insts.values().filter_map(|inst| match &inst.kind {
        InstKind::Load(access) => Some(access),
        _ => None,
    })
}

/// The loads of a kernel, in the bodies of its stages and folds.
pub fn kernel_loads(kernel: &Kernel) -> impl Iterator<Item = &Access> {
    kernel.stages.iter().flat_map(|stage| {
        let fold: Option<&Fold> = stage.fold.as_ref();
        fold.into_iter().flat_map(|f| loads(&f.body)).chain(loads(&stage.body))
    })
}

/// The buffers that a kernel stores to.
pub fn kernel_stores(kernel: &Kernel) -> impl Iterator<Item = BufferId> {
    kernel.stages.iter().flat_map(|stage| stage.stores.iter().map(|s| s.buffer))
}

/// Which kernels touch a buffer, by their positions, in order.
#[derive(Clone, Default)]
struct Touched {
    writers: Vec<usize>,
    readers: Vec<usize>,
}

/// The dependencies of a function's kernels, kept up to date while kernels change and merge.
///
/// A kernel is known by its position in the function, which it keeps. Where a kernel was merged into another, one without
/// stages stays behind. The order of the kernels is that of their *ranks*: everything is written at a lower rank than it
/// is read. [`finish`](Links::finish) sorts the kernels by rank, and removes those without stages.
pub struct Links {
    touched: SecondaryMap<BufferId, Touched>,
    /// The position behind which each kernel comes, and in which order among those behind one position.
    ranks: Vec<Rank>,
    /// How many kernels were moved.
    moves: usize,
    /// How many kernels were looked at.
    visits: Cell<usize>,
    /// For every buffer with the next value of a variable: the one with its value at entry.
    old_of: Pairs,
}

type Rank = (usize, usize);

impl Links {
    /// The dependencies of a function's kernels.
    pub fn of(f: &KernelFunction) -> Links {
        let touched = SecondaryMap::with_capacity(f.buffers.len());
        let ranks = (0..f.kernels.len()).map(|k| (k, 0)).collect();
        let mut links = Links { touched, ranks, moves: 0, visits: Cell::new(0), old_of: pair_variables(f).1 };
        (0..f.kernels.len()).for_each(|k| links.insert(f, k));
        links
    }

    /// Kernels that load from a buffer or an alias of it.
    pub fn readers(&self, buffer: BufferId) -> &[usize] {
        &self.touched[buffer].readers
    }

    /// Kernels that write what kernel `c` reads, in order.
    pub fn producers(&self, f: &KernelFunction, c: usize) -> Vec<usize> {
        let loaded = kernel_loads(&f.kernels[c]).flat_map(|a| &self.touched[f.storage(a.buffer)].writers);
        let mut producers: Vec<usize> = loaded.copied().filter(|&p| p != c).collect();
        producers.sort_unstable_by_key(|&p| self.ranks[p]);
        producers.dedup();
        producers
    }

    /// Kernels that read what kernel `p` writes; some may come more than once.
    fn users<'a>(&'a self, f: &'a KernelFunction, p: usize) -> impl Iterator<Item = usize> + 'a {
        let stored = kernel_stores(&f.kernels[p]).flat_map(|b| &self.touched[b].readers);
        stored.copied().filter(move |&k| k != p).inspect(|_| self.visits.set(self.visits.get() + 1))
    }

    /// Whether there is a way from kernel `from` to kernel `to` through at least one other kernel, so that the two
    /// cannot become one. Looks only at kernels between the two.
    pub fn separated(&self, f: &KernelFunction, from: usize, to: usize) -> bool {
        let between = |&k: &usize| self.ranks[k] < self.ranks[to];
        let mut todo: Vec<usize> = self.users(f, from).filter(between).collect();
        let mut seen: HashSet<usize> = todo.iter().copied().collect();
        while let Some(k) = todo.pop() {
            for user in self.users(f, k) {
                if user == to {
                    return true;
                }
                if between(&user) && seen.insert(user) {
                    todo.push(user);
                }
            }
        }
        false
    }

    /// Whether kernel `to` needs, directly or not, what kernel `from` writes.
    pub fn depends(&self, f: &KernelFunction, from: usize, to: usize) -> bool {
        self.users(f, from).any(|user| user == to) || self.separated(f, from, to)
    }

    /// Whether what two kernels assign in place could still be, if they became `merged`: a variable that is read at other
    /// elements than those that are stored, or an index that is checked, would have it double-buffered.
    pub fn keeps_in_place(&self, f: &KernelFunction, parts: [&Kernel; 2], merged: &Kernel) -> bool {
        let in_place = |kernel: &Kernel| {
            let next = |b: &BufferId| matches!(f.buffers[*b].kind, BufferKind::Next(_));
            let mut assigned = kernel_stores(kernel).filter(next).peekable();
            assigned.peek().is_none()
                || !kernel.stages.iter().any(holds_check)
                    && assigned.all(|next| {
                        self.old_of[next].is_none_or(|old| loads_precede_stores(f, kernel, old, next))
                    })
        };
        in_place(merged) || !parts.into_iter().all(in_place)
    }

    /// Changes a kernel in place; `change` says whether it did.
    pub fn change(
        &mut self,
        f: &mut KernelFunction,
        k: usize,
        change: impl FnOnce(&mut Kernel) -> bool,
    ) -> bool {
        self.remove(f, k);
        let changed = change(&mut f.kernels[k]);
        self.insert(f, k);
        changed
    }

    /// Puts `merged` in the place of kernels `p` and `c`, where `p` came first and keeps its position. Kernels that `merged`
    /// needs come before it then, and those that need it behind it, otherwise they stay as they were.
    ///
    /// # Panics
    /// If the kernels depend on one another in a circle then, which is a bug of the pass that merged them.
    pub fn merge(&mut self, f: &mut KernelFunction, p: usize, c: usize, merged: Kernel) {
        self.remove(f, p);
        self.remove(f, c);
        f.kernels[c].stages.clear();
        f.kernels[p] = merged;
        self.insert(f, p);
        if let Some(&last) = self.producers(f, p).last()
            && self.ranks[last] > self.ranks[p]
        {
            self.move_behind(f, p, last);
        }
    }

    /// Moves a kernel, and those behind it that need it, behind the kernel `last`.
    fn move_behind(&mut self, f: &KernelFunction, kernel: usize, last: usize) {
        let (behind, _) = self.ranks[last];
        let mut moved = vec![kernel];
        let mut seen = HashSet::from([kernel]);
        let mut next = 0;
        while let Some(&k) = moved.get(next) {
            let users = self.users(f, k).filter(|&user| self.ranks[user].0 <= behind);
            moved.extend(users.filter(|&user| seen.insert(user)));
            next += 1;
        }
        assert!(!seen.contains(&last), "kernels of `@{}` depend on one another in a circle", f.name);
        moved.sort_unstable_by_key(|&k| self.ranks[k]);
        for k in moved {
            self.moves += 1;
            self.ranks[k] = (behind, self.moves);
        }
    }

    /// Sorts the kernels, and removes those that were merged into others.
    pub fn finish(self, f: &mut KernelFunction) {
        let mut kernels: Vec<(Rank, Kernel)> = self.ranks.into_iter().zip(f.kernels.drain(..)).collect();
        kernels.sort_by_key(|(rank, _)| *rank);
        f.kernels.extend(kernels.into_iter().map(|(_, kernel)| kernel).filter(|k| !k.stages.is_empty()));
    }

    fn insert(&mut self, f: &KernelFunction, k: usize) {
        let insert = |list: &mut Vec<usize>| {
            if let Err(at) = list.binary_search(&k) {
                list.insert(at, k);
            }
        };
        let kernel = &f.kernels[k];
        kernel_stores(kernel).for_each(|b| insert(&mut self.touched[b].writers));
        kernel_loads(kernel).for_each(|a| insert(&mut self.touched[f.storage(a.buffer)].readers));
    }

    fn remove(&mut self, f: &KernelFunction, k: usize) {
        let remove = |list: &mut Vec<usize>| {
            if let Ok(at) = list.binary_search(&k) {
                list.remove(at);
            }
        };
        let kernel = &f.kernels[k];
        kernel_stores(kernel).for_each(|b| remove(&mut self.touched[b].writers));
        kernel_loads(kernel).for_each(|a| remove(&mut self.touched[f.storage(a.buffer)].readers));
    }
}

/// Merges kernels until `merged` finds no more: for every kernel in order, with those that write what it reads, the last of
/// them first. `merged(f, links, p, c)` is what becomes of kernels `p` and `c`; `report` sees the two before. Gives how many
/// kernels were looked at, a measure of the work.
pub fn merge_all(
    f: &mut KernelFunction,
    merged: impl Fn(&KernelFunction, &Links, usize, usize) -> Option<Kernel>,
    mut report: impl FnMut(&Kernel, &Kernel),
) -> usize {
    let mut links = Links::of(f);
    for start in 0..f.kernels.len() {
        // A kernel that took another in may now fit into one that the other read. Nothing else can that could not before.
        let mut c = start;
        while let Some((p, kernel)) = links.producers(f, c).into_iter().rev().find_map(|p| {
            links.visits.set(links.visits.get() + 1);
            Some((p, merged(f, &links, p, c)?))
        }) {
            report(&f.kernels[c], &f.kernels[p]);
            links.merge(f, p, c, kernel);
            c = p;
        }
    }
    let visits = links.visits.get();
    links.finish(f);
    visits
}

#[cfg(test)]
mod tests {
    use crate::fuse::{Report, append, group, run};
    use crate::graph::{Builder, Train};
    use crate::lower::lower;
    use crate::types::DType::F32;
    use crate::{nn, optimizers, pipeline};

    /// Kernels after fusion of a training step of this many layers, and kernels that the merging passes looked at.
    fn fused(layers: usize) -> (usize, usize) {
        let builder = Builder::new("deep");
        builder.function("loss", |f| {
            let (x, y) = (f.placeholder("x", F32, [32, 20]), f.placeholder("y", F32, [32, 20]));
            let layer = |x, n: usize| nn::relu(nn::dense(x, &format!("layer{n}"), 20));
            f.result("loss", nn::mean_squared_error((0..layers).fold(x, layer), y));
        });
        builder.train(Train::minimize("step", "loss", optimizers::adam(0.01)));
        let module = pipeline::prepare(&builder.finish().unwrap()).unwrap();
        let step = &module.functions[module.function("step").unwrap()];
        let mut f = lower(&module, step);
        let report = &mut Report::default();
        run(&mut f, "fold-views", report);
        run(&mut f, "fuse-producers", report);
        let visits = append::run(&mut f, report) + group::run(&mut f, report);
        (f.kernels.len(), visits)
    }

    #[test]
    fn work_grows_with_the_number_of_kernels() {
        let [(few, little), (many, much)] = [20, 160].map(fused);
        assert!(many > 7 * few, "{few} and {many} kernels");
        assert!(much < 9 * little, "{little} visits for {few} kernels, {much} for {many}");
    }
}
