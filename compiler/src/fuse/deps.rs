//! Who writes and reads what, and the order that this leaves to kernels.

use std::collections::{HashMap, HashSet};

use crate::kernel::{Access, Body, BufferId, Fold, InstKind, Kernel, KernelFunction};

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

/// Which kernels depend on which, by position.
pub struct Dependencies {
    /// Kernels that store to a buffer.
    pub writers: HashMap<BufferId, Vec<usize>>,
    /// Kernels that load from a buffer or an alias of it.
    pub readers: HashMap<BufferId, Vec<usize>>,
    /// For every kernel, those that read what it writes.
    pub users: Vec<Vec<usize>>,
}

impl Dependencies {
    /// The dependencies of a function's kernels.
    pub fn of(f: &KernelFunction) -> Dependencies {
        let (mut writers, mut readers) = (HashMap::<_, Vec<usize>>::new(), HashMap::<_, Vec<usize>>::new());
        let note = |map: &mut HashMap<BufferId, Vec<usize>>, buffer, kernel| {
            let kernels = map.entry(buffer).or_default();
            if kernels.last() != Some(&kernel) {
                kernels.push(kernel);
            }
        };
        for (k, kernel) in f.kernels.iter().enumerate() {
            kernel_stores(kernel).for_each(|b| note(&mut writers, b, k));
            kernel_loads(kernel).for_each(|a| note(&mut readers, f.storage(a.buffer), k));
        }
        let mut users = vec![Vec::new(); f.kernels.len()];
        for (buffer, writing) in &writers {
            for &w in writing {
                let later = readers.get(buffer).into_iter().flatten().filter(|&&r| r != w);
                users[w].extend(later.copied());
            }
        }
        for list in &mut users {
            list.sort_unstable();
            list.dedup();
        }
        Dependencies { writers, readers, users }
    }

    /// Whether there is a way from kernel `from` to kernel `to` through at least one other kernel, so that the two
    /// cannot become one.
    pub fn separated(&self, from: usize, to: usize) -> bool {
        let mut todo: Vec<usize> = self.users[from].iter().copied().filter(|&k| k != to).collect();
        let mut seen: HashSet<usize> = todo.iter().copied().collect();
        while let Some(k) = todo.pop() {
            for &user in &self.users[k] {
                if user == to {
                    return true;
                }
                // Kernels are in an order that dependencies allow, so nothing after `to` leads to it.
                if user < to && seen.insert(user) {
                    todo.push(user);
                }
            }
        }
        false
    }
}

/// Puts the kernels in an order in which everything is written before it is read, otherwise as they are.
///
/// # Panics
/// If the kernels depend on one another in a circle, which is a bug of the pass that merged them.
pub fn sort(f: &mut KernelFunction) {
    let users = Dependencies::of(f).users;
    let mut waiting = vec![0usize; f.kernels.len()];
    users.iter().flatten().for_each(|&k| waiting[k] += 1);
    let mut ready: std::collections::BTreeSet<usize> =
        (0..waiting.len()).filter(|&k| waiting[k] == 0).collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(k) = ready.pop_first() {
        order.push(k);
        for &user in &users[k] {
            waiting[user] -= 1;
            if waiting[user] == 0 {
                ready.insert(user);
            }
        }
    }
    assert_eq!(order.len(), f.kernels.len(), "kernels of `@{}` depend on one another in a circle", f.name);
    let mut kernels: Vec<Option<Kernel>> = std::mem::take(&mut f.kernels).into_iter().map(Some).collect();
    f.kernels = order.into_iter().map(|k| kernels[k].take().expect("each kernel comes once")).collect();
}
