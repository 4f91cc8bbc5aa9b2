//! The drivers of this binary.

use std::sync::Arc;

use super::mysql::Mysql;
use super::postgresql::Postgresql;
use super::redis::Redis;
use super::{Databases, Driver};

/// All drivers that are compiled in.
pub fn builtin() -> Arc<dyn Databases> {
    Arc::new(Builtin(vec![
        Arc::new(Mysql::current()),
        Arc::new(Mysql::legacy()),
        Arc::new(Postgresql),
        Arc::new(Redis),
    ]))
}

#[derive(Debug)]
struct Builtin(Vec<Arc<dyn Driver>>);

impl Databases for Builtin {
    fn driver(&self, plugin_name: &str) -> Option<Arc<dyn Driver>> {
        self.0.iter().find(|driver| driver.traits().names.contains(&plugin_name)).cloned()
    }

    fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.0.iter().flat_map(|driver| driver.traits().names).collect();
        names.sort_unstable();
        names.into_iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are Vault's: configurations that are carried over have them in them.
    #[test]
    fn each_name_has_its_driver() {
        let databases = builtin();
        let names = [
            "mysql-aurora-database-plugin",
            "mysql-database-plugin",
            "mysql-legacy-database-plugin",
            "mysql-rds-database-plugin",
            "postgresql-database-plugin",
            "redis-database-plugin",
            "valkey-database-plugin",
        ];
        assert_eq!(databases.names(), names);
        for name in names {
            let driver = databases.driver(name).expect(name);
            assert!(driver.traits().names.contains(&name), "{name}");
        }
        for name in ["", "postgresql", "mongodb-database-plugin", "MySQL-database-plugin"] {
            assert!(databases.driver(name).is_none(), "{name}");
        }
    }
}
