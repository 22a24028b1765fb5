//! "Config".

use crate::Reader;

impl Reader {
    /// A line and exactly what it prints.
    async fn prints(&self, line: &str, expected: &str) {
        let printed = self.shows(line).await;
        let expected = match expected {
            "" => String::new(),
            expected => format!("{expected}\n"),
        };
        assert_eq!(printed, expected, "{line}");
    }
}

pub(crate) async fn plain(reader: &Reader) {
    for (line, printed) in [
        ("set helloworld.somekey hello", ""),
        ("get helloworld.somekey", "hello"),
        ("set helloworld.someotherkey \"Hi there!\"", ""),
        (
            "get helloworld",
            r#"{"somekey":"hello","someotherkey":"Hi there!"}"#,
        ),
        ("set helloworld.someboolkey true", ""),
        ("get helloworld.someboolkey", "true"),
        (
            "get helloworld",
            r#"{"someboolkey":true,"somekey":"hello","someotherkey":"Hi there!"}"#,
        ),
        ("set helloworld.keywithsubs.subkey1 \"So easy!\"", ""),
        (
            "get helloworld",
            r#"{"keywithsubs":{"subkey1":"So easy!"},"someboolkey":true,"somekey":"hello","someotherkey":"Hi there!"}"#,
        ),
        ("del helloworld.someotherkey", ""),
        (
            "get helloworld",
            r#"{"keywithsubs":{"subkey1":"So easy!"},"someboolkey":true,"somekey":"hello"}"#,
        ),
        ("del helloworld.keywithsubs", ""),
        (
            "get helloworld",
            r#"{"someboolkey":true,"somekey":"hello"}"#,
        ),
    ] {
        reader
            .prints(&format!("micro config {line}"), printed)
            .await;
    }
}

pub(crate) async fn secrets(reader: &Reader) {
    for (line, printed) in [
        ("set --secret helloworld.hushkey \"Very secret stuff\"", ""),
        ("get helloworld.hushkey", "[secret]"),
        ("get --secret helloworld.hushkey", "Very secret stuff"),
        (
            "get helloworld",
            r#"{"hushkey":"[secret]","someboolkey":true,"somekey":"hello"}"#,
        ),
        (
            "get --secret helloworld",
            r#"{"hushkey":"Very secret stuff","someboolkey":true,"somekey":"hello"}"#,
        ),
        ("set --secret helloworld.hush_number_key 42", ""),
        (
            "get helloworld",
            r#"{"hush_number_key":"[secret]","hushkey":"[secret]","someboolkey":true,"somekey":"hello"}"#,
        ),
        (
            "get --secret helloworld",
            r#"{"hush_number_key":42,"hushkey":"Very secret stuff","someboolkey":true,"somekey":"hello"}"#,
        ),
    ] {
        reader
            .prints(&format!("micro config {line}"), printed)
            .await;
    }
}

pub(crate) async fn merged(reader: &Reader) {
    for (line, printed) in [
        (r#"set helloworld '{"a": "val1", "b": "val2"}'"#, ""),
        ("get helloworld.a", "val1"),
        ("del helloworld", ""),
        (r#"set helloworld '{"a":1}'"#, ""),
        ("get helloworld", r#"{"a":1}"#),
        (r#"set helloworld '{"b":2}'"#, ""),
        ("get helloworld", r#"{"a":1,"b":2}"#),
    ] {
        reader
            .prints(&format!("micro config {line}"), printed)
            .await;
    }
}
