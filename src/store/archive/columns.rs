//! The columns of a segment, in their order.
//!
//! Readers outside of protobridge rely on the names. A new column goes to the end and is optional.

/// A field with text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Queue,
    MessageId,
    Group,
    DeduplicationId,
    SequenceNumber,
    TraceHeader,
    BodyEncoding,
    Attributes,
    EventId,
    EventType,
    Customer,
    SchemaHash,
    Outcome,
}

/// A field with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    Sent,
    FirstReceived,
    Received,
    Settled,
}

/// The field of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Text(Text),
    Time(Time),
    ReceiveCount,
    Body,
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) field: Field,
    /// Whether each row has a value.
    pub(super) is_required: bool,
}

const fn required(name: &'static str, field: Field) -> Column {
    Column { name, field, is_required: true }
}

const fn optional(name: &'static str, field: Field) -> Column {
    Column { name, field, is_required: false }
}

/// The column of the times at which messages were sent.
pub(super) const SENT_AT: usize = 3;
/// The column of the times at which messages were finished.
pub(super) const SETTLED_AT: usize = 6;
/// The column of the bodies.
pub(super) const BODY: usize = 11;

/// All columns.
pub(super) const COLUMNS: [Column; 19] = [
    required("queue", Field::Text(Text::Queue)),
    required("message_id", Field::Text(Text::MessageId)),
    required("receive_count", Field::ReceiveCount),
    required("sent_at", Field::Time(Time::Sent)),
    required("first_received_at", Field::Time(Time::FirstReceived)),
    required("received_at", Field::Time(Time::Received)),
    required("settled_at", Field::Time(Time::Settled)),
    optional("group", Field::Text(Text::Group)),
    optional("dedup_id", Field::Text(Text::DeduplicationId)),
    optional("sequence_number", Field::Text(Text::SequenceNumber)),
    optional("trace_header", Field::Text(Text::TraceHeader)),
    required("body", Field::Body),
    required("body_encoding", Field::Text(Text::BodyEncoding)),
    required("attributes", Field::Text(Text::Attributes)),
    optional("event_id", Field::Text(Text::EventId)),
    optional("event_type", Field::Text(Text::EventType)),
    optional("customer", Field::Text(Text::Customer)),
    optional("schema_hash", Field::Text(Text::SchemaHash)),
    required("outcome", Field::Text(Text::Outcome)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_columns_are_at_their_positions() {
        let names = [SENT_AT, SETTLED_AT, BODY].map(|index| COLUMNS[index].name);
        assert_eq!(names, ["sent_at", "settled_at", "body"]);
    }
}
