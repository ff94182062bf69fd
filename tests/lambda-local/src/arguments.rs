//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Runs the function on this machine: a local Lambda runtime, Sync service and bucket
///
/// Without --serve it invokes the function with each event in turn; its exit status is 0 if all
/// went well, 4 if something was only partly done, else 1.
#[derive(Debug, Parser)]
#[command(name = "lambda-local")]
pub(crate) struct Arguments {
    /// Events: names of samples in deploy/events, or files [default: sync_vault sync_vault status]
    #[arg(conflicts_with = "serve")]
    pub(crate) events: Vec<String>,

    /// The function's zip, as it would be deployed
    #[arg(long, value_name = "FILE", default_value = "build/obsync-lambda.zip")]
    pub(crate) zip: PathBuf,

    /// A program instead of a zip
    #[arg(long, value_name = "FILE", conflicts_with = "zip")]
    pub(crate) bootstrap: Option<PathBuf>,

    /// Take events by HTTP, until interrupted
    #[arg(long)]
    pub(crate) serve: bool,

    /// The port of --serve on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 9000)]
    pub(crate) port: u16,

    /// How long an invocation may take
    #[arg(long, value_name = "N", default_value_t = 300,
          value_parser = clap::value_parser!(u64).range(1..=900))]
    pub(crate) limit_seconds: u64,

    /// The function's memory in MB; the kernel enforces it where you may make control groups
    #[arg(long, value_name = "MB", default_value_t = 512,
          value_parser = clap::value_parser!(u64).range(128..=10240))]
    pub(crate) memory: u64,

    /// Variables for the function; repeat for more
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,

    /// Fill the sample vault from this folder
    #[arg(long, value_name = "FOLDER")]
    pub(crate) notes: Option<PathBuf>,

    /// Another S3 service than the built-in one; the function gets made-up credentials
    #[arg(long, value_name = "URL", requires = "bucket")]
    pub(crate) endpoint: Option<String>,

    /// The bucket there
    #[arg(long, value_name = "NAME", requires = "endpoint")]
    pub(crate) bucket: Option<String>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
