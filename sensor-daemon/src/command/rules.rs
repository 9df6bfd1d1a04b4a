//! `vigia rules`: the rules that load, and what rules can ask for.

use clap::Subcommand;
use serde_json::json;

use super::table::Table;
use super::{ConfigArgument, Context, Outcome, RulesArgument, print, report, with_config};
use crate::config::Loaded;
use crate::docs::protocols;
use crate::language::{Language, Message};

/// Arguments of `vigia rules`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Example:
  vigia rules list --rules modbus.rules
  vigia rules fields --json")]
pub(super) struct Rules {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    #[command(after_help = "\
Example:
  vigia rules list --rules modbus.rules")]
    List(List),
    #[command(after_help = "\
Example:
  vigia rules fields modbus")]
    Fields(Fields),
}

#[derive(Debug, Clone, clap::Args)]
struct List {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    rules: RulesArgument,
    /// Print as JSON
    #[arg(long)]
    json: bool,
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
            What::List(list) => {
                with_config(&list.config, lang, context, |loaded, context| list.execute(loaded, context))
            }
            What::Fields(fields) => fields.execute(context),
        }
    }
}

impl List {
    fn execute(&self, mut loaded: Loaded, context: Context) -> anyhow::Result<Outcome> {
        self.rules.apply(&mut loaded.config.rules);
        let ruleset = loaded.config.rules.load();
        report(&ruleset.diagnostics, context);
        if self.json {
            let rules: Vec<_> = ruleset.engine.rules().iter().map(rule_json).collect();
            print(&format!("{:#}\n", json!(rules)))?;
        } else {
            let headings =
                [Message::ColumnSid, Message::ColumnPriority, Message::ColumnCategory, Message::ColumnMessage];
            let mut table = Table::new(headings.map(|heading| heading.text(context.language)));
            for rule in ruleset.engine.rules() {
                let (sid, priority) = (format!("{}:{}:{}", rule.gid, rule.sid, rule.rev), rule.priority.to_string());
                table.row([sid, priority, rule.category.clone(), rule.message.clone()]);
            }
            print(&table.to_string())?;
        }
        Ok(if ruleset.has_errors() { Outcome::Failed } else { Outcome::Done })
    }
}

fn rule_json(rule: &vigia_rules::Rule) -> serde_json::Value {
    let metadata: serde_json::Map<_, _> =
        rule.metadata.iter().map(|(key, values)| (key.clone(), values.clone().into())).collect();
    let references: Vec<_> = rule.references.iter().map(|it| format!("{},{}", it.system, it.value)).collect();
    json!({
        "gid": rule.gid,
        "sid": rule.sid,
        "rev": rule.rev,
        "msg": rule.message,
        "category": rule.category,
        "priority": rule.priority,
        "references": references,
        "metadata": metadata,
    })
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
