//! Write a micro service in twenty lines: handlers, registration, credentials, and clients of the platform.
