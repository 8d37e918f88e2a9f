//! Hooks and status line, from the user's settings and from `--settings`, which are added to them.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::conversation::Conversation;
use super::files;
use super::world::World;
use super::{VERSION, turn::Turn};

/// What to run at which event.
#[derive(Clone, Debug, Default)]
pub(super) struct Hooks {
    commands: Vec<(String, String)>,
    status_line: Option<String>,
}

impl Hooks {
    /// `inline` is the value of `--settings`: JSON text, or the name of a file.
    pub fn load(world: &World, inline: Option<&str>) -> Self {
        let given = inline.map(|inline| {
            serde_json::from_str(inline).unwrap_or_else(|_| files::load(Path::new(inline)))
        });
        let sources = [
            files::load(&world.config_dir.join("settings.json")),
            given.unwrap_or_default(),
        ];
        let mut hooks = Self::default();
        let mut disabled = false;
        for settings in &sources {
            disabled = settings["disableAllHooks"].as_bool().unwrap_or(disabled);
            for (event, groups) in settings["hooks"].as_object().into_iter().flatten() {
                let entries = groups
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|group| group["hooks"].as_array());
                let commands = entries
                    .flatten()
                    .filter_map(|hook| hook["command"].as_str());
                hooks
                    .commands
                    .extend(commands.map(|command| (event.clone(), command.to_owned())));
            }
            if let Some(command) = settings["statusLine"]["command"].as_str() {
                hooks.status_line = Some(command.to_owned());
            }
        }
        if disabled { Self::default() } else { hooks }
    }

    /// Runs the hooks of `event` one after another and waits for them.
    pub fn fire(&self, world: &World, conversation: &Conversation, event: &str, extra: &Value) {
        let mut report = common(world, conversation);
        report["hook_event_name"] = json!(event);
        for (key, value) in extra.as_object().into_iter().flatten() {
            report[key] = value.clone();
        }
        for (_, command) in self.commands.iter().filter(|(name, _)| name == event) {
            feed(world, conversation, command, &report);
        }
    }

    /// Runs the status line after a turn; its first line.
    pub fn status_line(
        &self,
        world: &World,
        conversation: &Conversation,
        turn: &Turn,
    ) -> Option<String> {
        let mut report = common(world, conversation);
        report["model"] = json!({"id": turn.model, "display_name": turn.model});
        report["workspace"] =
            json!({"current_dir": world.cwd_key(), "project_dir": world.cwd_key()});
        report["version"] = json!(VERSION);
        let mut limits = json!({});
        for (key, window) in turn.windows.as_object().into_iter().flatten() {
            let used = window["utilization"].as_f64().map(|used| used * 100.0);
            limits[key] = json!({"used_percentage": used, "resets_at": window["resetsAt"]});
        }
        report["rate_limits"] = limits;
        let output = feed(world, conversation, self.status_line.as_ref()?, &report);
        output.lines().next().map(str::to_owned)
    }
}

fn common(world: &World, conversation: &Conversation) -> Value {
    json!({
        "session_id": conversation.id, "transcript_path": conversation.file, "cwd": world.cwd_key(),
        "permission_mode": "default",
    })
}

/// Runs one command with the report as its input. A hook that fails is its owner's concern.
fn feed(world: &World, conversation: &Conversation, command: &str, report: &Value) -> String {
    let mut shell = world.shell(command, &conversation.id);
    let Ok(mut child) = shell
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
    else {
        return String::new();
    };
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(report.to_string().as_bytes());
    }
    child
        .wait_with_output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}
