//! Mini-batches of a dataset.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use ndarray::{Array, ArrayViewD, ArrayViewMutD, Dimension};

use crate::column::{Column, Element, Rows, Spares};
use crate::dataset::Dataset;
use crate::error::DatasetError;
use crate::prefetch::Prefetch;
use crate::shuffle::permute;

/// An error of a mapping function.
type MapError = Box<dyn std::error::Error + Send + Sync>;

type MapFn = dyn Fn(&mut Batch) -> Result<(), MapError> + Send + Sync;

/// How to cut a dataset into mini-batches. Iterating over it makes them.
///
/// By default: one epoch, in the order of the dataset, on the calling thread; the last batch of an epoch has
/// what is left. What is made does not depend on whether it is prefetched.
///
/// ```
/// use bessemer_train::Dataset;
/// use ndarray::Array1;
///
/// let dataset = Dataset::new().with("x", Array1::from_iter((0..10).map(|i| i as f32)))?;
/// let mut sizes = Vec::new();
/// for batch in dataset.batches(4).shuffle(7).epochs(2).prefetch(2) {
///     let x = batch.get::<f32>("x")?;
///     sizes.push(x.len());
/// }
/// assert_eq!(sizes, [4, 4, 2, 4, 4, 2]);
/// # Ok::<(), bessemer_train::DatasetError>(())
/// ```
#[derive(Clone)]
pub struct Batches {
    dataset: Dataset,
    size: usize,
    drop_last: bool,
    seed: Option<u64>,
    first_epoch: u64,
    epochs: Option<u64>,
    prefetch: usize,
    map: Option<Arc<MapFn>>,
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dataset, size, drop_last, seed, first_epoch, epochs, prefetch, map } = self;
        f.debug_struct("Batches")
            .field("examples", &dataset.len())
            .field("size", size)
            .field("drop_last", drop_last)
            .field("seed", seed)
            .field("first_epoch", first_epoch)
            .field("epochs", epochs)
            .field("prefetch", prefetch)
            .field("map", &map.is_some())
            .finish()
    }
}

impl Batches {
    pub(crate) fn new(dataset: Dataset, size: usize) -> Self {
        Self {
            dataset,
            size,
            drop_last: false,
            seed: None,
            first_epoch: 0,
            epochs: Some(1),
            prefetch: 0,
            map: None,
        }
    }

    /// Takes the examples in an order that `seed` and the number of the epoch fix, on every platform.
    #[must_use]
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Leaves out the last batch of an epoch if it would be short; if the whole dataset is shorter than a batch,
    /// there are no batches.
    #[must_use]
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// Goes through the dataset `epochs` times.
    #[must_use]
    pub fn epochs(mut self, epochs: u64) -> Self {
        self.epochs = Some(epochs);
        self
    }

    /// Goes through the dataset for ever; if there are no batches in it, iteration ends at once.
    #[must_use]
    pub fn forever(mut self) -> Self {
        self.epochs = None;
        self
    }

    /// Counts epochs from `epoch`: a run that is resumed there sees the orders that it would have seen.
    #[must_use]
    pub fn first_epoch(mut self, epoch: u64) -> Self {
        self.first_epoch = epoch;
        self
    }

    /// Makes up to `depth` batches ahead on a thread of its own; with 0, each on the calling thread when it is
    /// asked for. More than 256 are not made ahead.
    ///
    /// The thread ends when the iterator is dropped, after the batch that it is at.
    #[must_use]
    pub fn prefetch(mut self, depth: usize) -> Self {
        self.prefetch = depth.min(256);
        self
    }

    /// Applies `f` to each batch as it is made, after any given before, on the prefetching thread if there is one.
    ///
    /// An error or a panic of `f` ends the iteration with a batch that gives a [`DatasetError::Mapping`] when it
    /// is used.
    ///
    /// ```
    /// use bessemer_train::Dataset;
    /// use ndarray::array;
    ///
    /// let dataset = Dataset::new().with("x", array![0_u8, 51, 255])?;
    /// let batches = dataset.batches(2).map(|batch| {
    ///     batch.map("x", |byte: u8| f32::from(byte) / 255.0)?;
    ///     Ok(())
    /// });
    /// let means: Result<Vec<_>, _> =
    ///     batches.into_iter().map(|batch| batch.get::<f32>("x").map(|x| x.sum())).collect();
    /// assert_eq!(means?, [0.2, 1.0]);
    /// # Ok::<(), bessemer_train::DatasetError>(())
    /// ```
    #[must_use]
    pub fn map<F>(mut self, f: F) -> Self
    where
        F: Fn(&mut Batch) -> Result<(), MapError> + Send + Sync + 'static,
    {
        self.map = Some(match self.map.take() {
            None => Arc::new(f),
            Some(before) => Arc::new(move |batch: &mut Batch| before(batch).and_then(|()| f(batch))),
        });
        self
    }

    /// The number of batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        let len = self.dataset.len();
        match self.size {
            0 => 0,
            size if self.drop_last => len / size,
            size => len.div_ceil(size),
        }
    }

    /// How many batches are made in all, if that is a number; `None` if they go on for ever.
    pub fn total(&self) -> Option<u64> {
        match self.batches_per_epoch() as u64 {
            0 => Some(0),
            per_epoch => self.epochs.map(|epochs| epochs.saturating_mul(per_epoch)),
        }
    }

    /// How many batches are made ahead.
    pub(crate) fn depth(&self) -> usize {
        self.prefetch
    }
}

impl IntoIterator for Batches {
    type Item = Batch;
    type IntoIter = BatchIter;

    fn into_iter(self) -> BatchIter {
        // Of size 0 there is one batch, which says so.
        let left = if self.size == 0 { Some(1) } else { self.total() };
        // Without a thread the batches are the same, only later: no reason to fail.
        let maker = match Prefetch::start(&self) {
            Some(prefetch) => Maker::Thread(prefetch),
            None => Maker::Here(Producer::new(self)),
        };
        BatchIter { maker, left }
    }
}

/// An iterator over mini-batches.
#[derive(Debug)]
pub struct BatchIter {
    maker: Maker,
    /// Batches to come, if they do not go on for ever and none fails.
    left: Option<u64>,
}

#[derive(Debug)]
enum Maker {
    Here(Producer),
    Thread(Prefetch),
}

impl Iterator for BatchIter {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let batch = match &mut self.maker {
            Maker::Here(producer) => producer.next(),
            Maker::Thread(prefetch) => prefetch.next(),
        };
        if let Some(left) = &mut self.left {
            *left = if batch.is_some() { left.saturating_sub(1) } else { 0 };
        }
        batch
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // A mapping that fails ends the iteration, so nothing is certain to come.
        (0, self.left.and_then(|left| usize::try_from(left).ok()))
    }
}

impl std::iter::FusedIterator for BatchIter {}

/// Some examples of a dataset, with its columns by name.
///
/// When a batch is dropped its memory goes to later batches of the same iterator.
#[derive(Debug)]
pub struct Batch {
    columns: Vec<(Arc<str>, Column)>,
    spares: Spares,
    len: usize,
    epoch: u64,
    index: usize,
    failure: Option<Failure>,
    pool: Arc<Pool>,
}

/// Why a batch could not be made.
#[derive(Clone, Debug)]
enum Failure {
    Size,
    Mapping(String),
}

impl Batch {
    /// The number of examples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no examples, as in a batch that could not be made.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The epoch that this batch is of.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number of this batch in its epoch, counted from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether this batch could be made.
    ///
    /// # Errors
    /// If the batch size is 0 or the mapping function failed.
    pub fn check(&self) -> Result<(), DatasetError> {
        Err(match &self.failure {
            None => return Ok(()),
            Some(Failure::Size) => DatasetError::InvalidBatchSize,
            Some(Failure::Mapping(what)) => {
                DatasetError::Mapping { epoch: self.epoch, batch: self.index, what: what.clone() }
            }
        })
    }

    /// A column, in row-major order.
    ///
    /// # Errors
    /// If the batch could not be made, there is no column of this name, or its elements are not of type `T`.
    pub fn get<T: Element>(&self, name: &str) -> Result<ArrayViewD<'_, T>, DatasetError> {
        let at = self.find(name)?;
        Ok(self.columns[at].1.typed::<T>(name)?.view())
    }

    /// A column, to be changed in place.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_mut<T: Element>(&mut self, name: &str) -> Result<ArrayViewMutD<'_, T>, DatasetError> {
        let at = self.find(name)?;
        let column = &mut self.columns[at].1;
        if T::array(column).is_none() {
            return Err(column.wrong_dtype(name, &[T::DTYPE]));
        }
        Ok(T::array_mut(column).expect("the type was just checked").view_mut())
    }

    /// Replaces every element of one column by `f` of it.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn map<T: Element, U: Element>(
        &mut self,
        name: &str,
        f: impl FnMut(T) -> U,
    ) -> Result<(), DatasetError> {
        let at = self.find(name)?;
        let mut elements = self.spares.take::<U>();
        let array = self.columns[at].1.typed::<T>(name)?;
        elements.extend(array.iter().copied().map(f));
        let shape = array.raw_dim();
        let mapped = Array::from_shape_vec(shape, elements).expect("as many elements as before");
        self.replace(at, mapped.into());
        Ok(())
    }

    /// Adds a column, or replaces the one of this name.
    ///
    /// # Errors
    /// If the batch could not be made, or the leading axis of the array does not count its examples.
    pub fn set<T: Element, D: Dimension>(
        &mut self,
        name: &str,
        array: Array<T, D>,
    ) -> Result<(), DatasetError> {
        self.check()?;
        let column = Column::from(array).into_standard();
        match column.shape().first() {
            Some(len) if *len == self.len => {}
            Some(len) => {
                return Err(DatasetError::WrongLength {
                    name: name.to_owned(),
                    found: *len,
                    wanted: self.len,
                });
            }
            None => {
                return Err(DatasetError::WrongShape {
                    name: name.to_owned(),
                    found: Vec::new(),
                    wanted: "a leading axis that counts the examples".to_owned(),
                });
            }
        }
        match self.columns.iter().position(|(known, _)| &**known == name) {
            Some(at) => self.replace(at, column),
            None => self.columns.push((name.into(), column)),
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Result<usize, DatasetError> {
        self.check()?;
        self.columns.iter().position(|(known, _)| &**known == name).ok_or_else(|| {
            DatasetError::UnknownColumn {
                name: name.to_owned(),
                known: self.columns.iter().map(|(known, _)| known.to_string()).collect(),
            }
        })
    }

    fn replace(&mut self, at: usize, column: Column) {
        let old = std::mem::replace(&mut self.columns[at].1, column);
        self.spares.put(old, 2 * self.columns.len());
    }

    /// A batch that could not be made.
    fn failed(failure: Failure, epoch: u64, index: usize, pool: &Arc<Pool>) -> Self {
        Self {
            columns: Vec::new(),
            spares: Spares::default(),
            len: 0,
            epoch,
            index,
            failure: Some(failure),
            pool: pool.clone(),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let memory =
            Memory { columns: std::mem::take(&mut self.columns), spares: std::mem::take(&mut self.spares) };
        self.pool.put(memory);
    }
}

/// The memory of a batch that was dropped.
#[derive(Debug, Default)]
struct Memory {
    columns: Vec<(Arc<str>, Column)>,
    spares: Spares,
}

/// Where batches leave their memory for those to come.
#[derive(Debug)]
struct Pool {
    free: Mutex<Vec<Memory>>,
    most: usize,
}

impl Pool {
    fn new(most: usize) -> Self {
        Self { free: Mutex::new(Vec::with_capacity(most)), most }
    }

    fn put(&self, memory: Memory) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.most {
            free.push(memory);
        }
    }

    fn take(&self) -> Memory {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }
}

/// Makes batches one after the other.
#[derive(Debug)]
pub(crate) struct Producer {
    plan: Batches,
    pool: Arc<Pool>,
    /// The order of the examples in the epoch, if they are shuffled.
    order: Vec<usize>,
    /// Epochs that are over.
    over: u64,
    /// The next batch of the epoch.
    index: usize,
    done: bool,
}

impl Producer {
    pub fn new(plan: Batches) -> Self {
        // One batch with the consumer, one in the making, the others ahead.
        let pool = Arc::new(Pool::new(plan.prefetch + 2));
        Self { plan, pool, order: Vec::new(), over: 0, index: 0, done: false }
    }

    pub fn next(&mut self) -> Option<Batch> {
        if self.done {
            return None;
        }
        if self.plan.size == 0 {
            self.done = true;
            return Some(Batch::failed(Failure::Size, self.plan.first_epoch, 0, &self.pool));
        }
        let per_epoch = self.plan.batches_per_epoch();
        if self.index == per_epoch && per_epoch > 0 {
            self.index = 0;
            self.over += 1;
        }
        if per_epoch == 0 || self.plan.epochs == Some(self.over) {
            self.done = true;
            return None;
        }
        let batch = self.make();
        self.index += 1;
        self.done = batch.failure.is_some();
        Some(batch)
    }

    fn make(&mut self) -> Batch {
        let Batches { dataset, size, seed, first_epoch, map, .. } = &self.plan;
        let epoch = first_epoch.wrapping_add(self.over);
        let start = self.index * size;
        let len = (*size).min(dataset.len() - start);
        let rows = match *seed {
            None => Rows::From { start, len },
            Some(seed) => {
                if self.index == 0 {
                    permute(seed, epoch, dataset.len(), &mut self.order);
                }
                Rows::Each { start: 0, rows: &self.order[start..start + len] }
            }
        };

        let Memory { mut columns, mut spares } = self.pool.take();
        for (_, column) in columns.drain(..) {
            spares.put(column, 2 * dataset.columns().len());
        }
        columns.extend(
            dataset.columns().iter().map(|column| (column.name.clone(), column.gather(rows, &mut spares))),
        );
        let index = self.index;
        let mut batch = Batch { columns, spares, len, epoch, index, failure: None, pool: self.pool.clone() };

        if let Some(map) = map {
            // What a panic leaves half done is in the batch, which is given up.
            let mapped = catch_unwind(AssertUnwindSafe(|| map(&mut batch)));
            let failure = match mapped {
                Ok(Ok(())) => return batch,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => panic_message(&*panic),
            };
            return Batch::failed(Failure::Mapping(failure), epoch, index, &self.pool);
        }
        batch
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied();
    let message = message.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", message.unwrap_or("no message"))
}
