//! Figures of runs in pairs.

use crate::report::Run;
use crate::spec::Spec;

/// Returns the median of what `compared` makes of each pair: a run with the part that is measured, and the run without it
/// beside it.
pub(super) fn median<'r>(
    runs: impl Iterator<Item = &'r Run>,
    is_with: impl Fn(&Spec) -> bool,
    compared: impl Fn(&Run, &Run) -> f64,
) -> Option<f64> {
    let (with, without): (Vec<&Run>, Vec<&Run>) = runs.partition(|run| is_with(&run.plan.spec));
    let mut values: Vec<f64> = with.iter().zip(without).map(|(with, without)| compared(with, without)).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
