//! Which alerts are asked for: the same of a line of the journal and of a row.

use std::net::IpAddr;

use rusqlite::types::Value;
use vigia_parsers::Timestamp;

use super::signed;
use crate::event::{AlertColumns, address_text};

/// What an alert has to be.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Not before then.
    pub from: Option<Timestamp>,
    /// Before then.
    pub to: Option<Timestamp>,
    /// Of one of these rules; of any when empty.
    pub sids: Vec<u64>,
    /// From this address.
    pub source: Option<IpAddr>,
    /// To this address.
    pub destination: Option<IpAddr>,
    /// At least this severe; 1 is the most severe.
    pub severity: Option<u64>,
}

impl Choice {
    /// Is an alert one of them?
    pub fn holds(&self, alert: &AlertColumns<'_>) -> bool {
        let address = |wanted: Option<IpAddr>, is: &Option<_>| {
            wanted.is_none_or(|wanted| is.as_deref() == Some(&*address_text(wanted)))
        };
        let rule = &alert.alert;
        self.from.is_none_or(|from| alert.time >= Some(from))
            && self.to.is_none_or(|to| alert.time.is_some_and(|time| time < to))
            && (self.sids.is_empty() || rule.signature_id.is_some_and(|sid| self.sids.contains(&sid)))
            && self.severity.is_none_or(|least| rule.severity.is_some_and(|severity| severity <= least))
            && address(self.source, &alert.src_ip)
            && address(self.destination, &alert.dest_ip)
    }

    /// The same as a condition of SQL with its values.
    pub(super) fn condition(&self) -> (String, Vec<Value>) {
        let (mut parts, mut values) = (Vec::new(), Vec::new());
        let mut and = |part: String, with: Vec<Value>| {
            parts.push(part);
            values.extend(with);
        };
        let number = |number: u64| Value::Integer(signed(number));
        let one = |column: &str, value: Option<Value>| value.map(|value| (column.to_owned(), vec![value]));
        let sids = (!self.sids.is_empty()).then(|| {
            let places = vec!["?"; self.sids.len()].join(",");
            (format!("sid IN ({places})"), self.sids.iter().copied().map(number).collect())
        });
        let all = [
            one("time >= ?", self.from.map(|time| number(time.0))),
            one("time < ?", self.to.map(|time| number(time.0))),
            sids,
            one("severity <= ?", self.severity.map(number)),
            one("src_ip = ?", self.source.map(|address| Value::Text(address_text(address)))),
            one("dest_ip = ?", self.destination.map(|address| Value::Text(address_text(address)))),
        ];
        all.into_iter().flatten().for_each(|(part, with)| and(part, with));
        (if parts.is_empty() { "1".to_owned() } else { parts.join(" AND ") }, values)
    }
}
