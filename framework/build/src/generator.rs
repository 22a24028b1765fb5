//! tonic's code for a service, adapted to the framework: its paths, message limits, and which calls are unary.

use prost_build::{Service, ServiceGenerator};

/// Wraps tonic's generator.
pub(crate) struct Generator {
    tonic: Box<dyn ServiceGenerator>,
}

impl Generator {
    pub(crate) fn new() -> Self {
        let tonic = tonic_prost_build::configure()
            // A client is made over `micro::Client::service`; a method may be called `connect`.
            .build_transport(false)
            .codec_path("::micro::tonic_prost::ProstCodec")
            .service_generator();
        Self { tonic }
    }
}

impl ServiceGenerator for Generator {
    fn generate(&mut self, service: Service, buf: &mut String) {
        let mut code = String::new();
        self.tonic.generate(service, &mut code);
        buf.push_str(&adapt(&code));
    }
}

/// What tonic writes, and what we need there instead. Each is a place that tonic has no setting for.
const REPLACED: [(&str, &str); 3] = [
    // tonic's own limit is 4 MiB.
    (
        "max_decoding_message_size: None,",
        "max_decoding_message_size: Some(::micro::MAX_MESSAGE),",
    ),
    (
        "let inner = tonic::client::Grpc::new(inner);",
        "let inner = tonic::client::Grpc::new(inner)\
         .max_decoding_message_size(::micro::MAX_MESSAGE);",
    ),
    // A call has a deadline by default, a stream has none: the client must be able to tell.
    (
        "self.inner.unary(req, ",
        "self.inner.unary(::micro::client::unary(req), ",
    ),
];

fn adapt(code: &str) -> String {
    let code = REPLACED
        .iter()
        .fold(code.to_owned(), |code, (theirs, ours)| {
            code.replace(theirs, ours)
        });
    let mut out = String::with_capacity(code.len() * 5 / 4);
    let mut rest = code.as_str();
    while let Some(at) = rest.find("tonic::") {
        let before = &rest[..at];
        out.push_str(before);
        let continues =
            before.ends_with(|last: char| last == ':' || last == '_' || last.is_alphanumeric());
        out.push_str(if continues {
            "tonic::"
        } else {
            "::micro::tonic::"
        });
        rest = &rest[at + "tonic::".len()..];
    }
    out.push_str(rest);
    out
}
