//! JSON-RPC 2.0 as MCP uses it: what a line says, and how answers are written. Ids are strings or whole numbers.

use serde_json::{Map, Value, json};

/// The line is no JSON.
pub const PARSE_ERROR: i64 = -32700;
/// It is JSON, and no message.
pub const INVALID_REQUEST: i64 = -32600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The method cannot do it with these parameters.
pub const INVALID_PARAMS: i64 = -32602;

/// What a line holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// One message.
    One(Value),
    /// Several, whose answers go back together.
    Batch(Vec<Value>),
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Wants an answer.
    Request {
        /// Comes back with the answer.
        id: Value,
        /// What is wanted.
        method: String,
        /// With what.
        params: Map<String, Value>,
    },
    /// Wants none.
    Notification {
        /// What is told.
        method: String,
        /// With what.
        params: Map<String, Value>,
    },
    /// The answer to a request of ours; we have none.
    Answer,
}

/// Why a line is no message.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    /// The message's id; null where it has none that can be read.
    pub id: Value,
    /// One of the codes above.
    pub code: i64,
    /// For people: lower case, no full stop.
    pub text: String,
}

impl Wrong {
    /// A mistake in the message with this id.
    pub fn new(id: Value, code: i64, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { id, code, text }
    }

    /// The answer.
    pub fn answer(&self) -> Value {
        json!({"jsonrpc": "2.0", "id": self.id, "error": {"code": self.code, "message": self.text}})
    }
}

/// Reads a line.
pub fn frame(line: &[u8]) -> Result<Frame, Wrong> {
    let value: Value = serde_json::from_slice(line)
        .map_err(|error| Wrong::new(Value::Null, PARSE_ERROR, format!("invalid JSON: {error}")))?;
    match value {
        Value::Array(messages) if messages.is_empty() => {
            let text = "an empty batch asks for nothing";
            Err(Wrong::new(Value::Null, INVALID_REQUEST, text))
        }
        Value::Array(messages) => Ok(Frame::Batch(messages)),
        value => Ok(Frame::One(value)),
    }
}

/// Reads a message.
pub fn message(value: Value) -> Result<Message, Wrong> {
    let Value::Object(mut object) = value else {
        let text = "a message is a JSON object";
        return Err(Wrong::new(Value::Null, INVALID_REQUEST, text));
    };
    let id = object.remove("id");
    let known = id.clone().filter(is_id).unwrap_or(Value::Null);
    let invalid = |text: &str| Wrong::new(known.clone(), INVALID_REQUEST, text);
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid("`jsonrpc` has to be \"2.0\""));
    }
    let Some(method) = object.remove("method") else {
        return match object.contains_key("result") || object.contains_key("error") {
            true => Ok(Message::Answer),
            false => Err(invalid("`method` is missing")),
        };
    };
    let Value::String(method) = method else {
        return Err(invalid("`method` has to be a string"));
    };
    let params = match object.remove("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => {
            let text = "`params` has to be an object";
            return Err(Wrong::new(known, INVALID_PARAMS, text));
        }
    };
    match id {
        None => Ok(Message::Notification { method, params }),
        Some(id) if is_id(&id) => Ok(Message::Request { id, method, params }),
        Some(_) => Err(invalid("`id` has to be a string or a whole number")),
    }
}

/// The answer that is no error.
pub fn result(id: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// A message of ours that wants no answer.
pub fn notification(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

fn is_id(id: &Value) -> bool {
    id.is_string() || id.is_i64() || id.is_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(line: &str) -> (i64, Value) {
        let read = frame(line.as_bytes()).and_then(|frame| match frame {
            Frame::One(value) => message(value),
            Frame::Batch(_) => panic!("{line} is a batch"),
        });
        let wrong = read.expect_err(line);
        (wrong.code, wrong.id)
    }

    #[test]
    fn what_is_no_message_is_told_with_its_id() {
        for (line, code, id) in [
            ("nonsense", PARSE_ERROR, Value::Null),
            ("{\"jsonrpc\":", PARSE_ERROR, Value::Null),
            ("\u{0}", PARSE_ERROR, Value::Null),
            ("[]", INVALID_REQUEST, Value::Null),
            ("7", INVALID_REQUEST, Value::Null),
            (r#"{"id":7,"method":"ping"}"#, INVALID_REQUEST, json!(7)),
            (
                r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#,
                INVALID_REQUEST,
                json!("a"),
            ),
            (r#"{"jsonrpc":"2.0","id":7}"#, INVALID_REQUEST, json!(7)),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":7}"#,
                INVALID_REQUEST,
                json!(7),
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
                INVALID_REQUEST,
                Value::Null,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
                INVALID_REQUEST,
                Value::Null,
            ),
            (
                r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":[1]}"#,
                INVALID_PARAMS,
                json!(7),
            ),
        ] {
            assert_eq!(wrong(line), (code, id), "{line}");
        }
    }

    #[test]
    fn the_three_kinds_of_message_are_told_apart() {
        let read = |line: &str| message(serde_json::from_str(line).expect("JSON"));
        let request = read(r#"{"jsonrpc":"2.0","id":"a","method":"m","params":{"x":1}}"#);
        let Ok(Message::Request { id, method, params }) = request else {
            panic!("{request:?}")
        };
        assert_eq!(
            (id, method.as_str(), &params["x"]),
            (json!("a"), "m", &json!(1))
        );
        let told = read(r#"{"jsonrpc":"2.0","method":"m"}"#).expect("is right");
        assert!(matches!(told, Message::Notification { .. }));
        for answer in [
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{}}"#,
        ] {
            assert_eq!(read(answer), Ok(Message::Answer));
        }
    }
}
