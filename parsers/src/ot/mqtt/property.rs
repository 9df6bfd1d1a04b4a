//! Properties of MQTT 5 packets (§2.2.2).

use super::read::Reader;
use crate::field::Value;

/// How the value of a property is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Byte,
    Word,
    Long,
    Variable,
    Text,
    Binary,
    Pair,
}

/// Identifier, name and form, sorted by identifier (§2.2.2.2).
const PROPERTIES: &[(u32, &str, Form)] = &[
    (0x01, "payload_format_indicator", Form::Byte),
    (0x02, "message_expiry_interval", Form::Long),
    (0x03, "content_type", Form::Text),
    (0x08, "response_topic", Form::Text),
    (0x09, "correlation_data", Form::Binary),
    (0x0b, "subscription_identifier", Form::Variable),
    (0x11, "session_expiry_interval", Form::Long),
    (0x12, "assigned_client_identifier", Form::Text),
    (0x13, "server_keep_alive", Form::Word),
    (0x15, "authentication_method", Form::Text),
    (0x16, "authentication_data", Form::Binary),
    (0x17, "request_problem_information", Form::Byte),
    (0x18, "will_delay_interval", Form::Long),
    (0x19, "request_response_information", Form::Byte),
    (0x1a, "response_information", Form::Text),
    (0x1c, "server_reference", Form::Text),
    (0x1f, "reason_string", Form::Text),
    (0x21, "receive_maximum", Form::Word),
    (0x22, "topic_alias_maximum", Form::Word),
    (0x23, "topic_alias", Form::Word),
    (0x24, "maximum_qos", Form::Byte),
    (0x25, "retain_available", Form::Byte),
    (0x26, "user_property", Form::Pair),
    (0x27, "maximum_packet_size", Form::Long),
    (0x28, "wildcard_subscription_available", Form::Byte),
    (0x29, "subscription_identifier_available", Form::Byte),
    (0x2a, "shared_subscription_available", Form::Byte),
];

pub(super) const TOPIC_ALIAS: u32 = 0x23;

/// One property.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Property<'a> {
    pub(super) id: u32,
    pub(super) name: &'static str,
    /// Of a user property, its name.
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Value<'a>,
}

/// The properties of a packet, as far as they can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Properties<'a> {
    reader: Reader<'a>,
}

impl<'a> Properties<'a> {
    pub(super) const NONE: Self = Self { reader: Reader { rest: &[] } };

    /// Reads the length and takes the properties off the front of `reader`.
    pub(super) fn take(reader: &mut Reader<'a>) -> Option<Self> {
        let length = reader.variable()?;
        Some(Self { reader: Reader::new(reader.take(length as usize)?) })
    }

    /// Can all be read?
    pub(super) fn is_sound(mut self) -> bool {
        self.by_ref().for_each(drop);
        self.reader.rest.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reader.rest.is_empty()
    }

    /// The number that the property with this identifier has.
    pub(super) fn number(mut self, id: u32) -> Option<u64> {
        match self.find(|property| property.id == id)?.value {
            Value::Unsigned(number) => Some(number),
            _ => None,
        }
    }
}

impl<'a> Iterator for Properties<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        let mut reader = self.reader;
        let id = reader.variable()?;
        let at = PROPERTIES.binary_search_by_key(&id, |property| property.0).ok()?;
        let &(_, name, form) = PROPERTIES.get(at)?;
        let mut key = None;
        let value = match form {
            Form::Byte => Value::Unsigned(reader.byte()?.into()),
            Form::Word => Value::Unsigned(reader.word()?.into()),
            Form::Long => Value::Unsigned(reader.long()?.into()),
            Form::Variable => Value::Unsigned(reader.variable()?.into()),
            Form::Text | Form::Binary => Value::Bytes(reader.string()?),
            Form::Pair => {
                key = Some(reader.string()?);
                Value::Bytes(reader.string()?)
            }
        };
        self.reader = reader;
        Some(Property { id, name, key, value })
    }
}
