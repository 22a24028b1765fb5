//! What JSON is taken and given, as tables.

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use prost_types::FileDescriptorSet;

use super::*;

/// Every kind of field in one message.
pub(crate) fn pool() -> DescriptorPool {
    use prost_types::{
        DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
        FileDescriptorProto, MessageOptions, OneofDescriptorProto,
        field_descriptor_proto::{Label, Type},
    };
    let field = |name: &str, number, kind: Type, of: Option<&str>| FieldDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        r#type: Some(kind.into()),
        type_name: of.map(Into::into),
        ..Default::default()
    };
    let repeated = |mut field: FieldDescriptorProto| {
        field.label = Some(Label::Repeated.into());
        field
    };
    let in_oneof = |mut field: FieldDescriptorProto, index| {
        field.oneof_index = Some(index);
        field
    };
    let mut optional = in_oneof(field("maybe", 23, Type::Int32, None), 1);
    optional.proto3_optional = Some(true);
    let map = |name: &str, value: FieldDescriptorProto| DescriptorProto {
        name: Some(name.into()),
        field: vec![field("key", 1, Type::String, None), value],
        options: Some(MessageOptions {
            map_entry: Some(true),
            ..Default::default()
        }),
        ..Default::default()
    };
    let all = DescriptorProto {
        name: Some("All".into()),
        field: vec![
            field("text", 1, Type::String, None),
            field("flag", 2, Type::Bool, None),
            field("small", 3, Type::Int32, None),
            field("big", 4, Type::Int64, None),
            field("unsigned", 5, Type::Uint32, None),
            field("huge", 6, Type::Uint64, None),
            field("single", 7, Type::Float, None),
            field("double", 8, Type::Double, None),
            field("data", 9, Type::Bytes, None),
            field("snake_case", 10, Type::String, None),
            field("color", 11, Type::Enum, Some(".t.Color")),
            field("child", 12, Type::Message, Some(".t.All")),
            repeated(field("texts", 13, Type::String, None)),
            repeated(field("children", 14, Type::Message, Some(".t.All"))),
            repeated(field(
                "labels",
                15,
                Type::Message,
                Some(".t.All.LabelsEntry"),
            )),
            repeated(field(
                "by_name",
                16,
                Type::Message,
                Some(".t.All.ByNameEntry"),
            )),
            in_oneof(field("this", 17, Type::String, None), 0),
            in_oneof(field("that", 18, Type::String, None), 0),
            field("at", 19, Type::Message, Some(".google.protobuf.Timestamp")),
            field(
                "any_json",
                20,
                Type::Message,
                Some(".google.protobuf.Value"),
            ),
            optional,
        ],
        nested_type: vec![
            map("LabelsEntry", field("value", 2, Type::String, None)),
            map(
                "ByNameEntry",
                field("value", 2, Type::Message, Some(".t.All")),
            ),
        ],
        oneof_decl: ["which", "_maybe"]
            .map(|name| OneofDescriptorProto {
                name: Some(name.into()),
                options: None,
            })
            .to_vec(),
        ..Default::default()
    };
    let value = |name: &str, number| EnumValueDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        options: None,
    };
    let color = EnumDescriptorProto {
        name: Some("Color".into()),
        value: vec![value("NONE", 0), value("RED", 1)],
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("t.proto".into()),
        package: Some("t".into()),
        dependency: vec![
            "google/protobuf/timestamp.proto".into(),
            "google/protobuf/struct.proto".into(),
        ],
        message_type: vec![all],
        enum_type: vec![color],
        syntax: Some("proto3".into()),
        ..Default::default()
    };
    let mut pool = DescriptorPool::global();
    pool.add_file_descriptor_set(FileDescriptorSet { file: vec![file] })
        .unwrap();
    pool
}

fn all() -> MessageDescriptor {
    pool().get_message_by_name("t.All").unwrap()
}

/// What is set, as JSON: the canonical writer leaves the rest out.
fn canonical(message: &DynamicMessage) -> String {
    serde_json::to_string(message).unwrap()
}

#[test]
fn taken() {
    for (json, want) in [
        ("", "{}"),
        (" \n", "{}"),
        ("null", "{}"),
        ("{}", "{}"),
        (r#"{"nosuch":[1,{"x":2}],"text":"a"}"#, r#"{"text":"a"}"#),
        (r#"{"snake_case":"a"}"#, r#"{"snakeCase":"a"}"#),
        (r#"{"snakeCase":"a"}"#, r#"{"snakeCase":"a"}"#),
        (
            r#"{"sn\u0061keCase":"\u00e9\ud83d\ude00\"\\"}"#,
            r#"{"snakeCase":"é😀\"\\"}"#,
        ),
        // Into strings, with nothing lost.
        (r#"{"text":5}"#, r#"{"text":"5"}"#),
        (r#"{"text":1.50}"#, r#"{"text":"1.50"}"#),
        (
            r#"{"text":123456789012345678901234567890}"#,
            r#"{"text":"123456789012345678901234567890"}"#,
        ),
        (r#"{"text":true}"#, r#"{"text":"true"}"#),
        (r#"{"text":null}"#, "{}"),
        (r#"{"text":"a","text":"b"}"#, r#"{"text":"b"}"#),
        // Out of strings.
        (
            r#"{"flag":"true","small":"-7","big":"9007199254740993"}"#,
            r#"{"flag":true,"small":-7,"big":"9007199254740993"}"#,
        ),
        (r#"{"flag":1}"#, r#"{"flag":true}"#),
        (
            r#"{"big":9223372036854775807,"huge":18446744073709551615}"#,
            r#"{"big":"9223372036854775807","huge":"18446744073709551615"}"#,
        ),
        (
            r#"{"small":1e3,"unsigned":2.0}"#,
            r#"{"small":1000,"unsigned":2}"#,
        ),
        (
            r#"{"single":"1.5","double":"-Infinity"}"#,
            r#"{"single":1.5,"double":"-Infinity"}"#,
        ),
        (r#"{"data":"djE="}"#, r#"{"data":"djE="}"#),
        (r#"{"data":"djE"}"#, r#"{"data":"djE="}"#),
        (r#"{"data":"-_8"}"#, r#"{"data":"+/8="}"#),
        (r#"{"color":"RED"}"#, r#"{"color":"RED"}"#),
        (r#"{"color":1}"#, r#"{"color":"RED"}"#),
        (r#"{"color":7}"#, r#"{"color":7}"#),
        (
            r#"{"child":{"child":{"small":1}}}"#,
            r#"{"child":{"child":{"small":1}}}"#,
        ),
        (r#"{"child":null,"texts":null,"labels":null}"#, "{}"),
        (r#"{"texts":["a",1,true]}"#, r#"{"texts":["a","1","true"]}"#),
        (r#"{"texts":"a"}"#, r#"{"texts":["a"]}"#),
        (r#"{"texts":7}"#, r#"{"texts":["7"]}"#),
        (
            r#"{"children":[{"small":1},{}]}"#,
            r#"{"children":[{"small":1},{}]}"#,
        ),
        (r#"{"labels":{"a":1}}"#, r#"{"labels":{"a":"1"}}"#),
        (
            r#"{"by_name":{"x":{"small":1}}}"#,
            r#"{"byName":{"x":{"small":1}}}"#,
        ),
        (r#"{"this":"a","that":"b"}"#, r#"{"that":"b"}"#),
        (r#"{"maybe":0}"#, r#"{"maybe":0}"#),
        (
            r#"{"at":"2020-01-02T03:04:05Z"}"#,
            r#"{"at":"2020-01-02T03:04:05Z"}"#,
        ),
        (
            r#"{"any_json":{"a":[1,null]}}"#,
            r#"{"anyJson":{"a":[1.0,null]}}"#,
        ),
        (r#"{"any_json":null}"#, r#"{"anyJson":null}"#),
    ] {
        let message = from_json(&all(), json.as_bytes()).unwrap_or_else(|e| panic!("{json}: {e}"));
        assert_eq!(canonical(&message), want, "{json}");
        // Both encodings of it read back to itself.
        let text = to_json(&message).unwrap();
        // Unset is written as null, which is a value of google.protobuf.Value.
        let without_null = |text: &str| {
            [
                r#","anyJson":null"#,
                r#""anyJson":null,"#,
                r#""anyJson":null"#,
            ]
            .iter()
            .fold(text.to_owned(), |text, part| text.replace(part, ""))
        };
        let again = canonical(&from_json(&all(), &text).unwrap());
        assert_eq!(without_null(&again), without_null(want), "{json}");
        let bytes = json_to_proto(&all(), json.as_bytes()).unwrap();
        assert_eq!(proto_to_json(&all(), bytes).unwrap(), text, "{json}");
    }
}

#[test]
fn refused() {
    for (json, want) in [
        (
            "{bad",
            "invalid JSON: key must be a string at line 1 column 2",
        ),
        ("<a/>", "invalid JSON: expected value at line 1 column 1"),
        (
            "{\n\"text\": }",
            "invalid JSON: expected value at line 2 column 9",
        ),
        (
            "{} {}",
            "invalid JSON: trailing characters at line 1 column 4",
        ),
        (
            r#"{"text":"a"#,
            "invalid JSON: EOF while parsing a string at line 1 column 10",
        ),
        ("[1]", "expected an object"),
        (r#""x""#, "expected an object"),
        ("5", "expected an object"),
        (
            r#"{"text":{"a":1}}"#,
            "field text: expected a string, found an object at line 1",
        ),
        (
            r#"{"text":[1]}"#,
            "field text: expected a string, found a list",
        ),
        (
            r#"{"small":"x"}"#,
            r#"field small: expected a number, found the string "x""#,
        ),
        (
            r#"{"small":""}"#,
            r#"field small: expected a number, found the string """#,
        ),
        (
            r#"{"small":true}"#,
            "field small: expected a number, found true",
        ),
        (
            r#"{"small":3000000000}"#,
            "field small: 3000000000 is out of range for int32",
        ),
        (
            r#"{"unsigned":-1}"#,
            "field unsigned: -1 is out of range for uint32",
        ),
        (r#"{"small":1.5}"#, "field small: 1.5 is not a whole number"),
        (
            r#"{"big":1e300}"#,
            "field big: 1e300 is out of range for int64",
        ),
        (r#"{"double":"inf"}"#, "field double: expected a number"),
        (
            r#"{"single":1e300}"#,
            "field single: 1e300 is out of range for float",
        ),
        (
            r#"{"flag":"maybe"}"#,
            r#"field flag: expected true or false, found the string "maybe""#,
        ),
        (
            r#"{"data":"%"}"#,
            r#"field data: expected base64 text, found the string "%""#,
        ),
        (
            r#"{"color":"BLUE"}"#,
            r#"field color: expected a name of enum Color"#,
        ),
        (r#"{"child":"x"}"#, "expected an object in field child"),
        (
            r#"{"child":{"children":[{},{"text":{}}]}}"#,
            "field child.children[1].text: expected a string, found an object",
        ),
        (
            r#"{"by_name":{"x y":{"small":[]}}}"#,
            r#"field by_name["x y"].small: expected a number, found a list"#,
        ),
        (
            r#"{"texts":{"a":1}}"#,
            "field texts: expected a list, found an object",
        ),
        (
            r#"{"texts":[null]}"#,
            "field texts[0]: null cannot stand in a list",
        ),
        (
            r#"{"labels":[1]}"#,
            "field labels: expected an object, found a list",
        ),
        (
            r#"{"labels":"x"}"#,
            "field labels: expected an object, found a scalar",
        ),
        (
            r#"{"labels":{"a":null}}"#,
            r#"field labels["a"]: null cannot stand in a map"#,
        ),
        (r#"{"at":"yesterday"}"#, "field at: "),
        (r#"{"text":"\ud800"}"#, "at line 1 column"),
    ] {
        let error = from_json(&all(), json.as_bytes()).expect_err(json);
        assert!(matches!(error, JsonError::Invalid(_)));
        let text = error.to_string();
        assert!(text.contains(want), "{json}: {text}");
        assert!(text.contains("at line "), "{json}: {text}");
        assert_eq!(text.matches("at line ").count(), 1, "{json}: {text}");
        assert_eq!(error.into_error("x").code, 400);
    }
    let error = from_json(&all(), b"{\"text\":\"\xff\"}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the body is not UTF-8: invalid byte at 9"
    );
}

#[test]
fn hostile_nesting_is_an_error() {
    for (open, close) in [
        (r#"{"child":"#, "}"),
        (r#"{"children":["#, "]}"),
        (r#"{"by_name":{"x":"#, "}}"),
        (r#"{"any_json":["#, "]}"),
        ("[", "]"),
    ] {
        let deep = |n: usize| format!("{}{{}}{}", open.repeat(n), close.repeat(n));
        assert!(
            from_json(&all(), deep(100_000).as_bytes()).is_err(),
            "{open}"
        );
    }
    let any = format!(
        r#"{{"any_json":{}1{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(from_json(&all(), any.as_bytes()).is_err());
    let unknown = format!(
        r#"{{"nosuch":{}1{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    // Passed over or refused, but never a crash.
    let _ = from_json(&all(), unknown.as_bytes());
    let fine = format!("{}{{}}{}", r#"{"child":"#.repeat(60), "}".repeat(60));
    let bytes = json_to_proto(&all(), fine.as_bytes()).unwrap();
    assert!(proto_to_json(&all(), bytes).is_ok());
}

#[test]
fn given() {
    let empty = DynamicMessage::new(all());
    assert_eq!(
        String::from_utf8(to_json(&empty).unwrap()).unwrap(),
        r#"{"text":"","flag":false,"small":0,"big":"0","unsigned":0,"huge":"0","single":0.0,"double":0.0,"data":"","snake_case":"","color":"NONE","child":null,"texts":[],"children":[],"labels":{},"by_name":{},"at":null,"any_json":null}"#
    );
    let full = from_json(
        &all(),
        br#"{"labels":{"b":1,"a":2},"that":"x","color":9,"double":"NaN"}"#,
    );
    let text = String::from_utf8(to_json(&full.unwrap()).unwrap()).unwrap();
    for part in [
        r#""labels":{"a":"2","b":"1"}"#,
        r#""that":"x""#,
        r#""color":9"#,
        r#""double":"NaN""#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("this"), "{text}");
}

#[test]
fn bytes_that_are_no_message() {
    let error = proto_to_json(&all(), Bytes::from_static(b"\xff\xff")).unwrap_err();
    assert!(matches!(error, JsonError::Protobuf(_)));
    assert_eq!(error.into_error("x").code, 500);
}
