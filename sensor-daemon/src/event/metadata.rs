//! `metadata` of alerts and flows: what rules have left on the flow, and what the match found out; and `traffic`, which flowbits
//! of certain names make.

use vigia_rules::{Remark, Told};

use super::json::JsonWriter;

/// How flowbits begin that say what the traffic is, and the members of `traffic` that they go to.
const TRAFFIC: [(&str, &str); 2] = [("traffic/id/", "id"), ("traffic/label/", "label")];

fn is_traffic(bit: &str) -> bool {
    TRAFFIC.iter().any(|(begin, _)| bit.starts_with(begin))
}

/// Is there anything to be written?
pub(super) fn is_any(told: &Told<'_>, remarks: &[Remark]) -> bool {
    told != Told::nothing() || remarks.iter().any(|remark| matches!(remark, Remark::Entropy(..)))
}

/// Writes values that expressions captured, if there are any.
fn variables<'t>(json: &mut JsonWriter<'_>, key: &'static str, values: impl Iterator<Item = (&'t str, &'t [u8])>) {
    let mut values = values.peekable();
    if values.peek().is_some() {
        json.nested_list(key, |json| {
            values.for_each(|(name, value)| json.nested("", |json| json.octets_at(name, value)))
        });
    }
}

/// Writes both members, as far as there is something in them.
pub(super) fn write(json: &mut JsonWriter<'_>, told: &Told<'_>, remarks: &[Remark]) {
    let bits = || told.flowbits.iter().filter(|bit| !is_traffic(bit));
    let found = || {
        remarks.iter().filter_map(|remark| match remark {
            Remark::Entropy(buffer, value) => Some((buffer, *value)),
            Remark::Context(..) | Remark::Captured(..) => None,
        })
    };
    // What the match itself found stands before what was found last in the flow.
    let others = || told.entropies.iter().filter(|other| found().all(|(buffer, _)| *buffer != other.0));
    let entropies = || found().chain(others().map(|(buffer, value)| (buffer, *value)));
    let any = bits().next().is_some()
        || entropies().next().is_some()
        || !(told.flowints.is_empty() && told.flow_variables.is_empty() && told.packet_variables.is_empty());
    if any {
        json.nested("metadata", |json| {
            if bits().next().is_some() {
                json.nested_list("flowbits", |json| bits().for_each(|bit| json.string("", bit)));
            }
            if !told.flowints.is_empty() {
                json.nested("flowints", |json| {
                    told.flowints.iter().for_each(|(name, value)| json.number_at(name, (*value).into()));
                });
            }
            variables(json, "flowvars", told.flow_variables.iter().map(|(name, value)| (*name, &**value)));
            variables(json, "pktvars", told.packet_variables.iter().map(|(name, value)| (&**name, &**value)));
            if entropies().next().is_some() {
                json.nested("entropy", |json| entropies().for_each(|(buffer, value)| json.float_at(buffer, value)));
            }
        });
    }
    if told.flowbits.iter().any(|bit| is_traffic(bit)) {
        json.nested("traffic", |json| {
            for (begin, key) in TRAFFIC {
                let named = || told.flowbits.iter().filter_map(|bit| bit.strip_prefix(begin));
                if named().next().is_some() {
                    json.nested_list(key, |json| named().for_each(|name| json.string("", name)));
                }
            }
        });
    }
}
