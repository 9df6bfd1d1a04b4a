//! The files of sets that rules change (`dataset: ..., state FILE` or `save FILE`).
//!
//! They are written once a minute when rules have changed a set, before the rules are loaded again, and at the end. A
//! process that is killed loses a minute at the most. Each is written aside and then takes the place of the old one: at
//! every moment the file is whole. What cannot be written is told, counted and tried again.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vigia_rules::{Gate, SavedSet};

use crate::config::Config;
use crate::journal::sync_directory;
use crate::language::{Language, Message};
use crate::metrics::{Counter, Metrics};
use crate::pipeline::Rules;

/// Time between two looks whether sets have changed.
pub(super) const SAVE_EVERY: Duration = Duration::from_secs(60);

/// The folder of saved sets, in that of a journal or of a replay's output.
const FOLDER: &str = "datasets";

/// Names the folder of saved sets, where no setting does.
pub(super) fn settle(config: &mut Config, output: &Path) {
    config.rules.saved.get_or_insert_with(|| output.join(FOLDER));
}

/// Writes the sets of the rules in force.
pub(super) struct SetFiles {
    gate: Arc<Mutex<Gate>>,
    metrics: Arc<Metrics>,
    language: Language,
    /// The rules and the state of their sets that were written last. Held while writing.
    written: Mutex<Option<Written>>,
}

/// Generation of the rules, and revision of what they have changed.
type Written = (u64, u64);

impl SetFiles {
    /// `gate` is that of the journal.
    pub(super) fn new(gate: &Arc<Mutex<Gate>>, metrics: &Arc<Metrics>, language: Language) -> Self {
        Self { gate: Arc::clone(gate), metrics: Arc::clone(metrics), language, written: Mutex::default() }
    }

    /// Writes the sets that are to be saved, if rules have changed any since they were written last.
    pub(super) fn save(&self, rules: &Rules, folder: Option<&Path>) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = self.metrics.shared();
        // Workers wait for the gate: it is copied, and made files of later.
        let gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        let (values, evicted) = gate.set_values();
        counters.set(Counter::SetValues, values as u64);
        counters.set(Counter::SetValuesEvicted, evicted);
        let state = (rules.ruleset.generation, gate.set_revision());
        let Some(folder) = folder.filter(|_| rules.engine.saves_sets() && *written != Some(state)) else { return };
        let changes = gate.set_changes();
        drop(gate);
        let sets = rules.engine.saved_sets(&changes);
        counters.set(Counter::SetValuesLeftOut, sets.iter().map(|set| set.left_out as u64).sum());
        let failed = sets.iter().filter(|set| !self.wrote(folder, set)).count();
        *written = (failed == 0).then_some(state);
    }

    fn wrote(&self, folder: &Path, set: &SavedSet) -> bool {
        let path = folder.join(&*set.file);
        let outcome = write(&path, set.text.as_bytes());
        let counter = if outcome.is_ok() { Counter::SetSaves } else { Counter::SetSavesFailed };
        self.metrics.shared().add(counter, 1);
        if let Err(error) = &outcome {
            let sentence = Message::SetNotSaved.with([path.display().to_string().into(), error.to_string().into()]);
            tracing::error!("{}", sentence.text(self.language));
        }
        outcome.is_ok()
    }
}

/// Puts a whole file in the place of the one that is there, if any.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidFilename.into());
    };
    fs::create_dir_all(folder)?;
    let unfinished = folder.join(format!(".{}.unfinished", name.display()));
    let outcome = File::create(&unfinished)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, path))
        .and_then(|()| sync_directory(folder));
    if outcome.is_err() {
        // On a full disk others may need what it takes.
        let _ = fs::remove_file(&unfinished);
    }
    outcome
}

#[cfg(test)]
mod tests {
    use vigia_rules::Engine;
    use vigia_rules::language::{Source, Variables};

    use super::*;
    use crate::event::Ruleset;

    fn rules(generation: u64) -> Rules {
        let text = "alert udp any any -> any any (pkt_data; dataset:set,seen,type string,state seen.lst; sid:1;)";
        let source = Source { name: "test.rules".into(), text: text.into() };
        let engine = Engine::compile(&[source], &Variables::standard()).engine;
        let ruleset = Ruleset { generation, hash: String::new(), loaded_at_s: 0 };
        Rules { engine: Arc::new(engine), ruleset }
    }

    #[test]
    fn what_was_written_is_written_again_only_when_it_has_changed_or_failed() {
        let folder = tempfile::tempdir().unwrap();
        let (sets, file) = (folder.path().join("sets"), folder.path().join("sets/seen.lst"));
        fs::write(&sets, "this is no folder").unwrap();
        let metrics = Metrics::new();
        let files = SetFiles::new(&Arc::default(), &metrics, Language::English);
        let save = |generation| files.save(&rules(generation), Some(&sets));
        save(1);
        assert!(!file.exists());
        fs::remove_file(&sets).unwrap();
        save(1);
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
        fs::remove_file(&file).unwrap();
        save(1);
        assert!(!file.exists(), "nothing has changed");
        save(2);
        assert!(file.exists(), "other rules may have another file");
        let names = fs::read_dir(&sets).unwrap().count();
        assert_eq!(names, 1, "nothing unfinished is left");
    }
}
