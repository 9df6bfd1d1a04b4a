use super::*;

/// The diagnostics of a configuration as a person sees them, without colour.
fn complaints(text: &str) -> String {
    let text = Text::new("vigia.toml", text);
    let found = parse(&text).expect_err("the configuration must be refused");
    found.iter().map(|diagnostic| diagnostic.render(Language::English, false)).collect()
}

#[test]
fn the_printed_defaults_read_back_as_the_defaults() {
    for comments in [true, false] {
        let text = document::toml(&Config::default(), comments);
        assert_eq!(parse(&Text::new("default", text)).unwrap(), Config::default());
    }
}

#[test]
fn settings_in_force_read_back_as_they_are() {
    let config =
        parse(&Text::new("t", "language = \"es\"\nsensor.name = \"planta \\\"ñ\\\"\"\nrules.files = [\"a\\tb\"]"))
            .unwrap();
    let text = document::toml(&config, false);
    assert_eq!(parse(&Text::new("shown", text)).unwrap(), config);
}

#[test]
fn every_setting_is_documented() {
    fn visit(node: schema::Node<'_>, path: &str) {
        for (key, inner) in node.keys() {
            let full = format!("{path}.{key}");
            assert!(!inner.doc().is_empty(), "{full} has no documentation");
            visit(inner, &full);
        }
    }
    visit(schema::Schema::of::<Config>().node(), "");
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_key() {
    insta::assert_snapshot!(complaints("langauge = \"es\"\n\n[contrl]\nsocket = \"x\"\n\n[sensor]\ncolour = 1\n"));
}

#[test]
fn wrong_types_say_what_was_expected() {
    insta::assert_snapshot!(complaints(
        "[sensor]\nname = 5\n[rules]\nfiles = [\"a\", true]\naddresses = []\n[log]\nlevel = 1.5\n"
    ));
}

#[test]
fn unknown_choices_are_refused_with_the_nearest() {
    insta::assert_snapshot!(complaints("[log]\nlevel = \"inof\"\nformat = \"something else\"\n"));
}

#[test]
fn all_syntax_errors_are_told() {
    insta::assert_snapshot!(complaints("[sensor\nname = \"x\"\n[log]\nlevel = = 3\n"));
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    insta::assert_snapshot!(complaints(
        "[journal]\ncompression_level = 30\nreserve_bytes = -1\n[decode]\nmax_layers = 0x03\n[flow.table]\nmax_flows = 0\n"
    ));
}

#[test]
fn values_that_do_not_go_together_are_refused_at_their_place() {
    insta::assert_snapshot!(complaints(
        "[journal]\ntotal_bytes = 1_000_000\n\n[[capture.interfaces]]\nname = \"tap0\"\n[[capture.interfaces]]\nname = \"tap0\"\n"
    ));
}

#[test]
fn mistakes_in_sinks_are_told_at_their_place() {
    insta::assert_snapshot!(complaints(
        "[[export]]\nname = \"soc\"\nunix = { path = \"/run/soc.sock\", mode = \"datagramm\" }\n\n[[export]]\nfile = { pth = \"x\" }\n"
    ));
    insta::assert_snapshot!(complaints(
        "[[export]]\nname = \"soc\"\n[export.file]\npath = \"x\"\n[export.unix]\npath = \"y\"\n\n\
         [[export]]\nname = \"soc\"\n\n[[export]]\nname = \"s o c\"\nfile = { path = \"z\" }\n"
    ));
}

#[test]
fn the_example_of_a_sink_is_one() {
    let text = document::toml(&Config::default(), true);
    let example = text.split("# [[export]]").nth(1).unwrap().split("\n\n").next().unwrap();
    for kind in crate::deliver::Export::KINDS {
        assert!(example.contains(&format!("\n# [export.{kind}]\n")), "{kind}");
    }
    let export = "[[export]]\nname = \"eve\"\nkeep = [\"alert\"]\n[export.file]\npath = \"/var/log/eve.json\"\n";
    let config = parse(&Text::new("t", export)).unwrap();
    assert_eq!(parse(&Text::new("shown", document::toml(&config, false))).unwrap(), config);
}

#[test]
fn text_that_its_type_refuses_is_named_with_its_key() {
    insta::assert_snapshot!(complaints("[metrics]\nenabled = true\nlisten = \"localhost\"\n"));
}

#[test]
fn diagnostics_are_in_spanish_too() {
    let text = Text::new("vigia.toml", "[sensor]\nnme = 5\n");
    let found = parse(&text).unwrap_err();
    let shown = found[0].render(Language::Spanish, false);
    assert!(shown.contains("clave desconocida `nme`") && shown.contains("¿quería decir `name`?"), "{shown}");
}

#[test]
fn relative_rule_files_lie_beside_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vigia.toml");
    std::fs::write(&path, "rules.files = [\"mine.rules\", \"/abs/theirs.rules\"]").unwrap();
    let loaded = load(Some(&path)).unwrap();
    assert_eq!(loaded.config.rules.files, [folder.path().join("mine.rules"), "/abs/theirs.rules".into()]);
    assert_eq!(loaded.path, Some(path));
}

#[test]
fn a_configuration_that_is_not_there_is_an_error() {
    let found = load(Some(Path::new("/nonexistent/vigia.toml"))).unwrap_err();
    assert_eq!(found[0].code, "config-unreadable");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let text = Text::new("t", text);
        if let Err(found) = parse(&text) {
            for diagnostic in found {
                diagnostic.render(Language::Spanish, false);
            }
        }
    }

    #[test]
    fn no_value_of_a_known_key_panics(value in "[-+0-9a-zA-Z_.,\"'\\[\\]{}= \n]{0,24}") {
        for key in ["language", "rules.files", "rules.addresses", "log.level", "control"] {
            if let Err(found) = parse(&Text::new("t", format!("{key} = {value}"))) {
                for diagnostic in found {
                    diagnostic.render(Language::English, false);
                }
            }
        }
    }
}
