//! The error as a gRPC status and back: one table of codes for the whole platform.

use http::HeaderMap;
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status};

use super::{CLIENT_ID, Error};

/// Where an error stands among the details of a status.
const TYPE_URL: &str = "type.googleapis.com/errors.Error";

/// `google.rpc.Status`, the contents of `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Message)]
struct RichStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

impl Error {
    /// The trailers that end a response with this error.
    #[must_use]
    pub fn into_trailers(self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        // Fails only for a message or metadata that is no header: the one is percent-encoded, and
        // there is none of the other.
        let _ = Status::from(self).add_header(&mut trailers);
        trailers
    }

    /// The gRPC code that an error of this HTTP number travels under.
    #[must_use]
    pub fn grpc_code(&self) -> Code {
        match self.code {
            400 => Code::InvalidArgument,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::NotFound,
            408 => Code::DeadlineExceeded,
            409 => Code::AlreadyExists,
            412 => Code::FailedPrecondition,
            429 => Code::ResourceExhausted,
            500 => Code::Internal,
            501 => Code::Unimplemented,
            503 => Code::Unavailable,
            // 200 too: an error that travelled as OK would be taken for an answer.
            _ => Code::Unknown,
        }
    }

    /// The error that a status carries: in its details, else as JSON in its message, else made of
    /// its code and plain text with the id `go.micro.client`.
    #[must_use]
    pub fn from_status(status: &Status) -> Self {
        if let Some(error) = from_details(status.details()) {
            return error;
        }
        let parsed = Self::parse(status.message());
        if parsed.code > 0 {
            return parsed;
        }
        let code = match status.code() {
            Code::InvalidArgument | Code::OutOfRange => 400,
            Code::Unauthenticated => 401,
            Code::PermissionDenied => 403,
            Code::NotFound => 404,
            Code::DeadlineExceeded => 408,
            Code::AlreadyExists | Code::Aborted => 409,
            Code::FailedPrecondition => 412,
            Code::ResourceExhausted => 429,
            Code::Cancelled => 499,
            // "unknown service Foo.Bar", or nothing at all from a stock gRPC server: no such endpoint.
            Code::Unimplemented
                if status.message().is_empty() || status.message().starts_with("unknown ") =>
            {
                404
            }
            Code::Unimplemented => 501,
            Code::Unavailable => 503,
            Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => 500,
        };
        let detail = match status.message() {
            "" => status.code().description(),
            text => text,
        };
        Self::new(CLIENT_ID, code, detail)
    }

    /// A trailers-only gRPC response with this error, for a door that answers by itself.
    #[must_use]
    pub fn grpc_response<B: Default>(&self) -> http::Response<B> {
        Status::from(self.clone()).into_http()
    }
}

fn from_details(bytes: &[u8]) -> Option<Error> {
    if bytes.is_empty() {
        return None;
    }
    let rich = RichStatus::decode(bytes).ok()?;
    let any = rich
        .details
        .first()
        .filter(|any| any.type_url.ends_with("/errors.Error"))?;
    let micro_proto::errors::Error {
        id,
        code,
        detail,
        status,
        ..
    } = Message::decode(any.value.as_slice()).ok()?;
    (code > 0).then_some(Error {
        id,
        code,
        detail,
        status,
    })
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let code = error.grpc_code();
        let message = error.to_json();
        let Error {
            id,
            code: number,
            detail,
            status,
        } = error;
        let proto = micro_proto::errors::Error {
            id,
            code: number,
            detail,
            status,
        };
        let any = Any {
            type_url: TYPE_URL.to_owned(),
            value: proto.encode_to_vec(),
        };
        let rich = RichStatus {
            code: code as i32,
            message: message.clone(),
            details: vec![any],
        };
        Self::with_details(code, message, rich.encode_to_vec().into())
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::from_status(&status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (number, code) in [
            (400, Code::InvalidArgument),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::NotFound),
            (405, Code::Unknown),
            (408, Code::DeadlineExceeded),
            (409, Code::AlreadyExists),
            (412, Code::FailedPrecondition),
            (429, Code::ResourceExhausted),
            (500, Code::Internal),
            (501, Code::Unimplemented),
            (503, Code::Unavailable),
            (504, Code::Unknown),
            (200, Code::Unknown),
        ] {
            let error = Error::new("svc", number, "oops 100%!");
            let status = Status::from(error.clone());
            assert_eq!(status.code(), code, "{number}");
            assert_eq!(status.message(), error.to_json());
            assert_eq!(Error::from_status(&status), error);
            // What a Go proxy leaves of it: another code, no details.
            assert_eq!(
                Error::from_status(&Status::internal(error.to_json())),
                error
            );
        }
    }

    #[test]
    fn plain_statuses() {
        for (status, code, detail) in [
            (Status::unknown("boom"), 500, "boom"),
            (
                Status::unimplemented("unknown service Foo.Bar"),
                404,
                "unknown service Foo.Bar",
            ),
            (
                Status::unimplemented(""),
                404,
                Code::Unimplemented.description(),
            ),
            (Status::unimplemented("not yet"), 501, "not yet"),
            (Status::deadline_exceeded("late"), 408, "late"),
            (Status::unavailable("down"), 503, "down"),
            (
                Status::with_details(Code::Internal, "x", vec![0xff, 1].into()),
                500,
                "x",
            ),
        ] {
            let error = Error::from_status(&status);
            assert_eq!(
                (error.id.as_str(), error.code, &*error.detail),
                (CLIENT_ID, code, detail)
            );
        }
    }

    #[test]
    fn a_door_answers_by_itself() {
        let response = Error::not_found("go.micro.client", "é").grpc_response::<()>();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "5");
        assert_eq!(response.headers()["content-type"], "application/grpc");
        assert!(response.headers().contains_key("grpc-status-details-bin"));
    }
}
