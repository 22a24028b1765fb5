//! What accounts may do to others, how large they may be, and how logins share their turns.

use super::*;

/// What a service may do with accounts: enough for a signup, and nothing that outlives it.
#[tokio::test]
async fn a_service_makes_no_admins() {
    const GENERATE: &str = "auth.Auth.Generate";
    let core = Core::start().await;
    let door = core.admin().await;
    let account = core
        .access
        .accounts()
        .create_service_account("micro", "signup", "latest")
        .await
        .unwrap();
    let token = core
        .login("micro", "signup-latest", account.secret.expose_secret())
        .await
        .unwrap();
    let service = core.door(&token.access_token, "");
    let (mut auth, mut accounts) = (
        AuthClient::new(service.clone()),
        AccountsClient::new(service),
    );
    let powers = [
        ("", "admin"),
        ("", "service"),
        ("service", "x"),
        ("service", "service"),
    ];
    for (kind, scope) in powers {
        let request = GenerateRequest {
            r#type: kind.into(),
            scopes: vec![scope.into()],
            ..new("mole")
        };
        assert_fails(
            auth.generate(request).await,
            GENERATE,
            403,
            "only an account of type `user` with scope `admin` may make admins and services",
        );
    }
    let plain = GenerateRequest {
        scopes: vec!["customer".into()],
        secret: "first".into(),
        ..new("jane")
    };
    auth.generate(plain).await.unwrap();
    let change = |id: &str| ChangeSecretRequest {
        id: id.into(),
        new_secret: "second".into(),
        ..ChangeSecretRequest::default()
    };
    accounts.change_secret(change("jane")).await.unwrap();
    assert!(core.login("micro", "jane", "second").await.is_ok());
    core.access
        .accounts()
        .create_service_account("micro", "other", "latest")
        .await
        .unwrap();
    let people = "only an account of type `user` with scope `admin` may change accounts of admins and services";
    for id in ["admin", "other-latest"] {
        assert_fails(
            accounts.change_secret(change(id)).await,
            "auth.Accounts.ChangeSecret",
            403,
            people,
        );
        let request = DeleteAccountRequest {
            id: id.into(),
            ..DeleteAccountRequest::default()
        };
        assert_fails(
            accounts.delete(request).await,
            "auth.Accounts.Delete",
            403,
            people,
        );
    }
    let request = DeleteAccountRequest {
        id: "jane".into(),
        ..DeleteAccountRequest::default()
    };
    accounts.delete(request).await.unwrap();
    // A person does all that.
    let mut admin = AuthClient::new(door);
    let request = GenerateRequest {
        scopes: vec!["admin".into()],
        ..new("chief")
    };
    admin.generate(request).await.unwrap();
}

#[tokio::test]
async fn accounts_have_limits() {
    let core = Core::start().await;
    let mut admin = AuthClient::new(core.admin().await);
    let long = "x".repeat(5000);
    for request in [
        new(&long),
        new("a\nb"),
        GenerateRequest {
            name: long.clone(),
            ..new("x")
        },
        GenerateRequest {
            scopes: vec!["s".into(); 65],
            ..new("x")
        },
        GenerateRequest {
            scopes: vec!["*".into()],
            ..new("x")
        },
        GenerateRequest {
            metadata: [("k".to_owned(), long.clone())].into(),
            ..new("x")
        },
        GenerateRequest {
            secret: long.clone(),
            ..new("x")
        },
    ] {
        let refused = failed(admin.generate(request).await);
        assert_eq!(refused.code, 400, "{}", refused.detail);
        assert!(refused.detail.len() < 300, "{}", refused.detail);
    }
    let listed = core.access.accounts().list("micro").await.unwrap();
    assert_eq!(listed.len(), 1);
}

/// A flood of wrong secrets for one account, and somebody else's right one.
#[tokio::test]
async fn wrong_logins_do_not_shut_out_right_ones() {
    let core = Core::start().await;
    let admin = core.admin().await;
    let jane = GenerateRequest {
        secret: "s3cret".into(),
        ..new("jane")
    };
    AuthClient::new(admin).generate(jane).await.unwrap();
    let flood: Vec<_> = (0..160)
        .map(|n| core.login("micro", "admin", if n % 2 == 0 { "wrong" } else { "bad" }))
        .collect();
    let flood = futures::future::join_all(flood);
    let jane = async {
        for _ in 0..3 {
            core.login("micro", "jane", "s3cret").await.unwrap();
        }
    };
    let (flood, ()) = futures::future::join(flood, jane).await;
    let details: HashSet<_> = flood
        .into_iter()
        .map(|one| one.unwrap_err().detail)
        .collect();
    assert_eq!(
        details,
        HashSet::from([
            "Secret not correct".to_owned(),
            "too many logins are under way; try again in a moment".to_owned(),
        ])
    );
}
