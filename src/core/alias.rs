//! The text of a shell's start-up file: our line in it, and what else it says about `claude`.

use std::path::Path;

/// The end of our line.
pub const MARK: &str = "# ccp";
/// What every line of ours holds besides.
const MEANING: &str = "ccp run";

/// A shell that has a place for the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// zsh.
    Zsh,
    /// bash.
    Bash,
    /// fish.
    Fish,
}

impl Shell {
    /// The shell of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Zsh, Self::Bash, Self::Fish]
            .into_iter()
            .find(|shell| shell.name() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zsh => "zsh",
            Self::Bash => "bash",
            Self::Fish => "fish",
        }
    }

    /// The line, without its end; with the claude that an alias of the person named, where it wraps one.
    #[must_use]
    pub fn line(self, wrapped: Option<&str>) -> String {
        let forced = wrapped
            .map(|path| format!("CCP_CLAUDE={path} "))
            .unwrap_or_default();
        let (then, alias) = match self {
            Self::Zsh | Self::Bash => (" &&", "alias claude="),
            Self::Fish => ("; and", "alias claude "),
        };
        format!("command -v ccp >/dev/null 2>&1{then} {alias}'{forced}{MEANING}' {MARK}")
    }
}

/// What a person's own line makes of `claude`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// An alias for a path to a claude: the line, the path.
    Path(String, String),
    /// Anything else: the line.
    Other(String),
}

/// A text after an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Nothing was to be changed.
    Unchanged,
    /// The new text.
    Changed(String),
}

fn is_ours(line: &str) -> bool {
    line.trim_end().ends_with(MARK) && line.contains(MEANING)
}

/// Whether our line is in the text.
#[must_use]
pub fn has_line(text: &str) -> bool {
    text.lines().any(is_ours)
}

/// The text with our line at its end.
#[must_use]
pub fn with_line(text: &str, line: &str) -> String {
    let newline = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{newline}{line}\n")
}

/// The text without any line of ours.
#[must_use]
pub fn without_line(text: &str) -> Edit {
    if !has_line(text) {
        return Edit::Unchanged;
    }
    let kept = text.split_inclusive('\n').filter(|line| !is_ours(line));
    Edit::Changed(kept.collect())
}

/// The last thing the text makes of `claude`, apart from our line.
#[must_use]
pub fn own_meaning(text: &str) -> Option<Own> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#') && !is_ours(line))
        .filter_map(meaning)
        .next_back()
}

/// What a shell that reads the text makes of `claude`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing: the program of that name on the path.
    Program,
    /// Our line: `ccp run`, where ccp is on the path.
    Ours,
    /// The person's own alias or function: the line.
    Own(String),
}

/// What the text makes of `claude` in the end: of our line and the person's own the later one holds.
#[must_use]
pub fn meaning_of(text: &str) -> Meaning {
    let after = text
        .rmatch_indices('\n')
        .map(|(at, _)| at + 1)
        .chain([0])
        .find(|start| text[*start..].lines().next().is_some_and(is_ours));
    let own = |text: &str| match own_meaning(text) {
        Some(Own::Path(line, _) | Own::Other(line)) => Some(Meaning::Own(line)),
        None => None,
    };
    match after {
        Some(start) => own(&text[start..]).unwrap_or(Meaning::Ours),
        None => own(text).unwrap_or(Meaning::Program),
    }
}

fn meaning(line: &str) -> Option<Own> {
    // An alias may stand behind a condition: `[ -x … ] && alias claude=…`.
    let mut best = None;
    for (at, _) in line.match_indices("alias ") {
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| !c.is_whitespace() && !matches!(c, ';' | '&' | '|' | '{' | '(')) {
            continue;
        }
        let mut rest = line[at + "alias ".len()..].trim_start();
        while let Some(after) = rest.strip_prefix('-') {
            // Options such as -g.
            rest = after
                .split_once(char::is_whitespace)
                .map_or("", |(_, r)| r.trim_start());
        }
        let Some(value) = rest.strip_prefix("claude") else {
            continue;
        };
        if value.starts_with(['=', ' ', '\t']) {
            best = Some(of_alias(line, value[1..].trim()));
        }
    }
    best.or_else(|| is_function(line).then(|| Own::Other(line.to_owned())))
}

fn of_alias(line: &str, value: &str) -> Own {
    let bare = value
        .strip_prefix('\'')
        .and_then(|v| v.split_once('\''))
        .or_else(|| value.strip_prefix('"').and_then(|v| v.split_once('"')))
        .map_or(value, |(inner, _)| inner);
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._~$-{}+@".contains(c);
    let is_path = bare.ends_with("/claude")
        && bare.starts_with(['/', '~', '$'])
        && bare.chars().all(plain)
        && !expand(bare, Path::new("/")).contains(['$', '~', '{', '}']);
    if is_path {
        Own::Path(line.to_owned(), bare.to_owned())
    } else {
        Own::Other(line.to_owned())
    }
}

fn is_function(line: &str) -> bool {
    let named = |text: &str| {
        text.strip_prefix("claude").is_some_and(|rest| {
            !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "_-.".contains(c))
        })
    };
    match line.strip_prefix("function ") {
        Some(rest) => named(rest.trim_start()),
        None => line
            .strip_prefix("claude")
            .is_some_and(|rest| rest.trim_start().starts_with("()")),
    }
}

/// A path as an alias may spell it, made absolute.
#[must_use]
pub fn expand(path: &str, user_home: &Path) -> String {
    let home = user_home.to_string_lossy();
    for prefix in ["~/", "$HOME/", "${HOME}/"] {
        if let Some(rest) = path.strip_prefix(prefix) {
            return format!("{}/{rest}", home.trim_end_matches('/'));
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_text_makes_of_claude() {
        let path = |line: &str, path: &str| Some(Own::Path(line.to_owned(), path.to_owned()));
        let other = |line: &str| Some(Own::Other(line.to_owned()));
        let known = "alias claude=\"~/.claude/local/claude\"";
        let rows = [
            ("", None),
            ("# alias claude=x", None),
            ("alias claudette=x", None),
            ("myalias claude=x", None),
            ("claudette() {", None),
            ("function claude-old", None),
            (known, path(known, "~/.claude/local/claude")),
            (
                "alias claude='/opt/claude'",
                path("alias claude='/opt/claude'", "/opt/claude"),
            ),
            (
                "  alias claude $HOME/bin/claude",
                path("alias claude $HOME/bin/claude", "$HOME/bin/claude"),
            ),
            (
                "alias claude='$X/claude'",
                other("alias claude='$X/claude'"),
            ),
            (
                "alias claude='claude --verbose'",
                other("alias claude='claude --verbose'"),
            ),
            ("alias -g claude=x", other("alias -g claude=x")),
            (
                "[ -x y ] && alias claude=y",
                other("[ -x y ] && alias claude=y"),
            ),
            ("claude () {", other("claude () {")),
            ("function claude", other("function claude")),
            ("function claude() {", other("function claude() {")),
        ];
        for (text, expected) in rows {
            assert_eq!(own_meaning(text), expected, "{text}");
        }
        assert_eq!(own_meaning(&Shell::Zsh.line(None)), None);
        assert_eq!(
            own_meaning("alias claude=a\nalias claude=b"),
            other("alias claude=b")
        );
    }

    #[test]
    fn the_last_line_about_claude_holds() {
        let ours = Shell::Bash.line(None);
        let own = "alias claude=x";
        let rows = [
            (String::new(), Meaning::Program),
            ("export A=1\n".to_owned(), Meaning::Program),
            (ours.clone(), Meaning::Ours),
            (format!("{own}\n{ours}\nexport A=1\n"), Meaning::Ours),
            (format!("{ours}\n{own}\n"), Meaning::Own(own.to_owned())),
            (format!("{ours}\n{own}\n{ours}\n"), Meaning::Ours),
            (own.to_owned(), Meaning::Own(own.to_owned())),
        ];
        for (text, expected) in rows {
            assert_eq!(meaning_of(&text), expected, "{text}");
        }
    }

    #[test]
    fn the_line_is_what_it_is_said_to_be() {
        assert_eq!(
            Shell::Zsh.line(None),
            "command -v ccp >/dev/null 2>&1 && alias claude='ccp run' # ccp"
        );
        assert!(
            Shell::Fish
                .line(None)
                .contains("; and alias claude 'ccp run'")
        );
        assert!(
            Shell::Bash
                .line(Some("/opt/claude"))
                .contains("alias claude='CCP_CLAUDE=/opt/claude ccp run'")
        );
    }

    proptest! {
        #[test]
        fn putting_the_line_in_and_out_restores_the_text(text in "([a-z #='/]{0,20}\n){0,6}") {
            prop_assume!(!has_line(&text));
            let line = Shell::Bash.line(None);
            let with = with_line(&text, &line);
            prop_assert!(has_line(&with));
            prop_assert_eq!(without_line(&with), Edit::Changed(text));
        }

        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = own_meaning(&text);
            let _ = meaning_of(&text);
            let _ = without_line(&text);
        }
    }
}
