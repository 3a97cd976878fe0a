//! The loops of scans.

use super::emitter::VectorEmitter;
use super::fold::{Accumulators, At, FoldPlan, set};
use super::loops::Emission;
use super::point::{Coord, Point};
use crate::kernel;

/// Emits the code for an element of a scan at some points.
type OnElement<'x, E> = &'x mut dyn FnMut(
    &mut Emission<E>,
    &[Point<<E as VectorEmitter>::Word>],
    &[Accumulators<<E as VectorEmitter>::Value>],
);

impl FoldPlan<'_> {
    /// Emits a scan: `at_element` is called at every element with the accumulators of every point.
    pub(super) fn scan<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &[Point<E::Word>],
        at_element: OnElement<'_, E>,
    ) {
        if kernel::points(&self.fold.axes) == 0 {
            return;
        }
        let start = self.start(&mut emission.e);
        let kept: Vec<E::Value> = points.iter().flat_map(|_| start.clone()).collect();
        self.scan_axes(emission, &mut points.to_vec(), 0, kept, at_element);
    }

    fn scan_axes<E: VectorEmitter>(
        &self,
        emission: &mut Emission<E>,
        points: &mut [Point<E::Word>],
        level: usize,
        mut kept: Vec<E::Value>,
        at_element: OnElement<'_, E>,
    ) -> Vec<E::Value> {
        let axis = self.first_axis + level;
        match self.fold.axes.get(level) {
            None => {
                let before = kept.clone();
                self.step(emission, &self.body, &At { points, loop_axis: None }, 0, &mut kept);
                let seen: Vec<Accumulators<E::Value>> = (0..points.len())
                    .map(|n| {
                        let view = |emission: &mut Emission<E>, a, kept: &[E::Value]| {
                            let kept = &kept[n * self.kept()..];
                            let own: Vec<_> = self.slots(a, 0).iter().map(|&s| kept[s]).collect();
                            self.accumulator(&mut emission.e, a, self.body.lanes(), &own)
                        };
                        (0..self.combines.len())
                            .map(|a| [view(emission, a, &kept), view(emission, a, &before)])
                            .collect()
                    })
                    .collect();
                at_element(emission, points, &seen);
                kept
            }
            Some(extent) if *extent == 1 => {
                set(points, axis, Coord::fixed(0));
                self.scan_axes(emission, points, level + 1, kept, at_element)
            }
            Some(&extent) => {
                let span = emission.whole(extent);
                let (first, end) = emission.bounds(&span);
                emission.count(first, end, 1, &kept, &mut |emission, counter, kept| {
                    set(points, axis, Coord::counted(counter));
                    self.scan_axes(emission, points, level + 1, kept.to_vec(), at_element)
                })
            }
        }
    }
}
