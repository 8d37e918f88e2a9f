//! The command line of the pretend client: the options it acts on, the others skipped.

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Version,
    Auth(Vec<String>),
    Mcp(Vec<String>),
    Session,
}

/// Options of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub print: bool,
    pub prompt: Option<String>,
    pub input_format: Option<String>,
    pub output_format: Option<String>,
    pub settings: Option<String>,
    pub model: Option<String>,
    pub resume: Option<String>,
    pub session_id: Option<String>,
    /// The newest conversation of the working directory.
    pub latest: bool,
    pub fork: bool,
    pub no_persistence: bool,
}

impl Arguments {
    pub fn streams_input(&self) -> bool {
        self.input_format.as_deref() == Some("stream-json")
    }
}

/// Options that take a value which means nothing here.
const SKIPPED_VALUES: &[&str] = &[
    "--add-dir",
    "--agents",
    "--allowedTools",
    "--append-system-prompt",
    "--debug-file",
    "--disallowedTools",
    "--effort",
    "--fallback-model",
    "--max-turns",
    "--mcp-config",
    "--permission-mode",
    "--plugin-dir",
    "--setting-sources",
    "--system-prompt",
    "-n",
    "--name",
];

/// Reads the words after the program's name.
pub(super) fn parse(words: &[String]) -> (Command, Arguments) {
    match words.first().map(String::as_str) {
        Some("--version" | "-v") => return (Command::Version, Arguments::default()),
        Some("auth") => return (Command::Auth(words[1..].to_vec()), Arguments::default()),
        Some("mcp") => return (Command::Mcp(words[1..].to_vec()), Arguments::default()),
        _ => {}
    }
    let mut arguments = Arguments::default();
    let mut rest = words.iter().cloned().peekable();
    while let Some(word) = rest.next() {
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                (name.to_owned(), Some(value.to_owned()))
            }
            _ => (word.clone(), None),
        };
        let mut value = || inline.clone().or_else(|| rest.next());
        match name.as_str() {
            "-p" | "--print" => arguments.print = true,
            "--input-format" => arguments.input_format = value(),
            "--output-format" => arguments.output_format = value(),
            "--settings" => arguments.settings = value(),
            "--model" => arguments.model = value(),
            "--resume" | "-r" => arguments.resume = value(),
            "--session-id" => arguments.session_id = value(),
            "-c" | "--continue" => arguments.latest = true,
            "--fork-session" => arguments.fork = true,
            "--no-session-persistence" => arguments.no_persistence = true,
            "--" => arguments.prompt = rest.next().or(arguments.prompt),
            skipped if SKIPPED_VALUES.contains(&skipped) => {
                value();
            }
            option if option.starts_with('-') => {}
            _ => arguments.prompt = arguments.prompt.or(Some(word)),
        }
    }
    (Command::Session, arguments)
}
