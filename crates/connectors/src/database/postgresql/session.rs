//! Sessions: how they are opened, shared and made as new again.

use std::future::poll_fn;
use std::pin::pin;

use futures_util::StreamExt;
use strongroom_base::SecretString;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::PostgresqlDatabase;
use super::failure::{Failure, is_tls, within};
use super::libpq::address::Mode;
use crate::database::pool::Lent;
use crate::database::{DatabaseError, GRACE};

/// A row, as texts.
pub(super) type Row = Vec<Option<String>>;

/// Runs statements. With a failure comes how many were done before it; rows are not kept here, as
/// an operator's statements may have any number of them.
pub(super) async fn run(
    client: &Client,
    sql: &str,
    mut on_row: impl FnMut(Row),
) -> Result<(), (Error, usize)> {
    let mut done = 0;
    let stream = client.simple_query_raw(sql).await.map_err(|e| (e, done))?;
    let mut stream = pin!(stream);
    while let Some(message) = stream.next().await {
        match message.map_err(|e| (e, done))? {
            SimpleQueryMessage::Row(row) => {
                on_row((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect());
            }
            SimpleQueryMessage::CommandComplete(_) => done += 1,
            _ => {}
        }
    }
    Ok(())
}

impl PostgresqlDatabase {
    /// Connects, in the order that the mode says.
    pub(super) async fn dial(
        &self,
        user: &str,
        password: &SecretString,
        database: Option<&str>,
    ) -> Result<Client, Failure> {
        let tries: &[SslMode] = match self.address.mode {
            Mode::Disable => &[SslMode::Disable],
            Mode::Allow => &[SslMode::Disable, SslMode::Require],
            Mode::Prefer => &[SslMode::Prefer, SslMode::Disable],
            Mode::Require => &[SslMode::Require],
        };
        let mut config = self.address.config.clone();
        config.user(user).password(password.expose_secret());
        if let Some(database) = database {
            config.dbname(database);
        }
        let mut last = Failure::Late;
        for mode in tries {
            config.ssl_mode(*mode);
            let connect = config.connect(self.address.tls.clone());
            match within(self.limit, connect).await {
                Ok((client, mut connection)) => {
                    // Ends with the client. What the server tells beside answers is not kept.
                    tokio::spawn(async move {
                        while let Some(Ok(_)) = poll_fn(|cx| connection.poll_message(cx)).await {}
                    });
                    return Ok(client);
                }
                Err(failure) => last = failure,
            }
            // Another try helps where TLS itself failed, or the server wants the other way.
            let Failure::Said(error) = &last else { break };
            let other_way = error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
            if !(other_way || is_tls(error)) {
                break;
            }
        }
        Err(last)
    }

    /// A new session of the administrator in a database.
    pub(super) async fn session(&self, database: Option<&str>) -> Result<Client, DatabaseError> {
        let connecting = "cannot connect to the database";
        let client = self
            .dial(&self.user, &self.password, database)
            .await
            .map_err(|failure| self.said(connecting, &failure, &[]))?;
        within(self.limit, client.batch_execute(&self.address.session))
            .await
            .map_err(|failure| self.said("cannot set up a session", &failure, &[]))?;
        Ok(client)
    }

    /// A session out of the pool.
    pub(super) async fn take(&self) -> Result<Lent<Client>, DatabaseError> {
        let slot = self.pool.slot(self.limit).await?;
        while let Some(kept) = self.pool.kept() {
            if !kept.0.is_closed() {
                return Ok(slot.kept(kept));
            }
        }
        Ok(slot.fresh(self.session(None).await?))
    }

    pub(super) fn give_back(&self, mut session: Lent<Client>) {
        session.broken |= session.connection.is_closed();
        self.pool.give_back(session);
    }

    /// Logs in as the administrator, whoever has done so before.
    pub(super) async fn connect_anew(&self) -> Result<(), DatabaseError> {
        let slot = self.pool.room(self.limit).await?;
        let client = self.session(None).await?;
        self.give_back(slot.fresh(client));
        Ok(())
    }

    /// Makes a session as if it were new: what a statement set is not for the next one.
    pub(super) async fn wash(&self, client: &Client) -> bool {
        within(self.limit, client.batch_execute("DISCARD ALL")).await.is_ok()
            && within(self.limit, client.batch_execute(&self.address.session)).await.is_ok()
    }

    /// Rows of one query of our own.
    pub(super) async fn query(&self, sql: &str) -> Result<Vec<Row>, DatabaseError> {
        loop {
            let session = self.take().await?;
            let mut rows = Vec::new();
            let answer = async {
                run(&session.connection, sql, |row| rows.push(row))
                    .await
                    .map_err(|(error, _)| error)
            };
            match within(self.limit.saturating_add(GRACE), answer).await {
                Ok(()) => {
                    self.give_back(session);
                    return Ok(rows);
                }
                Err(failure) if failure.is_closed() && !session.fresh => {}
                Err(failure) => return Err(self.said("cannot ask the database", &failure, &[])),
            }
        }
    }
}
