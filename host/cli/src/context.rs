//! What a command works with: the environment, the printer, the global flags and the files in `~/.micro`.

use std::{
    io::{self, BufRead, IsTerminal as _, Read as _},
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use crate::{
    app::Globals,
    env::Environment,
    error::{CliError, Result},
    printer::Printer,
    state::{Config, Place, Places, Tokens},
    terminal::{self, Typed},
};

/// The namespace of those who never chose one.
pub(crate) const DEFAULT_NAMESPACE: &str = "micro";

/// Where answers to prompts come from.
pub enum Input {
    /// A person at a terminal: passwords are not echoed.
    Terminal,
    /// Lines of a file, a pipe or a test.
    Lines(Box<dyn BufRead + Send>),
}

impl Input {
    /// This process's stdin.
    pub fn of_process() -> Self {
        if io::stdin().is_terminal() {
            Self::Terminal
        } else {
            Self::Lines(Box::new(io::BufReader::new(io::stdin())))
        }
    }

    /// These lines.
    pub fn of(text: &str) -> Self {
        Self::Lines(Box::new(io::Cursor::new(text.to_owned())))
    }
}

/// Everything around a command.
pub(crate) struct Context<'a> {
    /// The environment variables and the working folder.
    pub(crate) environment: &'a Environment,
    /// The way to the terminal.
    pub(crate) printer: &'a Printer,
    /// The flags that stood before the command, or their variables.
    pub(crate) globals: Globals,
    variables: Vec<&'static str>,
    input: Mutex<Input>,
}

impl<'a> Context<'a> {
    /// `variables` are those that stood in for flags.
    pub(crate) fn new(
        environment: &'a Environment,
        printer: &'a Printer,
        globals: Globals,
        variables: Vec<&'static str>,
        input: Input,
    ) -> Self {
        Self {
            environment,
            printer,
            globals,
            variables,
            input: Mutex::new(input),
        }
    }

    /// True if the value behind this variable was given as a flag.
    pub(crate) fn is_flag(&self, variable: &str) -> bool {
        !self.variables.contains(&variable)
    }

    /// The user's home folder.
    ///
    /// # Errors
    /// `$HOME` is not set.
    pub(crate) fn home(&self) -> Result<PathBuf> {
        self.environment.home().ok_or_else(|| {
            CliError::plain("$HOME is not set, so there is no place for ~/.micro")
                .hint("set HOME to your home folder")
        })
    }

    /// The config file: `--c`, else `~/.micro/config.json`.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn config(&self) -> Result<Config> {
        let path = match &self.globals.config_file {
            Some(path) => self.environment.folder().join(path),
            None => self.home()?.join(".micro").join("config.json"),
        };
        Config::open(path)
    }

    /// The file of tokens.
    ///
    /// # Errors
    /// There is no home folder.
    pub(crate) fn tokens(&self) -> Result<Tokens> {
        Ok(Tokens::at(self.home()?.join(".micro").join("tokens")))
    }

    /// The environments.
    ///
    /// # Errors
    /// Those of the config file cannot be read.
    pub(crate) fn places(&self, config: &Config) -> Result<Places> {
        Places::open(config, self.globals.environment.as_deref())
    }

    /// The environment to talk to, with the address that `--proxy_address` gives it.
    ///
    /// # Errors
    /// There is none of that name.
    pub(crate) fn place(&self, config: &Config) -> Result<Place> {
        let mut place = self.places(config)?.current()?;
        if let Some(address) = &self.globals.proxy_address {
            place.address.clone_from(address);
        }
        Ok(place)
    }

    /// The namespace to work in: the flag, else the one chosen in this environment, else `micro`.
    pub(crate) fn namespace(&self, config: &Config, place: &Place) -> String {
        self.globals
            .namespace
            .clone()
            .or_else(|| config.get(&namespace_key(&place.name)))
            .unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
    }

    /// Asks for a line.
    ///
    /// # Errors
    /// The input ends or cannot be read, or the prompt has nowhere to go.
    pub(crate) fn ask(&self, question: &str) -> Result<String> {
        self.printer.prompt(question)?;
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *input {
            Input::Terminal => line(&mut io::stdin().lock(), question),
            Input::Lines(lines) => line(lines, question),
        }
    }

    /// Asks for a line that is not shown while it is typed.
    ///
    /// # Errors
    /// The input ends or cannot be read, or the prompt has nowhere to go.
    pub(crate) fn ask_secret(&self, question: &str) -> Result<String> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *input {
            Input::Terminal => self.hidden(question),
            Input::Lines(lines) => {
                self.printer.prompt(question)?;
                let secret = line(lines, question);
                // Nobody's Enter ended the prompt's line.
                self.printer.prompt("\n")?;
                secret
            }
        }
    }

    /// Asks a person for a secret, as [`Context::ask_secret`]; a file or a pipe is read to its end without a word, but
    /// for a line end there, since a secret may have several lines.
    ///
    /// # Errors
    /// As of [`Context::ask_secret`].
    pub(crate) fn ask_secret_text(&self, question: &str) -> Result<String> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *input {
            Input::Terminal => self.hidden(question),
            Input::Lines(lines) => {
                let mut text = String::new();
                lines.read_to_string(&mut text).map_err(unreadable)?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
            }
        }
    }

    fn hidden(&self, question: &str) -> Result<String> {
        let typed = terminal::read_hidden(io::stdin().lock(), || self.printer.prompt(question))?;
        // The Enter of the person was not shown either.
        self.printer.prompt("\n")?;
        match typed {
            Typed::Line(text) => Ok(text),
            Typed::Ended => Err(ended(question)),
            Typed::Interrupted => Err(CliError::interrupted()),
        }
    }
}

/// The config key of the namespace chosen in an environment.
pub(crate) fn namespace_key(environment: &str) -> String {
    format!("namespaces.{environment}.current")
}

fn line(input: &mut impl BufRead, question: &str) -> Result<String> {
    let mut text = String::new();
    match input.read_line(&mut text) {
        Ok(0) => Err(ended(question)),
        Ok(_) => Ok(text.trim_end_matches(['\n', '\r']).to_owned()),
        Err(error) => Err(unreadable(error)),
    }
}

fn ended(question: &str) -> CliError {
    CliError::plain(format!(
        "The input ended before an answer to \"{}\"",
        question.trim_end_matches([':', ' '])
    ))
}

fn unreadable(error: io::Error) -> CliError {
    CliError::plain(format!("Cannot read the input: {error}"))
}
