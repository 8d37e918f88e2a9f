//! Which weekly window of a model binds a launch: matching what a person types (`opus`, `claude-opus-4-5`, `opus[1m]`)
//! against the display name that the service gives the window (`Opus`, `Opus 4.5`).

/// Whether a window named `display_name` limits a launch with `model`.
///
/// Both are cut into words; one has to contain all words of the other, so that `opus` binds the window `Opus 4.5` and
/// `claude-opus-4-5-20251101` binds the window `Opus`. A model whose name says nothing (`default`) binds none.
#[must_use]
pub fn names_same(display_name: &str, model: &str) -> bool {
    let (window, model) = (words(display_name), words(model));
    if window.is_empty() || model.is_empty() {
        return false;
    }
    let contains = |all: &[String], part: &[String]| part.iter().all(|w| all.contains(w));
    contains(&model, &window) || contains(&window, &model)
}

fn words(name: &str) -> Vec<String> {
    let before_options = name.split('[').next().unwrap_or(name);
    before_options
        .split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|w| !w.is_empty() && !is_noise(w))
        .collect()
}

/// The vendor, release dates and aliases for "whatever is current" say nothing about which model it is.
fn is_noise(word: &str) -> bool {
    let date = word.len() == 8 && word.bytes().all(|b| b.is_ascii_digit());
    date || matches!(
        word,
        "claude" | "latest" | "default" | "anthropic" | "us" | "eu" | "best"
    )
}

/// The model that the arguments of a launch name: `--model X` or `--model=X`, the last one winning, nothing after `--`.
#[must_use]
pub fn from_arguments<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut found = None;
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument {
            "--" => break,
            "--model" => found = arguments.next().or(found),
            _ => found = argument.strip_prefix("--model=").or(found),
        }
    }
    found.filter(|m| !m.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_binds_the_window_that_names_it() {
        let rows = [
            ("Opus", "opus", true),
            ("Opus", "claude-opus-4-5-20251101", true),
            ("Opus 4.5", "opus", true),
            ("Opus 4.5", "claude-opus-4-5", true),
            ("Opus 4.5", "claude-opus-4-1", false),
            ("Opus", "opus[1m]", true),
            ("Fable", "sonnet", false),
            ("Fable", "default", false),
            ("", "opus", false),
            ("Fable", "claude-fable-latest", true),
        ];
        for (window, model, expected) in rows {
            assert_eq!(names_same(window, model), expected, "{window} / {model}");
        }
    }

    #[test]
    fn the_last_model_argument_wins_and_nothing_after_the_separator_counts() {
        let rows: [(&[&str], Option<&str>); 6] = [
            (&[], None),
            (&["-p", "hi", "--model", "opus"], Some("opus")),
            (&["--model=opus", "--model", "sonnet"], Some("sonnet")),
            (&["--", "--model", "opus"], None),
            (&["--model"], None),
            (&["--model="], None),
        ];
        for (arguments, expected) in rows {
            assert_eq!(
                from_arguments(arguments.iter().copied()),
                expected,
                "{arguments:?}"
            );
        }
    }
}
