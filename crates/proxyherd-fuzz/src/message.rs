//! Messages of a WebSocket. A message arrives whole, so the check cuts nothing.

use proxyherd_core::{
    codec::json::{Incoming, Message, parse_message, write_answer, write_event},
    types::AttributesBuf,
};

use crate::{memory::bounded, report::check_attributes};

/// A message that was read means the same when its parts are written and read again. Answers and events are JSON,
/// whatever was read.
pub fn check(input: &[u8]) {
    let mut attributes = AttributesBuf::default();
    // A list of values has a parameter of 48 bytes for each value, which has two bytes of text at least.
    let read = bounded(input.len(), 64, 8192, || parse_message(input, &mut attributes));
    let Incoming { reference, message } = read;
    let mut answer = Vec::new();
    match &message {
        Ok(_) => write_answer(&mut answer, reference, Ok("accepted")),
        Err(error) => write_answer(&mut answer, reference, Err(&error.to_string())),
    }
    is_json(&answer);
    let mut event = Vec::new();
    write_event(&mut event, "location", "0-1-2", |out| out.extend_from_slice(&answer));
    is_json(&event);
    match message {
        Ok(Message::Report(body)) => {
            assert!(body.client().is_some());
            check_attributes(attributes.borrow());
        }
        Ok(Message::Subscribe(parameters)) => {
            let mut again = serde_json::Map::new();
            for parameter in &parameters {
                let value = serde_json::Value::from(&*parameter.value);
                let known =
                    again.entry(&*parameter.name).or_insert_with(|| serde_json::Value::Array(Vec::new()));
                known.as_array_mut().expect("only lists are inserted").push(value);
            }
            // The order of names may differ.
            let text = serde_json::json!({ "subscribe": again }).to_string();
            let read = parse_message(text.as_bytes(), &mut attributes).message;
            let Ok(Message::Subscribe(mut read)) = read else { panic!("what was written can be read") };
            let mut parameters = parameters;
            for list in [&mut parameters, &mut read] {
                list.sort_by(|one, other| one.name.cmp(&other.name));
            }
            assert_eq!(read, parameters);
        }
        Ok(Message::Token(_)) | Err(_) => {}
    }
}

fn is_json(text: &[u8]) {
    let read: Result<serde_json::Value, _> = serde_json::from_slice(text);
    assert!(read.is_ok(), "{}", String::from_utf8_lossy(text));
}
