//! A goal of the load tests.

use serde::{Deserialize, Serialize};

/// A measured figure and its bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Goal {
    #[serde(rename = "what")]
    pub(crate) name: String,
    pub(crate) measured: f64,
    /// The lower bound, inclusive.
    pub(crate) least: Option<f64>,
    /// The upper bound, inclusive.
    pub(crate) most: Option<f64>,
}

impl Goal {
    pub(crate) fn at_most(name: impl Into<String>, most: f64, measured: f64) -> Self {
        Self { name: name.into(), measured, least: None, most: Some(most) }
    }

    pub(crate) fn between(name: impl Into<String>, least: f64, most: f64, measured: f64) -> Self {
        Self { name: name.into(), measured, least: Some(least), most: Some(most) }
    }

    /// Whether the figure is within its bounds.
    pub(crate) fn is_met(&self) -> bool {
        self.least.is_none_or(|least| self.measured >= least) && self.most.is_none_or(|most| self.measured <= most)
    }

    /// Returns the bounds as the goals table shows them.
    pub(crate) fn bounds_text(&self) -> String {
        match (self.least, self.most) {
            (Some(least), Some(most)) => format!("{} to {}", short(least), short(most)),
            (Some(least), None) => format!("≥ {}", short(least)),
            (None, Some(most)) => format!("≤ {}", short(most)),
            (None, None) => String::new(),
        }
    }

    /// Returns the figure as the goals table shows it.
    pub(crate) fn measured_text(&self) -> String {
        short(self.measured)
    }
}

fn short(number: f64) -> String {
    if number.fract() == 0.0 || number.abs() >= 100.0 { format!("{number:.0}") } else { format!("{number:.3}") }
}
