//! Parquet files of the store: what the segments of the journal and of the archive have in common.

/// Separates the values of an optional column from the levels that tell which rows have one. A required column has no
/// levels.
pub(super) fn leveled<T>(values: impl Iterator<Item = Option<T>>, is_required: bool) -> (Vec<T>, Option<Vec<i16>>) {
    if is_required {
        return (values.flatten().collect(), None);
    }
    let mut present = Vec::with_capacity(values.size_hint().0);
    let mut levels = Vec::with_capacity(values.size_hint().0);
    for value in values {
        levels.push(i16::from(value.is_some()));
        present.extend(value);
    }
    (present, Some(levels))
}
