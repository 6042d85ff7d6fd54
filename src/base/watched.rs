//! A value that is made of content which can change while the service runs, such as a file.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

/// The value in force, and the content that was offered last.
///
/// Readers take the value without a lock. Content is tried once: content that was refused is tried again only after it
/// has changed.
#[derive(Debug)]
pub struct Watched<C, T> {
    current: ArcSwap<T>,
    /// The content that was offered last, admitted or not. The lock is held while content is admitted.
    content: Mutex<C>,
}

impl<C, T> Watched<C, T> {
    /// Puts a value into force that was made of this content.
    pub fn new(content: C, value: T) -> Self {
        Self { current: ArcSwap::from_pointee(value), content: Mutex::new(content) }
    }

    /// Returns the value in force.
    pub fn current(&self) -> Arc<T> {
        self.current.load_full()
    }

    /// Whether this is the content that was offered last.
    pub fn is_current<Q: ?Sized>(&self, content: &Q) -> bool
    where
        C: PartialEq<Q>,
    {
        *self.content.lock() == *content
    }

    /// Puts the value into force that `make` makes of this content. Returns `None` if the content was offered last; then
    /// `make` is not called.
    ///
    /// # Errors
    /// Returns the error of `make`. The value in force stays in force.
    pub fn admit<E>(&self, content: C, make: impl FnOnce(&C) -> Result<T, E>) -> Result<Option<Arc<T>>, E>
    where
        C: PartialEq,
    {
        let mut last = self.content.lock();
        if *last == content {
            return Ok(None);
        }
        *last = content;
        make(&last).map(|value| Some(self.replace(value)))
    }

    /// Puts a value into force that was made of the same content as the one before. Returns it.
    pub fn replace(&self, value: T) -> Arc<T> {
        let value = Arc::new(value);
        self.current.store(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_tried_once_and_refused_content_leaves_the_value_in_force() {
        let watched = Watched::new("1".to_owned(), 1);
        let admit = |text: &str| watched.admit(text.to_owned(), |text| text.parse::<u32>());
        assert!(matches!(admit("1"), Ok(None)));
        assert!(admit("x").is_err());
        assert!(watched.is_current("x"));
        assert_eq!(*watched.current(), 1);
        assert!(matches!(admit("x"), Ok(None)), "the same content is not tried again");
        assert_eq!(admit("2").unwrap().as_deref(), Some(&2));
        assert_eq!(*watched.current(), 2);
    }
}
