//! The choice of a customer: which of its events leave as a claim check.

/// Which events of a customer leave as a claim check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClaimCheckMode {
    /// None.
    #[default]
    Off,
    /// Those above `claim_check.over_bytes`, and those that a topic cannot take.
    On,
    /// All.
    Always,
}

impl ClaimCheckMode {
    /// Returns the mode that a customers file names. Tools that write YAML 1.1, such as Helm, turn `on` and `off` into
    /// `true` and `false`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "off" | "false" => Some(Self::Off),
            "on" | "true" => Some(Self::On),
            "always" => Some(Self::Always),
            _ => None,
        }
    }

    /// Whether events of the customer can leave as a claim check.
    pub fn is_on(self) -> bool {
        self != Self::Off
    }

    /// Returns the mode as the customers file names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Always => "always",
        }
    }
}
