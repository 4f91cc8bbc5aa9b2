//! Rotators that are built in, and which of them a `RotationLambdaARN` means.

use strongroom_base::Result;
use strongroom_kernel::record::ReadView;

use super::{databases, functions};

/// A kind of databases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// PostgreSQL.
    Postgresql,
    /// MySQL.
    Mysql,
    /// MariaDB.
    Mariadb,
}

/// A rotator that is built in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BuiltIn {
    /// Its name, after `strongroom-`.
    pub name: &'static str,
    /// What AWS calls its function template that does the same.
    template: &'static str,
    /// Its databases.
    pub kind: Kind,
    /// Do two accounts take turns?
    pub alternates: bool,
}

/// What stands before our names of functions.
const OURS: &str = "strongroom-";

const fn built_in(
    name: &'static str,
    template: &'static str,
    kind: Kind,
    alternates: bool,
) -> BuiltIn {
    BuiltIn { name, template, kind, alternates }
}

/// All of them. The templates are those of the guide's page "Rotation function templates".
const ALL: [BuiltIn; 6] = [
    built_in(
        "postgresql-single-user",
        "SecretsManagerRDSPostgreSQLRotationSingleUser",
        Kind::Postgresql,
        false,
    ),
    built_in(
        "postgresql-multi-user",
        "SecretsManagerRDSPostgreSQLRotationMultiUser",
        Kind::Postgresql,
        true,
    ),
    built_in("mysql-single-user", "SecretsManagerRDSMySQLRotationSingleUser", Kind::Mysql, false),
    built_in("mysql-multi-user", "SecretsManagerRDSMySQLRotationMultiUser", Kind::Mysql, true),
    built_in(
        "mariadb-single-user",
        "SecretsManagerRDSMariaDBRotationSingleUser",
        Kind::Mariadb,
        false,
    ),
    built_in(
        "mariadb-multi-user",
        "SecretsManagerRDSMariaDBRotationMultiUser",
        Kind::Mariadb,
        true,
    ),
];

impl BuiltIn {
    /// The one of this name of ours.
    pub fn of(name: &str) -> Option<Self> {
        ALL.into_iter().find(|one| one.name == name)
    }

    /// The one that a function's name or ARN means; and is it our own name of it?
    fn called(function: &str) -> Option<(Self, bool)> {
        let name = function_name(function);
        let ours = name.strip_prefix(OURS);
        ALL.into_iter()
            .find(|one| ours == Some(one.name) || name == one.template)
            .map(|one| (one, ours.is_some()))
    }
}

/// The name in `arn:aws:lambda:REGION:ACCOUNT:function:NAME:QUALIFIER`, in which all before the name, and
/// the qualifier, may be missing (the Lambda API's `FunctionName`).
fn function_name(function: &str) -> &str {
    let mut parts = function.split(':');
    let name = match function.contains(":function:") {
        true => parts.by_ref().skip_while(|part| *part != "function").nth(1),
        false => parts.next(),
    };
    name.unwrap_or_default()
}

/// Who rotates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rotator {
    /// A function of the operator's settings.
    Function,
    /// One that is built in.
    BuiltIn(BuiltIn),
}

/// Who rotates where a request names this function; nobody where the operator's settings do not say
/// where it is. AWS's templates are functions like others where there is an endpoint for such.
pub async fn choose(view: &ReadView<'_>, function: &str) -> Result<Option<Rotator>> {
    let functions = functions::settings(view).await?;
    let called = BuiltIn::called(function);
    if let Some((built_in, ours)) = called
        && (ours || !functions.serve(function))
    {
        let reaches = databases::settings(view).await?.is_some();
        return Ok(reaches.then_some(Rotator::BuiltIn(built_in)));
    }
    Ok(functions.serve(function).then_some(Rotator::Function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_rotators_by_their_names() {
        for (function, expected) in [
            ("strongroom-postgresql-single-user", Some(("postgresql-single-user", true))),
            (
                "arn:aws:lambda:us-east-1:1:function:strongroom-mysql-multi-user",
                Some(("mysql-multi-user", true)),
            ),
            (
                "arn:aws:lambda:us-east-1:1:function:strongroom-mysql-multi-user:live",
                Some(("mysql-multi-user", true)),
            ),
            ("strongroom-mariadb-multi-user:1", Some(("mariadb-multi-user", true))),
            (
                "arn:aws:lambda:eu-west-1:1:function:SecretsManagerRDSMariaDBRotationSingleUser",
                Some(("mariadb-single-user", false)),
            ),
            (
                "SecretsManagerRDSPostgreSQLRotationMultiUser",
                Some(("postgresql-multi-user", false)),
            ),
            ("postgresql-single-user", None),
            ("strongroom-", None),
            ("strongroom-oracle-single-user", None),
            ("arn:aws:lambda:us-east-1:1:function:rotate", None),
            ("arn:aws:lambda:us-east-1:1:function:", None),
            ("https://functions.test/strongroom-mysql-multi-user", None),
            ("", None),
        ] {
            let called = BuiltIn::called(function).map(|(one, ours)| (one.name, ours));
            assert_eq!(called, expected, "{function}");
        }
        for one in ALL {
            assert_eq!(BuiltIn::of(one.name), Some(one));
            assert_eq!(one.alternates, one.name.ends_with("-multi-user"));
        }
    }
}
