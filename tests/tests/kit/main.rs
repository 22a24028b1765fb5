//! What a user has before there is a server: profiles to look at and begin, and plugins to inspect,
//! verify and put to the test.

mod floods;
mod home;
mod plugins;
mod profiles;
mod zoo;
