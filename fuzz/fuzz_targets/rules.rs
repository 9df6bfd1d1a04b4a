//! Rule text compiles or is diagnosed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia_rules::{Engine, Source, Variables};

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let compiled =
        Engine::compile(&[Source { name: "fuzz".into(), text: text.as_ref().into() }], &Variables::default());
    for diagnostic in &compiled.diagnostics {
        diagnostic.position();
    }
});
