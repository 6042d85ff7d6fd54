//! The columns of a segment, in their order, and the fields of a [`Row`] that they hold.
//!
//! Readers outside of protobridge rely on the names. A new column goes to the end and is optional.

use super::Row;

/// A field with text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    EventId,
    EventType,
    Customer,
    Topic,
    Queue,
    MessageId,
    Outcome,
    Reason,
    Detail,
    SnsMessageId,
    SequenceNumber,
    RequestId,
    DuplicateCause,
    FirstMessageId,
    SchemaHash,
    TraceId,
    Replay,
    Replica,
}

/// A field with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    Sent,
    Received,
    Published,
    Settled,
}

/// A field with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Receive,
    Attempts,
    Throttles,
}

/// The field of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Text(Text),
    Time(Time),
    Count(Count),
    Redrive,
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

/// The column that the rows of a segment are sorted by.
pub(super) const EVENT_ID: usize = 0;
/// The column of SQS message ids.
pub(super) const MESSAGE_ID: usize = 5;
/// The column of SNS message ids.
pub(super) const SNS_MESSAGE_ID: usize = 16;

/// All columns.
pub(super) const COLUMNS: [Column; 26] = [
    optional("event_id", Field::Text(Text::EventId)),
    optional("event_type", Field::Text(Text::EventType)),
    optional("customer", Field::Text(Text::Customer)),
    optional("topic", Field::Text(Text::Topic)),
    required("queue", Field::Text(Text::Queue)),
    required("message_id", Field::Text(Text::MessageId)),
    required("receive_count", Field::Count(Count::Receive)),
    required("sent_at", Field::Time(Time::Sent)),
    required("received_at", Field::Time(Time::Received)),
    optional("published_at", Field::Time(Time::Published)),
    required("settled_at", Field::Time(Time::Settled)),
    required("outcome", Field::Text(Text::Outcome)),
    optional("reason", Field::Text(Text::Reason)),
    optional("detail", Field::Text(Text::Detail)),
    optional("attempts", Field::Count(Count::Attempts)),
    optional("throttles", Field::Count(Count::Throttles)),
    optional("sns_message_id", Field::Text(Text::SnsMessageId)),
    optional("sequence_number", Field::Text(Text::SequenceNumber)),
    optional("request_id", Field::Text(Text::RequestId)),
    optional("duplicate_cause", Field::Text(Text::DuplicateCause)),
    optional("first_message_id", Field::Text(Text::FirstMessageId)),
    optional("schema_hash", Field::Text(Text::SchemaHash)),
    optional("trace_id", Field::Text(Text::TraceId)),
    optional("replay", Field::Text(Text::Replay)),
    required("redrive", Field::Redrive),
    required("replica", Field::Text(Text::Replica)),
];

impl<T> Row<T> {
    /// Returns a text, if the row has it.
    pub(super) fn text(&self, field: Text) -> Option<&T> {
        match field {
            Text::EventId => self.event_id.as_ref(),
            Text::EventType => self.event_type.as_ref(),
            Text::Customer => self.customer.as_ref(),
            Text::Topic => self.topic.as_ref(),
            Text::Queue => Some(&self.queue),
            Text::MessageId => Some(&self.message_id),
            Text::Outcome => Some(&self.outcome),
            Text::Reason => self.reason.as_ref(),
            Text::Detail => self.detail.as_ref(),
            Text::SnsMessageId => self.sns_message_id.as_ref(),
            Text::SequenceNumber => self.sequence_number.as_ref(),
            Text::RequestId => self.request_id.as_ref(),
            Text::DuplicateCause => self.duplicate_cause.as_ref(),
            Text::FirstMessageId => self.first_message_id.as_ref(),
            Text::SchemaHash => self.schema_hash.as_ref(),
            Text::TraceId => self.trace_id.as_ref(),
            Text::Replay => self.replay.as_ref(),
            Text::Replica => Some(&self.replica),
        }
    }

    /// Sets a text.
    pub(super) fn set_text(&mut self, field: Text, value: T) {
        match field {
            Text::EventId => self.event_id = Some(value),
            Text::EventType => self.event_type = Some(value),
            Text::Customer => self.customer = Some(value),
            Text::Topic => self.topic = Some(value),
            Text::Queue => self.queue = value,
            Text::MessageId => self.message_id = value,
            Text::Outcome => self.outcome = value,
            Text::Reason => self.reason = Some(value),
            Text::Detail => self.detail = Some(value),
            Text::SnsMessageId => self.sns_message_id = Some(value),
            Text::SequenceNumber => self.sequence_number = Some(value),
            Text::RequestId => self.request_id = Some(value),
            Text::DuplicateCause => self.duplicate_cause = Some(value),
            Text::FirstMessageId => self.first_message_id = Some(value),
            Text::SchemaHash => self.schema_hash = Some(value),
            Text::TraceId => self.trace_id = Some(value),
            Text::Replay => self.replay = Some(value),
            Text::Replica => self.replica = value,
        }
    }

    /// Returns a time, if the row has it.
    pub(super) fn time(&self, field: Time) -> Option<i64> {
        match field {
            Time::Sent => Some(self.sent_at),
            Time::Received => Some(self.received_at),
            Time::Published => self.published_at,
            Time::Settled => Some(self.settled_at),
        }
    }

    /// Sets a time.
    pub(super) fn set_time(&mut self, field: Time, value: i64) {
        match field {
            Time::Sent => self.sent_at = value,
            Time::Received => self.received_at = value,
            Time::Published => self.published_at = Some(value),
            Time::Settled => self.settled_at = value,
        }
    }

    /// Returns a number, if the row has it.
    pub(super) fn count(&self, field: Count) -> Option<u32> {
        match field {
            Count::Receive => Some(self.receive_count),
            Count::Attempts => self.attempts,
            Count::Throttles => self.throttles,
        }
    }

    /// Sets a number.
    pub(super) fn set_count(&mut self, field: Count, value: u32) {
        match field {
            Count::Receive => self.receive_count = value,
            Count::Attempts => self.attempts = Some(value),
            Count::Throttles => self.throttles = Some(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_columns_are_at_their_positions() {
        let names = [EVENT_ID, MESSAGE_ID, SNS_MESSAGE_ID].map(|index| COLUMNS[index].name);
        assert_eq!(names, ["event_id", "message_id", "sns_message_id"]);
    }
}
