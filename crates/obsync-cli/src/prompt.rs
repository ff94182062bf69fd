//! Asking the person at the terminal.

use std::io::{self, IsTerminal as _};

use obsidian_sync::Password;
use obsync_config::Prompt;

use crate::screen::Screen;

/// Asks on the terminal; nobody where standard input is none.
pub(crate) struct Terminal {
    screen: Screen,
}

impl Terminal {
    pub(crate) fn new(screen: &Screen) -> Self {
        Self {
            screen: screen.clone(),
        }
    }
}

impl Prompt for Terminal {
    fn line(&self, question: &str) -> io::Result<Option<String>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        self.screen.write(question);
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer)?;
        Ok((read > 0).then(|| answer.trim().to_owned()))
    }

    fn secret(&self, question: &str) -> io::Result<Option<Password>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let question = obsync_core::escape_name(question);
        rpassword::prompt_password(question).map(|secret| Some(Password::new(secret)))
    }
}
