//! Sets of numbers, given as ranges.

/// A set of numbers. A lookup takes logarithmic time, however many ranges the set was made of.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// Sorted ranges without overlap, from the first number to the last one.
    ranges: Vec<(i32, i32)>,
}

impl Ranges {
    /// Creates a set from ranges. Each has its first and its last number.
    pub(super) fn new(mut ranges: Vec<(i32, i32)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let overlaps = next.0 <= kept.1;
            if overlaps {
                kept.1 = kept.1.max(next.1);
            }
            overlaps
        });
        Self { ranges }
    }

    /// Whether the set has this number.
    pub(super) fn contain(&self, number: i32) -> bool {
        let behind = self.ranges.partition_point(|(first, _)| *first <= number);
        behind > 0 && number <= self.ranges[behind - 1].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_in_the_ranges_that_contain_it() {
        let ranges = Ranges::new(vec![(10, 20), (5, 4), (1, 1), (15, 30), (12, 13)]);
        let found: Vec<i32> = (0..40).filter(|number| ranges.contain(*number)).collect();
        assert_eq!(found, std::iter::once(1).chain(10..=30).collect::<Vec<_>>());
    }
}
