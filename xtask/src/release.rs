//! `cargo xtask release`: the sensor as it ships, optimised by what it does.
//!
//! The compiler decides better what to inline and which way a branch goes when it has seen the program at work
//! (profile-guided optimisation). So the sensor is built twice: the first one counts what it runs while it replays the
//! captures of the shipped signatures, which hold every protocol and stand in the tree, with these and with made rules on
//! payloads; the second is made by these counts. Everything stays in a folder of its own under `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::tools::{self, cargo_command, root, step};

/// Builds the sensor as it ships: release profile, optimised by a profile of its own captures.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask release")]
pub struct Arguments {}

/// How often the captures are replayed, so that the start of the program counts for little.
const ROUNDS: usize = 20;

/// Settings of a replay that writes alerts and nothing else.
pub const ALERTS_ONLY: &str = "[events]\nflow = false\nanomaly = false\nrecords = false\nstats = false\n";
/// Settings of a replay that writes every event.
pub const EVERYTHING: &str = "";

/// Rules on payloads, of the shapes that large public sets are made of: `{text}` is another one in each rule, `{at}` a number,
/// `{byte}` two hexadecimal digits.
const SHAPES: [&str; 6] = [
    r#"tcp any any -> any any (flow:established,to_server; content:"{text}"; nocase;"#,
    r#"tcp any any -> any any (flow:established; content:"|{byte} 00|"; depth:8; content:"{text}"; distance:0; within:40;"#,
    r#"tcp any any -> any any (dsize:>{at}; content:"{text}"; fast_pattern; content:"|{byte}|"; offset:{at}; depth:12;"#,
    r#"udp any any -> any any (content:"|00 {byte}|"; offset:2; depth:6; content:"{text}"; pcre:"/{text}[0-9]{2}/R";"#,
    r#"ip any any -> any any (content:"{text}"; byte_test:1,>,{at},0,relative; flowbits:isnotset,training;"#,
    r#"dns any any -> any any (dns.query; content:"{text}.example"; nocase; endswith;"#,
];

/// Rules of each shape.
const RULES_A_SHAPE: u32 = 500;

/// Builds, and says where the program is.
pub fn run(_: &Arguments) -> Result<()> {
    build()?;
    println!("{}", program().display());
    Ok(())
}

/// Where the program is put.
pub fn program() -> PathBuf {
    folder().join("vigia")
}

/// Builds the program by a profile, or, where the tool for profiles is not to be had, plainly and says so.
pub fn build_as_far_as_possible() -> Result<()> {
    let Err(error) = build() else { return Ok(()) };
    println!("without a profile, and slower than what ships: {error:#}");
    tools::cargo(&[&["build", "--release", "--package", "vigia"], features()].concat())?;
    fs::copy(tools::release("vigia"), program())?;
    Ok(())
}

/// Builds the program. What is up to date is not made again.
pub fn build() -> Result<()> {
    let compiler = Compiler::of_cargo()?;
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let merge = compiler.profdata()?;
    let counts = folder.join("counts");
    let counting = compile(&compiler, &folder.join("counting"), &format!("-Cprofile-generate={}", counts.display()))?;
    let profile = folder.join("vigia.profdata");
    if !is_newer(&profile, &counting) {
        train(&counting, &folder, &counts)?;
        step(merge().args(["merge", "--output"]).arg(&profile).arg(&counts)).context("merging the counts")?;
    }
    let guided = compile(&compiler, &folder.join("guided"), &format!("-Cprofile-use={}", profile.display()))?;
    fs::copy(guided, program())?;
    Ok(())
}

/// The features of what ships: Kafka, or, where its build is not possible, none, which is said.
pub fn features() -> &'static [&'static str] {
    match tools::install(&tools::KAFKA) {
        Ok(()) => &["--features", "kafka"],
        Err(error) => {
            println!("without Kafka, which what ships has: {error:#}");
            &[]
        }
    }
}

fn folder() -> PathBuf {
    tools::target().join("release-guided")
}

/// The compiler that builds the sensor.
struct Compiler {
    /// Its target, which is named to cargo so that programs of the build itself count nothing.
    host: String,
    /// Major version of its LLVM, which is that of the profile's format.
    llvm: String,
    /// Where its own tools are, when they are installed.
    tools: PathBuf,
}

impl Compiler {
    fn of_cargo() -> Result<Self> {
        let rustc = |arguments: &[&str]| -> Result<String> {
            let output = Command::new("rustc").args(arguments).current_dir(root()).output().context("running rustc")?;
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let version = rustc(&["-vV"])?;
        let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let host = field("host: ").context("rustc does not say its host")?;
        let llvm = field("LLVM version: ").context("rustc does not say the version of its LLVM")?;
        let llvm = llvm.split('.').next().unwrap_or_default().to_owned();
        let tools = Path::new(&rustc(&["--print", "sysroot"])?).join("lib/rustlib").join(&host).join("bin");
        Ok(Self { host, llvm, tools })
    }

    /// Commands of the program that merges counts: the compiler's own, else that of Debian's LLVM of the same version,
    /// put below `target/tools`.
    fn profdata(&self) -> Result<impl Fn() -> Command + use<>> {
        let own = self.tools.join("llvm-profdata");
        let folder = tools::target().join(format!("tools/llvm-{}", self.llvm));
        let program =
            if own.exists() { own } else { folder.join(format!("root/usr/lib/llvm-{}/bin/llvm-profdata", self.llvm)) };
        if !program.exists() {
            let (llvm, library) = (format!("llvm-{}", self.llvm), format!("libllvm{}", self.llvm));
            tools::unpack(&[&llvm, &library], &folder)
                .context("getting llvm-profdata (`rustup component add llvm-tools` has it, too)")?;
        }
        Ok(move || {
            let mut command = Command::new(&program);
            command.env("LD_LIBRARY_PATH", tools::libraries(&folder));
            command
        })
    }
}

/// Compiles the sensor with one more flag for its compiler.
fn compile(compiler: &Compiler, folder: &Path, flag: &str) -> Result<PathBuf> {
    let mut cargo = cargo_command();
    cargo.args(["build", "--release", "--package", "vigia", "--target", &compiler.host, "--target-dir"]).arg(folder);
    cargo.args(features());
    // In this variable flags may have spaces, as paths may.
    step(cargo.env("CARGO_ENCODED_RUSTFLAGS", flag))?;
    Ok(folder.join(&compiler.host).join("release/vigia"))
}

/// Lets the counting sensor work: with the shipped signatures, then with many rules on payloads.
fn train(counting: &Path, folder: &Path, counts: &Path) -> Result<()> {
    println!("training on the captures of the shipped signatures");
    let _ = fs::remove_dir_all(counts);
    let payloads = folder.join("payloads.rules");
    fs::write(&payloads, payload_rules())?;
    let (signatures, config) = (tools::signatures(), folder.join("vigia.toml"));
    for (settings, rules) in [(ALERTS_ONLY, &signatures), (EVERYTHING, &signatures), (ALERTS_ONLY, &payloads)] {
        fs::write(&config, settings)?;
        let mut replay = Command::new(counting);
        replay.arg("replay").args(std::iter::repeat_n(signatures.join("captures"), ROUNDS));
        replay.args(["--workers", "1", "--config"]).arg(&config).arg("--rules").arg(rules);
        replay.arg("--output").arg(folder.join("out"));
        let output = replay.stdin(Stdio::null()).output().with_context(|| format!("running {replay:?}"))?;
        // A round that fails leaves the counts of the others, and a profile that lacks what it should have shown.
        let worked = output.status.success() && counts.exists();
        ensure!(worked, "{replay:?} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Rules of every shape, none with the text of another.
fn payload_rules() -> String {
    let letters = |mut number: u32| -> String {
        let length = 4 + number % 9;
        let letter = |_| {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'a' + (number >> 24) as u8 % 26)
        };
        (0..length).map(letter).collect()
    };
    let rule = |number: u32, shape: &str| {
        let (text, byte, at) = (letters(number), format!("{:02x}", number % 256), (number % 16).to_string());
        let filled = shape.replace("{text}", &text).replace("{byte}", &byte).replace("{at}", &at);
        format!("alert {filled} msg:\"training\"; sid:{number};)\n")
    };
    (0..RULES_A_SHAPE)
        .flat_map(|round| (1..).zip(SHAPES).map(move |(place, shape)| (round * SHAPES.len() as u32 + place, shape)))
        .map(|(number, shape)| rule(number, shape))
        .collect()
}

fn is_newer(made: &Path, source: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    time(made).zip(time(source)).is_some_and(|(made, source)| made > source)
}
