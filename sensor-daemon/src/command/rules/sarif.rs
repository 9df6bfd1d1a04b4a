//! Findings in the Static Analysis Results Interchange Format (OASIS SARIF 2.1.0), which code hosts and editors read.

use serde_json::{Value, json};

use crate::diagnostic::Diagnostic;
use crate::language::Language;

/// A log with one run: this one. Its texts are in English, as in everything for programs.
pub(super) fn log(found: &[Diagnostic]) -> Value {
    let mut codes: Vec<&str> = found.iter().map(|diagnostic| diagnostic.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes.iter().map(|code| json!({ "id": code, "name": name(code) })).collect();
    let results: Vec<Value> = found.iter().map(|diagnostic| result(diagnostic, &codes)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "vigia", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A name as SARIF likes it (3.49.7): `NoFastPattern`.
fn name(code: &str) -> String {
    let capital = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    };
    code.split('-').map(capital).collect()
}

fn result(diagnostic: &Diagnostic, codes: &[&str]) -> Value {
    let help = diagnostic.help.as_ref().map(|help| format!(" ({})", help.text(Language::English)));
    let text = diagnostic.headline.text(Language::English) + &help.unwrap_or_default();
    let locations: Vec<Value> = diagnostic
        .place
        .iter()
        .map(|(text, span)| {
            let ((line, column), (end_line, end_column)) = (text.position(span.start), text.position(span.end));
            json!({
                "physicalLocation": {
                    "artifactLocation": { "uri": uri(text.name()) },
                    "region": {
                        "startLine": line,
                        "startColumn": column,
                        "endLine": end_line,
                        "endColumn": end_column.max(if line == end_line { column + 1 } else { 1 }),
                    },
                },
            })
        })
        .collect();
    json!({
        "ruleId": diagnostic.code,
        "ruleIndex": codes.binary_search(&diagnostic.code).unwrap_or(0),
        "level": if diagnostic.is_error() { "error" } else { "warning" },
        "message": { "text": text },
        "locations": locations,
    })
}

/// A path as the reference of a URI (RFC 3986, 4.1): what is no unreserved character and no `/` is percent-encoded. An
/// absolute path is a `file` URI.
fn uri(path: &str) -> String {
    let mut out = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_references() {
        assert_eq!(uri("rules/my rules.rules"), "rules/my%20rules.rules");
        assert_eq!(uri("/etc/ñ"), "file:///etc/%C3%B1");
        assert_eq!(name("no-fast-pattern"), "NoFastPattern");
    }
}
