//! Configuration text is read or diagnosed, and what was read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vigia::config;
use vigia::diagnostic::{Text, render_all};
use vigia::language::Language;

fuzz_target!(|input: &[u8]| {
    let text = Text::new("fuzz.toml".to_owned(), String::from_utf8_lossy(input).into_owned());
    match config::parse(&text) {
        Ok(read) => {
            let written = config::document::toml(&read, input.len() % 2 == 0);
            let again = config::parse(&Text::new("written.toml".to_owned(), written));
            assert_eq!(again.expect("what is written can be read"), read);
        }
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            render_all(&diagnostics, Language::English, false, usize::MAX);
        }
    }
});
