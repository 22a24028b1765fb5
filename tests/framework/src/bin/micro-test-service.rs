//! A service for end-to-end tests, ready to run: nothing has to be compiled on the platform.

use micro_framework_tests::{
    Handler,
    proto::{self, kinds_server::KindsServer},
};

fn main() -> std::process::ExitCode {
    micro::Service::new("micro-test-service")
        .handler(KindsServer::new(Handler::default()), proto::DESCRIPTORS)
        .run()
}
