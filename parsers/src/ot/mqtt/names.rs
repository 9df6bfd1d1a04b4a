//! Names of MQTT's numbers (MQTT 5.0 §2.1.2, §2.4; MQTT 3.1.1 §3.2.2.3).

use crate::field::Names;

pub(super) const TYPES: Names = &[
    (1, "connect"),
    (2, "connack"),
    (3, "publish"),
    (4, "puback"),
    (5, "pubrec"),
    (6, "pubrel"),
    (7, "pubcomp"),
    (8, "subscribe"),
    (9, "suback"),
    (10, "unsubscribe"),
    (11, "unsuback"),
    (12, "pingreq"),
    (13, "pingresp"),
    (14, "disconnect"),
    (15, "auth"),
];

/// Protocol levels of CONNECT.
pub(super) const VERSIONS: Names = &[(3, "mqtt_3_1"), (4, "mqtt_3_1_1"), (5, "mqtt_5")];
