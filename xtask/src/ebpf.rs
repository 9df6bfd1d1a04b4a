//! `cargo xtask ebpf`: the programs for the kernel, compiled into the object that stands in the tree.
//!
//! The compiler for them is Debian's (it has a `core` for BPF); it and the linker are put into a folder under `target/`
//! and nowhere else, so nothing on the machine changes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::tools::{self, cargo_command, root, step, target, unpack};

/// Compiles the kernel's programs; installs the toolchain for them where it is missing.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask ebpf\n  cargo xtask ebpf --check")]
pub struct Arguments {
    /// Compare with the object in the tree instead of replacing it; skipped where the toolchain is not to be had
    #[arg(long)]
    check: bool,
}

/// The object in the tree, which the daemon embeds.
const OBJECT: &str = "ebpf-probes/probes.bpf.o";

/// The compiler that made it. Another one makes other bytes.
const COMPILER: &str = "rustc 1.96.0 ";

/// Packages unpacked into the private folder.
const PACKAGES: [&str; 6] =
    ["rustc-web", "libstd-rust-web-1.96", "libstd-rust-web-dev", "libstd-rust-web-dev-bpf", "libllvm22", "llvm-22"];

/// Version of bpf-linker, and the LLVM it is built with.
const LINKER: [&str; 5] = ["--version", "0.13.0", "--no-default-features", "--features", "llvm-22"];

/// Compiles, and compares or replaces; true when nothing differs.
pub fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.check {
        return Ok(check()?.unwrap_or(true));
    }
    let made = std::fs::read(Toolchain::ensure()?.compile()?)?;
    let object = root().join(OBJECT);
    let differs = std::fs::read(&object).ok().as_deref() != Some(&made);
    if differs {
        std::fs::write(&object, &made)?;
    }
    println!("{OBJECT}: {} bytes{}", made.len(), if differs { "" } else { ", as it was" });
    Ok(true)
}

/// Compares the object with what its source compiles to; `None`, and a line, where the toolchain is not to be had.
pub fn check() -> Result<Option<bool>> {
    let tools = match Toolchain::ensure() {
        Ok(tools) => tools,
        Err(error) => {
            println!("skipped: {OBJECT} is not compared with its source: {error:#}");
            return Ok(None);
        }
    };
    let made = std::fs::read(tools.compile()?)?;
    let same = std::fs::read(root().join(OBJECT)).ok().as_deref() == Some(&made);
    println!("{OBJECT} ({} bytes) {}", made.len(), if same { "is its source's" } else { "DIFFERS from its source" });
    Ok(Some(same))
}

/// Compiler and linker in their folder.
struct Toolchain {
    folder: PathBuf,
}

impl Toolchain {
    fn check_version(&self) -> Result<()> {
        let version = self.command(&self.rustc()).arg("--version").output()?.stdout;
        let version = String::from_utf8_lossy(&version).into_owned();
        ensure!(version.starts_with(COMPILER), "{COMPILER}is wanted, there is {version}");
        Ok(())
    }

    /// What is there, or is put there.
    fn ensure() -> Result<Self> {
        let tools = Self { folder: target().join("tools/bpf") };
        std::fs::create_dir_all(&tools.folder)?;
        if !tools.rustc().exists() {
            unpack(&PACKAGES, &tools.folder)
                .context("getting the compiler for BPF (Debian 12 with its security updates has it)")?;
        }
        tools.check_version()?;
        if !tools.linker().exists() {
            tools.install_linker().context("building bpf-linker")?;
        }
        Ok(tools)
    }

    fn rustc(&self) -> PathBuf {
        self.folder.join("root/usr/bin/rustc")
    }

    fn linker(&self) -> PathBuf {
        self.folder.join("bin/bpf-linker")
    }

    fn libraries(&self) -> PathBuf {
        tools::libraries(&self.folder)
    }

    /// A command that finds the folder's libraries.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("LD_LIBRARY_PATH", self.libraries()).stdin(Stdio::null());
        command
    }

    /// Cargo for a workspace of another compiler: nothing of this one's settings, of which each could change bytes.
    fn cargo(&self) -> Command {
        let mut command = cargo_command();
        let settings = ["RUSTC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "CARGO_ENCODED_RUSTFLAGS", "CARGO_INCREMENTAL"];
        let families = ["RUSTC_", "CARGO_PROFILE_", "CARGO_BUILD_", "CARGO_TARGET_"];
        for (name, _) in std::env::vars_os() {
            let known = name.to_string_lossy();
            if settings.contains(&&*known) || families.iter().any(|family| known.starts_with(family)) {
                command.env_remove(name);
            }
        }
        command.env("LD_LIBRARY_PATH", self.libraries()).stdin(Stdio::null());
        command
    }

    fn install_linker(&self) -> Result<()> {
        println!("building bpf-linker into {}", self.folder.display());
        // The linker's build looks for `lib/libLLVM.so` below a prefix.
        let prefix = self.folder.join("llvm");
        std::fs::create_dir_all(prefix.join("lib"))?;
        let library = prefix.join("lib/libLLVM.so");
        if !library.exists() {
            std::os::unix::fs::symlink(self.libraries().join("libLLVM.so.22.1"), &library)?;
        }
        step(
            self.cargo()
                .args(["install", "bpf-linker", "--locked"])
                .args(LINKER)
                .arg("--root")
                .arg(&self.folder)
                .arg("--target-dir")
                .arg(self.folder.join("linker-build"))
                .env("LLVM_PREFIX", &prefix)
                .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
                .env("CARGO_PROFILE_RELEASE_STRIP", "true"),
        )
    }

    /// Compiles and strips; returns the object.
    fn compile(&self) -> Result<PathBuf> {
        let sources = root().join("ebpf-probes");
        let build = self.folder.join("probes");
        let mut flags = vec![
            "--cfg=bpf_target_arch=\"x86_64\"".to_owned(),
            format!("-Clinker={}", self.linker().display()),
            "-Clink-arg=--btf".to_owned(),
            "-Cdebuginfo=2".to_owned(),
            format!("--remap-path-prefix={}=.", sources.display()),
        ];
        // No byte of the object may tell where it was made.
        flags.extend(registries()?.iter().map(|folder| format!("--remap-path-prefix={}=registry", folder.display())));
        step(
            self.cargo()
                .args(["build", "--release", "--locked", "--quiet", "--target", "bpfel-unknown-none", "--target-dir"])
                .arg(&build)
                .current_dir(&sources)
                .env("RUSTC", self.rustc())
                // aya-ebpf uses the assembler of a target that is not stable in the language.
                .env("RUSTC_BOOTSTRAP", "aya_ebpf")
                .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")),
        )?;
        let made = build.join("bpfel-unknown-none/release/probes");
        let stripped = self.folder.join("probes.bpf.o");
        let strip = self.folder.join("root/usr/lib/llvm-22/bin/llvm-strip");
        step(self.command(&strip).args(["-g", "-o"]).arg(&stripped).arg(&made))?;
        Ok(stripped)
    }
}

/// Where cargo unpacks what it downloads: a folder for each registry.
fn registries() -> Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let sources = home.context("neither CARGO_HOME nor HOME is set")?.join("registry/src");
    // Downloads what the programs are made of, so that the folders are there.
    step(cargo_command().args(["fetch", "--quiet", "--locked"]).current_dir(root().join("ebpf-probes")))?;
    Ok(std::fs::read_dir(&sources)?.filter_map(|entry| Some(entry.ok()?.path())).collect())
}
