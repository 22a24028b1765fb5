//! The cases of the reference's own suite, and what it leaves open.

use super::*;
use crate::rules::Resource;

const GRANTED: Effect = Effect::Granted;
const DENIED: Effect = Effect::Denied;

fn rule(scope: &str, endpoint: &str, access: Effect, priority: i32) -> Rule {
    named("foo", scope, endpoint, access, priority)
}

fn named(name: &str, scope: &str, endpoint: &str, access: Effect, priority: i32) -> Rule {
    Rule {
        id: String::new(),
        scope: scope.into(),
        resource: Resource {
            kind: "service".into(),
            name: name.into(),
            endpoint: endpoint.into(),
        },
        access,
        priority,
    }
}

fn account(issuer: &str, scopes: &[&str]) -> Account {
    Account {
        id: "x".into(),
        issuer: issuer.into(),
        scopes: scopes.iter().map(|&s| s.into()).collect(),
        ..Account::default()
    }
}

/// A call of `service:foo:ENDPOINT` in `namespace`.
#[track_caller]
fn check_in(
    namespace: &str,
    rules: Vec<Rule>,
    caller: Option<&Account>,
    endpoint: &str,
    allowed: bool,
) {
    let what = format!("{rules:?} for {caller:?}");
    let set = RuleSet::new(rules);
    assert_eq!(
        set.allows(caller, "service", "foo", endpoint, namespace),
        allowed,
        "{what}"
    );
}

#[track_caller]
fn check(rules: Vec<Rule>, caller: Option<&Account>, endpoint: &str, allowed: bool) {
    check_in("micro", rules, caller, endpoint, allowed);
}

#[test]
fn scopes() {
    let plain = &account("micro", &[]);
    let scoped = &account("micro", &["scope1"]);
    // 1: no rules
    check(vec![], Some(plain), "Foo.Bar", false);
    // 2, 3: public, without and with an account
    check(vec![rule("", "*", GRANTED, 0)], None, "Foo.Bar", true);
    check(
        vec![rule("", "*", GRANTED, 0)],
        Some(plain),
        "Foo.Bar",
        true,
    );
    // 4, 5: every account
    check(vec![rule("*", "*", GRANTED, 0)], None, "Foo.Bar", false);
    check(
        vec![rule("*", "*", GRANTED, 0)],
        Some(plain),
        "Foo.Bar",
        true,
    );
    // 6: another name
    let other = named("bar", "*", "*", GRANTED, 0);
    check(vec![other], Some(plain), "Foo.Bar", false);
    // 7, 8: a scope that the account has, and one that it lacks
    check(
        vec![rule("scope1", "*", GRANTED, 0)],
        Some(scoped),
        "Foo.Bar",
        true,
    );
    check(
        vec![rule("scope2", "*", GRANTED, 0)],
        Some(scoped),
        "Foo.Bar",
        false,
    );
    // 9: denied
    check(
        vec![rule("*", "*", DENIED, 0)],
        Some(plain),
        "Foo.Bar",
        false,
    );
}

#[test]
fn priorities() {
    let plain = &account("micro", &[]);
    // 10, 11: the higher one decides, whichever stands first
    for (high, allowed) in [(GRANTED, true), (DENIED, false)] {
        let low = if high == GRANTED { DENIED } else { GRANTED };
        let (high, low) = (rule("*", "*", high, 1), rule("*", "*", low, 0));
        check(
            vec![high.clone(), low.clone()],
            Some(plain),
            "Foo.Bar",
            allowed,
        );
        check(vec![low, high], Some(plain), "Foo.Bar", allowed);
    }
    // Of the same priority the first decides.
    let both = vec![rule("*", "*", DENIED, 3), rule("*", "*", GRANTED, 3)];
    check(both, Some(plain), "Foo.Bar", false);
    // One that is about somebody else is passed over.
    let both = vec![rule("scope", "*", DENIED, 1), rule("*", "*", GRANTED, 0)];
    check(both, Some(plain), "Foo.Bar", true);
}

#[test]
fn endpoints() {
    let plain = &account("micro", &[]);
    for (pattern, endpoint, allowed) in [
        // 12 to 17
        ("/foo/bar", "/foo/bar", true),
        ("*", "/foo/bar", true),
        ("/foo/*", "/foo/bar", true),
        ("/*", "/foo/bar", true),
        ("/bar/*", "/foo/bar", false),
        ("/foo", "/foo/bar", false),
        // and beyond
        ("/foo/*", "/foo/bar/baz", true),
        ("/foo/*", "/foo", false),
        ("/foo/*", "/foobar/x", false),
        ("/FOO/*", "/foo/bar", true),
        ("Foo.Bar", "foo.bar", true),
        ("Foo.Bar", "Foo.Baz", false),
        ("Foo.*", "Foo.Bar", false),
        ("/É/*", "/é/x", true),
    ] {
        let rules = vec![rule("*", pattern, GRANTED, 0)];
        check(rules, Some(plain), endpoint, allowed);
    }
}

#[test]
fn issuers() {
    let foo = &account("foo", &["scope1"]);
    let nobodys = &account("", &[]);
    // 18 to 24
    for (scope, caller, namespace, allowed) in [
        ("*", foo, "foo", true),
        ("*", foo, "bar", false),
        ("", foo, "bar", true),
        ("*", nobodys, "bar", false),
        ("+", foo, "bar", true),
        ("+", nobodys, "bar", true),
        ("scope1", foo, "bar", false),
    ] {
        let rules = vec![rule(scope, "*", GRANTED, 0)];
        check_in(namespace, rules, Some(caller), "Foo.Bar", allowed);
        let rules = vec![rule(scope, "*", DENIED, 0)];
        check_in(namespace, rules, Some(caller), "Foo.Bar", false);
    }
    // Nobody has no account of any namespace.
    check_in(
        "bar",
        vec![rule("+", "*", GRANTED, 0)],
        None,
        "Foo.Bar",
        false,
    );
    // Whoever is of elsewhere is refused by the first rule that is not public, even one that
    // grants more further down.
    let both = vec![rule("*", "*", GRANTED, 1), rule("", "*", GRANTED, 0)];
    check_in("bar", both, Some(foo), "Foo.Bar", false);
}

#[test]
fn kinds_and_names() {
    let everything = RuleSet::new(vec![Rule::default_rule()]);
    assert!(everything.allows(None, "service", "x", "A.B", "any"));
    let mut one = rule("", "*", GRANTED, 0);
    one.resource.kind = "Service".into();
    one.resource.name = "FOO".into();
    let one = RuleSet::new(vec![one]);
    assert!(one.allows(None, "service", "foo", "A.B", "any"));
    assert!(!one.allows(None, "other", "foo", "A.B", "any"));
}
