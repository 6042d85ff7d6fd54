//! The fields of a readable log line, each value cut.

use std::error::Error;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

use crate::base::cut;
use crate::base::error::chain;

/// Formats fields as the subscriber does by default, each value cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct CutFields;

impl<'w> FormatFields<'w> for CutFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = CutVisitor(DefaultVisitor::new(writer, true));
        fields.record(&mut visitor);
        visitor.0.finish()
    }
}

/// Passes values on, cut. Numbers and truth values are short and take their default way through `record_debug`.
struct CutVisitor<'w>(DefaultVisitor<'w>);

impl Visit for CutVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.record_str(field, &cut(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_debug(field, &format_args!("{}", chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.record_debug(field, &format_args!("{}", cut(format_args!("{value:?}"))));
    }
}
