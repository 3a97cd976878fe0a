//! Mini-batches as a training loop meets them, made on the calling thread and ahead.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bessemer_train::{Batches, Column, Dataset, DatasetError, permutation};
use ndarray::{Array1, Array2, ArrayD, arr0, array};

/// `x` f32 `[len, 3]`, each row three times the number in `y`, i64 `[len]`.
fn dataset(len: usize) -> Dataset {
    let x = Array2::from_shape_fn((len, 3), |(row, _)| row as f32);
    Dataset::new().with("x", x).unwrap().with("y", Array1::from_iter(0..len as i64)).unwrap()
}

/// The examples of every batch, after checking that the columns agree.
fn examples(batches: Batches) -> Vec<Vec<i64>> {
    let batches = batches.into_iter().map(|batch| {
        let y = batch.get::<i64>("y").unwrap();
        let x = batch.get::<f32>("x").unwrap();
        assert_eq!(x.shape(), [batch.len(), 3]);
        assert!(x.iter().zip(y.iter().flat_map(|y| [y; 3])).all(|(x, y)| *x == *y as f32));
        y.to_owned().into_raw_vec_and_offset().0
    });
    batches.collect()
}

/// What a plan makes, which must be the same however far ahead it is made.
#[track_caller]
fn made(batches: &Batches) -> Vec<Vec<i64>> {
    let here = examples(batches.clone());
    for depth in [1, 2, 7, usize::MAX] {
        assert_eq!(examples(batches.clone().prefetch(depth)), here, "depth {depth}");
    }
    here
}

#[test]
fn in_order_with_a_short_last_batch() {
    assert_eq!(made(&dataset(5).batches(2)), [vec![0, 1], vec![2, 3], vec![4]]);
    assert_eq!(made(&dataset(4).batches(2)), [[0, 1], [2, 3]]);
    assert_eq!(made(&dataset(5).batches(2).drop_last().epochs(2)), [[0, 1], [2, 3], [0, 1], [2, 3]]);
}

#[test]
fn batches_larger_than_the_data() {
    assert_eq!(made(&dataset(3).batches(100)), [[0, 1, 2]]);
    assert_eq!(made(&dataset(3).batches(usize::MAX).shuffle(1).epochs(2)).len(), 2);
    assert!(made(&dataset(3).batches(100).drop_last().forever()).is_empty());
}

#[test]
fn nothing_to_batch() {
    assert!(made(&dataset(0).batches(4)).is_empty());
    assert!(made(&dataset(0).batches(4).shuffle(1).forever()).is_empty());
    assert!(made(&Dataset::new().batches(4)).is_empty());
    assert!(made(&dataset(3).batches(2).epochs(0)).is_empty());
}

#[test]
fn batch_size_0_is_an_error_of_the_first_batch() {
    for depth in [0, 2] {
        let mut batches = dataset(3).batches(0).forever().prefetch(depth).into_iter();
        let batch = batches.next().unwrap();
        assert!(batch.is_empty());
        assert!(matches!(batch.check(), Err(DatasetError::InvalidBatchSize)));
        assert!(matches!(batch.get::<f32>("x"), Err(DatasetError::InvalidBatchSize)));
        assert!(batches.next().is_none());
        assert!(batches.next().is_none());
    }
}

#[test]
fn shuffles_by_seed_and_epoch() {
    let plan = dataset(20).batches(6).shuffle(3).epochs(3);
    let made = made(&plan);
    let epochs: Vec<Vec<i64>> = made.chunks(4).map(<[_]>::concat).collect();
    for (epoch, examples) in epochs.iter().enumerate() {
        let order = permutation(3, epoch as u64, 20);
        assert!(order.iter().map(|example| *example as i64).eq(examples.iter().copied()));
    }
    assert_ne!(epochs[0], epochs[1]);
    assert_ne!(examples(dataset(20).batches(6).shuffle(4))[0], made[0]);
}

#[test]
fn a_part_of_a_dataset_is_shuffled_within_itself() {
    let (_, part) = dataset(20).split(0.5).unwrap();
    let mut all = made(&part.batches(3).shuffle(1)).concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(10..20));
}

#[test]
fn a_resumed_run_sees_the_same_epochs() {
    let plan = dataset(10).batches(4).shuffle(3);
    let whole = examples(plan.clone().epochs(5));
    assert_eq!(made(&plan.clone().first_epoch(2).epochs(3)), whole[6..]);
    let batch = plan.first_epoch(2).forever().into_iter().nth(4).unwrap();
    assert_eq!((batch.epoch(), batch.index()), (3, 1));
}

#[test]
fn counts_are_known_ahead() {
    let plan = dataset(10).batches(4).epochs(2);
    assert_eq!((plan.batches_per_epoch(), plan.total()), (3, Some(6)));
    assert_eq!(plan.clone().drop_last().total(), Some(4));
    assert_eq!(plan.clone().forever().total(), None);
    assert_eq!(dataset(0).batches(4).forever().total(), Some(0));
    let mut batches = plan.into_iter();
    assert_eq!(batches.size_hint(), (0, Some(6)));
    batches.next();
    assert_eq!(batches.size_hint(), (0, Some(5)));
    assert_eq!(batches.by_ref().count(), 5);
}

#[test]
fn mapping_changes_batches() {
    let plan = dataset(5)
        .batches(2)
        .map(|batch| {
            batch.get_mut::<f32>("x")?.mapv_inplace(|x| x * 10.0);
            batch.set("epoch", Array1::from_elem(batch.len(), batch.epoch() as i32))?;
            Ok(())
        })
        .map(|batch| Ok(batch.map("y", |y: i64| y % 2 == 1)?))
        .epochs(2);
    for depth in [0, 2] {
        let batches: Vec<_> = plan.clone().prefetch(depth).into_iter().collect();
        assert_eq!(batches.len(), 6);
        let second = &batches[4];
        assert_eq!(second.get::<f32>("x").unwrap(), array![[20.0; 3], [30.0; 3]].into_dyn());
        assert_eq!(second.get::<bool>("y").unwrap(), array![false, true].into_dyn());
        assert_eq!(second.get::<i32>("epoch").unwrap(), array![1, 1].into_dyn());
    }
}

#[test]
fn mapping_is_checked() {
    let plan = dataset(5).batches(2).map(|batch| {
        assert!(batch.set("z", array![1]).unwrap_err().to_string().contains("has 1 examples where 2"));
        assert!(batch.set("z", arr0(1)).unwrap_err().to_string().contains("shape []"));
        assert!(batch.get_mut::<i64>("x").unwrap_err().to_string().contains("holds f32, not i64"));
        assert!(batch.map("z", |z: f32| z).unwrap_err().to_string().contains("the columns are `x`, `y`"));
        Ok(())
    });
    plan.into_iter().next().unwrap().check().unwrap();
}

#[test]
fn failures_of_a_mapping_end_the_iteration_with_an_error() {
    let failing = dataset(9)
        .batches(2)
        .epochs(2)
        .map(|batch| if batch.epoch() == 1 && batch.index() == 1 { Err("no more".into()) } else { Ok(()) });
    let panicking = dataset(9).batches(2).epochs(2).map(|batch| {
        assert!(batch.epoch() == 0 || batch.index() == 0, "no more");
        Ok(())
    });
    for (plan, what) in [(failing, "no more"), (panicking, "panicked: no more")] {
        for depth in [0, 1, 3] {
            let batches: Vec<_> = plan.clone().prefetch(depth).into_iter().collect();
            assert_eq!(batches.len(), 7);
            assert!(batches[..6].iter().all(|batch| batch.check().is_ok()));
            assert!(batches[6].is_empty());
            let error = batches[6].get::<f32>("x").unwrap_err().to_string();
            let expected = format!("the mapping of batch 1 of epoch 1 failed: {what}\n  = help: ");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}

#[test]
fn memory_is_used_again() {
    let dataset = dataset(40).with("byte", Array1::<u8>::zeros(40)).unwrap();
    for depth in [0, 1, 3] {
        let plan = dataset.batches(7).shuffle(1).forever().prefetch(depth);
        let plan = plan.map(|batch| Ok(batch.map("byte", |byte: u8| f64::from(byte))?));
        let mut places = [(); 3].map(|()| HashSet::new());
        for batch in plan.into_iter().take(200) {
            places[0].insert(batch.get::<f32>("x").unwrap().as_ptr() as usize);
            places[1].insert(batch.get::<i64>("y").unwrap().as_ptr() as usize);
            places[2].insert(batch.get::<f64>("byte").unwrap().as_ptr() as usize);
        }
        assert!(places.iter().all(|places| places.len() <= depth + 2), "depth {depth}: {places:?}");
    }
}

#[test]
fn batches_that_are_kept_stay_as_they_were() {
    let kept: Vec<_> = dataset(50).batches(5).epochs(4).prefetch(2).into_iter().collect();
    for (at, batch) in kept.iter().enumerate() {
        let first = (at % 10 * 5) as i64;
        assert!(batch.get::<i64>("y").unwrap().iter().copied().eq(first..first + 5));
    }
}

#[test]
fn dropping_the_iterator_ends_the_thread() {
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let plan = dataset(50).batches(5).forever().prefetch(3).map(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    let mut batches = plan.into_iter();
    let held = batches.next().unwrap();
    drop(batches);
    // The thread held the mapping function; it is gone, and the batch in our hands is not.
    assert_eq!(Arc::strong_count(&made), 1);
    // The one taken, three ahead, and one more that the thread may have been at.
    assert!(made.load(Ordering::Relaxed) <= 5);
    assert_eq!(held.len(), 5);
}

#[test]
fn iterators_move_between_threads() {
    let mut batches = dataset(10).batches(5).prefetch(1).into_iter();
    let batch = std::thread::spawn(move || batches.next().unwrap()).join().unwrap();
    assert_eq!(batch.len(), 5);
}

#[test]
fn every_type_and_rank_is_batched() {
    fn batched(column: impl Into<Column>) -> Vec<usize> {
        let dataset = Dataset::new().with("x", column).unwrap();
        let batch = dataset.batches(2).shuffle(1).into_iter().next().unwrap();
        batch.check().unwrap();
        dataset.example_shape("x").unwrap().to_vec()
    }
    assert_eq!(batched(ArrayD::<u8>::zeros(vec![3])), []);
    assert_eq!(batched(ArrayD::<f64>::zeros(vec![3, 1, 2, 3, 4])), [1, 2, 3, 4]);
    assert_eq!(batched(ArrayD::<bool>::default(vec![3, 2])), [2]);
}
