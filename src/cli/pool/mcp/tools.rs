//! The tools: which there are, and how a call becomes a request of the pool.

use crate::cli::failure::Failure;
use crate::cli::pool::stand::Stand;
use crate::cli::pool::{Exchange, SLOW, parent};
use crate::contract::pool::{Reply, Request};
use serde_json::{Map, Value, json};

/// The tools, as `tools/list` answers them.
pub(super) fn list() -> Value {
    let session =
        json!({"type": "string", "description": "The session: its id or a unique prefix."});
    let prompt = json!({"type": "string", "description": "What Claude shall do."});
    let turns = json!({"type": "integer", "minimum": 0, "description": "How many turns from the end (1); 0 is all."});
    let detail = json!({"type": "string", "enum": ["last", "assistant", "tools", "raw"],
        "description": "How much of each turn: the prompt and the last answer (last), every answer, tool use too, or the raw transcript."});
    let source = json!({"type": "string", "enum": ["jsonl", "buffer"],
        "description": "The transcript as JSON lines (jsonl), or the terminal as text (buffer)."});
    let parent = json!({"type": "string", "description": "The id of the session or conversation that started them."});
    json!([
        tool(
            "start",
            "Begin a Claude Code session and return its sessionId at once. It works on the prompt while you go on.",
            false,
            &[],
            json!({
                "prompt": prompt, "parent": parent,
                "cwd": {"type": "string", "description": "The directory it begins in; has to exist."},
                "account": {"type": "string", "description": "The account it runs on; best left out."},
                "metadata": {"type": "object", "description": "name, description, and tags."},
            })
        ),
        tool(
            "followup",
            "Give a session that has finished another prompt.",
            false,
            &["sessionId", "prompt"],
            json!({
                "sessionId": session, "prompt": prompt,
            })
        ),
        tool(
            "wait",
            "Wait until a session has finished its turn, and return what it said. Without sessionId: the first to finish of those that this conversation started.",
            true,
            &[],
            json!({
                "sessionId": session, "parent": parent, "source": source, "turns": turns, "detail": detail,
                "timeout": {"type": "integer", "minimum": 0, "description": "How long, in milliseconds (300000)."},
            })
        ),
        tool(
            "capture",
            "Return what a session said, without waiting.",
            true,
            &["sessionId"],
            json!({
                "sessionId": session, "source": source, "turns": turns, "detail": detail,
            })
        ),
        tool(
            "ls",
            "List sessions with their status: queued, idle, processing, offloaded, error, archived.",
            true,
            &[],
            json!({
                "parent": parent,
                "all": {"type": "boolean", "description": "Whatever their parent."},
                "archived": {"type": "boolean", "description": "Archived ones too."},
                "statuses": {"type": "array", "items": {"type": "string"}, "description": "Only those."},
                "verbosity": {"type": "string", "enum": ["flat", "nested", "full"]},
            })
        ),
        tool(
            "stop",
            "Interrupt a session, or take its request back.",
            false,
            &["sessionId"],
            json!({"sessionId": session})
        ),
    ])
}

fn tool(name: &str, description: &str, reads: bool, required: &[&str], properties: Value) -> Value {
    json!({
        "name": name,
        "description": description,
        "inputSchema": {"type": "object", "properties": properties, "required": required},
        "annotations": {"readOnlyHint": reads},
    })
}

/// The request that a call means. The text of an error says what is wrong with the call.
pub(super) fn request(stand: &Stand, params: &Map<String, Value>) -> Result<Request, String> {
    let name = params.get("name").and_then(Value::as_str);
    let name = name.ok_or("`name` is missing")?;
    let tools = list();
    let known = |tool: &Value| tool["name"] == name;
    if !tools
        .as_array()
        .is_some_and(|tools| tools.iter().any(known))
    {
        return Err(format!("there is no tool `{name}`"));
    }
    let mut object = match params.get("arguments") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(arguments)) => arguments.clone(),
        Some(_) => return Err("`arguments` is an object".to_owned()),
    };
    object.insert("type".to_owned(), name.into());
    object.remove("id");
    let line = Value::Object(object).to_string();
    let incoming = Request::parse(line.as_bytes()).map_err(|refused| refused.error.text)?;
    Ok(of_conversation(stand, incoming.request))
}

/// Where no parent is named it is the conversation that this server works for.
fn of_conversation(stand: &Stand, mut request: Request) -> Request {
    let parent = match &mut request {
        Request::Start(start) => Some(&mut start.parent),
        Request::Wait(wait) if wait.session_id.is_none() => Some(&mut wait.parent),
        Request::Ls(ls) if !ls.all => Some(&mut ls.parent),
        _ => None,
    };
    if let Some(named) = parent {
        *named = parent::of(named.as_deref(), &stand.user_home);
    }
    request
}

/// Does it; the text is for the model.
pub(super) fn call(stand: &Stand, request: Request) -> Result<String, Failure> {
    let exchange = Exchange::open(stand)?;
    let answer = match request {
        Request::Wait(wait) => {
            let answer = exchange.link.connect()?.wait(wait);
            answer.map_err(|error| exchange.failure(error))?
        }
        request => exchange.ask(&request, SLOW)?,
    };
    Ok(match answer.reply {
        Reply::Result { content, .. } => content,
        _ => answer.raw,
    })
}
