//! The files that rules are told beside: reference systems, thresholds, reputation, countries, and those that they name.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use vigia_rules::{Countries, Library, Reputation, Thresholds, Variables};

use super::rules::{Settings, read, source, translate};
use crate::diagnostic::{Diagnostic, Text};
use crate::language::Message;

/// Reads them into `variables`. Gives the texts that later diagnostics may be about.
pub(super) fn read_lists(
    settings: &Settings,
    rules: &[PathBuf],
    variables: &mut Variables,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Arc<Text>> {
    let mut texts = Vec::new();
    let mut each = |file: Option<&PathBuf>, take: &mut dyn FnMut(&Text) -> Vec<vigia_rules::Diagnostic>| {
        let Some(text) = file.and_then(|file| read(file, diagnostics)) else { return };
        let found = take(&text);
        diagnostics.extend(found.into_iter().map(|found| translate(found, std::slice::from_ref(&text))));
        texts.push(text);
    };
    for file in settings.class_files() {
        each(Some(&file), &mut |text| variables.read_classifications(&source(text)));
    }
    each(settings.references.as_ref(), &mut |text| variables.read_references(&source(text)));
    let mut thresholds = Thresholds::default();
    each(settings.thresholds.as_ref(), &mut |text| thresholds.read(&source(text), variables));
    variables.thresholds = thresholds;
    if !settings.reputation.is_empty() {
        let mut reputation = Reputation::default();
        each(settings.reputation_categories.as_ref(), &mut |text| reputation.read_categories(&source(text)));
        for file in &settings.reputation {
            each(Some(file), &mut |text| reputation.read_scores(&source(text)));
        }
        variables.reputation = Some(Arc::new(reputation));
    }
    if let Some(file) = &settings.countries {
        match std::fs::read(file).map_err(|error| error.to_string()).and_then(Countries::new) {
            Ok(countries) => variables.countries = Some(Arc::new(countries)),
            Err(reason) => {
                let reason = format!("{}: {reason}", file.display());
                diagnostics.push(Diagnostic::error("rules-unreadable", Message::RulesUnreadable.with([reason.into()])));
            }
        }
    }
    variables.library = library(settings, rules);
    texts
}

/// The files that rules name, below the folder for them or the folders of the rule files, and the sets that were saved.
fn library(settings: &Settings, rules: &[PathBuf]) -> Library {
    let mut folders: Vec<PathBuf> = match &settings.data {
        Some(folder) => vec![folder.clone()],
        None => rules.iter().filter_map(|file| file.parent().map(Path::to_owned)).collect(),
    };
    folders.dedup();
    let library = Library::new(move |name| {
        // Rules come from outside: they must not read what is none of theirs.
        let within = Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !within {
            return Err("only files below the folder of the rules can be named".to_owned());
        }
        let mut reason = "no such file".to_owned();
        for folder in &folders {
            match std::fs::read(folder.join(name)) {
                Ok(bytes) => return Ok(bytes),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(reason)
    });
    let Some(saved) = settings.saved.clone() else { return library };
    library.with_saved(move |name| match std::fs::read(saved.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_look_things_up_in_the_files_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            folder.path().join(name)
        };
        let rules = write(
            "a.rules",
            "alert ip any any -> any any (reference:plant,7; iprep:src,Bad,>,10; sid:1;)\n\
             alert ip any any -> any any (ip.src; dataset:isset,bad,type ip,load bad.lst; sid:2;)\n\
             alert ip any any -> any any (ip.src; dataset:isset,other,type ip,load ../bad.lst; sid:3;)\n\
             alert ip any any -> any any (geoip:src,ES; sid:4;)\n",
        );
        write("bad.lst", "10.0.0.1\n");
        let settings = Settings {
            files: vec![rules],
            references: Some(write("reference.config", "config reference: plant https://plant.example/\n")),
            thresholds: Some(write("threshold.config", "suppress gen_id 1, sig_id 9\nnonsense\n")),
            reputation_categories: Some(write("categories.txt", "1,Bad,Known bad\n")),
            reputation: vec![write("reputation.list", "10.0.0.0/8,1,100\nnonsense\n")],
            ..Settings::default()
        };
        let loaded = settings.load();
        assert_eq!(loaded.engine.rules().len(), 2);
        let one = loaded.engine.rules().iter().find(|rule| rule.sid == 1).unwrap();
        assert_eq!(one.references[0].link, "https://plant.example/7");
        let told: Vec<_> = loaded
            .diagnostics
            .iter()
            .map(|it| (it.code, it.place.as_ref().map(|(text, span)| text.position(span.start))))
            .collect();
        assert_eq!(
            told,
            [
                ("unknown-value", Some((2, 1))),
                ("invalid-reputation", Some((2, 1))),
                ("unreadable", Some((3, 71))),
                ("not-supported", Some((4, 30))),
                ("unknown-sid", Some((1, 1))),
            ]
        );
    }

    #[test]
    fn what_is_no_database_of_countries_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("countries.mmdb");
        std::fs::write(&file, "nonsense").unwrap();
        let loaded = Settings { countries: Some(file), ..Settings::default() }.load();
        assert_eq!(loaded.diagnostics[0].code, "rules-unreadable");
    }
}
