//! Batches made ahead, on a thread of their own.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::batches::{Batch, Batches, Producer};

/// The consumer's end of a thread that makes batches.
///
/// The thread runs until it is out of batches or nobody receives them; dropping this waits for that.
#[derive(Debug)]
pub(crate) struct Prefetch {
    /// `None` once the thread has been joined.
    thread: Option<(Receiver<Batch>, JoinHandle<()>)>,
}

impl Prefetch {
    /// Starts a thread if batches are to be made ahead and the system has one to give.
    pub fn start(plan: &Batches) -> Option<Self> {
        let depth = plan.depth();
        // One finished batch waits in the thread's hands, the others in the channel.
        let (sender, receiver) = sync_channel(depth.checked_sub(1)?);
        let mut producer = Producer::new(plan.clone());
        let thread = Builder::new().name("bessemer-prefetch".to_owned()).spawn(move || {
            while let Some(batch) = producer.next() {
                if sender.send(batch).is_err() {
                    return;
                }
            }
        });
        Some(Self { thread: Some((receiver, thread.ok()?)) })
    }

    pub fn next(&mut self) -> Option<Batch> {
        if let Ok(batch) = self.thread.as_ref()?.0.recv() {
            return Some(batch);
        }
        // A panic that is none of the mapping function's is a bug, and must not look like the end of the data.
        if let Err(panic) = self.stop() {
            resume_unwind(panic);
        }
        None
    }

    /// Tells the thread that nobody receives its batches, and waits for its end.
    fn stop(&mut self) -> std::thread::Result<()> {
        match self.thread.take() {
            Some((receiver, thread)) => {
                drop(receiver);
                thread.join()
            }
            None => Ok(()),
        }
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        // A panic on the thread is of no interest to one who wants no more batches.
        let _ = self.stop();
    }
}
