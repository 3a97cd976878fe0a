//! Orders of examples that a seed and an epoch fix, on every platform and in every version.
//!
//! The order is ours to the last step: ChaCha8 with the seed as its key and the epoch as its stream, and the
//! Fisher–Yates shuffle below. The shuffle of `rand` may change with its version, and a run that is resumed
//! from a checkpoint must see the examples in the order that it would have seen.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The numbers `0..len` in the order that `seed` and `epoch` fix.
///
/// ```
/// use bessemer_train::permutation;
///
/// assert_eq!(permutation(7, 0, 5), permutation(7, 0, 5));
/// assert_ne!(permutation(7, 0, 100), permutation(7, 1, 100));
/// ```
pub fn permutation(seed: u64, epoch: u64, len: usize) -> Vec<usize> {
    let mut order = Vec::new();
    permute(seed, epoch, len, &mut order);
    order
}

/// Writes what [`permutation`] returns over `order`, in its memory.
pub(crate) fn permute(seed: u64, epoch: u64, len: usize, order: &mut Vec<usize>) {
    order.clear();
    order.extend(0..len);
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(epoch);
    for last in (1..len).rev() {
        order.swap(last, below(&mut rng, last as u64 + 1));
    }
}

/// A number in `0..bound`, each equally likely (Lemire's multiplication, rejecting the surplus).
fn below(rng: &mut ChaCha8Rng, bound: u64) -> usize {
    let surplus = bound.wrapping_neg() % bound;
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        let (high, low) = ((product >> 64) as usize, product as u64);
        if low >= surplus {
            return high;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_occurs_once() {
        for len in [0, 1, 2, 3, 17, 1000] {
            let mut order = permutation(1, 2, len);
            order.sort_unstable();
            assert!(order.into_iter().eq(0..len));
        }
    }

    /// A change here would change the order of every training run: it must not happen.
    #[test]
    fn the_order_is_fixed_for_ever() {
        assert_eq!(permutation(0, 0, 10), [9, 2, 3, 4, 6, 7, 0, 1, 5, 8]);
        assert_eq!(permutation(42, 3, 10), [1, 5, 9, 3, 2, 0, 7, 8, 6, 4]);
    }

    #[test]
    fn places_are_equally_likely() {
        let mut counts = [[0_u32; 4]; 4];
        for epoch in 0..4000 {
            for (place, number) in permutation(9, epoch, 4).into_iter().enumerate() {
                counts[place][number] += 1;
            }
        }
        // 1000 expected, standard deviation 27.
        assert!(counts.iter().flatten().all(|count| (865..1135).contains(count)), "{counts:?}");
    }
}
