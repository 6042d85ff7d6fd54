//! The message type in a content type, such as `application/x-protobuf; messageType="shop.v1.OrderPlaced"`.

use std::borrow::Cow;

/// Returns the value of the first parameter `messageType` or `proto` whose value is not empty.
pub(super) fn in_content_type(content_type: &str) -> Option<Cow<'_, str>> {
    let mut rest = content_type.split_once(';')?.1;
    loop {
        let (name, value) = rest.split_once('=')?;
        let (value, after) = parameter(value.trim_ascii_start())?;
        // Parameters without a value can precede the name.
        let name = name.rsplit(';').next().unwrap_or(name).trim_ascii();
        if ["messagetype", "proto"].iter().any(|wanted| wanted.eq_ignore_ascii_case(name)) && !value.is_empty() {
            return Some(value);
        }
        rest = after;
    }
}

/// Splits off the value, quoted or not, at the start of the text. Returns the value and the text after its semicolon.
fn parameter(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return Some((Cow::Borrowed(value.trim_ascii_end()), rest));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => {
                let rest = quoted[at + 1..].split_once(';').map_or("", |(_, rest)| rest);
                return Some((Cow::Owned(value), rest));
            }
            '\\' => value.push(letters.next()?.1),
            _ => value.push(letter),
        }
    }
    None
}
