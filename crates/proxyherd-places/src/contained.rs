//! Contains panics of crates that read data of strangers. After such a panic only the value that was being read is
//! lost.
//!
//! A contained panic prints no message, because operators would think that the server has a fault. To suppress the
//! message, the first call installs a panic hook, which passes all other panics to the previous hook. A program may
//! also use this function for other foreign crates.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside of [`contained`].
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Returns the result of `call`, or `None` if `call` panics. Values that `call` was changing when it panicked are in an
/// unknown state. The caller must drop or overwrite such values.
pub fn contained<T>(call: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_CONTAINED.get() {
                before(panic);
            }
        }));
    });
    let was_contained = IS_CONTAINED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    IS_CONTAINED.set(was_contained);
    outcome.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_nothing_and_goes_no_further() {
        assert_eq!(contained(|| 7), Some(7));
        assert_eq!(contained(|| -> u8 { panic!("this is meant to happen") }), None);
        let nested = contained(|| (contained(|| -> u8 { panic!("and this") }), IS_CONTAINED.get()));
        assert_eq!(nested, Some((None, true)));
        assert!(!IS_CONTAINED.get(), "panics of this thread are told again");
    }
}
