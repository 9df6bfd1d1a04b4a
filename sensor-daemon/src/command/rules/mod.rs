//! `vigia rules`: the rules that load, what rules can ask for, and the tools for those who write and tune them.

mod check;
mod explain;
mod list;
mod profile;
mod sarif;
mod test;
mod trace;
mod words;

use clap::Subcommand;
use serde_json::json;

use super::table::Table;
use super::{Context, Outcome, print, with_config};
use crate::docs::protocols;
use crate::language::{Language, Message};

/// Arguments of `vigia rules`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Example:
  vigia rules list --rules modbus.rules
  vigia rules check modbus.rules
  vigia rules explain 9101001 --capture plant.pcap
  vigia rules test rules/
  vigia rules fields --json")]
pub(super) struct Rules {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    List(list::List),
    Check(check::Check),
    Explain(explain::Explain),
    Test(test::Test),
    Profile(profile::Profile),
    #[command(after_help = "\
Example:
  vigia rules fields modbus")]
    Fields(Fields),
}

#[derive(Debug, Clone, clap::Args)]
struct Fields {
    /// Protocols to list; all by default
    #[arg(value_name = "PROTOCOL", value_parser = clap::builder::PossibleValuesParser::new(protocol_names()))]
    protocols: Vec<String>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

fn protocol_names() -> Vec<&'static str> {
    protocols().map(|protocol| protocol.name).collect()
}

impl Rules {
    pub(super) fn execute(&self, lang: Option<Language>, context: Context) -> anyhow::Result<Outcome> {
        match &self.what {
            What::List(it) => with_config(&it.config, lang, context, |loaded, context| it.execute(loaded, context)),
            What::Check(it) => with_config(&it.config, lang, context, |loaded, context| it.execute(loaded, context)),
            What::Explain(it) => with_config(&it.config, lang, context, |loaded, context| it.execute(loaded, context)),
            What::Test(it) => with_config(&it.config, lang, context, |loaded, context| it.execute(loaded, context)),
            What::Profile(it) => with_config(&it.config, lang, context, |loaded, context| it.execute(loaded, context)),
            What::Fields(fields) => fields.execute(context),
        }
    }
}

impl Fields {
    fn execute(&self, context: Context) -> anyhow::Result<Outcome> {
        let wanted = |name: &str| self.protocols.is_empty() || self.protocols.iter().any(|wanted| wanted == name);
        let protocols = protocols().filter(|protocol| wanted(protocol.name));
        if self.json {
            let fields: Vec<_> = protocols.flat_map(crate::docs::fields_json).collect();
            print(&format!("{:#}\n", json!(fields)))?;
        } else {
            let headings = [Message::ColumnField, Message::ColumnKind, Message::ColumnValues, Message::ColumnMeaning];
            let mut table = Table::new(headings.map(|heading| heading.text(context.language)));
            for protocol in protocols {
                for field in protocol.fields {
                    let name = format!("{}.{}", protocol.name, field.name);
                    let many = crate::docs::cardinality(field).to_owned();
                    table.row([name, crate::docs::kind(field), many, field.doc.to_owned()]);
                }
            }
            print(&table.to_string())?;
        }
        Ok(Outcome::Done)
    }
}
