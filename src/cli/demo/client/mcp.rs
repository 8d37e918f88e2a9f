//! `mcp add|remove|list`: where the real client keeps its servers.

use serde_json::{Value, json};

use super::files;
use super::world::{World, complain, say};

pub(super) fn run(world: &World, words: &[String]) -> u8 {
    match words.first().map(String::as_str) {
        Some("add") => add(world, &words[1..]),
        Some("remove") => remove(world, &words[1..]),
        Some("list") => list(world),
        _ => {
            complain("error: unknown command of mcp");
            1
        }
    }
}

fn add(world: &World, words: &[String]) -> u8 {
    let mut scope = "local".to_owned();
    let mut variables = json!({});
    let mut plain: Vec<&str> = Vec::new();
    let mut rest = words.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        match word {
            "-s" | "--scope" => scope = rest.next().unwrap_or_default().to_owned(),
            "-t" | "--transport" => drop(rest.next()),
            "-e" | "--env" => {
                if let Some((name, value)) = rest.next().and_then(|pair| pair.split_once('=')) {
                    variables[name] = json!(value);
                }
            }
            "--" => plain.extend(rest.by_ref()),
            word => plain.push(word),
        }
    }
    let [name, command, arguments @ ..] = plain.as_slice() else {
        complain("error: missing required argument 'name' or 'commandOrUrl'");
        return 1;
    };
    let server = json!({"type": "stdio", "command": command, "args": arguments, "env": variables});
    let key = world.cwd_key();
    let written = files::change_state(world, |state| servers(state, &scope, &key)[*name] = server);
    finish(
        written,
        &format!("Added stdio MCP server {name} with command: {command} to {scope} config"),
    )
}

fn remove(world: &World, words: &[String]) -> u8 {
    let Some(name) = words.iter().find(|word| !word.starts_with('-')) else {
        return 1;
    };
    let key = world.cwd_key();
    let written = files::change_state(world, |state| {
        for scope in ["local", "user"] {
            if let Some(servers) = servers(state, scope, &key).as_object_mut() {
                servers.remove(name);
            }
        }
    });
    finish(written, &format!("Removed MCP server {name}"))
}

fn list(world: &World) -> u8 {
    let mut state = files::load(&world.state_file);
    for scope in ["user", "local"] {
        for (name, server) in servers(&mut state, scope, &world.cwd_key())
            .as_object()
            .into_iter()
            .flatten()
        {
            say(&format!(
                "{name}: {}",
                server["command"].as_str().unwrap_or_default()
            ));
        }
    }
    0
}

/// The object that holds the servers of a scope, made if it is absent.
fn servers<'a>(state: &'a mut Value, scope: &str, cwd: &str) -> &'a mut Value {
    let holder = if scope == "user" {
        state
    } else {
        &mut state["projects"][cwd]
    };
    let servers = &mut holder["mcpServers"];
    if !servers.is_object() {
        *servers = json!({});
    }
    servers
}

fn finish(written: std::io::Result<()>, line: &str) -> u8 {
    match written {
        Ok(()) => {
            say(line);
            0
        }
        Err(error) => {
            complain(&format!("error: {error}"));
            1
        }
    }
}
