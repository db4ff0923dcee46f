//! Settings on the command line: a flag for each, made from the one table of settings.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::output::Output;
use super::{Done, Failure};
use crate::config::{Given, SETTINGS, Settings};

/// The flags of a command that works on this machine.
#[derive(Clone, Debug, Default)]
pub(super) struct SettingFlags {
    file: Option<PathBuf>,
    flags: BTreeMap<&'static str, String>,
}

impl SettingFlags {
    /// The settings from every source.
    pub(super) fn load(&self) -> Result<Settings, Failure> {
        self.load_with(|_| {})
    }

    /// The same with a last word from the command.
    pub(super) fn load_with(&self, adjust: impl FnOnce(&mut Given)) -> Result<Settings, Failure> {
        let mut given = Given {
            file: self.file.clone(),
            env: environment()?,
            flags: self.flags.clone(),
        };
        adjust(&mut given);
        Settings::load(&given).map_err(|problems| {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Failure::Usage(lines.join("\n"))
        })
    }
}

/// The environment; a setting that is no text is refused, and what else is none is nobody's business here.
fn environment() -> Result<BTreeMap<String, String>, Failure> {
    let (mut texts, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        match value.to_str() {
            Some(value) => {
                texts.insert(name.to_owned(), value.to_owned());
            }
            None if name.starts_with("ONYX_") => problems.push(format!("{name}: must be UTF-8")),
            None => {}
        }
    }
    if problems.is_empty() {
        Ok(texts)
    } else {
        Err(Failure::Usage(problems.join("\n")))
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help("settings file [default: onyx.toml]");
        let file = file.value_parser(clap::value_parser!(PathBuf));
        SETTINGS.iter().fold(command.arg(file), |command, setting| {
            let help = match setting.default {
                Some(default) => format!("{} [default: {default}]", setting.help),
                None => setting.help.to_owned(),
            };
            let arg = Arg::new(setting.key)
                .long(setting.key.replace('_', "-"))
                .value_name("VALUE")
                .help(help);
            command.arg(arg.help_heading("Settings"))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |key: &'static str| {
            matches
                .get_one::<String>(key)
                .map(|text| (key, text.clone()))
        };
        Ok(Self {
            file: matches.get_one::<PathBuf>("config").cloned(),
            flags: SETTINGS
                .iter()
                .filter_map(|setting| value(setting.key))
                .collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// `onyx-auth config`: the effective settings, as a file would say them, or as JSON.
pub(super) fn print(flags: &SettingFlags, output: &Output) -> Done {
    let file = flags.load()?.to_string();
    if output.is_for_people() {
        print!("{file}");
        return Ok(());
    }
    // What is printed is a settings file: the tests read it back.
    let settings = toml::from_str::<serde_json::Value>(&file);
    output.record(&settings.map_err(|error| Failure::Refused(error.to_string()))?)
}
