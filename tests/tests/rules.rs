//! Rules in process: making, deleting and listing them, who may, and what they then decide.

use micro_access::KeySource;
use micro_proto::auth::{
    Access, CreateRequest, DeleteRequest, GenerateRequest, ListRequest, Options, Resource, Rule,
    auth_client::AuthClient, rules_client::RulesClient,
};
use micro_tests::{Core, Door, call_json, wait_for};
use micro_wire::Error;
use secrecy::ExposeSecret as _;

const CREATE: &str = "auth.Rules.Create";
const DELETE: &str = "auth.Rules.Delete";
const LIST: &str = "auth.Rules.List";

fn options(namespace: &str) -> Option<Options> {
    Some(Options {
        namespace: namespace.into(),
    })
}

fn rule(id: &str, scope: &str, access: Access, priority: i32, resource: &str) -> Rule {
    let [kind, name, endpoint] = resource.split(':').collect::<Vec<_>>()[..] else {
        panic!("{resource} is no resource");
    };
    Rule {
        id: id.into(),
        scope: scope.into(),
        resource: Some(Resource {
            r#type: kind.into(),
            name: name.into(),
            endpoint: endpoint.into(),
        }),
        access: access.into(),
        priority,
    }
}

async fn create(door: &Door, namespace: &str, rule: Rule) -> Result<(), Error> {
    let request = CreateRequest {
        rule: Some(rule),
        options: options(namespace),
    };
    RulesClient::new(door.clone()).create(request).await?;
    Ok(())
}

async fn delete(door: &Door, namespace: &str, id: &str) -> Result<(), Error> {
    let request = DeleteRequest {
        id: id.into(),
        options: options(namespace),
    };
    RulesClient::new(door.clone()).delete(request).await?;
    Ok(())
}

/// The ids of the rules of a namespace.
async fn ids(door: &Door, namespace: &str) -> Result<Vec<String>, Error> {
    let request = ListRequest {
        options: options(namespace),
    };
    let listed = RulesClient::new(door.clone()).list(request).await?;
    let rules = listed.into_inner().rules;
    Ok(rules.into_iter().map(|rule| rule.id).collect())
}

/// What a call of a core service that anybody may make comes to.
async fn call(door: &Door) -> Result<(), Error> {
    call_json(door, "/registry.Registry/ListServices", "{}").await?;
    Ok(())
}

/// The door of a new account.
async fn member(
    core: &Core,
    admin: &Door,
    namespace: &str,
    id: &str,
    kind: &str,
    scopes: &[&str],
) -> Door {
    let request = GenerateRequest {
        id: id.into(),
        r#type: kind.into(),
        scopes: scopes.iter().map(|&scope| scope.into()).collect(),
        secret: "s3cret".into(),
        options: options(namespace),
        ..GenerateRequest::default()
    };
    let made = AuthClient::new(admin.clone()).generate(request).await;
    made.expect("the account is made");
    let token = core.login(namespace, id, "s3cret").await;
    core.door(&token.expect("it logs in").access_token, namespace)
}

#[tokio::test]
async fn what_a_rule_needs() {
    let core = Core::start().await;
    let admin = core.admin().await;
    let good = rule("r", "", Access::Granted, 0, "service:x:*");
    let long = "x".repeat(5000);
    for (rule, detail) in [
        (None, "Rule missing"),
        (Some(Rule::default()), "ID missing"),
        (
            Some(Rule {
                resource: None,
                ..good.clone()
            }),
            "Resource missing",
        ),
        (
            Some(Rule {
                access: Access::Unknown.into(),
                ..good.clone()
            }),
            "Access missing",
        ),
        (
            Some(Rule {
                access: 7,
                ..good.clone()
            }),
            "Access missing",
        ),
        (
            Some(Rule {
                resource: Some(Resource {
                    r#type: "service".into(),
                    name: "x".into(),
                    endpoint: String::new(),
                }),
                ..good.clone()
            }),
            "the resource has no endpoint, so the rule would never apply; '*' stands for any",
        ),
        (
            Some(Rule {
                id: "a\nb".into(),
                ..good.clone()
            }),
            "the ID \"a\\nb\" holds control characters",
        ),
    ] {
        let request = CreateRequest {
            rule,
            options: None,
        };
        let refused = RulesClient::new(admin.clone()).create(request).await;
        assert_eq!(
            Error::from(refused.unwrap_err()),
            Error::bad_request(CREATE, detail)
        );
    }
    for long in [
        Rule {
            id: long.clone(),
            ..good.clone()
        },
        Rule {
            scope: long.clone(),
            ..good.clone()
        },
        rule("r", "", Access::Granted, 0, &format!("service:x:{long}")),
    ] {
        let refused = create(&admin, "", long).await.unwrap_err();
        assert_eq!(refused.code, 400);
        assert!(refused.detail.len() < 300, "{}", refused.detail);
    }
    for namespace in ["a/b", "*", "a b", long.as_str()] {
        let refused = create(&admin, namespace, good.clone()).await.unwrap_err();
        assert_eq!(refused.code, 400, "{namespace}");
        assert!(refused.detail.len() < 300, "{}", refused.detail);
    }
    assert_eq!(
        create(&admin, "$platform", good.clone()).await,
        Err(Error::forbidden(CREATE, "Access denied to namespace"))
    );
    // Nothing of that is there, and the default rule still is.
    assert_eq!(ids(&admin, "micro").await.unwrap(), ["default"]);

    create(&admin, "", good.clone()).await.unwrap();
    let taken = Error::bad_request(CREATE, "A rule with this ID already exists");
    assert_eq!(create(&admin, "", good).await, Err(taken.clone()));
    assert_eq!(ids(&admin, "micro").await.unwrap(), ["default", "r"]);
    // The default rule of a namespace is there before anybody has asked for it.
    let default = rule("default", "", Access::Denied, 0, "*:*:*");
    assert_eq!(create(&admin, "fresh", default).await, Err(taken));

    delete(&admin, "", "r").await.unwrap();
    delete(&admin, "", "r").await.unwrap();
    delete(&admin, "", "nosuch").await.unwrap();
    assert_eq!(
        delete(&admin, "", "").await,
        Err(Error::bad_request(DELETE, "ID missing"))
    );
    assert_eq!(ids(&admin, "micro").await.unwrap(), ["default"]);
}

#[tokio::test]
async fn a_first_rule_stands_beside_the_default_one() {
    let core = Core::start().await;
    let admin = core.admin().await;
    let anonymous = core.door("", "");
    // Nobody has listed the rules, so none is stored yet.
    let strict = rule("onlyloggedin", "*", Access::Granted, 0, "*:*:*");
    create(&admin, "", strict).await.unwrap();
    call(&anonymous).await.unwrap();
    assert_eq!(
        ids(&admin, "micro").await.unwrap(),
        ["default", "onlyloggedin"]
    );
    delete(&admin, "", "default").await.unwrap();
    assert_eq!(
        call(&anonymous).await,
        Err(Error::unauthorized(
            "registry",
            "Unauthorized call made to registry:Registry.ListServices"
        ))
    );
    call(&admin).await.unwrap();
    // With its last rule gone, a namespace begins anew.
    delete(&admin, "", "onlyloggedin").await.unwrap();
    call(&anonymous).await.unwrap();
    assert_eq!(ids(&admin, "micro").await.unwrap(), ["default"]);
}

#[tokio::test]
async fn who_may_change_rules() {
    let core = Core::start().await;
    let admin = core.admin().await;
    let of = |namespace: &'static str, id: &'static str, kind, scopes| {
        member(&core, &admin, namespace, id, kind, scopes)
    };
    let chief = of("foo", "chief", "user", &["admin"]).await;
    let plain = of("foo", "plain", "user", &["other"]).await;
    let service = of("foo", "service", "service", &["service"]).await;
    let platform_service = of("micro", "service", "service", &["service"]).await;
    let anonymous = core.door("", "foo");
    let account = "An account is required";
    let denied = "Access denied to namespace";
    let person = "only an account of type `user` with scope `admin` may do this, not a service";
    let attempts = [
        // who, in which namespace, what changing says, what listing says
        (&admin, "foo", None, None),
        (&chief, "foo", None, None),
        (&plain, "foo", Some((401, "Unauthorized")), None),
        (&service, "foo", Some((403, person)), None),
        (&platform_service, "foo", Some((403, person)), None),
        (
            &anonymous,
            "foo",
            Some((401, account)),
            Some((401, account)),
        ),
        (&chief, "micro", Some((403, denied)), Some((403, denied))),
        (&plain, "micro", Some((403, denied)), Some((403, denied))),
        (&service, "bar", Some((403, denied)), Some((403, denied))),
        (
            &admin,
            "$platform",
            Some((403, denied)),
            Some((403, denied)),
        ),
    ];
    let error = |id, said: Option<(i32, &str)>| said.map(|(code, text)| Error::new(id, code, text));
    for (n, (who, namespace, change, list)) in attempts.into_iter().enumerate() {
        let new = rule(&format!("r{n}"), "", Access::Granted, 0, "service:x:*");
        let what = format!("attempt {n}, in {namespace}");
        assert_eq!(
            create(who, namespace, new).await.err(),
            error(CREATE, change),
            "{what}"
        );
        assert_eq!(ids(who, namespace).await.err(), error(LIST, list), "{what}");
        assert_eq!(
            delete(who, namespace, &format!("r{n}")).await.err(),
            error(DELETE, change),
            "{what}"
        );
    }
    assert_eq!(ids(&admin, "foo").await.unwrap(), ["default"]);
}

#[tokio::test]
async fn namespaces_have_their_own_rules() {
    let core = Core::start().await;
    let admin = core.admin().await;
    let shut = rule("shut", "", Access::Denied, 9, "*:*:*");
    create(&admin, "foo", shut).await.unwrap();
    let there = call(&core.door("", "foo")).await.unwrap_err();
    assert_eq!(there.code, 401);
    for open in ["", "micro", "bar"] {
        call(&core.door("", open)).await.unwrap();
    }
    assert_eq!(ids(&admin, "micro").await.unwrap(), ["default"]);
    assert_eq!(ids(&admin, "foo").await.unwrap(), ["default", "shut"]);
}

#[tokio::test]
async fn whoever_administers_rules_gets_back_in() {
    let core = Core::start().await;
    let admin = core.admin().await;
    member(&core, &admin, "micro", "jane", "user", &["plain"]).await;
    let service = core
        .access
        .accounts()
        .create_service_account("micro", "hello", "latest")
        .await
        .unwrap();
    let shut = rule("shut", "", Access::Denied, i32::MAX, "*:*:*");
    create(&admin, "", shut).await.unwrap();

    let denied = Error::unauthorized("auth", "Unauthorized call made to auth:Auth.Token");
    for (id, secret) in [
        ("jane", "s3cret"),
        ("hello-latest", service.secret.expose_secret()),
        // Not a word on what is wrong with it.
        ("admin", "wrong"),
        ("nobody", "wrong"),
        ("", ""),
    ] {
        let refused = core.login("micro", id, secret).await;
        assert_eq!(refused.unwrap_err(), denied, "{id}");
    }
    let token = core.login("micro", "admin", "micro").await.unwrap();
    let back = core.door(&token.access_token, "");
    // Rules hold for admins too, but for what it takes to mend them.
    assert_eq!(call(&back).await.unwrap_err().code, 403);
    assert_eq!(ids(&back, "micro").await.unwrap(), ["default", "shut"]);
    let inspect = format!("{{\"token\":\"{}\"}}", token.access_token);
    let inspected = call_json(&back, "/auth.Auth/Inspect", &inspect)
        .await
        .unwrap();
    assert_eq!(inspected["account"]["id"], "admin");
    delete(&back, "", "shut").await.unwrap();
    call(&core.door("", "")).await.unwrap();
}

#[tokio::test]
async fn one_of_many_racing_creations_succeeds_and_every_server_obeys() {
    let core = Core::start().await;
    let other = core.another(KeySource::Memory).await;
    let doors = [core.admin().await, other.admin().await];
    let mut racing = Vec::new();
    for n in 0..8 {
        let door = doors[n % 2].clone();
        racing.push(tokio::spawn(async move {
            let shut = rule("shut", "", Access::Denied, 1, "service:registry:*");
            create(&door, "", shut).await
        }));
    }
    let mut made = 0;
    for result in racing {
        match result.await.unwrap() {
            Ok(()) => made += 1,
            Err(error) => assert_eq!(error.detail, "A rule with this ID already exists"),
        }
    }
    assert_eq!(made, 1);
    for (server, door) in [&core, &other].into_iter().zip(&doors) {
        let anonymous = server.door("", "");
        wait_for("the rule to hold", || async {
            call(&anonymous).await.err()
        })
        .await;
        assert_eq!(ids(door, "micro").await.unwrap(), ["default", "shut"]);
    }
}
