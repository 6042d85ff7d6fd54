//! Label structs: a metric family names its labels by the fields of a struct, not by position.

use std::fmt;

/// The labels of a metric family, as a struct with one field per label. The macro [`label_sets`] implements this.
///
/// The values of open labels are borrowed: a lookup allocates nothing. A type that names a family names its labels with
/// the lifetime `'static`, as in `Family<QueueLabels<'static>>`; each call can use a shorter lifetime.
pub trait LabelSet {
    /// The struct with values that live for `'v`.
    type With<'v>: fmt::Debug + Copy;

    /// Returns the names of all labels, in the order in which they are shown.
    fn names() -> Vec<&'static str>;

    /// Passes each label that is shown to `each`, as name and value, in the order of [`names`](Self::names).
    fn each<'v>(labels: Self::With<'v>, each: impl FnMut(&'static str, &'v str));

    /// Builds the struct from the values that [`each`](Self::each) passed on.
    ///
    /// # Panics
    /// If a value is missing or is not on the label's closed list.
    fn read<'v>(values: impl Iterator<Item = &'v str>) -> Self::With<'v>;
}

/// A family without labels, which has one member at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoLabels;

impl LabelSet for NoLabels {
    type With<'v> = Self;

    fn names() -> Vec<&'static str> {
        Vec::new()
    }

    fn each<'v>(_: Self, _: impl FnMut(&'static str, &'v str)) {}

    fn read<'v>(_: impl Iterator<Item = &'v str>) -> Self {
        Self
    }
}

/// The value of a field of a label struct. Most fields are one label; `Operation` is two.
pub trait LabelValue<'v>: Copy {
    /// Returns the names of the labels of a field with this name.
    fn names(field: &'static str) -> Vec<&'static str> {
        vec![field]
    }

    /// Passes the name and the value of each label that is shown to `each`.
    fn each(self, field: &'static str, each: &mut impl FnMut(&'static str, &'v str));

    /// Takes the value from the values of the labels.
    ///
    /// # Panics
    /// If there is no such value.
    fn read(values: &mut impl Iterator<Item = &'v str>) -> Self;
}

impl<'v> LabelValue<'v> for &'v str {
    fn each(self, field: &'static str, each: &mut impl FnMut(&'static str, &'v str)) {
        each(field, self);
    }

    fn read(values: &mut impl Iterator<Item = &'v str>) -> Self {
        next(values)
    }
}

/// Returns the next value of a label.
///
/// # Panics
/// If there is none. A family stores the values of all of its labels, so this is a defect.
pub(super) fn next<'v>(values: &mut impl Iterator<Item = &'v str>) -> &'v str {
    values.next().expect("a family stores the values of all of its labels")
}

/// Returns the names of the labels of a field. `_get` gives the type of the field, and is not called.
pub(super) fn names_of<S, V: LabelValue<'static>>(field: &'static str, _get: impl FnOnce(S) -> V) -> Vec<&'static str> {
    V::names(field)
}

/// Makes enums label values. Each enum is a closed list: it has `ALL` values and the `code()` of each.
macro_rules! closed_labels {
    ($($list:ty),+ $(,)?) => {
        $(impl<'v> $crate::telemetry::label_set::LabelValue<'v> for $list {
            fn each(self, field: &'static str, each: &mut impl FnMut(&'static str, &'v str)) {
                each(field, self.code());
            }

            fn read(values: &mut impl Iterator<Item = &'v str>) -> Self {
                let code = $crate::telemetry::label_set::next(values);
                let value = Self::ALL.iter().copied().find(|value| value.code() == code);
                value.unwrap_or_else(|| panic!("{} has no `{code}`", stringify!($list)))
            }
        })+
    };
}

/// Declares enums that are label values, with the code of each value.
macro_rules! closed_lists {
    ($($(#[$doc:meta])* $list:ident { $($(#[$value_doc:meta])* $value:ident = $code:literal,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub enum $list {
                $($(#[$value_doc])* $value,)+
            }

            impl $list {
                /// All values.
                pub const ALL: &[Self] = &[$(Self::$value),+];

                /// Returns the value of the label.
                pub fn code(self) -> &'static str {
                    match self {
                        $(Self::$value => $code,)+
                    }
                }
            }

            $crate::telemetry::label_set::closed_labels!($list);
        )+
    };
}

/// Declares label structs. The name of a field is the name of its label.
macro_rules! label_sets {
    ($($(#[$doc:meta])* $name:ident $(<$life:lifetime>)? { $($(#[$field_doc:meta])* $field:ident: $value:ty,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub struct $name $(<$life>)? {
                $($(#[$field_doc])* pub $field: $value,)+
            }

            $crate::telemetry::label_set::label_sets!(@implement $name $(<$life>)? { $($field: $value,)+ });
        )+
    };
    (@implement $name:ident { $($fields:tt)+ }) => {
        $crate::telemetry::label_set::label_sets!(@implement $name, 'v, $name, $name { $($fields)+ });
    };
    (@implement $name:ident <$life:lifetime> { $($fields:tt)+ }) => {
        $crate::telemetry::label_set::label_sets!(
            @implement $name, $life, $name<'static>, $name<$life> { $($fields)+ }
        );
    };
    (@implement $name:ident, $life:lifetime, $static:ty, $with:ty { $($field:ident: $value:ty,)+ }) => {
        impl $crate::telemetry::label_set::LabelSet for $static {
            type With<$life> = $with;

            fn names() -> Vec<&'static str> {
                use $crate::telemetry::label_set::names_of;
                [$(names_of(stringify!($field), |labels: Self| labels.$field)),+].concat()
            }

            fn each<$life>(labels: $with, mut each: impl FnMut(&'static str, &$life str)) {
                use $crate::telemetry::label_set::LabelValue;
                $(<$value as LabelValue<$life>>::each(labels.$field, stringify!($field), &mut each);)+
            }

            fn read<$life>(mut values: impl Iterator<Item = &$life str>) -> $with {
                use $crate::telemetry::label_set::LabelValue;
                $name { $($field: <$value as LabelValue<$life>>::read(&mut values),)+ }
            }
        }
    };
}

pub(crate) use {closed_labels, closed_lists, label_sets};
