//! A box whose allocation can fail.

use super::round_up;
use crate::abi::Status;
use crate::sys::pages::{self, Pages};
use core::mem::{self, size_of, size_of_val};
use core::ops::Deref;
use core::ptr::{self, NonNull};

/// A value, or a slice of them, in pages of its own: it never moves and may be shared by its address.
///
/// For the few objects that outlive a call: a page each is cheap, and no allocator is needed.
pub(crate) struct Owned<T: ?Sized>(NonNull<T>);

impl<T> Owned<T> {
    /// Moves `value` into pages of its own.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`], with the value dropped.
    pub(crate) fn new(value: T) -> Result<Owned<T>, Status> {
        let place = map_for::<T>(1)?;
        // SAFETY: the pages have room for one `T`, suitably aligned.
        unsafe { place.write(value) };
        Ok(Owned(place))
    }
}

impl<T> Owned<[T]> {
    /// The values `make(0)`, `make(1)`, … `make(len - 1)`.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`], before `make` is called.
    pub(crate) fn from_fn(len: usize, mut make: impl FnMut(usize) -> T) -> Result<Owned<[T]>, Status> {
        let first = map_for::<T>(len)?;
        for index in 0..len {
            // SAFETY: the pages have room for `len` values of `T`, suitably aligned.
            unsafe { first.add(index).write(make(index)) };
        }
        Ok(Owned(NonNull::slice_from_raw_parts(first, len)))
    }
}

impl<T: ?Sized> Owned<T> {
    /// Gives up ownership: the value lives until [`Owned::from_raw`].
    pub(crate) fn into_raw(owned: Owned<T>) -> NonNull<T> {
        let value = owned.0;
        mem::forget(owned);
        value
    }

    /// Takes ownership again.
    ///
    /// # Safety
    /// `value` came from [`Owned::into_raw`], once for each call of this function.
    pub(crate) unsafe fn from_raw(value: NonNull<T>) -> Owned<T> {
        Owned(value)
    }
}

/// Pages with room for `len` values of `T`, at least one page.
fn map_for<T>(len: usize) -> Result<NonNull<T>, Status> {
    const { assert!(align_of::<T>() <= 4096, "a value starts at a page") };
    let bytes = size_of::<T>().checked_mul(len).ok_or(Status::OutOfMemory)?;
    let bytes = mapped_bytes(bytes).ok_or(Status::OutOfMemory)?;
    let pages = pages::map(bytes).ok_or(Status::OutOfMemory)?;
    Ok(pages.start.cast())
}

/// Bytes of the mapping that holds a value of `size` bytes; `None` if they exceed the address space.
fn mapped_bytes(size: usize) -> Option<usize> {
    round_up(size.max(1), pages::page_size())
}

impl<T: ?Sized> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value is initialised and lives as long as `self`.
        unsafe { self.0.as_ref() }
    }
}

// SAFETY: `Owned` owns its value as a box does.
unsafe impl<T: ?Sized + Send> Send for Owned<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for Owned<T> {}

impl<T: ?Sized> Drop for Owned<T> {
    fn drop(&mut self) {
        let size = size_of_val::<T>(self);
        // SAFETY: the value is initialised, and nothing uses it after this.
        unsafe { ptr::drop_in_place(self.0.as_ptr()) };
        if let Some(len) = mapped_bytes(size) {
            // SAFETY: `map_for` mapped exactly these pages for the value, which is gone.
            unsafe { pages::unmap(Pages { start: self.0.cast(), len }) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;

    struct CountsDrops<'a>(&'a Cell<u32>);

    impl Drop for CountsDrops<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn values_are_dropped_once() {
        let drops = Cell::new(0);
        let one = Owned::new(CountsDrops(&drops)).expect("a page");
        let raw = Owned::into_raw(one);
        assert_eq!(drops.get(), 0);
        // SAFETY: `raw` came from `into_raw`.
        drop(unsafe { Owned::from_raw(raw) });
        assert_eq!(drops.get(), 1);
        drop(Owned::from_fn(1000, |_| CountsDrops(&drops)).expect("pages"));
        assert_eq!(drops.get(), 1001);
    }

    #[test]
    fn slices_hold_what_was_made() {
        let squares = Owned::from_fn(5, |i| i * i).expect("a page");
        assert_eq!(*squares, [0, 1, 4, 9, 16]);
        assert!(Owned::from_fn(0, |i| i).expect("a page").is_empty());
        assert_eq!(Owned::from_fn(usize::MAX, |i| i).err(), Some(Status::OutOfMemory));
    }
}
