//! The function's process, from one invocation to the next.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use obsync_doubles::runtime::{Function, Outcome, limits_memory};
use obsync_lambda_local::{Bucket, Stage};
use serde_json::Value;

use crate::arguments::Arguments;
use crate::show::{self, Seen, say};

/// One execution environment. As on Lambda, a process that died is replaced for the next event.
pub(crate) struct Sandbox<'a> {
    stage: &'a Stage,
    bootstrap: PathBuf,
    arguments: &'a Arguments,
    limited: bool,
    function: Option<Function>,
}

impl<'a> Sandbox<'a> {
    pub(crate) fn new(stage: &'a Stage, bootstrap: PathBuf, arguments: &'a Arguments) -> Self {
        Self {
            stage,
            bootstrap,
            arguments,
            limited: limits_memory(),
            function: None,
        }
    }

    /// Says what there is.
    pub(crate) fn introduce(&self) {
        let service = &self.stage.service;
        say(&format!("Sync service   {}", service.url()));
        match &self.stage.bucket {
            Bucket::Double(double) => say(&format!("S3 double      {}", double.url)),
            Bucket::Elsewhere { url, name } => say(&format!("S3             {url}, bucket {name}")),
        }
        let what = match &self.arguments.bootstrap {
            Some(path) => path.display(),
            None => self.arguments.zip.display(),
        };
        let Arguments {
            memory,
            limit_seconds,
            ..
        } = self.arguments;
        let held = if self.limited {
            "enforced"
        } else {
            "announced only"
        };
        say(&format!(
            "function       {what}; {memory} MB ({held}), {limit_seconds} s an invocation"
        ));
    }

    async fn start(&self) -> Function {
        let mut setup = self
            .stage
            .function(&self.bootstrap)
            .memory(self.arguments.memory)
            // What a schedule syncs.
            .env("OBSYNC_VAULTS", self.stage.names().join(","))
            .on_line(|_, line| show::line(line));
        for (name, value) in &self.arguments.env {
            setup = setup.env(name, value);
        }
        if self.limited {
            setup = setup.limit_memory();
        }
        let function = setup.start().await;
        if let Ok(time) = function.ready().await {
            say(&format!(
                "cold start: asked for its first event after {time:.1?}"
            ));
        }
        function
    }

    /// Invokes the function and shows what comes.
    pub(crate) async fn invoke(&mut self, event: Value) -> Outcome {
        let function = match self.function.take() {
            Some(function) => function,
            None => self.start().await,
        };
        let before = Seen::of(self.stage);
        let started = Instant::now();
        let limit = Duration::from_secs(self.arguments.limit_seconds);
        let outcome = function.invoke(event, limit).await;
        let took = started.elapsed();
        let peak = function.peak_rss();
        show::outcome(&outcome, took, peak);
        say(&Seen::of(self.stage).since(&before));
        if peak.is_some() && !matches!(outcome, Outcome::TimedOut | Outcome::Died) {
            self.function = Some(function);
        }
        outcome
    }

    /// Ends the function before the runtime that it would miss.
    pub(crate) async fn end(&mut self) {
        if let Some(function) = self.function.take() {
            function.kill().await;
        }
    }
}
