//! The text format of Protobuf, which compilers and tests of producers write.

use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};

use crate::schema::registry::{EventType, Snapshot};

/// Returns the wire format of an event in the text format.
///
/// # Errors
/// Returns an error for people if the text is not the text format of the type.
pub(super) fn wire(snapshot: &Snapshot, event_type: &EventType, text: &str) -> Result<Vec<u8>, String> {
    let pool = match snapshot.set_of(event_type) {
        Some(set) => DescriptorPool::decode(set.compiled().bytes().as_slice()).map_err(|error| error.to_string())?,
        None => DescriptorPool::global(),
    };
    let Some(descriptor) = pool.get_message_by_name(&event_type.name) else {
        return Err(format!("the set of {} does not define it", event_type.name));
    };
    let message = DynamicMessage::parse_text_format(descriptor, text);
    message.map(|message| message.encode_to_vec()).map_err(|error| error.to_string())
}
