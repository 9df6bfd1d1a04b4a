//! A running `vigia run`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// Time the sensor has to start, to see what passed, and to drain and end, on a machine that is busy with more.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running sensor; dropping it kills it, [`Sensor::stop`] ends it in peace.
#[derive(Debug)]
pub struct Sensor {
    process: Child,
    vigia: PathBuf,
    config: PathBuf,
}

impl Sensor {
    /// Starts `vigia run` with this configuration by a command that ends with the program `vigia` (inside a namespace, on a
    /// processor of its own); returns when it watches. Its log stands beside the configuration.
    ///
    /// # Errors
    /// It does not start; the end of its log is in the error.
    pub fn start(mut command: Command, vigia: &Path, config: &Path) -> Result<Self> {
        let log = File::create(config.with_extension("log"))?;
        command.args(["run", "--config"]).arg(config).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let mut sensor = Self { process, vigia: vigia.to_owned(), config: config.to_owned() };
        let end = Instant::now() + PATIENCE;
        while sensor.status().is_err() {
            ensure!(sensor.ended()?.is_none() && Instant::now() < end, "the sensor did not start:\n{}", sensor.log());
            sleep(Duration::from_millis(50));
        }
        Ok(sensor)
    }

    /// What `vigia status --json` says.
    ///
    /// # Errors
    /// The sensor does not answer, or its sums do not balance.
    pub fn status(&self) -> Result<Value> {
        let mut command = Command::new(&self.vigia);
        command.args(["status", "--json", "--config"]).arg(&self.config).stdin(Stdio::null());
        Ok(serde_json::from_slice(&crate::run(&mut command)?)?)
    }

    /// Waits until the sensor has seen so many packets; gives its status then.
    ///
    /// # Errors
    /// It sees fewer within some seconds.
    pub fn await_packets(&self, packets: u64) -> Result<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.status()?;
            if status["packets"]["seen"].as_u64() >= Some(packets) {
                return Ok(status);
            }
            ensure!(Instant::now() < end, "{packets} packets passed the tap, the sensor saw: {}", status["packets"]);
            sleep(Duration::from_millis(50));
        }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// Asks the sensor to drain and end, and waits for it.
    ///
    /// # Errors
    /// It does not end in time, or not with success.
    pub fn stop(mut self) -> Result<()> {
        self.signal("TERM")?;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = self.ended()? {
                ensure!(status.success(), "the sensor ended with {status}:\n{}", self.log());
                return Ok(());
            }
            sleep(Duration::from_millis(20));
        }
        bail!("the sensor did not end within {} s:\n{}", PATIENCE.as_secs(), self.log())
    }

    /// Sends it a signal: `HUP`, `KILL`.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, name: &str) -> Result<()> {
        crate::run(Command::new("kill").args(["-s", name]).arg(self.process.id().to_string())).map(drop)
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let text = self.whole_log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// All that it logged.
    pub fn whole_log(&self) -> String {
        std::fs::read_to_string(self.config.with_extension("log")).unwrap_or_default()
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
