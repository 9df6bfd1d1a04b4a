//! Values of maps as the kernel has them.

use vigia_probes_abi::tap::{Counts, FlowKey, Place, Seen, Settings, Shunted};

/// A value of a type whose bytes both sides of the kernel know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Raw<T>(pub T);

/// For types of `vigia-probes-abi` made of numbers, without padding.
macro_rules! of_numbers {
    ($($type:ty),*) => {
        $(
            // SAFETY: it is made of numbers, has no padding (its size is asserted there), and any bytes are a value of it.
            unsafe impl aya::Pod for Raw<$type> {}
        )*
    };
}
of_numbers!(Counts, FlowKey, Place, Seen, Settings, Shunted);
