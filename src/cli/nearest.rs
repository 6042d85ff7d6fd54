//! What somebody may have meant.

/// The known name that is much like this one, if there is one.
pub(super) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(known, name);
    let near = known.into_iter().filter(|known| likeness(known) > 0.7);
    near.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}
