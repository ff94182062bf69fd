//! Completions and the manual page, from the grammar itself.

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;
use serde_json::json;

use crate::args::Cli;
use crate::exit::{Exit, Failure};
use crate::output::Answer;

pub(crate) fn completions(shell: Shell) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "obsync", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let json = json!({ "status": "ok", "shell": shell.to_string(), "script": script });
    Answer::new(json).data(script)
}

/// One page: `obsync` itself, then each command with its own.
pub(crate) fn man() -> Result<Answer, Failure> {
    let command = Cli::command().disable_help_subcommand(true);
    let page = render(&command).map_err(|error| {
        Failure::new(
            Exit::Failed,
            "man",
            format!("can't render the manual page: {error}"),
        )
    })?;
    let page = String::from_utf8_lossy(&page).into_owned();
    Ok(Answer::new(json!({ "status": "ok", "page": page })).data(page))
}

fn render(command: &clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let whole = Man::new(command.clone());
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    whole.render_options_section(&mut page)?;
    commands(command, "obsync", &mut page)?;
    whole.render_extra_section(&mut page)?;
    whole.render_version_section(&mut page)?;
    Ok(page)
}

fn commands(above: &clap::Command, name: &str, page: &mut Vec<u8>) -> std::io::Result<()> {
    for command in above
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        let name = format!("{name} {}", command.get_name());
        let man = Man::new(command.clone().name(&name));
        man.render_synopsis_section(page)?;
        man.render_description_section(page)?;
        man.render_options_section(page)?;
        commands(command, &name, page)?;
    }
    Ok(())
}
