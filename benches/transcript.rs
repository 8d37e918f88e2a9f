//! What reading a transcript costs: the last turn of a gigabyte, all of a megabyte. `cargo bench --bench transcript`; with
//! `--mib N` the large file has N MiB.

use ccp::adapters::transcripts::{capture, has_prompt, last_turn, length};
use ccp::core::transcript::{Detail, Wanted};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const DEFAULT_MIB: usize = 1024;
const ROUNDS: usize = 50;
/// What the last turn of the large file may take.
const BOUND: Duration = Duration::from_millis(10);

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("error: the last turn took longer than {BOUND:?}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<bool> {
    let dir = tempfile::tempdir()?;
    let large = dir.path().join("large.jsonl");
    let bytes = write_transcript(&large, megabytes() * 1024 * 1024)?;
    let small = dir.path().join("small.jsonl");
    write_transcript(&small, 1024 * 1024)?;
    println!(
        "transcript of {} MiB, {ROUNDS} rounds, medians",
        bytes >> 20
    );
    let mut is_good = true;
    for (name, detail) in [
        ("last", Detail::Last),
        ("assistant", Detail::Assistant),
        ("tools", Detail::Tools),
        ("raw", Detail::Raw),
    ] {
        let wanted = Wanted { turns: 1, detail };
        let (time, size) = median(|| captured(&large, wanted));
        println!("  one turn, {name:<10} {time:>10.2?}  answer {size} bytes");
        is_good &= time <= BOUND && size > 0;
    }
    let (time, _) = median(|| usize::from(last_turn(&large).is_ok_and(|t| t.finished)));
    println!("  how it stands        {time:>10.2?}");
    is_good &= time <= BOUND;
    let offset = length(&large).unwrap_or(0).saturating_sub(2 << 20);
    let (time, found) =
        median(|| usize::from(has_prompt(&large, offset, "no such prompt").unwrap_or(true)));
    println!("  prompt in 2 MiB      {time:>10.2?}  found {found}");
    let all = Wanted {
        turns: 0,
        detail: Detail::Last,
    };
    let (time, size) = median(|| captured(&small, all));
    println!("  all turns of 1 MiB   {time:>10.2?}  answer {size} bytes");
    Ok(is_good)
}

fn megabytes() -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--mib");
    let given = arguments.nth(1).and_then(|number| number.parse().ok());
    given.unwrap_or(DEFAULT_MIB)
}

/// Turns as claude 2.1.329 writes them: a little conversation, and 200 kB of what it sent to the service.
fn write_transcript(path: &Path, bytes: usize) -> io::Result<u64> {
    let mut file = BufWriter::new(File::create(path)?);
    let blob = "x".repeat(190_000);
    let mut written = 0;
    let mut turn = 0;
    while written < bytes {
        let text = format!(
            r#"{{"parentUuid":null,"isSidechain":false,"type":"user","message":{{"role":"user","content":"prompt {turn}"}},"uuid":"u","cwd":"/srv"}}
{{"type":"api-request-blob","sessionId":"s","hash":"h","message":{{"role":"user","content":[{{"type":"text","text":"{blob}"}}]}}}}
{{"parentUuid":"u","type":"assistant","message":{{"role":"assistant","model":"m","content":[{{"type":"tool_use","name":"Bash","input":{{"command":"ls"}}}}],"stop_reason":"tool_use"}}}}
{{"type":"user","message":{{"role":"user","content":[{{"type":"tool_result","content":"{0}"}}]}}}}
{{"type":"assistant","message":{{"role":"assistant","model":"m","content":[{{"type":"text","text":"answer {turn}"}}],"stop_reason":"end_turn"}}}}
{{"type":"system","subtype":"turn_duration","durationMs":1}}
{{"type":"cost-state","totalCostUSD":0.1}}
"#,
            &blob[..8000]
        );
        file.write_all(text.as_bytes())?;
        written += text.len();
        turn += 1;
    }
    file.into_inner()?.sync_all()?;
    Ok(written as u64)
}

fn median(mut work: impl FnMut() -> usize) -> (Duration, usize) {
    let mut last = 0;
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            last = work();
            started.elapsed()
        })
        .collect();
    times.sort();
    (times[ROUNDS / 2], last)
}

fn captured(path: &Path, wanted: Wanted) -> usize {
    let captured = capture(path, wanted);
    captured.and_then(|c| c.text()).map_or(0, |text| text.len())
}
