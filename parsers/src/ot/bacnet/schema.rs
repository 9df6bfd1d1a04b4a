//! What the parameters of each service are (clauses 13 to 17 and 21), as tables that one walk reads.

use super::names;
use super::tag::application as app;
use crate::field::Names;

/// Parameters that fields and points are read from.
pub(super) const OBJECT: &str = "object";
pub(super) const PROPERTY: &str = "property";
pub(super) const INDEX: &str = "index";
pub(super) const VALUE: &str = "value";
pub(super) const PRIORITY: &str = "priority";
pub(super) const DEVICE: &str = "device";
pub(super) const VENDOR: &str = "vendor_id";
pub(super) const PASSWORD: &str = "password";

/// The type of a parameter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Type {
    /// A value of this application type.
    Primitive(u8),
    /// An enumeration.
    Enumerated(Names),
    /// Bits that have names.
    Bits(Names),
    /// The identifier of a property.
    Property,
    /// Whatever the property or the vendor has.
    Any,
    /// A sequence or choice of these.
    Group(&'static [Parameter]),
    /// Any number of such sequences.
    List(&'static [Parameter]),
    /// Any number of these, each by itself.
    Each(&'static [Parameter]),
}

impl Type {
    /// Does a parameter of this type stand between an opening and a closing tag?
    pub(super) const fn is_constructed(self) -> bool {
        matches!(self, Self::Any | Self::Group(_) | Self::List(_) | Self::Each(_))
    }
}

/// By which tag a parameter is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Context(u8),
    Application(u8),
    /// By any application tag.
    Value,
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) known: Known,
    pub(super) name: &'static str,
    pub(super) kind: Type,
    pub(super) required: bool,
    /// May it follow itself?
    pub(super) repeats: bool,
}

const fn optional(mut parameter: Parameter) -> Parameter {
    parameter.required = false;
    parameter
}

const fn many(mut parameter: Parameter) -> Parameter {
    parameter.required = false;
    parameter.repeats = true;
    parameter
}

const fn context(tag: u8, name: &'static str, kind: Type) -> Parameter {
    Parameter { known: Known::Context(tag), name, kind, required: true, repeats: false }
}

/// A parameter with a context tag that may be left out.
const fn maybe(tag: u8, name: &'static str, kind: Type) -> Parameter {
    optional(context(tag, name, kind))
}

/// A parameter with an application tag.
const fn plain(tag: u8, name: &'static str) -> Parameter {
    Parameter { known: Known::Application(tag), name, kind: Type::Primitive(tag), required: true, repeats: false }
}

const fn enumeration(name: &'static str, names: Names) -> Parameter {
    let known = Known::Application(app::ENUMERATED);
    Parameter { known, name, kind: Type::Enumerated(names), required: true, repeats: false }
}

const BOOLEAN: Type = Type::Primitive(app::BOOLEAN);
const UNSIGNED: Type = Type::Primitive(app::UNSIGNED);
const SIGNED: Type = Type::Primitive(app::SIGNED);
const REAL: Type = Type::Primitive(app::REAL);
const DOUBLE: Type = Type::Primitive(app::DOUBLE);
const TEXT: Type = Type::Primitive(app::TEXT);
const TIME: Type = Type::Primitive(app::TIME);
const ID: Type = Type::Primitive(app::OBJECT);
const STATE: Type = Type::Enumerated(names::EVENT_STATES);
const STATUS: Type = Type::Bits(names::STATUS_FLAGS);

/// Parameters of a service, and whether they come once or as a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters {
    pub(super) each: &'static [Parameter],
    pub(super) repeats: bool,
}

const fn once(each: &'static [Parameter]) -> Parameters {
    Parameters { each, repeats: false }
}

const fn list(each: &'static [Parameter]) -> Parameters {
    Parameters { each, repeats: true }
}

const NONE: Parameters = once(&[]);

const REFERENCE: &[Parameter] = &[context(0, PROPERTY, Type::Property), maybe(1, INDEX, UNSIGNED)];
const PROPERTY_VALUE: &[Parameter] = &[
    context(0, PROPERTY, Type::Property),
    maybe(1, INDEX, UNSIGNED),
    context(2, VALUE, Type::Any),
    maybe(3, PRIORITY, UNSIGNED),
];
const DATE_TIME: &[Parameter] = &[plain(app::DATE, "date"), plain(app::TIME, "time")];
const TIME_STAMP: &[Parameter] =
    &[maybe(0, "time", TIME), maybe(1, "sequence_number", UNSIGNED), maybe(2, "date_time", Type::Group(DATE_TIME))];
const ADDRESS: &[Parameter] = &[plain(app::UNSIGNED, "network"), plain(app::OCTETS, "mac")];
const RECIPIENT: &[Parameter] = &[maybe(0, DEVICE, ID), maybe(1, "address", Type::Group(ADDRESS))];
const ERROR: &[Parameter] =
    &[enumeration("error_class", names::ERROR_CLASSES), enumeration("error_code", names::ERROR_CODES)];

/// Values that a notification of an event carries, by the event's type (13.3). Of types that are not here, whatever there is.
const EVENT_VALUES: &[Parameter] = &[
    maybe(
        0,
        "change_of_bitstring",
        Type::Group(&[context(0, "bits", Type::Primitive(app::BITS)), context(1, "status_flags", STATUS)]),
    ),
    maybe(1, "change_of_state", Type::Group(&[context(0, "new_state", Type::Any), context(1, "status_flags", STATUS)])),
    maybe(
        2,
        "change_of_value",
        Type::Group(&[
            context(
                0,
                "new_value",
                Type::Group(&[maybe(0, "bits", Type::Primitive(app::BITS)), maybe(1, "number", REAL)]),
            ),
            context(1, "status_flags", STATUS),
        ]),
    ),
    maybe(
        3,
        "command_failure",
        Type::Group(&[
            context(0, "command_value", Type::Any),
            context(1, "status_flags", STATUS),
            context(2, "feedback_value", Type::Any),
        ]),
    ),
    maybe(
        4,
        "floating_limit",
        Type::Group(&[
            context(0, "reference_value", REAL),
            context(1, "status_flags", STATUS),
            context(2, "setpoint_value", REAL),
            context(3, "error_limit", REAL),
        ]),
    ),
    maybe(5, "out_of_range", Type::Group(&out_of_range(REAL, REAL))),
    maybe(6, "complex_event_type", Type::List(PROPERTY_VALUE)),
    maybe(7, "buffer_ready_old", Type::Any),
    maybe(
        8,
        "change_of_life_safety",
        Type::Group(&[
            context(0, "new_state", Type::Enumerated(names::LIFE_SAFETY_STATES)),
            context(1, "new_mode", Type::Enumerated(names::LIFE_SAFETY_MODES)),
            context(2, "status_flags", STATUS),
            context(3, "operation_expected", Type::Enumerated(names::LIFE_SAFETY_OPERATIONS)),
        ]),
    ),
    maybe(
        9,
        "extended",
        Type::Group(&[
            context(0, "vendor", UNSIGNED),
            context(1, "extended_event_type", UNSIGNED),
            context(2, "parameters", Type::Any),
        ]),
    ),
    maybe(10, "buffer_ready", Type::Any),
    maybe(
        11,
        "unsigned_range",
        Type::Group(&[
            context(0, "exceeding_value", UNSIGNED),
            context(1, "status_flags", STATUS),
            context(2, "exceeded_limit", UNSIGNED),
        ]),
    ),
    maybe(13, "access_event", Type::Any),
    maybe(14, "double_out_of_range", Type::Group(&out_of_range(DOUBLE, DOUBLE))),
    maybe(15, "signed_out_of_range", Type::Group(&out_of_range(SIGNED, UNSIGNED))),
    maybe(16, "unsigned_out_of_range", Type::Group(&out_of_range(UNSIGNED, UNSIGNED))),
    maybe(
        17,
        "change_of_characterstring",
        Type::Group(&[
            context(0, "changed_value", TEXT),
            context(1, "status_flags", STATUS),
            context(2, "alarm_value", TEXT),
        ]),
    ),
    maybe(
        18,
        "change_of_status_flags",
        Type::Group(&[maybe(0, "present_value", Type::Any), context(1, "referenced_flags", STATUS)]),
    ),
    maybe(
        19,
        "change_of_reliability",
        Type::Group(&[
            context(0, "reliability", Type::Enumerated(names::RELIABILITIES)),
            context(1, "status_flags", STATUS),
            context(2, "property_values", Type::List(PROPERTY_VALUE)),
        ]),
    ),
    maybe(20, "none", Type::Any),
    maybe(21, "change_of_discrete_value", Type::Any),
    maybe(22, "change_of_timer", Type::Any),
];

const fn out_of_range(value: Type, deadband: Type) -> [Parameter; 4] {
    [
        context(0, "exceeding_value", value),
        context(1, "status_flags", STATUS),
        context(2, "deadband", deadband),
        context(3, "exceeded_limit", value),
    ]
}

const ACKNOWLEDGE_ALARM: Parameters = once(&[
    context(0, "process", UNSIGNED),
    context(1, OBJECT, ID),
    context(2, "event_state", STATE),
    context(3, "time_stamp", Type::Group(TIME_STAMP)),
    context(4, "source", TEXT),
    context(5, "time_of_acknowledgment", Type::Group(TIME_STAMP)),
]);
const COV_NOTIFICATION: Parameters = once(&[
    context(0, "process", UNSIGNED),
    context(1, DEVICE, ID),
    context(2, OBJECT, ID),
    context(3, "time_remaining_s", UNSIGNED),
    context(4, "values", Type::List(PROPERTY_VALUE)),
]);
const COV_NOTIFICATION_MULTIPLE: Parameters = once(&[
    context(0, "process", UNSIGNED),
    context(1, DEVICE, ID),
    context(2, "time_remaining_s", UNSIGNED),
    maybe(3, "time_stamp", Type::Group(DATE_TIME)),
    context(
        4,
        "notifications",
        Type::List(&[
            context(0, OBJECT, ID),
            context(
                1,
                "values",
                Type::List(&[
                    context(0, PROPERTY, Type::Property),
                    maybe(1, INDEX, UNSIGNED),
                    context(2, VALUE, Type::Any),
                    maybe(3, "time_of_change", TIME),
                ]),
            ),
        ]),
    ),
]);
const EVENT_NOTIFICATION: Parameters = once(&[
    context(0, "process", UNSIGNED),
    context(1, DEVICE, ID),
    context(2, OBJECT, ID),
    context(3, "time_stamp", Type::Group(TIME_STAMP)),
    context(4, "notification_class", UNSIGNED),
    context(5, "event_priority", UNSIGNED),
    context(6, "event_type", Type::Enumerated(names::EVENT_TYPES)),
    maybe(7, "message", TEXT),
    context(8, "notify_type", Type::Enumerated(names::NOTIFY_TYPES)),
    maybe(9, "ack_required", BOOLEAN),
    maybe(10, "from_state", STATE),
    context(11, "to_state", STATE),
    maybe(12, "event_values", Type::Group(EVENT_VALUES)),
]);
const ALARM_SUMMARY_ACK: Parameters = list(&[
    plain(app::OBJECT, OBJECT),
    enumeration("event_state", names::EVENT_STATES),
    Parameter {
        known: Known::Application(app::BITS),
        name: "acknowledged_transitions",
        kind: Type::Bits(names::TRANSITIONS),
        required: true,
        repeats: false,
    },
]);
const ENROLLMENT_SUMMARY: Parameters = once(&[
    context(0, "acknowledgment_filter", Type::Enumerated(names::ACKNOWLEDGMENT_FILTERS)),
    maybe(
        1,
        "enrollment_filter",
        Type::Group(&[context(0, "recipient", Type::Group(RECIPIENT)), context(1, "process", UNSIGNED)]),
    ),
    maybe(2, "event_state_filter", Type::Enumerated(names::STATE_FILTERS)),
    maybe(3, "event_type_filter", Type::Enumerated(names::EVENT_TYPES)),
    maybe(4, "priority_filter", Type::Group(&[context(0, "lowest", UNSIGNED), context(1, "highest", UNSIGNED)])),
    maybe(5, "notification_class", UNSIGNED),
]);
const ENROLLMENT_SUMMARY_ACK: Parameters = list(&[
    plain(app::OBJECT, OBJECT),
    enumeration("event_type", names::EVENT_TYPES),
    enumeration("event_state", names::EVENT_STATES),
    plain(app::UNSIGNED, "event_priority"),
    optional(plain(app::UNSIGNED, "notification_class")),
]);
const EVENT_INFORMATION_ACK: Parameters = once(&[
    context(
        0,
        "events",
        Type::List(&[
            context(0, OBJECT, ID),
            context(1, "event_state", STATE),
            context(2, "acknowledged_transitions", Type::Bits(names::TRANSITIONS)),
            context(3, "time_stamps", Type::Each(TIME_STAMP)),
            context(4, "notify_type", Type::Enumerated(names::NOTIFY_TYPES)),
            context(5, "event_enable", Type::Bits(names::TRANSITIONS)),
            context(6, "event_priorities", Type::Each(&[plain(app::UNSIGNED, "event_priority")])),
        ]),
    ),
    context(1, "more_events", BOOLEAN),
]);
const SUBSCRIBE_COV: Parameters = once(&[
    context(0, "process", UNSIGNED),
    context(1, OBJECT, ID),
    maybe(2, "confirmed", BOOLEAN),
    maybe(3, "lifetime_s", UNSIGNED),
]);
const SUBSCRIBE_COV_PROPERTY: Parameters = once(&[
    context(0, "process", UNSIGNED),
    context(1, OBJECT, ID),
    maybe(2, "confirmed", BOOLEAN),
    maybe(3, "lifetime_s", UNSIGNED),
    context(4, "reference", Type::Group(REFERENCE)),
    maybe(5, "increment", REAL),
]);
const SUBSCRIBE_COV_PROPERTY_MULTIPLE: Parameters = once(&[
    context(0, "process", UNSIGNED),
    maybe(1, "confirmed", BOOLEAN),
    maybe(2, "lifetime_s", UNSIGNED),
    maybe(3, "max_notification_delay_s", UNSIGNED),
    context(
        4,
        "subscriptions",
        Type::List(&[
            context(0, OBJECT, ID),
            context(
                1,
                "references",
                Type::List(&[
                    context(0, "reference", Type::Group(REFERENCE)),
                    maybe(1, "increment", REAL),
                    context(2, "timestamped", BOOLEAN),
                ]),
            ),
        ]),
    ),
]);
const READ_FILE: Parameters = once(&[
    plain(app::OBJECT, OBJECT),
    maybe(0, "stream", Type::Group(&[plain(app::SIGNED, "start"), plain(app::UNSIGNED, "count")])),
    maybe(1, "records", Type::Group(&[plain(app::SIGNED, "start"), plain(app::UNSIGNED, "count")])),
]);
const FILE_STREAM: Type = Type::Group(&[plain(app::SIGNED, "start"), plain(app::OCTETS, "data")]);
const FILE_RECORDS: Type =
    Type::Group(&[plain(app::SIGNED, "start"), plain(app::UNSIGNED, "count"), many(plain(app::OCTETS, "data"))]);
const READ_FILE_ACK: Parameters =
    once(&[plain(app::BOOLEAN, "end_of_file"), maybe(0, "stream", FILE_STREAM), maybe(1, "records", FILE_RECORDS)]);
const WRITE_FILE: Parameters =
    once(&[plain(app::OBJECT, OBJECT), maybe(0, "stream", FILE_STREAM), maybe(1, "records", FILE_RECORDS)]);
const WRITE_FILE_ACK: Parameters = once(&[maybe(0, "start", SIGNED), maybe(1, "start_record", SIGNED)]);
const LIST_ELEMENTS: Parameters = once(&[
    context(0, OBJECT, ID),
    context(1, PROPERTY, Type::Property),
    maybe(2, INDEX, UNSIGNED),
    context(3, VALUE, Type::Any),
]);
const CREATE_OBJECT: Parameters = once(&[
    context(
        0,
        "specifier",
        Type::Group(&[maybe(0, "object_type", Type::Enumerated(names::OBJECT_TYPES)), maybe(1, OBJECT, ID)]),
    ),
    maybe(1, "values", Type::List(PROPERTY_VALUE)),
]);
const AN_OBJECT: Parameters = once(&[plain(app::OBJECT, OBJECT)]);
const READ_PROPERTY: Parameters =
    once(&[context(0, OBJECT, ID), context(1, PROPERTY, Type::Property), maybe(2, INDEX, UNSIGNED)]);
const READ_CONDITIONAL: Parameters =
    once(&[context(0, "selection", Type::Any), maybe(1, "references", Type::List(REFERENCE))]);
const READ_MULTIPLE: Parameters = list(&[context(0, OBJECT, ID), context(1, "references", Type::List(REFERENCE))]);
const READ_MULTIPLE_ACK: Parameters = list(&[
    context(0, OBJECT, ID),
    context(
        1,
        "results",
        Type::List(&[
            context(2, PROPERTY, Type::Property),
            maybe(3, INDEX, UNSIGNED),
            maybe(4, VALUE, Type::Any),
            maybe(5, "error", Type::Group(ERROR)),
        ]),
    ),
]);
const WRITE_PROPERTY: Parameters = once(&[
    context(0, OBJECT, ID),
    context(1, PROPERTY, Type::Property),
    maybe(2, INDEX, UNSIGNED),
    context(3, VALUE, Type::Any),
    maybe(4, PRIORITY, UNSIGNED),
]);
const WRITE_MULTIPLE: Parameters = list(&[context(0, OBJECT, ID), context(1, "values", Type::List(PROPERTY_VALUE))]);
const COMMUNICATION_CONTROL: Parameters = once(&[
    maybe(0, "duration_min", UNSIGNED),
    context(1, "communication", Type::Enumerated(names::COMMUNICATION)),
    maybe(2, PASSWORD, TEXT),
]);
const PRIVATE_TRANSFER: Parameters =
    once(&[context(0, VENDOR, UNSIGNED), context(1, "service_number", UNSIGNED), maybe(2, "parameters", Type::Any)]);
const TEXT_MESSAGE: Parameters = once(&[
    context(0, DEVICE, ID),
    maybe(1, "class", Type::Group(&[maybe(0, "number", UNSIGNED), maybe(1, "name", TEXT)])),
    context(2, "message_priority", Type::Enumerated(names::MESSAGE_PRIORITIES)),
    context(3, "message", TEXT),
]);
const REINITIALIZE: Parameters =
    once(&[context(0, "state", Type::Enumerated(names::REINITIALIZE_STATES)), maybe(1, PASSWORD, TEXT)]);
const READ_RANGE: Parameters = once(&[
    context(0, OBJECT, ID),
    context(1, PROPERTY, Type::Property),
    maybe(2, INDEX, UNSIGNED),
    maybe(3, "by_position", Type::Group(&[plain(app::UNSIGNED, "reference"), plain(app::SIGNED, "count")])),
    maybe(4, "time_range", Type::Any),
    maybe(6, "by_sequence_number", Type::Group(&[plain(app::UNSIGNED, "reference"), plain(app::SIGNED, "count")])),
    maybe(
        7,
        "by_time",
        Type::Group(&[plain(app::DATE, "date"), plain(app::TIME, "time"), plain(app::SIGNED, "count")]),
    ),
]);
const READ_RANGE_ACK: Parameters = once(&[
    context(0, OBJECT, ID),
    context(1, PROPERTY, Type::Property),
    maybe(2, INDEX, UNSIGNED),
    context(3, "result_flags", Type::Bits(names::RESULT_FLAGS)),
    context(4, "item_count", UNSIGNED),
    context(5, VALUE, Type::Any),
    maybe(6, "first_sequence_number", UNSIGNED),
]);
const LIFE_SAFETY: Parameters = once(&[
    context(0, "process", UNSIGNED),
    context(1, "source", TEXT),
    context(2, "request", Type::Enumerated(names::LIFE_SAFETY_OPERATIONS)),
    maybe(3, OBJECT, ID),
]);
const AUTHENTICATE: Parameters = once(&[
    context(0, "random_number", UNSIGNED),
    maybe(1, "expected_invoke_id", UNSIGNED),
    maybe(2, "operator", TEXT),
    maybe(3, PASSWORD, TEXT),
    maybe(4, "enciphered", BOOLEAN),
]);
const REQUEST_KEY: Parameters = once(&[
    plain(app::OBJECT, DEVICE),
    plain(app::UNSIGNED, "network"),
    plain(app::OCTETS, "mac"),
    plain(app::OBJECT, "remote_device"),
    plain(app::UNSIGNED, "remote_network"),
    plain(app::OCTETS, "remote_mac"),
]);
const AUDIT_NOTIFICATION: Parameters = once(&[context(
    0,
    "notifications",
    Type::List(&[
        maybe(0, "source_time_stamp", Type::Group(TIME_STAMP)),
        maybe(1, "target_time_stamp", Type::Group(TIME_STAMP)),
        context(2, "source_device", Type::Group(RECIPIENT)),
        maybe(3, "source_object", ID),
        context(4, "operation", Type::Enumerated(names::AUDIT_OPERATIONS)),
        maybe(5, "source_comment", TEXT),
        maybe(6, "target_comment", TEXT),
        maybe(7, "invoke_id", UNSIGNED),
        maybe(8, "source_user_id", UNSIGNED),
        maybe(9, "source_user_role", UNSIGNED),
        context(10, "target_device", Type::Group(RECIPIENT)),
        maybe(11, OBJECT, ID),
        maybe(12, "target_property", Type::Group(REFERENCE)),
        maybe(13, "target_priority", UNSIGNED),
        maybe(14, "target_value", Type::Any),
        maybe(15, "current_value", Type::Any),
        maybe(16, "result", Type::Group(ERROR)),
    ]),
)]);
const AUDIT_QUERY: Parameters = once(&[
    context(0, OBJECT, ID),
    context(1, "query", Type::Any),
    maybe(2, "start_sequence_number", UNSIGNED),
    context(3, "requested_count", UNSIGNED),
]);
const AUDIT_QUERY_ACK: Parameters =
    once(&[context(0, OBJECT, ID), context(1, "records", Type::Any), context(2, "no_more_items", BOOLEAN)]);
const VT_OPEN: Parameters = once(&[enumeration("class", names::VT_CLASSES), plain(app::UNSIGNED, "session")]);
const VT_CLOSE: Parameters = list(&[plain(app::UNSIGNED, "session")]);
const VT_DATA: Parameters =
    once(&[plain(app::UNSIGNED, "session"), plain(app::OCTETS, "data"), plain(app::UNSIGNED, "flag")]);
const EVENT_INFORMATION: Parameters = once(&[maybe(0, "last_received", ID)]);
const VT_OPEN_ACK: Parameters = once(&[plain(app::UNSIGNED, "remote_session")]);
const VT_DATA_ACK: Parameters = once(&[context(0, "all_accepted", BOOLEAN), maybe(1, "accepted", UNSIGNED)]);
const AUTHENTICATE_ACK: Parameters = once(&[plain(app::UNSIGNED, "random_number")]);
const I_AM: Parameters = once(&[
    plain(app::OBJECT, DEVICE),
    plain(app::UNSIGNED, "max_apdu_length"),
    enumeration("segmentation", names::SEGMENTATION),
    plain(app::UNSIGNED, VENDOR),
]);
const I_HAVE: Parameters =
    once(&[plain(app::OBJECT, DEVICE), plain(app::OBJECT, OBJECT), plain(app::TEXT, "object_name")]);
const WHO_HAS: Parameters = once(&[
    maybe(0, "low_limit", UNSIGNED),
    maybe(1, "high_limit", UNSIGNED),
    maybe(2, OBJECT, ID),
    maybe(3, "object_name", TEXT),
]);
const WHO_IS: Parameters = once(&[maybe(0, "low_limit", UNSIGNED), maybe(1, "high_limit", UNSIGNED)]);
const WRITE_GROUP: Parameters = once(&[
    context(0, "group", UNSIGNED),
    context(1, PRIORITY, UNSIGNED),
    context(
        2,
        "changes",
        Type::List(&[
            context(0, "channel", UNSIGNED),
            maybe(1, "overriding_priority", UNSIGNED),
            Parameter { known: Known::Value, name: VALUE, kind: Type::Any, required: false, repeats: false },
            maybe(0, "lighting_command", Type::Any),
        ]),
    ),
    maybe(3, "inhibit_delay", BOOLEAN),
]);
const WHO_AM_I: Parameters =
    once(&[plain(app::UNSIGNED, VENDOR), plain(app::TEXT, "model_name"), plain(app::TEXT, "serial_number")]);
const YOU_ARE: Parameters = once(&[
    plain(app::UNSIGNED, VENDOR),
    plain(app::TEXT, "model_name"),
    plain(app::TEXT, "serial_number"),
    optional(plain(app::OBJECT, DEVICE)),
    optional(plain(app::OCTETS, "mac")),
]);

/// What a service failed with: class and code, which some services put in a parameter of their own (clause 21).
const FAILURE: [Parameter; 3] = [optional(ERROR[0]), optional(ERROR[1]), maybe(0, "error", Type::Group(ERROR))];
const FAILED: Parameters = once(&FAILURE);
const FAILED_AT: Parameters = once(&failure(maybe(1, "first_failed_element", UNSIGNED)));
const FAILED_WRITE: Parameters = once(&failure(maybe(
    1,
    "first_failed",
    Type::Group(&[context(0, OBJECT, ID), context(1, PROPERTY, Type::Property), maybe(2, INDEX, UNSIGNED)]),
)));
const FAILED_SESSIONS: Parameters =
    once(&failure(maybe(1, "sessions", Type::Each(&[plain(app::UNSIGNED, "session")]))));
const FAILED_SUBSCRIPTION: Parameters = once(&failure(maybe(1, "first_failed", Type::Any)));
const FAILED_TRANSFER: Parameters = once(&[
    FAILURE[0],
    FAILURE[1],
    FAILURE[2],
    maybe(1, VENDOR, UNSIGNED),
    maybe(2, "service_number", UNSIGNED),
    maybe(3, "parameters", Type::Any),
]);

const fn failure(also: Parameter) -> [Parameter; 4] {
    [FAILURE[0], FAILURE[1], FAILURE[2], also]
}

/// Parameters of a confirmed request; `None` for services that the standard does not define.
pub(super) const fn request(service: u8) -> Option<Parameters> {
    Some(match service {
        0 => ACKNOWLEDGE_ALARM,
        1 => COV_NOTIFICATION,
        2 => EVENT_NOTIFICATION,
        3 => NONE,
        4 => ENROLLMENT_SUMMARY,
        5 => SUBSCRIBE_COV,
        6 => READ_FILE,
        7 => WRITE_FILE,
        8 | 9 => LIST_ELEMENTS,
        10 => CREATE_OBJECT,
        11 => AN_OBJECT,
        12 => READ_PROPERTY,
        13 => READ_CONDITIONAL,
        14 => READ_MULTIPLE,
        15 => WRITE_PROPERTY,
        16 => WRITE_MULTIPLE,
        17 => COMMUNICATION_CONTROL,
        18 => PRIVATE_TRANSFER,
        19 => TEXT_MESSAGE,
        20 => REINITIALIZE,
        21 => VT_OPEN,
        22 => VT_CLOSE,
        23 => VT_DATA,
        24 => AUTHENTICATE,
        25 => REQUEST_KEY,
        26 => READ_RANGE,
        27 => LIFE_SAFETY,
        28 => SUBSCRIBE_COV_PROPERTY,
        29 => EVENT_INFORMATION,
        30 => SUBSCRIBE_COV_PROPERTY_MULTIPLE,
        31 => COV_NOTIFICATION_MULTIPLE,
        32 => AUDIT_NOTIFICATION,
        33 => AUDIT_QUERY,
        _ => return None,
    })
}

/// Parameters of the acknowledgement of a confirmed service.
pub(super) const fn acknowledgement(service: u8) -> Option<Parameters> {
    Some(match service {
        3 => ALARM_SUMMARY_ACK,
        4 => ENROLLMENT_SUMMARY_ACK,
        6 => READ_FILE_ACK,
        7 => WRITE_FILE_ACK,
        10 => AN_OBJECT,
        12 => LIST_ELEMENTS,
        13 | 14 => READ_MULTIPLE_ACK,
        18 => PRIVATE_TRANSFER,
        21 => VT_OPEN_ACK,
        23 => VT_DATA_ACK,
        24 => AUTHENTICATE_ACK,
        26 => READ_RANGE_ACK,
        29 => EVENT_INFORMATION_ACK,
        33 => AUDIT_QUERY_ACK,
        _ => return None,
    })
}

/// Parameters of the error of a confirmed service.
pub(super) const fn error(service: u8) -> Parameters {
    match service {
        8..=10 => FAILED_AT,
        16 => FAILED_WRITE,
        18 => FAILED_TRANSFER,
        22 => FAILED_SESSIONS,
        30 => FAILED_SUBSCRIPTION,
        _ => FAILED,
    }
}

/// Parameters of an unconfirmed request; `None` for services that the standard does not define.
pub(super) const fn unconfirmed(service: u8) -> Option<Parameters> {
    Some(match service {
        0 => I_AM,
        1 => I_HAVE,
        2 => COV_NOTIFICATION,
        3 => EVENT_NOTIFICATION,
        4 => PRIVATE_TRANSFER,
        5 => TEXT_MESSAGE,
        6 | 9 => once(DATE_TIME),
        7 => WHO_HAS,
        8 => WHO_IS,
        10 => WRITE_GROUP,
        11 => COV_NOTIFICATION_MULTIPLE,
        12 => AUDIT_NOTIFICATION,
        13 => WHO_AM_I,
        14 => YOU_ARE,
        _ => return None,
    })
}

/// Names of the values of a property that is an enumeration.
pub(super) const fn enumeration_of(object_type: Option<u16>, property: u32) -> Names {
    match property {
        36 => names::EVENT_STATES,
        37 => names::EVENT_TYPES,
        72 => names::NOTIFY_TYPES,
        79 => names::OBJECT_TYPES,
        84 => names::POLARITIES,
        // present_value, feedback_value, relinquish_default, alarm_value
        6 | 40 | 85 | 104 => match object_type {
            Some(3..=5) => names::BINARY,
            Some(21 | 22) => names::LIFE_SAFETY_STATES,
            _ => &[],
        },
        90 => names::PROGRAM_REQUESTS,
        92 => names::PROGRAM_STATES,
        103 => names::RELIABILITIES,
        107 => names::SEGMENTATION,
        112 => names::DEVICE_STATES,
        117 => names::UNITS,
        338 => names::BACKUP_STATES,
        196 => names::RESTART_REASONS,
        41 => names::FILE_ACCESS_METHODS,
        160 => names::LIFE_SAFETY_MODES,
        _ => &[],
    }
}
