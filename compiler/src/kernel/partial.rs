//! How many partial results the sums of a fold have.

use super::{Affine, Extent, points};

/// Enough to hide the latency of an addition.
const LANES: usize = 16;

/// Of products: the least elements of a sum.
const LONG: usize = 16;
/// Of products: elements of a vector of points, which is what uses an operand where sums have one result each.
const VECTOR: usize = 8;
/// Of products: multiplications of vectors that take as long as combining the partial results of a sum.
const COMBINED: usize = 6;

/// Partial results of a fold whose innermost axis has this extent and lies along memory: several, where it is always long enough.
pub fn lanes_along(innermost: Extent) -> usize {
    match innermost.most() {
        _ if innermost.each().is_some() => 1,
        extent if extent >= 4 * LANES => LANES,
        extent if extent >= 4 => 4,
        _ => 1,
    }
}

/// Partial results of a sum of products of some operands, each with its extents and its index, at every one of some points: several,
/// where an operand is seldom used and all lie along the innermost axis of the fold.
pub fn lanes_of_products<'a>(
    of_points: &[Extent],
    fold: &[Extent],
    operands: impl IntoIterator<Item = (&'a [Extent], &'a [Affine])>,
) -> usize {
    let Some(&innermost) = fold.last() else { return 1 };
    let axis = of_points.len() + fold.len() - 1;
    let (mut lie_along, mut uses) = (true, usize::MAX);
    for (shape, index) in operands {
        lie_along &= is_along(shape, index, axis);
        let users =
            of_points.iter().enumerate().filter(|(n, _)| index.iter().all(|expr| expr.factor(*n) == 0));
        let users: Vec<Extent> = users.map(|(_, &extent)| extent).collect();
        if users.iter().all(|extent| extent.each().is_none()) {
            uses = uses.min(points(&users));
        }
    }
    // An element of the sum is a share of a vector of points, or of one along the sum.
    let elements = points(fold);
    let saves = uses < VECTOR && elements.saturating_mul(VECTOR - uses) >= COMBINED * VECTOR * uses;
    match lie_along && saves && innermost.most() >= LONG {
        true => lanes_along(innermost),
        false => 1,
    }
}

/// Whether what follows along an axis is the next element, or the same one.
fn is_along(shape: &[Extent], index: &[Affine], axis: usize) -> bool {
    let innermost = shape.iter().rposition(|&extent| extent != Extent::from(1));
    let steps = index.iter().enumerate().filter(|(d, _)| shape[*d] != Extent::from(1));
    steps.into_iter().all(|(d, expr)| match expr.factor(axis) {
        0 => true,
        factor => factor == 1 && Some(d) == innermost,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_axes_have_partial_results() {
        let lanes = [0, 3, 4, 63, 64, 1000].map(|extent| lanes_along(extent.into()));
        assert_eq!(lanes, [1, 1, 4, 4, 16, 16]);
        assert_eq!(lanes_along(Extent::batch(1, 100)), 1);
    }

    /// The partial results of `[m, k] · [k, n]`, transposed or not.
    fn of_matrices([m, n, k]: [Extent; 3], [transpose_a, transpose_b]: [bool; 2]) -> usize {
        let matrix = |[x, y]: [(usize, Extent); 2], swap: bool| {
            let axes = if swap { [y, x] } else { [x, y] };
            (axes.map(|(_, extent)| extent), axes.map(|(axis, _)| Affine::axis(axis)))
        };
        let (rows, columns, summed) = ((0, m), (1, n), (2, k));
        let (a, b) = (matrix([rows, summed], transpose_a), matrix([summed, columns], transpose_b));
        lanes_of_products(&[m, n], &[k], [(&a.0[..], &a.1[..]), (&b.0[..], &b.1[..])])
    }

    #[test]
    fn products_have_partial_results_where_an_operand_is_seldom_used() {
        let of = |[m, n, k]: [usize; 3], transposed| of_matrices([m.into(), n.into(), k.into()], transposed);
        for (sizes, transposed, lanes) in [
            ([3, 50, 64], [false, true], 16),
            ([50, 3, 64], [false, true], 16),
            ([3, 50, 28], [false, true], 1),
            ([3, 50, 29], [false, true], 4),
            ([7, 50, 335], [false, true], 1),
            ([7, 50, 336], [false, true], 16),
            ([8, 8, 4096], [false, true], 1),
            ([1, 1, 16], [false, true], 4),
            ([1, 1, 15], [false, true], 1),
            // Of a matrix by columns these lie along k if there is one.
            ([50, 1, 64], [false, false], 16),
            ([50, 2, 64], [false, false], 1),
            ([1, 50, 64], [true, true], 16),
            ([2, 50, 64], [true, true], 1),
            ([1, 50, 64], [false, false], 1),
            ([0, 0, 64], [true, true], 1),
        ] {
            assert_eq!(of(sizes, transposed), lanes, "{sizes:?} {transposed:?}");
        }
        // Code for a range of batch sizes has one order for them all.
        let batch = Extent::batch(1, 3);
        assert_eq!(of_matrices([batch, 50.into(), 64.into()], [false, true]), 1);
        assert_eq!(of_matrices([batch, 1.into(), 64.into()], [false, false]), 16);
        assert_eq!(lanes_of_products(&[1.into()], &[], []), 1);
    }
}
