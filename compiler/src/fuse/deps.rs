//! Who writes and reads what while a pass merges kernels, and the order that this leaves to them.

use std::collections::{BTreeSet, HashMap, HashSet};

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
/// A kernel is known by its position in the function. Positions are an order in which everything is written before it is
/// read. Where a kernel was merged into another, one without stages stays behind, so that the others keep their
/// positions; [`finish`](Links::finish) removes those.
pub struct Links {
    touched: SecondaryMap<BufferId, Touched>,
    /// For every buffer with the next value of a variable: the one with its value at entry.
    old_of: Pairs,
}

impl Links {
    /// The dependencies of a function's kernels.
    pub fn of(f: &KernelFunction) -> Links {
        let touched = SecondaryMap::with_capacity(f.buffers.len());
        let mut links = Links { touched, old_of: pair_variables(f).1 };
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
        let producers: BTreeSet<usize> = loaded.copied().filter(|&p| p != c).collect();
        producers.into_iter().collect()
    }

    /// Kernels that read what kernel `p` writes; some may come more than once.
    fn users<'a>(&'a self, f: &'a KernelFunction, p: usize) -> impl Iterator<Item = usize> + 'a {
        let stored = kernel_stores(&f.kernels[p]).flat_map(|b| &self.touched[b].readers);
        stored.copied().filter(move |&k| k != p)
    }

    /// Whether there is a way from kernel `from` to kernel `to` through at least one other kernel, so that the two
    /// cannot become one. Looks only at kernels between the two.
    pub fn separated(&self, f: &KernelFunction, from: usize, to: usize) -> bool {
        let mut todo: Vec<usize> = self.users(f, from).filter(|&k| k < to).collect();
        let mut seen: HashSet<usize> = todo.iter().copied().collect();
        while let Some(k) = todo.pop() {
            for user in self.users(f, k) {
                if user == to {
                    return true;
                }
                if user < to && seen.insert(user) {
                    todo.push(user);
                }
            }
        }
        false
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

    /// Puts `merged` in the place of kernels `p` and `c`, where `p` came first; gives its position. Kernels that `merged`
    /// needs come before it then, and those that need it behind it, otherwise they stay as they were.
    ///
    /// # Panics
    /// If the kernels depend on one another in a circle then, which is a bug of the pass that merged them.
    pub fn merge(&mut self, f: &mut KernelFunction, p: usize, c: usize, merged: Kernel) -> usize {
        self.remove(f, p);
        self.remove(f, c);
        f.kernels[c].stages.clear();
        f.kernels[p] = merged;
        self.insert(f, p);
        match self.producers(f, p).last() {
            Some(&last) if last > p => self.sort(f, p, last),
            _ => p,
        }
    }

    /// Sorts the kernels `first ..= last`, where only `first` stands before what it needs; gives the new position of
    /// that one.
    fn sort(&mut self, f: &mut KernelFunction, first: usize, last: usize) -> usize {
        let mut waiting: HashMap<usize, usize> = HashMap::new();
        let users = |k: usize| -> BTreeSet<usize> {
            self.users(f, k).filter(|user| (first..=last).contains(user)).collect()
        };
        (first..=last).flat_map(users).for_each(|user| *waiting.entry(user).or_default() += 1);
        let mut ready: BTreeSet<usize> = (first..=last).filter(|k| !waiting.contains_key(k)).collect();
        let mut order = Vec::with_capacity(last + 1 - first);
        while let Some(k) = ready.pop_first() {
            order.push(k);
            for user in users(k) {
                let left = waiting.get_mut(&user).expect("a user waits for what it uses");
                *left -= 1;
                if *left == 0 {
                    ready.insert(user);
                }
            }
        }
        assert_eq!(
            order.len(),
            last + 1 - first,
            "kernels of `@{}` depend on one another in a circle",
            f.name
        );
        let moved: Vec<(usize, usize)> = (first..).zip(order).filter(|(to, from)| to != from).collect();
        moved.iter().for_each(|&(_, from)| self.remove(f, from));
        let kernels: Vec<Kernel> = moved.iter().map(|&(_, from)| f.kernels[from].clone()).collect();
        for (&(to, _), kernel) in moved.iter().zip(kernels) {
            f.kernels[to] = kernel;
        }
        moved.iter().for_each(|&(to, _)| self.insert(f, to));
        moved.iter().find(|m| m.1 == first).map_or(first, |m| m.0)
    }

    /// Removes the kernels that were merged into others.
    pub fn finish(self, f: &mut KernelFunction) {
        f.kernels.retain(|kernel| !kernel.stages.is_empty());
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
/// them first. `merged(f, links, p, c)` is what becomes of kernels `p` and `c`; `report` sees the two before.
pub fn merge_all(
    f: &mut KernelFunction,
    merged: impl Fn(&KernelFunction, &Links, usize, usize) -> Option<Kernel>,
    mut report: impl FnMut(&Kernel, &Kernel),
) {
    let mut links = Links::of(f);
    for start in 0..f.kernels.len() {
        // A kernel that took another in may now fit into one that the other read. Nothing else can that could not before.
        let mut c = start;
        while let Some((p, kernel)) =
            (links.producers(f, c).into_iter().rev()).find_map(|p| Some((p, merged(f, &links, p, c)?)))
        {
            report(&f.kernels[c], &f.kernels[p]);
            c = links.merge(f, p, c, kernel);
        }
    }
    links.finish(f);
}
