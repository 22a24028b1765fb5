//! The auth service in process: accounts, tokens, secrets.

mod powers;

use std::collections::HashSet;

use micro_access::{AccountError, KeySource, NewAccount, Reach};
use micro_proto::auth::{
    ChangeSecretRequest, DeleteAccountRequest, GenerateRequest, InspectRequest,
    ListAccountsRequest, Options, TokenRequest, accounts_client::AccountsClient,
    auth_client::AuthClient,
};
use micro_tests::{Core, Door};
use micro_wire::Error;
use secrecy::ExposeSecret as _;
use tonic::{Response, Status};

fn failed<T>(result: Result<Response<T>, Status>) -> Error {
    match result {
        Ok(_) => panic!("succeeded"),
        Err(status) => Error::from_status(&status),
    }
}

#[track_caller]
fn assert_fails<T>(result: Result<Response<T>, Status>, id: &str, code: i32, detail: &str) {
    assert_eq!(failed(result), Error::new(id, code, detail));
}

fn options(namespace: &str) -> Option<Options> {
    Some(Options {
        namespace: namespace.into(),
    })
}

fn new(id: &str) -> GenerateRequest {
    GenerateRequest {
        id: id.into(),
        ..GenerateRequest::default()
    }
}

/// Makes an account of namespace `micro` and gives a door of its own.
async fn member(core: &Core, admin: &Door, request: GenerateRequest) -> Door {
    let namespace = request.options.clone().unwrap_or_default().namespace;
    let made = AuthClient::new(admin.clone()).generate(request).await;
    let made = made.expect("an account is made").into_inner();
    let account = made.account.expect("the answer has an account");
    let token = core
        .login(&namespace, &account.id, &account.secret)
        .await
        .expect("the new account logs in");
    core.door(&token.access_token, "")
}

#[tokio::test]
async fn tokens_for_credentials() {
    const ID: &str = "auth.Auth.Token";
    let core = Core::start().await;
    let mut anonymous = AuthClient::new(core.door("", ""));
    let ask = |id: &str, secret: &str, token_expiry| TokenRequest {
        id: id.into(),
        secret: secret.into(),
        token_expiry,
        ..TokenRequest::default()
    };
    for (token_expiry, valid) in [(0, 900), (600, 600), (60, 60)] {
        let request = ask("admin", "micro", token_expiry);
        let token = anonymous.token(request).await.unwrap().into_inner().token;
        let token = token.unwrap();
        assert_eq!(token.expiry - token.created, valid);
        let request = InspectRequest {
            token: token.access_token,
            ..InspectRequest::default()
        };
        let account = anonymous.inspect(request).await.unwrap().into_inner();
        let account = account.account.unwrap();
        assert_eq!(account.scopes, ["admin"]);
        assert_eq!(
            [account.id, account.r#type, account.issuer, account.secret],
            ["admin", "user", "micro", ""]
        );
    }
    let wrong = anonymous.token(ask("admin", "macro", 0)).await;
    assert_fails(wrong, ID, 400, "Secret not correct");
    let unknown = anonymous.token(ask("nobody", "micro", 0)).await;
    assert_fails(unknown, ID, 400, "Account not found with this ID");
    for nothing in [ask("", "", 0), ask("admin", "", 0), ask("", "micro", 0)] {
        let nothing = anonymous.token(nothing).await;
        assert_fails(nothing, ID, 400, "Credentials or a refresh token required");
    }
    let negative = failed(anonymous.token(ask("admin", "micro", -1)).await);
    assert_eq!((negative.code, negative.id.as_str()), (400, ID));
    for bad in ["", "garbage", "a.b.c"] {
        let request = InspectRequest {
            token: bad.into(),
            ..InspectRequest::default()
        };
        let inspected = anonymous.inspect(request).await;
        assert_fails(
            inspected,
            "auth.Auth.Inspect",
            400,
            "invalid token provided",
        );
    }
    // Another namespace has no default account.
    let elsewhere = core.login("foo", "admin", "micro").await.unwrap_err();
    assert_eq!(elsewhere.detail, "Account not found with this ID");
    let reserved = core.login("$platform", "x", "y").await.unwrap_err();
    assert_eq!(reserved.code, 403);
}

#[tokio::test]
async fn tokens_for_refresh_tokens() {
    let core = Core::start().await;
    let first = core.login("micro", "admin", "micro").await.unwrap();
    let second = core.login("micro", "admin", "micro").await.unwrap();
    assert_eq!(first.refresh_token, second.refresh_token);
    let mut anonymous = AuthClient::new(core.door("", ""));
    let ask = |refresh_token: &str, namespace: &str| TokenRequest {
        refresh_token: refresh_token.into(),
        options: options(namespace),
        ..TokenRequest::default()
    };
    let request = ask(&first.refresh_token, "micro");
    let token = anonymous.token(request).await.unwrap().into_inner().token;
    let door = core.door(&token.unwrap().access_token, "");
    let accounts = AccountsClient::new(door)
        .list(ListAccountsRequest::default())
        .await;
    assert_eq!(accounts.unwrap().into_inner().accounts.len(), 1);
    for (bad, namespace) in [
        ("garbage", "micro"),
        ("00000000-0000-4000-8000-000000000000", "micro"),
        (first.refresh_token.as_str(), "foo"),
        (first.access_token.as_str(), "micro"),
    ] {
        let refused = anonymous.token(ask(bad, namespace)).await;
        assert_fails(refused, "auth.Auth.Token", 400, "invalid token provided");
    }
}

#[tokio::test]
async fn making_accounts() {
    const ID: &str = "auth.Auth.Generate";
    let core = Core::start().await;
    let door = core.admin().await;
    let mut admin = AuthClient::new(door.clone());
    let mut anonymous = AuthClient::new(core.door("", ""));
    assert_fails(
        anonymous.generate(new("x")).await,
        ID,
        401,
        "An account is required",
    );
    assert_fails(admin.generate(new("")).await, ID, 400, "ID required");

    let jane = admin.generate(new("jane")).await.unwrap().into_inner();
    let jane = jane.account.unwrap();
    assert_eq!(
        [&jane.r#type, &jane.name, &jane.issuer],
        ["user", "jane", "micro"]
    );
    assert!(jane.metadata["created"].parse::<u64>().unwrap() > 1_700_000_000);
    assert!(core.login("micro", "jane", &jane.secret).await.is_ok());
    let again = admin.generate(new("jane")).await;
    assert_fails(again, ID, 400, "Account with this ID already exists");
    let same_name = GenerateRequest {
        name: "jane".into(),
        ..new("other")
    };
    assert_fails(
        admin.generate(same_name).await,
        ID,
        400,
        "Account with this Name already exists",
    );
    // By name as well as by id, with a secret of one's own.
    let named = GenerateRequest {
        name: "Bob B.".into(),
        secret: "s3cret".into(),
        ..new("bob")
    };
    admin.generate(named).await.unwrap();
    assert!(core.login("micro", "Bob B.", "s3cret").await.is_ok());

    let listed = AccountsClient::new(door.clone())
        .list(ListAccountsRequest::default())
        .await;
    let listed = listed.unwrap().into_inner().accounts;
    let ids: Vec<_> = listed.iter().map(|account| account.id.as_str()).collect();
    assert_eq!(ids, ["admin", "bob", "jane"]);
    assert!(listed.iter().all(|account| account.secret.is_empty()));

    // Who is no admin makes none and sees none; who is one, in their namespace alone.
    let mut plain = AuthClient::new(
        core.door(
            &core
                .login("micro", "bob", "s3cret")
                .await
                .unwrap()
                .access_token,
            "",
        ),
    );
    assert_fails(plain.generate(new("x")).await, ID, 401, "Unauthorized");
    let chief = GenerateRequest {
        scopes: vec!["admin".into()],
        options: options("foo"),
        ..new("chief")
    };
    let mut chief = AuthClient::new(member(&core, &door, chief).await);
    assert!(chief.generate(new("worker")).await.is_ok());
    for elsewhere in ["micro", "bar", "$platform"] {
        let request = GenerateRequest {
            options: options(elsewhere),
            ..new("spy")
        };
        assert_fails(
            chief.generate(request).await,
            ID,
            403,
            "Access denied to namespace",
        );
    }
    for impossible in ["a/b", "a b", "a,b"] {
        let request = GenerateRequest {
            options: options(impossible),
            ..new("x")
        };
        assert_eq!(failed(admin.generate(request).await).code, 400);
    }
}

#[tokio::test]
async fn one_of_many_racing_creations_succeeds() {
    let core = Core::start().await;
    let other = core.another(KeySource::Memory).await;
    let create = |access: &micro_access::Access, id: &str, name: &str| {
        let (access, new) = (
            access.clone(),
            NewAccount {
                namespace: "micro".into(),
                id: id.into(),
                name: name.into(),
                ..NewAccount::default()
            },
        );
        tokio::spawn(async move { access.accounts().create(new).await })
    };
    for (ids, names) in [
        (["same"; 4], ["n1", "n2", "n3", "n4"]),
        (["i1", "i2", "i3", "i4"], ["name"; 4]),
    ] {
        let mut racing = Vec::new();
        for (n, (id, name)) in ids.into_iter().zip(names).enumerate() {
            let access = if n % 2 == 0 {
                &core.access
            } else {
                &other.access
            };
            racing.push(create(access, id, name));
        }
        let mut made = 0;
        for result in racing {
            match result.await.unwrap() {
                Ok(_) => made += 1,
                Err(AccountError::IdTaken | AccountError::NameTaken) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(made, 1);
    }
    let listed = core.access.accounts().list("micro").await.unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
}

#[tokio::test]
async fn many_first_logins_make_one_admin() {
    let core = Core::start().await;
    let other = core.another(KeySource::Memory).await;
    let logins = (0..4).flat_map(|_| {
        [
            core.login("micro", "admin", "micro"),
            other.login("micro", "admin", "micro"),
        ]
    });
    let tokens: HashSet<_> = futures::future::join_all(logins)
        .await
        .into_iter()
        .map(|token| token.unwrap().refresh_token)
        .collect();
    assert_eq!(tokens.len(), 1);
}

#[tokio::test]
async fn deleting_accounts() {
    const ID: &str = "auth.Accounts.Delete";
    let core = Core::start().await;
    let door = core.admin().await;
    let mut admin = AccountsClient::new(door.clone());
    let delete = |id: &str| DeleteAccountRequest {
        id: id.into(),
        ..DeleteAccountRequest::default()
    };
    let mut anonymous = AccountsClient::new(core.door("", ""));
    let nobody = anonymous.delete(delete("admin")).await;
    assert_fails(nobody, ID, 401, "Unauthorized");
    assert_fails(admin.delete(delete("")).await, ID, 400, "Missing ID");
    let unknown = admin.delete(delete("nobody")).await;
    assert_fails(unknown, ID, 400, "Account not found with this ID");
    let own = admin.delete(delete("admin")).await;
    assert_fails(own, ID, 400, "Can't delete your own account");

    let jane = GenerateRequest {
        scopes: vec!["admin".into()],
        name: "Jane".into(),
        ..new("jane")
    };
    let mut janes = AccountsClient::new(member(&core, &door, jane.clone()).await);
    let own = janes.delete(delete("Jane")).await;
    assert_fails(own, ID, 400, "Can't delete your own account");
    admin.delete(delete("Jane")).await.unwrap();
    // Here at once: the token is none any more.
    assert_fails(
        janes.list(ListAccountsRequest::default()).await,
        "auth.Accounts.List",
        401,
        "An account is required",
    );
    // Whoever is Jane next gets nothing of hers.
    AuthClient::new(door.clone()).generate(jane).await.unwrap();
    let error = failed(janes.list(ListAccountsRequest::default()).await);
    assert_eq!(error.detail, "An account is required");
}

#[tokio::test]
async fn the_default_admin_returns_when_no_user_is_left() {
    let core = Core::start().await;
    let door = core.admin().await;
    let accounts = core.access.accounts();
    let secret = ChangeSecretRequest {
        id: "admin".into(),
        new_secret: "other".into(),
        ..ChangeSecretRequest::default()
    };
    AccountsClient::new(door)
        .change_secret(secret)
        .await
        .unwrap();
    let error = core.login("micro", "admin", "micro").await.unwrap_err();
    assert_eq!(error.detail, "Secret not correct");
    accounts
        .delete("micro", "admin", Reach::Everybody)
        .await
        .unwrap();
    assert!(core.login("micro", "admin", "micro").await.is_ok());
}

#[tokio::test]
async fn changing_secrets() {
    const ID: &str = "auth.Accounts.ChangeSecret";
    let core = Core::start().await;
    let admin = core.admin().await;
    let change = |id: &str, old: &str, new: &str| ChangeSecretRequest {
        id: id.into(),
        old_secret: old.into(),
        new_secret: new.into(),
        ..ChangeSecretRequest::default()
    };
    let bob = GenerateRequest {
        secret: "first".into(),
        ..new("bob")
    };
    let mut bobs = AccountsClient::new(member(&core, &admin, bob).await);
    let mut admins = AccountsClient::new(admin.clone());
    let mut anonymous = AccountsClient::new(core.door("", ""));

    assert_fails(
        anonymous.change_secret(change("bob", "first", "x")).await,
        ID,
        401,
        "An account is required",
    );
    let blank = bobs.change_secret(change("bob", "first", "")).await;
    assert_fails(blank, ID, 400, "New secret should not be blank");
    // A wrong old secret changes nothing, not even for those who need none.
    for who in [&mut bobs, &mut admins] {
        let wrong = who.change_secret(change("bob", "wrong", "x")).await;
        assert_fails(wrong, ID, 400, "Secret not correct");
    }
    let without = bobs.change_secret(change("bob", "", "x")).await;
    assert_fails(without, ID, 400, "Secret not correct");
    let before = core.login("micro", "bob", "first").await.unwrap();

    bobs.change_secret(change("bob", "first", "second"))
        .await
        .unwrap();
    let old = core.login("micro", "bob", "first").await.unwrap_err();
    assert_eq!(old.detail, "Secret not correct");
    assert!(core.login("micro", "bob", "second").await.is_ok());
    // What was handed out for the old secret ends with it.
    let inspected = core.access.inspect(&before.access_token).await;
    assert!(inspected.is_err());
    let refreshed = AuthClient::new(core.door("", ""))
        .token(TokenRequest {
            refresh_token: before.refresh_token,
            ..TokenRequest::default()
        })
        .await;
    assert_fails(refreshed, "auth.Auth.Token", 400, "invalid token provided");

    admins
        .change_secret(change("bob", "", "third"))
        .await
        .unwrap();
    assert!(core.login("micro", "bob", "third").await.is_ok());
    let unknown = admins.change_secret(change("nobody", "", "x")).await;
    assert_fails(unknown, ID, 400, "Account not found with this ID");
}

#[tokio::test]
async fn service_accounts() {
    let core = Core::start().await;
    let accounts = core.access.accounts();
    let first = accounts
        .create_service_account("foo", "hello", "latest")
        .await
        .unwrap();
    assert_eq!(first.id, "hello-latest");
    let secret = first.secret.expose_secret();
    let token = core.login("foo", "hello-latest", secret).await.unwrap();
    let account = core.access.inspect(&token.access_token).await.unwrap();
    assert_eq!(
        (account.kind.as_str(), account.issuer.as_str()),
        ("service", "foo")
    );
    assert_eq!(account.scopes, ["service"]);

    // Started again: the former holder is locked out.
    let second = accounts
        .create_service_account("foo", "hello", "latest")
        .await
        .unwrap();
    assert!(core.access.inspect(&token.access_token).await.is_err());
    assert!(core.login("foo", "hello-latest", secret).await.is_err());
    let secret = second.secret.expose_secret();
    let token = core.login("foo", "hello-latest", secret).await.unwrap();

    // Another service whose id would be the same gets neither.
    let clash = accounts
        .create_service_account("foo", "hello-latest", "")
        .await;
    assert!(clash.is_ok(), "hello-latest- is another id");
    accounts
        .create_service_account("foo", "a-b", "c")
        .await
        .unwrap();
    let clash = accounts.create_service_account("foo", "a", "b-c").await;
    assert!(matches!(clash, Err(AccountError::IdTaken)));
    accounts
        .revoke_service_account("foo", "a", "b-c")
        .await
        .unwrap();
    assert!(accounts.find("foo", "a-b-c").await.unwrap().is_some());

    accounts
        .revoke_service_account("foo", "hello", "latest")
        .await
        .unwrap();
    assert!(core.access.inspect(&token.access_token).await.is_err());
    accounts
        .revoke_service_account("foo", "hello", "latest")
        .await
        .unwrap();
}
