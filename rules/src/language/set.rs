//! Sets of numbers as sorted, disjoint, inclusive ranges: what addresses, ports and integers of a rule come down to.

/// A number type with a lowest and a highest value.
pub(crate) trait Number: Copy + Ord {
    const LOWEST: Self;
    const HIGHEST: Self;
    /// The number after it; `None` after the highest.
    fn after(self) -> Option<Self>;
    /// The number before it; `None` before the lowest.
    fn before(self) -> Option<Self>;
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Number for $type {
            const LOWEST: Self = Self::MIN;
            const HIGHEST: Self = Self::MAX;
            fn after(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn before(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )*};
}
number!(u16, u32, u64, u128);

/// A set of numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RangeSet<T>(Box<[(T, T)]>);

impl<T: Number> RangeSet<T> {
    /// The union of inclusive ranges, given in any order; ranges that end before they begin are empty.
    pub(crate) fn new(mut ranges: Vec<(T, T)>) -> Self {
        ranges.retain(|range| range.0 <= range.1);
        ranges.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if last.1.after().is_none_or(|next| range.0 <= next) => last.1 = last.1.max(range.1),
                _ => merged.push(range),
            }
        }
        Self(merged.into())
    }

    pub(crate) fn one(value: T) -> Self {
        Self([(value, value)].into())
    }

    pub(crate) fn nothing() -> Self {
        Self([].into())
    }

    pub(crate) fn everything() -> Self {
        Self([(T::LOWEST, T::HIGHEST)].into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn is_everything(&self) -> bool {
        matches!(*self.0, [(low, high)] if low == T::LOWEST && high == T::HIGHEST)
    }

    pub(crate) fn ranges(&self) -> &[(T, T)] {
        &self.0
    }

    /// Is `value` in the set?
    pub(crate) fn contains(&self, value: T) -> bool {
        match &*self.0 {
            [] => false,
            [one] => one.0 <= value && value <= one.1,
            many => {
                let at = many.partition_point(|range| range.1 < value);
                many.get(at).is_some_and(|range| range.0 <= value)
            }
        }
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(&*other.0).copied().collect())
    }

    /// All that is not in the set.
    pub(crate) fn complement(&self) -> Self {
        let mut ranges = Vec::with_capacity(self.0.len() + 1);
        let mut from = Some(T::LOWEST);
        for range in &*self.0 {
            if let (Some(low), Some(high)) = (from, range.0.before()) {
                ranges.push((low, high));
            }
            from = range.1.after();
        }
        if let Some(low) = from {
            ranges.push((low, T::HIGHEST));
        }
        Self::new(ranges)
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.complement().union(other).complement()
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.complement().union(&other.complement()).complement()
    }

    /// A list as rules have it: all positive items without the negative ones; with negative items only, everything
    /// without them.
    pub(crate) fn list(items: Vec<(bool, Self)>) -> Self {
        let mut included: Option<Vec<(T, T)>> = None;
        let mut excluded = Vec::new();
        for (negated, item) in items {
            let target = if negated { &mut excluded } else { included.get_or_insert_default() };
            target.extend(item.0.iter().copied());
        }
        let included = included.map_or_else(Self::everything, Self::new);
        if excluded.is_empty() { included } else { included.minus(&Self::new(excluded)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn touching_ranges_are_merged() {
        assert_eq!(RangeSet::new(vec![(5u16, 9), (1, 4), (20, 10)]).ranges(), [(1, 9)]);
    }

    #[test]
    fn a_list_of_negations_is_everything_else() {
        let list = RangeSet::list(vec![(true, RangeSet::one(80u16)), (true, RangeSet::one(0))]);
        assert_eq!(list.ranges(), [(1, 79), (81, u16::MAX)]);
    }

    proptest! {
        #[test]
        fn algebra_agrees_with_membership(a in prop::collection::vec((0u16..50, 0u16..50), 0..6),
                                          b in prop::collection::vec((0u16..50, 0u16..50), 0..6), value in 0u16..60) {
            let (a, b) = (RangeSet::new(a), RangeSet::new(b));
            prop_assert_eq!(a.complement().contains(value), !a.contains(value));
            prop_assert_eq!(a.minus(&b).contains(value), a.contains(value) && !b.contains(value));
            prop_assert_eq!(a.union(&b).contains(value), a.contains(value) || b.contains(value));
            prop_assert_eq!(a.intersection(&b).contains(value), a.contains(value) && b.contains(value));
            prop_assert_eq!(a.complement().complement(), a);
        }
    }
}
