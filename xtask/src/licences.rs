//! The licences of what the sensor is made of. They ask that their texts go with the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::tools::cargo_command;

/// How the names of files begin that have to go with a program.
const FILES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: String,
    /// None of a package of this workspace.
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// None of what becomes part of the program; else `build` or `dev`.
    kind: Option<String>,
}

/// Every package that becomes part of the sensor with its licence, and every text once with the packages that it is of.
pub fn texts() -> Result<String> {
    let metadata = metadata()?;
    let packages = parts(&metadata);
    let mut out = String::from("Vigía is made of these packages, under these licences.\n\n");
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        let name = format!("{} {}", package.name, package.version);
        out.push_str(&format!("{name}: {}\n", package.license.as_deref().unwrap_or("see below")));
        for text in files(package)? {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    for (text, of) in texts {
        let of: Vec<_> = of.into_iter().collect();
        out.push_str(&format!("\n{}\n{}\n\n{}\n", "=".repeat(78), of.join(", "), text.trim_end()));
    }
    Ok(out)
}

/// What cargo knows of the packages, on the system that this is for, with the features of what ships.
fn metadata() -> Result<Metadata> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = cargo_command();
    command
        .args(["metadata", "--format-version", "1", "--locked", "--features", "vigia/kafka"])
        .args(["--filter-platform", &platform]);
    let output = command.output().context("running cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The packages of others that become part of the sensor, by name.
fn parts(metadata: &Metadata) -> Vec<&Package> {
    let edges: BTreeMap<_, _> = metadata.resolve.nodes.iter().map(|node| (&node.id, &node.deps)).collect();
    let own = |package: &&Package| package.name == "vigia" && package.source.is_none();
    let mut waiting: Vec<_> = metadata.packages.iter().filter(own).map(|package| &package.id).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if found.insert(id) {
            let inside = edges.get(id).into_iter().flat_map(|deps| deps.iter());
            let inside = inside.filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            waiting.extend(inside.map(|dependency| &dependency.pkg));
        }
    }
    let others = metadata.packages.iter().filter(|package| package.source.is_some() && found.contains(&package.id));
    let mut others: Vec<_> = others.collect();
    others.sort_by_key(|package| (&package.name, &package.version));
    others
}

/// The texts that stand beside a package's manifest, and in the folders there: those of the sources in C that it brings.
fn files(package: &Package) -> Result<Vec<String>> {
    let folder = Path::new(&package.manifest_path).parent().context("a manifest has a folder")?;
    let list = |folder: &Path| -> Result<Vec<PathBuf>> {
        Ok(fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect())
    };
    let begins = |path: &Path, starts: &[&str]| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file() && starts.iter().any(|start| name.starts_with(start))
    };
    let mut paths = Vec::new();
    for path in list(folder)? {
        if path.is_dir() {
            // Of sources under a choice of licences, `LICENSE` is the permissive one.
            paths.extend(list(&path)?.into_iter().filter(|path| begins(path, &["LICENSE", "LICENCE"])));
        } else if begins(&path, &FILES) {
            paths.push(path);
        }
    }
    paths.sort();
    let text = |path| Ok(String::from_utf8_lossy(&fs::read(path)?).replace('\r', ""));
    paths.into_iter().map(text).collect()
}
