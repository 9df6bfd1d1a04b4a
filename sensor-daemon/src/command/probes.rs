//! `vigia probes`: what the running sensor has loaded into the kernel, how much of it is used, and what a packet costs there.

use std::time::Duration;

use serde_json::{Value, json};

use super::status::unanswered;
use super::table::Table;
use super::{ConfigArgument, Context, Outcome, print};
use crate::capture::probes::inventory::time_runs;
use crate::config::Loaded;
use crate::control::ask;
use crate::language::Message;

/// Arguments of `vigia probes`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
The kernel times its programs only while asked to, which takes CAP_SYS_ADMIN (or kernel.bpf_stats_enabled = 1); \
without it the time per packet is left out. Guards that stay when no sensor runs are shown by `vigia guard`.

Example:
  vigia probes
  vigia probes --seconds 10 --json")]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) config: ConfigArgument,
    /// Seconds for which the programs are timed; 0 to leave that out
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=3600))]
    seconds: u64,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn execute(&self, loaded: &Loaded, context: Context) -> anyhow::Result<Outcome> {
        let socket = &loaded.config.control.socket;
        let inventory = || ask(socket, "probes").map_err(|error| unanswered(&error, socket, context));
        let timing = time_runs();
        let before = inventory()?;
        std::thread::sleep(Duration::from_secs(self.seconds));
        let mut now = inventory()?;
        drop(timing);
        add_cost(&mut now, &before);
        if self.json {
            print(&format!("{now:#}\n"))?;
            return Ok(Outcome::Done);
        }
        print(&render(&now, context))?;
        Ok(Outcome::Done)
    }
}

/// Sets `packets` and `ns_per_packet` of each program: what the kernel timed between two looks.
fn add_cost(now: &mut Value, before: &Value) {
    let Some(programs) = now["programs"].as_array_mut() else { return };
    for program in programs {
        let was = before["programs"].as_array().into_iter().flatten().find(|was| was["id"] == program["id"]);
        let grown = |key: &str| program[key].as_u64()?.checked_sub(was?[key].as_u64()?);
        let (packets, ns) = (grown("runs").unwrap_or(0), grown("run_ns").unwrap_or(0));
        program["packets"] = packets.into();
        program["ns_per_packet"] = json!((packets > 0).then(|| ns as f64 / packets as f64));
    }
}

fn render(inventory: &Value, context: Context) -> String {
    let list = |key: &str| inventory[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let number = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), |number| number.to_string());
    let kib = |value: &Value| value.as_u64().unwrap_or(0).div_ceil(1024).to_string();
    let language = context.language;
    let headings = [
        Message::ColumnProgram,
        Message::ColumnVerified,
        Message::ColumnMemory,
        Message::ColumnPackets,
        Message::ColumnCost,
        Message::ColumnAttached,
    ];
    let mut programs = Table::new(headings.map(|heading| heading.text(language)));
    for program in list("programs") {
        let attached: Vec<_> = program["attached"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let cost = program["ns_per_packet"].as_f64().map_or_else(|| "-".to_owned(), |ns| format!("{ns:.0}"));
        programs.row([
            program["name"].as_str().unwrap_or_default().to_owned(),
            number(&program["verified_instructions"]),
            kib(&program["memory_bytes"]),
            number(&program["packets"]),
            cost,
            if attached.is_empty() { "-".to_owned() } else { attached.join(", ") },
        ]);
    }
    let headings = [
        Message::ColumnMap,
        Message::ColumnInterface,
        Message::ColumnUsed,
        Message::ColumnEntries,
        Message::ColumnMemory,
    ];
    let mut maps = Table::new(headings.map(|heading| heading.text(language)));
    for map in list("maps") {
        let interface = map["interface"].as_str().filter(|name| !name.is_empty()).unwrap_or("*");
        maps.row([
            map["name"].as_str().unwrap_or_default().to_owned(),
            interface.to_owned(),
            number(&map["used"]),
            number(&map["entries"]),
            kib(&map["memory_bytes"]),
        ]);
    }
    if list("programs").is_empty() {
        return format!("{}\n", Message::ProbesNone.text(language));
    }
    format!("{programs}\n{maps}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    fn inventory(runs: u64, run_ns: u64) -> Value {
        json!({
            "programs": [
                {"name": "tap", "id": 7, "attached": ["tap0 (xdp-native)"], "verified_instructions": 5000,
                 "memory_bytes": 20480, "runs": runs, "run_ns": run_ns},
                {"name": "filter", "id": 8, "attached": [], "verified_instructions": null, "memory_bytes": 20481,
                 "runs": 3, "run_ns": 300},
            ],
            "maps": [
                {"name": "TAP_SHUNTS", "interface": "", "entries": 131_584, "used": 12, "memory_bytes": 40_000_000},
                {"name": "GUARD_KINDS", "interface": "tap0", "entries": 256, "used": 1, "memory_bytes": 9000},
                {"name": "TAP_CLASSES", "interface": "", "entries": 32_768, "used": null, "memory_bytes": 262_144},
            ],
        })
    }

    #[test]
    fn the_cost_is_of_what_ran_between_two_looks() {
        let mut now = inventory(150, 9_000);
        add_cost(&mut now, &inventory(100, 4_000));
        assert_eq!((&now["programs"][0]["packets"], &now["programs"][0]["ns_per_packet"]), (&50.into(), &100.0.into()));
        assert_eq!(now["programs"][1]["ns_per_packet"], Value::Null, "none ran");
        let mut other = inventory(5, 5);
        other["programs"][0]["id"] = 9.into();
        add_cost(&mut other, &inventory(100, 4_000));
        assert_eq!(other["programs"][0]["packets"], 0, "a program of another number has no earlier look");
    }

    #[test]
    fn programs_and_maps_are_tables_in_both_languages() {
        let mut now = inventory(150, 9_000);
        add_cost(&mut now, &inventory(100, 4_000));
        for language in [Language::English, Language::Spanish] {
            insta::assert_snapshot!(render(&now, Context { language, colour: false, verbose: 0 }));
        }
        let none = render(&json!({}), Context { language: Language::English, colour: false, verbose: 0 });
        assert_eq!(none.lines().count(), 1);
    }
}
