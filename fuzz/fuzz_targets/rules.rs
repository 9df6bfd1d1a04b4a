//! Rule text compiles or is diagnosed, and what is printed of its syntax trees is read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia_rules::language::reprint;
use vigia_rules::{Engine, Source, Variables};

fuzz_target!(|input: &[u8]| {
    let source = source(&String::from_utf8_lossy(input));
    let compiled = Engine::compile(std::slice::from_ref(&source), &Variables::standard());
    for diagnostic in &compiled.diagnostics {
        diagnostic.position();
    }
    let printed = print(&source);
    let again = source_of(&printed);
    assert_eq!(print(&again), printed);
    let twice = Engine::compile(&[again], &Variables::standard());
    let sids = |engine: &Engine| engine.rules().iter().map(|rule| rule.sid).collect::<Vec<_>>();
    assert_eq!(sids(&twice.engine), sids(&compiled.engine));
});

fn source(text: &str) -> Source {
    Source { name: "fuzz".into(), text: text.into() }
}

fn source_of(rules: &[String]) -> Source {
    source(&rules.join("\n"))
}

fn print(source: &Source) -> Vec<String> {
    reprint(source).into_iter().flatten().collect()
}
