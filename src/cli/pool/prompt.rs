//! Prompts, and what comes back: start, followup, wait.

use super::arguments::{Block, Followup, Prompt, Start, Wait};
use super::stand::Stand;
use super::{Exchange, SLOW, directory, keep, metadata, parent};
use crate::cli::failure::{Failure, Outcome};
use crate::client::pool::Answer;
use crate::contract::pool::{self, MAX_REQUEST, Reply, Request};
use std::fs::File;
use std::io::{self, Read};

/// Runs `ccp pool start`.
pub(super) fn start(stand: &Stand, arguments: &Start) -> Outcome {
    let cwd = arguments.cwd.as_deref().map(directory).transpose()?;
    let request = Request::Start(pool::Start {
        prompt: text(&arguments.prompt)?,
        parent: parent::of(arguments.parent.as_deref(), &stand.user_home),
        metadata: metadata(&arguments.meta),
        cwd,
        account: arguments.account.clone(),
    });
    let exchange = Exchange::open(stand)?;
    // What is accepted is on disk first, which takes longer on a busy machine.
    let answer = match exchange.attempt(&request, SLOW) {
        Err(problem) if keep::may_begin(stand, &problem) => {
            eprintln!("the pool {} begins", stand.name);
            keep::begun(stand)?;
            Exchange::open(stand)?.ask(&request, SLOW)?
        }
        answer => answer.map_err(|error| exchange.failure(error))?,
    };
    await_if(stand, &answer, arguments.block)
}

/// Runs `ccp pool followup`.
pub(super) fn followup(stand: &Stand, arguments: &Followup) -> Outcome {
    let prompt = text(&arguments.prompt)?.ok_or_else(|| {
        Failure::new("there is no prompt")
            .hint("give --prompt, --prompt-file, or `-` for standard input")
    })?;
    let session_id = arguments.session.clone();
    let request = Request::Followup { session_id, prompt };
    let answer = Exchange::open(stand)?.ask(&request, SLOW)?;
    await_if(stand, &answer, arguments.block)
}

/// Runs `ccp pool wait`.
pub(super) fn wait(stand: &Stand, arguments: &Wait) -> Outcome {
    let parent = match arguments.session {
        Some(_) => None,
        None => parent::of(arguments.parent.as_deref(), &stand.user_home),
    };
    let exchange = Exchange::open(stand)?;
    await_result(
        &exchange,
        pool::Wait {
            session_id: arguments.session.clone(),
            parent,
            timeout_ms: arguments.timeout,
            excerpt: arguments.excerpt.into(),
        },
    )
}

/// Prints that it was accepted, or what came of it.
fn await_if(stand: &Stand, answer: &Answer, block: Block) -> Outcome {
    let exchange = Exchange::open(stand)?;
    let Reply::Started { session_id, .. } = &answer.reply else {
        return Err(Failure::new("the pool answered with something else"));
    };
    if !block.block {
        return exchange.print(answer);
    }
    if !stand.json {
        // Whoever waits in vain still has to know which session it was.
        eprintln!("session {session_id}");
    }
    await_result(
        &exchange,
        pool::Wait {
            session_id: Some(session_id.clone()),
            parent: None,
            timeout_ms: block.timeout,
            excerpt: block.excerpt.into(),
        },
    )
}

fn await_result(exchange: &Exchange<'_>, wait: pool::Wait) -> Outcome {
    let answer = exchange.link.connect()?.wait(wait);
    exchange.print(&answer.map_err(|error| exchange.failure(error))?)
}

/// The prompt that the command line gives, names, or sends by standard input.
fn text(prompt: &Prompt) -> Result<Option<String>, Failure> {
    if let Some(text) = &prompt.prompt {
        return Ok(Some(text.clone()));
    }
    let (name, read) = match (&prompt.prompt_file, &prompt.stdin) {
        (Some(path), _) => {
            let read = File::open(path).and_then(bounded);
            (path.display().to_string(), read)
        }
        (None, Some(_)) => ("standard input".to_owned(), bounded(io::stdin())),
        (None, None) => return Ok(None),
    };
    let bytes = read.map_err(|error| Failure::new(format!("cannot read {name}: {error}")))?;
    if bytes.len() > MAX_REQUEST {
        return Err(Failure::new(format!("{name} is too long for a prompt")));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::new(format!("{name} is no UTF-8 text")))?;
    // A file ends with the end of a line, which nobody meant to send.
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(Failure::new(format!("{name} is empty")));
    }
    Ok(Some(text.to_owned()))
}

fn bounded(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source
        .take(MAX_REQUEST as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}
