//! A service whose methods stream in every way that a door has to cope with, frame by frame.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use micro_plugin_api::registry;
use micro_tests::PATIENCE;
use micro_wire::frame::{self, Decoder};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    node::{Incoming, node, trailers},
    platform::Platform,
};

/// What the service tells the test.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A request message, or `None` at their end.
    Got(Option<String>),
    /// It could send this many bytes, and then no more.
    Stopped(usize),
    /// The call was cancelled.
    Cancelled,
    /// The content type and the deadline of a call.
    Head(String, Option<String>),
}

/// What the tests listen to.
pub(crate) type Heard = mpsc::UnboundedReceiver<Told>;

/// Waits for the next thing that the service tells.
pub(crate) async fn hear(heard: &mut Heard) -> Told {
    let told = timeout(PATIENCE, heard.recv()).await;
    told.expect("the service tells something").unwrap()
}

/// Registers service `things`, whose methods all stream.
pub(crate) async fn things(platform: &Platform) -> Heard {
    let (told, heard) = mpsc::unbounded_channel();
    let address = node(move |call| answer(call, told.clone())).await;
    let methods = [
        "Count", "Fail", "Die", "Refuse", "Hang", "Flood", "Echo", "Deaf", "Tell",
    ];
    let endpoints = methods.map(|name| registry::Endpoint {
        name: format!("Things.{name}"),
        metadata: [("stream".to_owned(), "true".to_owned())].into(),
        ..Default::default()
    });
    platform
        .register_with("things", &[address], endpoints.to_vec())
        .await;
    heard
}

/// Reads request messages as they come.
struct Requests {
    decoder: Decoder,
}

impl Requests {
    async fn next(&mut self, call: &mut Incoming) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame.payload);
            }
            let body = call.request.body_mut();
            let chunk = body.data().await?.ok()?;
            let _ = body.flow_control().release_capacity(chunk.len());
            self.decoder.push(chunk);
        }
    }
}

async fn answer(mut call: Incoming, told: mpsc::UnboundedSender<Told>) {
    let method = call.request.uri().path().to_owned();
    let mut requests = Requests {
        decoder: Decoder::default(),
    };
    let message = |text: &str| frame::encode(Bytes::copy_from_slice(text.as_bytes()));
    let good = || trailers(&[("grpc-status", "0")]);
    let error = micro_wire::Error::conflict("things", "taken already").to_json();
    match method.rsplit('/').next().unwrap() {
        "Count" => {
            let mut stream = call.head(&[], false);
            for at in 0..3 {
                let text = format!("{{\"count\":\"{at}\"}}");
                stream.send_data(message(&text), false).unwrap();
            }
            stream.send_trailers(good()).unwrap();
        }
        "Fail" => {
            let mut stream = call.head(&[], false);
            stream.send_data(message("{\"one\":1}"), false).unwrap();
            let bad = trailers(&[("grpc-status", "6"), ("grpc-message", &error)]);
            stream.send_trailers(bad).unwrap();
        }
        "Die" => {
            let mut stream = call.head(&[], false);
            stream.send_data(message("{\"one\":1}"), false).unwrap();
            // Not before the message has left, which a reset would overtake.
            requests.next(&mut call).await;
            told.send(Told::Got(None)).unwrap();
            tokio::task::yield_now().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        "Refuse" => {
            call.head(&[("grpc-status", "6"), ("grpc-message", &error)], true);
        }
        "Hang" => {
            let mut stream = call.head(&[], false);
            stream.send_data(message("{\"one\":1}"), false).unwrap();
            let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
            assert_eq!(reset.unwrap(), Reason::CANCEL);
            told.send(Told::Cancelled).unwrap();
        }
        "Flood" => flood(call, told).await,
        "Deaf" => {
            // It reads no request, and answers when it is let go of.
            let mut stream = call.head(&[], false);
            stream.send_data(message("{\"one\":1}"), false).unwrap();
            let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
            let _ = told.send(Told::Cancelled);
        }
        "Tell" => {
            let headers = call.request.headers().clone();
            let value = |name: &str| {
                let value = headers.get(name)?;
                Some(value.to_str().unwrap().to_owned())
            };
            let head = Told::Head(value("content-type").unwrap(), value("grpc-timeout"));
            told.send(head).unwrap();
            let mut stream = call.head(&[], false);
            for name in [
                "authorization",
                "cookie",
                "foobar",
                "sec-websocket-protocol",
            ] {
                let text = format!("{{\"{name}\":\"{}\"}}", value(name).unwrap_or_default());
                stream.send_data(message(&text), false).unwrap();
            }
            stream.send_trailers(good()).unwrap();
        }
        "Echo" => {
            let mut stream = call.head(&[], false);
            while let Some(request) = requests.next(&mut call).await {
                let text = String::from_utf8_lossy(&request).into_owned();
                let _ = told.send(Told::Got(Some(text)));
                if stream.send_data(frame::encode(request), false).is_err() {
                    return;
                }
            }
            let _ = told.send(Told::Got(None));
            let _ = stream.send_trailers(good());
        }
        // It has no reflection either.
        _ => drop(call.head(&[("grpc-status", "12")], true)),
    }
}

/// Sends as much as it can: it is done when it finds no room for half a second.
async fn flood(mut call: Incoming, told: mpsc::UnboundedSender<Told>) {
    let mut stream = call.head(&[], false);
    let text = format!("{{\"text\":\"{}\"}}", "x".repeat(64 * 1024));
    let mut total = 0;
    'sending: while total < 128 * 1024 * 1024 {
        let mut message = frame::encode(text.clone().into());
        while !message.is_empty() {
            stream.reserve_capacity(message.len());
            let room = std::future::poll_fn(|cx| stream.poll_capacity(cx));
            match timeout(Duration::from_millis(500), room).await {
                Ok(Some(Ok(room))) => {
                    let part = message.split_to(room.min(message.len()));
                    total += part.len();
                    stream.send_data(part, false).unwrap();
                }
                Ok(_) => {
                    told.send(Told::Cancelled).unwrap();
                    return;
                }
                Err(_) => {
                    told.send(Told::Stopped(total)).unwrap();
                    // The rest of this message, as it is read.
                    stream.reserve_capacity(message.len());
                    let rest = message.split_to(message.len());
                    stream.send_data(rest, false).unwrap();
                    break 'sending;
                }
            }
        }
    }
    let _ = stream.send_trailers(trailers(&[("grpc-status", "0")]));
}
