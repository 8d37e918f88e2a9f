//! Questions to the person: a line from the terminal, with a default on Enter. Ctrl-C, a closed terminal and the end of
//! the input all end the command with nothing changed by the question; without a terminal there is nobody to ask.

use super::failure::Failure;
use crate::adapters::procs::interrupt::{Interrupts, Woken};
use crate::contract::exit;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write};
use std::os::fd::AsFd as _;
use std::time::Duration;

/// The longest answer, in bytes: a terminal's own limit for a line.
const MAX_ANSWER: usize = 4096;
/// Asked again this often when the answer makes no sense.
const MAX_TRIES: u32 = 5;
/// A question waits for a person; this only bounds one wait inside the loop.
const ONE_WAIT: Duration = Duration::from_secs(3600);

/// A terminal with a person at it.
#[derive(Debug)]
pub struct Prompt {
    input: File,
    output: File,
    /// Bytes that were read beyond the last line.
    ahead: Vec<u8>,
}

impl Prompt {
    /// The terminal of this process: both standard input and standard error have to be one. Standard output may be
    /// redirected, it carries data.
    #[must_use]
    pub fn open() -> Option<Self> {
        let (stdin, stderr) = (io::stdin(), io::stderr());
        if !stdin.is_terminal() || !stderr.is_terminal() {
            return None;
        }
        let input = stdin.as_fd().try_clone_to_owned().ok()?;
        let output = stderr.as_fd().try_clone_to_owned().ok()?;
        Some(Self::over(File::from(input), File::from(output)))
    }

    fn over(input: File, output: File) -> Self {
        Self {
            input,
            output,
            ahead: Vec::new(),
        }
    }

    /// Asks for a text; Enter takes the default.
    pub fn text(&mut self, question: &str, default: &str) -> Result<String, Failure> {
        let answer = self.line(&format!("{question} [{default}]: "))?;
        let answer = answer.trim();
        Ok(if answer.is_empty() { default } else { answer }.to_owned())
    }

    /// Asks yes or no; Enter takes the default.
    pub fn confirm(&mut self, question: &str, default: bool) -> Result<bool, Failure> {
        let hint = if default { "Y/n" } else { "y/N" };
        for _ in 0..MAX_TRIES {
            let answer = self.line(&format!("{question} [{hint}] "))?;
            match answer.trim().to_lowercase().as_str() {
                "" => return Ok(default),
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.say("please answer y or n"),
            }
        }
        Ok(false)
    }

    /// Asks for one of several, by number; Enter takes the first. Returns its index.
    pub fn choose(&mut self, question: &str, options: &[&str]) -> Result<usize, Failure> {
        self.say(question);
        for (index, option) in options.iter().enumerate() {
            self.say(&format!("  {}) {option}", index + 1));
        }
        for _ in 0..MAX_TRIES {
            let answer = self.line("Choice [1]: ")?;
            match answer.trim() {
                "" => return Ok(0),
                text => match text.parse::<usize>() {
                    Ok(number) if (1..=options.len()).contains(&number) => return Ok(number - 1),
                    _ => self.say(&format!("please answer 1 to {}", options.len())),
                },
            }
        }
        Err(Failure::new("no choice was made").code(exit::USAGE))
    }

    /// Says a line where the questions are.
    pub fn say(&mut self, line: &str) {
        let _ = writeln!(self.output, "{line}");
    }

    fn line(&mut self, question: &str) -> Result<String, Failure> {
        let _ = self.output.write_all(question.as_bytes());
        let _ = self.output.flush();
        let result = self.read_line();
        if result.is_err() {
            // The shell's prompt shall not stand behind our question.
            let _ = writeln!(self.output);
        }
        result
    }

    fn read_line(&mut self) -> Result<String, Failure> {
        let interrupts = Interrupts::catch().map_err(|e| unreadable(&e))?;
        loop {
            if let Some(end) = self.ahead.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line)
                    .trim_end_matches(['\n', '\r'])
                    .to_owned());
            }
            if self.ahead.len() > MAX_ANSWER {
                return Err(Failure::new("the answer is too long"));
            }
            match interrupts.wait(Some(self.input.as_fd()), ONE_WAIT) {
                Woken::Late => continue,
                Woken::Interrupted => return Err(interrupted(&interrupts)),
                Woken::Input => {}
            }
            let mut chunk = [0_u8; MAX_ANSWER];
            match self.input.read(&mut chunk) {
                // The end of the input is a person who left (Ctrl-D, a closed terminal).
                Ok(0) => return Err(Failure::interrupted()),
                Ok(count) => self.ahead.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&error)),
            }
        }
    }
}

/// The failure of a command that a signal ended; the exit code is the one shells report.
#[must_use]
pub fn interrupted(interrupts: &Interrupts) -> Failure {
    Failure::interrupted().code(interrupts.seen().unwrap_or(exit::INTERRUPTED))
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(format!("cannot read from the terminal: {error}"))
}

/// The failure of a command that would have to ask and has nobody to ask.
#[must_use]
pub fn nobody_to_ask(what: &str, hint: &str) -> Failure {
    Failure::new(format!("{what}, and there is no terminal to ask on")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek as _;
    use std::os::fd::OwnedFd;
    use std::sync::Mutex;

    /// Signals belong to the process: one question at a time.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    fn answered<T>(answers: &str, ask: impl FnOnce(&mut Prompt) -> T) -> (T, String) {
        let _guard = ONE_AT_A_TIME.lock().expect("no test panics while asking");
        let (read, mut write) = io::pipe().expect("a pipe");
        write.write_all(answers.as_bytes()).expect("fits the pipe");
        drop(write);
        let mut shown = tempfile::tempfile().expect("a file");
        let output = shown.try_clone().expect("a copy");
        let mut prompt = Prompt::over(File::from(OwnedFd::from(read)), output);
        let result = ask(&mut prompt);
        let mut text = String::new();
        shown.rewind().expect("rewinds");
        shown.read_to_string(&mut text).expect("reads");
        (result, text)
    }

    #[test]
    fn enter_takes_the_default() {
        let (label, shown) = answered("\n", |p| p.text("Label", "jo"));
        assert_eq!(label, Ok("jo".to_owned()));
        assert_eq!(shown, "Label [jo]: ");
        assert_eq!(
            answered(" x y \r\n", |p| p.text("Label", "jo")).0,
            Ok("x y".to_owned())
        );
    }

    #[test]
    fn yes_and_no_are_understood_and_nothing_else_is() {
        let confirm = |answers: &str, default| answered(answers, |p| p.confirm("Go?", default)).0;
        assert_eq!(confirm("\n", true), Ok(true));
        assert_eq!(confirm("\n", false), Ok(false));
        assert_eq!(confirm("what\nYES\n", false), Ok(true));
        assert_eq!(confirm("N\n", true), Ok(false));
        assert_eq!(
            confirm("x\nx\nx\nx\nx\n", true),
            Ok(false),
            "in doubt nothing is done"
        );
    }

    #[test]
    fn a_choice_is_a_number_of_the_list() {
        let choose = |answers: &str| answered(answers, |p| p.choose("Where?", &["a", "b"])).0;
        assert_eq!(choose("\n"), Ok(0));
        assert_eq!(choose("3\n0\n2\n"), Ok(1));
    }

    #[test]
    fn the_end_of_the_input_is_an_interruption() {
        let (result, shown) = answered("half an ans", |p| p.text("Label", "jo"));
        assert_eq!(
            result.map_err(|failure| failure.code),
            Err(exit::INTERRUPTED)
        );
        assert!(shown.ends_with('\n'));
    }

    #[test]
    fn an_endless_answer_is_refused() {
        let (result, _) = answered(&"x".repeat(MAX_ANSWER * 3), |p| p.text("Label", "jo"));
        assert!(result.is_err());
    }
}
