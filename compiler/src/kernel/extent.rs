//! Extents of Kernel IR.

use std::fmt;

use super::{InstKind, KernelFunction};

/// Number of indices along an axis: fixed, or a multiple of the batch size, which code is told when it runs.
///
/// A multiple of the batch size is fixed for the largest one that the function is for, and it is that which strides,
/// offsets and sizes in memory are made from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// The largest that it is.
    most: usize,
    /// Indices for each example of the batch; 0 if it is fixed.
    each: usize,
}

impl Extent {
    /// `each` times the batch size, which is at most `largest`. The product fits: extents are limited.
    pub fn batch(each: usize, largest: usize) -> Extent {
        Extent { most: each * largest, each }
    }

    /// The extent for the largest batch size.
    pub fn most(self) -> usize {
        self.most
    }

    /// How many indices each example of the batch has; `None` if the extent is fixed.
    pub fn each(self) -> Option<usize> {
        (self.each > 0).then_some(self.each)
    }

    /// So many times as many indices.
    #[must_use]
    pub fn times(self, factor: usize) -> Extent {
        Extent { most: self.most * factor, each: self.each * factor }
    }

    /// The extent for a batch size.
    pub fn at(self, n: usize) -> usize {
        self.each().map_or(self.most, |each| each * n)
    }
}

impl From<usize> for Extent {
    fn from(most: usize) -> Extent {
        Extent { most, each: 0 }
    }
}

impl PartialEq<usize> for Extent {
    fn eq(&self, fixed: &usize) -> bool {
        *self == Extent::from(*fixed)
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.each {
            0 => self.most.fmt(f),
            1 => f.write_str("n"),
            each => write!(f, "{each}*n"),
        }
    }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The extents of axes that are all fixed.
pub fn fixed(extents: &[usize]) -> Vec<Extent> {
    extents.iter().copied().map(Extent::from).collect()
}

/// How many points axes of these extents have for the largest batch size. Saturates.
pub fn points<'a>(extents: impl IntoIterator<Item = &'a Extent>) -> usize {
    let extents = extents.into_iter().map(|e| e.most());
    extents.reduce(|n, e| if n == 0 || e == 0 { 0 } else { n.saturating_mul(e) }).unwrap_or(1)
}

/// Each extent for the largest batch size.
pub fn most(extents: &[Extent]) -> Vec<usize> {
    extents.iter().map(|e| e.most()).collect()
}

impl KernelFunction {
    /// The function for one batch size, at most the largest: what it means to run it for that batch size.
    pub fn at(&self, n: usize) -> KernelFunction {
        let mut function = KernelFunction { largest: None, ..self.clone() };
        function.each_extent(|extent| *extent = extent.at(n).into());
        function
    }

    /// Calls `f` for every extent.
    pub(super) fn each_extent(&mut self, mut f: impl FnMut(&mut Extent)) {
        self.buffers.values_mut().flat_map(|buffer| &mut buffer.shape).for_each(&mut f);
        for kernel in &mut self.kernels {
            kernel.axes.iter_mut().for_each(&mut f);
            for stage in &mut kernel.stages {
                stage.axes.iter_mut().for_each(&mut f);
                stage.fold.iter_mut().flat_map(|fold| &mut fold.axes).for_each(&mut f);
                let bodies = stage.fold.iter_mut().map(|fold| &mut fold.body).chain([&mut stage.body]);
                for inst in bodies.flat_map(|body| body.insts.values_mut()) {
                    if let InstKind::Extent(extent) = &mut inst.kind {
                        f(extent);
                    }
                }
            }
        }
    }
}
