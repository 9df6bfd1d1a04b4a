//! Which events a sink gets, and what of them.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::Export;
use crate::event::Facts;
use crate::journal::Stream;

/// Members that every event keeps.
const ALWAYS: [&str; 2] = ["timestamp", "event_type"];

/// Decides about lines.
#[derive(Debug)]
pub(super) struct Filter {
    events: Vec<String>,
    severity: Option<u8>,
    protocols: Vec<String>,
    /// Paths of the members that are kept; all when empty.
    keep: Vec<Vec<String>>,
}

impl Filter {
    pub(super) fn new(export: &Export) -> Self {
        let paths = ALWAYS.into_iter().chain(export.keep.iter().map(String::as_str));
        let paths = paths.map(|path| path.split('.').map(str::to_owned).collect()).collect();
        Self {
            events: export.events.clone(),
            severity: export.severity,
            protocols: export.protocols.clone(),
            keep: if export.keep.is_empty() { Vec::new() } else { paths },
        }
    }

    /// Streams that can have something for the sink, alerts first.
    pub(super) fn streams(&self) -> impl Iterator<Item = Stream> {
        let is_alert = |name: &String| name == "alert";
        let (any, alerts) = (self.events.is_empty(), self.events.iter().any(is_alert));
        let records = any || !self.events.iter().all(is_alert);
        let wanted = move |stream: &Stream| match stream {
            Stream::Alerts => any || alerts,
            Stream::Records => records,
        };
        Stream::ALL.into_iter().filter(wanted)
    }

    /// What the sink gets of a line; nothing where it does not want it.
    pub(super) fn apply<'l>(&self, line: &'l [u8]) -> Option<Cow<'l, [u8]>> {
        let selective = !self.events.is_empty() || self.severity.is_some() || !self.protocols.is_empty();
        if selective && !Facts::of(line).is_some_and(|facts| self.wants(&facts)) {
            return None;
        }
        if self.keep.is_empty() {
            return Some(line.into());
        }
        let Ok(Value::Object(members)) = serde_json::from_slice(line) else { return Some(line.into()) };
        serde_json::to_vec(&self.kept(&members)).ok().map(Cow::Owned)
    }

    fn wants(&self, facts: &Facts<'_>) -> bool {
        let among = |names: &[String], name: &str| names.is_empty() || names.iter().any(|one| one == name);
        let severe = self.severity.zip(facts.severity()).is_none_or(|(least, severity)| severity <= least);
        among(&self.events, &facts.event_type) && among(&self.protocols, facts.protocol()) && severe
    }

    fn kept(&self, members: &Map<String, Value>) -> Map<String, Value> {
        let mut kept = Map::new();
        for path in &self.keep {
            copy(members, &mut kept, path);
        }
        kept
    }
}

/// Copies the member at `path`, with the objects around it.
fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, path: &[String]) {
    let Some((name, rest)) = path.split_first() else { return };
    match from.get(name) {
        Some(value) if rest.is_empty() => {
            to.insert(name.clone(), value.clone());
        }
        Some(Value::Object(inner)) => {
            let within = to.entry(name.clone()).or_insert_with(|| Map::new().into());
            if let Value::Object(within) = within {
                copy(inner, within, rest);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALERT: &[u8] = br#"{"timestamp":"t","event_type":"alert","src_ip":"10.0.0.1","alert":{"signature":"s","severity":2,"gid":1},"app_proto":"modbus"}"#;
    const RECORD: &[u8] = br#"{"timestamp":"t","event_type":"modbus","modbus":{}}"#;
    const STATS: &[u8] = br#"{"timestamp":"t","event_type":"stats","stats":{}}"#;

    fn filter(settings: &str) -> Filter {
        let export: Export = toml::from_str(&format!("name = \"x\"\nfile = {{ path = \"x\" }}\n{settings}")).unwrap();
        Filter::new(&export)
    }

    fn wanted(settings: &str) -> Vec<&'static str> {
        let filter = filter(settings);
        let all = [("alert", ALERT), ("record", RECORD), ("stats", STATS)];
        all.into_iter().filter(|(_, line)| filter.apply(line).is_some()).map(|(name, _)| name).collect()
    }

    #[test]
    fn events_are_chosen_by_type_severity_and_protocol() {
        assert_eq!(wanted(""), ["alert", "record", "stats"]);
        assert_eq!(wanted("events = [\"stats\", \"alert\"]"), ["alert", "stats"]);
        assert_eq!(wanted("severity = 2"), ["alert", "record", "stats"], "other events have no severity");
        assert_eq!(wanted("severity = 1"), ["record", "stats"]);
        assert_eq!(wanted("protocols = [\"modbus\"]"), ["alert", "record"]);
        assert_eq!(wanted("protocols = [\"dnp3\"]"), [""; 0]);
    }

    #[test]
    fn only_streams_that_can_have_something_are_read() {
        let streams = |settings| filter(settings).streams().collect::<Vec<_>>();
        assert_eq!(streams(""), Stream::ALL);
        assert_eq!(streams("events = [\"alert\"]"), [Stream::Alerts]);
        assert_eq!(streams("events = [\"flow\"]"), [Stream::Records]);
        assert_eq!(streams("events = [\"flow\", \"alert\"]"), Stream::ALL);
    }

    #[test]
    fn members_are_kept_by_their_paths() {
        let kept = |settings, line| {
            let filter = filter(settings);
            String::from_utf8(filter.apply(line).unwrap().into_owned()).unwrap()
        };
        let settings = "keep = [\"alert.signature\", \"alert.severity\", \"nothing.there\", \"src_ip.deeper\"]";
        assert_eq!(
            kept(settings, ALERT),
            r#"{"timestamp":"t","event_type":"alert","alert":{"signature":"s","severity":2}}"#
        );
        assert_eq!(kept(settings, STATS), r#"{"timestamp":"t","event_type":"stats"}"#);
        assert_eq!(kept("", STATS).as_bytes(), STATS);
    }
}
